//! The sockets of systemd: its private sockets, which work without a bus, and the buses.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A socket of a message bus, or of systemd itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The socket's path, or its name if it is abstract.
    pub(crate) path: PathBuf,
    /// Whether it is a name without a file (unix(7), "abstract").
    pub(crate) is_abstract: bool,
    /// Whether it is a bus, which requires a greeting and subscriptions to signals.
    pub(crate) is_bus: bool,
}

impl Address {
    fn file(path: PathBuf, is_bus: bool) -> Address {
        Address { path, is_abstract: false, is_bus }
    }
}

/// Returns the sockets of the system's instance, or of this user's, in the order in which they are tried.
pub(crate) fn candidates(user: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Vec<Address> {
    if !user {
        let mut found = vec![Address::file("/run/systemd/private".into(), false)];
        match variable("DBUS_SYSTEM_BUS_ADDRESS") {
            Some(list) => found.extend(parse(&list)),
            None => found.push(Address::file("/run/dbus/system_bus_socket".into(), true)),
        }
        return found;
    }
    let mut found = Vec::new();
    // A path that is not absolute is ignored (XDG Base Directory Specification).
    let directory = variable("XDG_RUNTIME_DIR").filter(|directory| Path::new(directory).is_absolute());
    if let Some(directory) = &directory {
        found.push(Address::file(Path::new(directory).join("systemd/private"), false));
    }
    match (variable("DBUS_SESSION_BUS_ADDRESS"), &directory) {
        (Some(list), _) => found.extend(parse(&list)),
        (None, Some(directory)) => found.push(Address::file(Path::new(directory).join("bus"), true)),
        (None, None) => {}
    }
    found
}

/// Returns the sockets in a list of addresses: `unix:path=/run/user/1000/bus,guid=…;unix:abstract=…`. Other transports
/// are ignored (D-Bus specification, "Server Addresses").
fn parse(list: &OsStr) -> Vec<Address> {
    let one = |address: &[u8]| {
        let words = address.strip_prefix(b"unix:")?;
        words.split(|byte| *byte == b',').find_map(|word| {
            let (value, is_abstract) = match (word.strip_prefix(b"path="), word.strip_prefix(b"abstract=")) {
                (Some(path), _) => (path, false),
                (None, Some(name)) => (name, true),
                (None, None) => return None,
            };
            let path = PathBuf::from(OsStr::from_bytes(&unescape(value)?));
            Some(Address { path, is_abstract, is_bus: true })
        })
    };
    list.as_bytes().split(|byte| *byte == b';').filter_map(one).collect()
}

/// Decodes the escapes of an address, a percent sign and two hexadecimal digits. Returns none if one is truncated.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = after;
            }
            (b'%', _) => return None,
            _ => bytes.push(*first),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(user: bool, variables: &[(&str, &str)]) -> Vec<(String, bool, bool)> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        let found = candidates(user, variable);
        found.into_iter().map(|one| (one.path.display().to_string(), one.is_abstract, one.is_bus)).collect()
    }

    #[test]
    fn candidates_depend_on_the_environment() {
        let file = |path: &str, bus| (path.to_owned(), false, bus);
        let private = file("/run/systemd/private", false);
        assert_eq!(addresses(false, &[]), [private.clone(), file("/run/dbus/system_bus_socket", true)]);
        let system =
            [("DBUS_SYSTEM_BUS_ADDRESS", "tcp:host=a;unix:guid=1,path=/a%20b;unix:abstract=x%2;unix:abstract=y")];
        assert_eq!(addresses(false, &system), [private, file("/a b", true), ("y".to_owned(), true, true)]);
        assert_eq!(addresses(true, &[]), []);
        let user = [("XDG_RUNTIME_DIR", "/run/user/7")];
        assert_eq!(addresses(true, &user), [file("/run/user/7/systemd/private", false), file("/run/user/7/bus", true)]);
        let session = [user[0], ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/tmp/bus,guid=0123")];
        assert_eq!(addresses(true, &session), [file("/run/user/7/systemd/private", false), file("/tmp/bus", true)]);
    }
}
