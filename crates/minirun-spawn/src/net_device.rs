//! `linux.netDevices`: network devices of the runtime's namespace that go to the container's.
//!
//! They are not taken back when the container ends: the kernel returns physical devices to the first namespace and
//! destroys the others, as it does with whatever is in a network namespace that nobody uses any more. They are taken
//! back when the container could not be made.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use minirun_plan::Origin;
use minirun_sys as sys;
use minirun_sys::Errno;

use crate::SpawnError;
use crate::error::Doing;
use crate::netlink::{Address, Link, Route};

/// A device that has been moved, with what it takes to undo that.
#[derive(Debug)]
pub(crate) struct Moved {
    origin: Origin,
    /// The container's namespace.
    namespace: OwnedFd,
    /// Its number there.
    index: i32,
    /// What it was.
    former: Link,
    addresses: Vec<Address>,
}

/// Moves a device to the network namespace of a process, as `new_name`, and sets it up there with the addresses that it
/// had. It is among the moved ones as soon as it is there.
pub(crate) fn move_device(
    origin: &Origin,
    pid: i32,
    (name, new_name): (&str, &str),
    moved: &mut Vec<Moved>,
) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("move network device {name} into the container as {new_name}"));
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).map(OwnedFd::from).map_err(|error| doing.failed_io("open", &error))?;
    let home = own_namespace(&doing)?;
    if same(&home, &namespace).map_err(|errno| doing.failed("fstat", errno))? {
        return Err(doing.refused("the container has the runtime's network namespace"));
    }
    let (here, there) = (open(&doing)?, open_in(&doing, &namespace, &home)?);
    let links = |route: &Route| route.links().map_err(|errno| doing.failed("RTM_GETLINK", errno));
    let Some(former) = links(&here)?.into_iter().find(|link| link.name == name) else {
        return Err(doing.failed("RTM_GETLINK", Errno::ENODEV));
    };
    let others = links(&there)?;
    if others.iter().any(|other| other.name == new_name) {
        return Err(doing.refused("the container has a device of this name already"));
    }
    let addresses = here.lasting_addresses(former.index).map_err(|errno| doing.failed("RTM_GETADDR", errno))?;
    // Its own number where that is free: then it is known whatever name the kernel makes of a template.
    let taken = |index: i32| others.iter().any(|other| other.index == index);
    let index = (former.index..).find(|index| !taken(*index)).unwrap_or(former.index);
    here.move_link(former.index, &namespace, new_name, index).map_err(|errno| match errno {
        Errno::EPERM => doing.failed_with("RTM_NEWLINK", errno, "it requires CAP_NET_ADMIN in both namespaces"),
        Errno::EINVAL => doing.failed_with("RTM_NEWLINK", errno, "this kind of device might be bound to its namespace"),
        errno => doing.failed("RTM_NEWLINK", errno),
    })?;
    moved.push(Moved { origin: origin.clone(), namespace, index, former, addresses: addresses.clone() });
    dress(&doing, &there, index, &addresses, true)
}

/// Addresses first, so that nobody sees the device up without them.
fn dress(doing: &Doing, route: &Route, index: i32, addresses: &[Address], up: bool) -> Result<(), SpawnError> {
    for address in addresses {
        route.add_address(index, address).map_err(|errno| doing.failed("RTM_NEWADDR", errno))?;
    }
    if up { route.set_up(index).map_err(|errno| doing.failed("RTM_NEWLINK", errno)) } else { Ok(()) }
}

/// Returns devices to where they were, with their names, numbers and addresses.
///
/// # Errors
/// The first that could not be returned; the others are tried none the less.
pub(crate) fn return_devices(moved: Vec<Moved>) -> Result<(), SpawnError> {
    moved.into_iter().rev().map(return_device).fold(Ok(()), Result::and)
}

fn return_device(moved: Moved) -> Result<(), SpawnError> {
    let Moved { origin, namespace, index, former, addresses } = moved;
    let doing = Doing::new(&origin, format!("return network device {}", former.name));
    let home = own_namespace(&doing)?;
    let there = open_in(&doing, &namespace, &home)?;
    let answer = there.move_link(index, &home, &former.name, former.index);
    answer.map_err(|errno| doing.failed("RTM_NEWLINK", errno))?;
    dress(&doing, &open(&doing)?, former.index, &addresses, former.up)
}

fn own_namespace(doing: &Doing) -> Result<OwnedFd, SpawnError> {
    File::open("/proc/self/ns/net").map(OwnedFd::from).map_err(|error| doing.failed_io("open", &error))
}

fn same(one: &OwnedFd, other: &OwnedFd) -> sys::Result<bool> {
    let inode = |fd: &OwnedFd| sys::fstat(fd.as_fd()).map(|stat| (stat.st_dev, stat.st_ino));
    Ok(inode(one)? == inode(other)?)
}

fn open(doing: &Doing) -> Result<Route, SpawnError> {
    Route::open().map_err(|errno| doing.failed("socket", errno))
}

/// A socket belongs to the namespace that it was made in, so this process goes there and comes back.
fn open_in(doing: &Doing, namespace: &OwnedFd, home: &OwnedFd) -> Result<Route, SpawnError> {
    let enter = |namespace: &OwnedFd| sys::setns(namespace.as_fd(), libc::CLONE_NEWNET);
    enter(namespace).map_err(|errno| doing.failed("setns", errno))?;
    let route = open(doing);
    enter(home).map_err(|errno| doing.failed("setns", errno))?;
    route
}
