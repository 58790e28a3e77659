//! Clones, from processes with one thread and with several. The test harness has threads, so this is a program of its own.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::alloc::{GlobalAlloc as _, Layout};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;

use minirun_sys::{self as sys, Bump, Child, Clone, Errno};

/// The exit status of a child that does this; 128 and more for a signal.
fn status_of(work: impl FnOnce(&mut Child) -> i32) -> i32 {
    let status = sys::wait(sys::clone3(Clone::default(), work).expect("clone3").pid).expect("wait4");
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

fn a_child_ends_with_its_status() {
    assert_eq!(status_of(|_| 42), 42);
}

/// abort(3) would end the parent: the C library sends the signal to the thread id that it remembers.
fn a_panic_in_a_child_ends_that_child_alone() {
    let (zero, one) = (std::hint::black_box(0), 1);
    assert_eq!(status_of(|_| one / zero), 101);
    assert_eq!(status_of(|_| status_of(|_| panic!("as it should"))), 101);
}

fn nothing_but_namespaces_can_be_asked_for() {
    for flags in [libc::CLONE_VM, libc::CLONE_FILES, libc::CLONE_SIGHAND | libc::CLONE_VM, libc::CLONE_SETTLS] {
        let ask = Clone { flags: flags as u64, cgroup: None };
        assert_eq!(sys::clone3(ask, |_| 0).unwrap_err(), Errno::EINVAL, "{flags:#x}");
        assert_eq!(status_of(|child| child.become_sibling(flags as u64).unwrap_err() as i32), Errno::EINVAL as i32);
    }
}

fn a_process_with_two_threads_is_not_cloned() {
    let (ours, theirs) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || theirs.recv());
        assert_eq!(sys::clone3(Clone::default(), |_| 0).unwrap_err(), Errno::EINVAL);
        drop(ours);
    });
    // Until the kernel has forgotten that thread.
    while sys::clone3(Clone::default(), |_| 0).map(|child| sys::wait(child.pid)).is_err() {}
}

fn a_second_thread_cannot_allocate() {
    let status = status_of(|_| {
        let (bump, layout) = (Bump::new(), Layout::new::<u64>());
        // SAFETY: the layout is not empty.
        let first = unsafe { bump.alloc(layout) };
        // SAFETY: the block comes from there, if this thread gets so far.
        std::thread::scope(|scope| scope.spawn(|| unsafe { bump.dealloc(bump.alloc(layout), layout) }).join().ok());
        i32::from(first.is_null())
    });
    assert_eq!(status, 125);
}

fn a_child_can_close_what_its_maker_owns() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let kept = UnixStream::pair().unwrap();
    let numbers = [ours.as_raw_fd(), theirs.as_raw_fd(), kept.0.as_raw_fd(), kept.1.as_raw_fd()];
    let open = || numbers.map(|number| sys::is_open(number).unwrap());
    let abandoned = status_of(|child| {
        child.abandon(&[theirs.as_raw_fd()]);
        i32::from(open() != [true, false, true, true])
    });
    let closed = status_of(|child| {
        child.close_all_but(3, [Some(kept.1.as_fd()), None, Some(ours.as_fd())]).unwrap();
        i32::from(open() != [true, false, false, true])
    });
    assert_eq!((abandoned, closed, open()), (0, 0, [true; 4]));
}

fn a_child_goes_on_as_its_sibling() {
    type Become = fn(&mut Child) -> sys::Result<()>;
    let ways: [Become; 2] = [|child| child.become_sibling(0), Child::become_plain_sibling];
    for way in ways {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let first = sys::clone3(Clone::default(), |child| {
            way(child).unwrap();
            sys::write(theirs.as_fd(), &sys_pid()).unwrap();
            7
        });
        let first = first.unwrap().pid;
        assert_eq!(sys::wait(first).unwrap(), 0);
        let mut bytes = [0; 4];
        sys::read(ours.as_fd(), &mut bytes).unwrap();
        let second = i32::from_ne_bytes(bytes);
        assert_ne!(second, first);
        assert_eq!(libc::WEXITSTATUS(sys::wait(second).unwrap()), 7);
    }
}

fn sys_pid() -> [u8; 4] {
    std::process::id().to_ne_bytes()
}

fn one_descriptor_is_received() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    sys::send_fd(ours.as_fd(), ours.as_fd(), b"text").unwrap();
    let received = sys::receive_fd(theirs.as_fd()).unwrap().unwrap();
    assert_eq!(sys::fstat(received.as_fd()).unwrap().st_ino, sys::fstat(ours.as_fd()).unwrap().st_ino);
    sys::write(ours.as_fd(), b"none").unwrap();
    assert!(sys::receive_fd(theirs.as_fd()).unwrap().is_none());
}

fn main() {
    // Arguments of the test harness, such as filters, are not known here: everything is run.
    a_child_ends_with_its_status();
    nothing_but_namespaces_can_be_asked_for();
    a_child_can_close_what_its_maker_owns();
    a_child_goes_on_as_its_sibling();
    one_descriptor_is_received();
    a_panic_in_a_child_ends_that_child_alone();
    a_second_thread_cannot_allocate();
    a_process_with_two_threads_is_not_cloned();
    println!("clone: 8 checks passed");
}
