//! As much of rtnetlink(7) as moving a network device takes: links and addresses.

use std::os::fd::{AsRawFd, OwnedFd};

use minirun_sys::{Errno, Result};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Every header and attribute begins at a multiple of this.
const ALIGNMENT: usize = 4;
/// Bytes of `struct nlmsghdr`, `struct ifinfomsg` and `struct ifaddrmsg`.
const HEADER: usize = 16;
const LINK: usize = 16;
const ADDRESS: usize = 8;
/// The name that the kernel's header has for it (linux/if_link.h, Linux 5.13); musl's has none.
const IFLA_NEW_IFINDEX: u16 = 49;
/// linux/if_addr.h.
const IFA_RT_PRIORITY: u16 = 9;
/// The flags of an address that its creator can set: nodad, home, mngtmpaddr, noprefixroute, autojoin.
const SETTABLE: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: i32,
    pub(crate) name: String,
    pub(crate) up: bool,
}

/// An address of a network device, with everything of it that does not depend on the device's name and lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    /// Kind and bytes: the address, its peer, broadcast, priority of its route.
    attributes: Vec<(u16, Vec<u8>)>,
}

/// A socket to the network namespace in which it was made.
#[derive(Debug)]
pub(crate) struct Route(OwnedFd);

impl Route {
    pub(crate) fn open() -> Result<Route> {
        let protocol = SockProtocol::NetlinkRoute;
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).map(Route)
    }

    /// All network devices (`RTM_GETLINK`).
    pub(crate) fn links(&self) -> Result<Vec<Link>> {
        self.dump(libc::RTM_GETLINK, LINK, |body| {
            let name = attributes(body.get(LINK..)?).find(|(kind, _)| *kind == libc::IFLA_IFNAME)?.1;
            let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
            let up = number(body, 8)? & libc::IFF_UP as u32 != 0;
            Some(Link { index: number(body, 4)? as i32, name, up })
        })
    }

    /// The addresses of a device that were meant to last and to be reached from everywhere (`RTM_GETADDR`).
    pub(crate) fn lasting_addresses(&self, index: i32) -> Result<Vec<Address>> {
        self.dump(libc::RTM_GETADDR, ADDRESS, |body| {
            let [family, prefix, short_flags, scope, ..] = *body else { return None };
            let rest = || attributes(body.get(ADDRESS..).unwrap_or_default());
            let long_flags = rest().find(|(kind, _)| *kind == libc::IFA_FLAGS).and_then(|(_, flags)| number(flags, 0));
            let flags = long_flags.unwrap_or(u32::from(short_flags));
            let wanted = number(body, 4)? as i32 == index
                && scope == libc::RT_SCOPE_UNIVERSE
                && flags & libc::IFA_F_PERMANENT != 0;
            let kept = [libc::IFA_LOCAL, libc::IFA_ADDRESS, libc::IFA_BROADCAST, IFA_RT_PRIORITY];
            let kept = rest().filter(|(kind, _)| kept.contains(kind));
            let attributes = kept.map(|(kind, value)| (kind, value.to_vec())).collect();
            wanted.then_some(Address { family, prefix, flags: flags & SETTABLE, attributes })
        })
    }

    /// Moves a device to another namespace, where it gets this name and number. The name may be a template with `%d`.
    pub(crate) fn move_link(&self, index: i32, to: &OwnedFd, name: &str, new_index: i32) -> Result<()> {
        let mut message = Message::about_link(index, false);
        message.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        message.attribute(libc::IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes());
        message.attribute(IFLA_NEW_IFINDEX, &new_index.to_ne_bytes());
        self.order(message)
    }

    /// Sets a device up.
    pub(crate) fn set_up(&self, index: i32) -> Result<()> {
        self.order(Message::about_link(index, true))
    }

    /// Adds an address to a device.
    pub(crate) fn add_address(&self, index: i32, address: &Address) -> Result<()> {
        let [i, n, d, x] = index.to_ne_bytes();
        let scope = libc::RT_SCOPE_UNIVERSE;
        let body = [address.family, address.prefix, address.flags as u8, scope, i, n, d, x];
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        let mut message = Message::new(libc::RTM_NEWADDR, flags, &body);
        message.attribute(libc::IFA_FLAGS, &address.flags.to_ne_bytes());
        address.attributes.iter().for_each(|(kind, value)| message.attribute(*kind, value));
        self.order(message)
    }

    /// A request that is answered by an acknowledgement alone.
    fn order(&self, mut message: Message) -> Result<()> {
        message.flag(libc::NLM_F_ACK as u16);
        self.exchange(message, |_| ())
    }

    /// What `each` makes of the elements of a list. One that changed while it was read is read again.
    fn dump<T>(&self, kind: u16, body: usize, each: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>> {
        loop {
            let mut found = Vec::new();
            let message = Message::new(kind, libc::NLM_F_DUMP as u16, &[0; LINK][..body]);
            match self.exchange(message, |body| found.extend(each(body))) {
                Err(Errno::EINTR) => {}
                answer => return answer.map(|()| found),
            }
        }
    }

    /// Sends a message and reads until it is answered to the end; a list that changed meanwhile is `EINTR`.
    fn exchange(&self, message: Message, mut each: impl FnMut(&[u8])) -> Result<()> {
        send(self.0.as_raw_fd(), &message.0, MsgFlags::empty())?;
        let mut buffer = vec![0; 1 << 16];
        let mut interrupted = false;
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = &buffer[..length];
            while let Some((kind, flags, body, next)) = split(rest) {
                rest = next;
                interrupted |= flags & libc::NLM_F_DUMP_INTR as u16 != 0;
                if kind != libc::NLMSG_ERROR as u16 && kind != libc::NLMSG_DONE as u16 {
                    each(body);
                    continue;
                }
                return match number(body, 0).map_or(0, |answer| answer as i32) {
                    0 if interrupted => Err(Errno::EINTR),
                    0 => Ok(()),
                    errno => Err(Errno::from_raw(-errno)),
                };
            }
        }
    }
}

/// A request in the making.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(body);
        let mut message = Message(bytes);
        message.flag(flags | libc::NLM_F_REQUEST as u16);
        message.close()
    }

    /// A change of a device.
    fn about_link(index: i32, up: bool) -> Message {
        let mut body = [0; LINK];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        let flags = if up { libc::IFF_UP as u32 } else { 0 };
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        body[12..16].copy_from_slice(&flags.to_ne_bytes());
        Message::new(libc::RTM_NEWLINK, 0, &body)
    }

    fn flag(&mut self, flags: u16) {
        let before = u16::from_ne_bytes([self.0[6], self.0[7]]);
        self.0[6..8].copy_from_slice(&(before | flags).to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        *self = Message(std::mem::take(&mut self.0)).close();
    }

    /// Fills up to the alignment, and writes the length into the header.
    fn close(mut self) -> Message {
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        let length = self.0.len() as u32;
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self
    }
}

/// The number at this place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The first message: its kind, flags and body, and what comes after it.
fn split(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = number(bytes, 0)? as usize;
    let short = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let (kind, flags) = (short(4)?, short(6)?);
    let next = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    Some((kind, flags, bytes.get(HEADER..length)?, next))
}

/// The attributes one by one: kind and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Nested, or in network order.
    const NOT_KIND: u16 = 0xc000;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & !NOT_KIND;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_written() {
        let mut message = Message::about_link(7, true);
        message.attribute(libc::IFLA_IFNAME, b"eth0\0");
        message.attribute(IFLA_NEW_IFINDEX, &9_i32.to_ne_bytes());
        let (kind, flags, body, rest) = split(&message.0).unwrap();
        assert_eq!((kind, flags, rest), (libc::RTM_NEWLINK, libc::NLM_F_REQUEST as u16, &[][..]));
        assert_eq!((number(body, 4), number(body, 8)), (Some(7), Some(1)));
        let found: Vec<_> = attributes(&body[LINK..]).collect();
        assert_eq!(found, [(libc::IFLA_IFNAME, &b"eth0\0"[..]), (IFLA_NEW_IFINDEX, &9_i32.to_ne_bytes())]);
    }

    #[test]
    fn what_is_cut_off_ends_the_list() {
        assert!(split(&[1, 2, 3]).is_none());
        assert!(split(&[200, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
    }
}
