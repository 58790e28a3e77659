//! The place in the configuration that a step comes from, so that every error can name it.

use std::borrow::Cow;
use std::fmt;

/// A place in `config.json`, such as `mounts[3].options[1]`, or the name of a default, such as `default devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin(Cow<'static, str>);

impl Origin {
    /// Returns a place with a fixed name.
    pub const fn of(place: &'static str) -> Origin {
        Origin(Cow::Borrowed(place))
    }

    /// Returns the text, for messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns an element of this list: `mounts` → `mounts[3]`.
    pub fn index(&self, index: usize) -> Origin {
        Origin(Cow::Owned(format!("{}[{index}]", self.0)))
    }

    /// Returns a member of this object: `mounts[3]` → `mounts[3].options`.
    pub fn field(&self, name: &str) -> Origin {
        Origin(Cow::Owned(format!("{}.{name}", self.0)))
    }

    /// Returns a member whose name the user chose: `linux.sysctl` → `linux.sysctl["net.ipv4.ip_forward"]`.
    pub fn key(&self, key: &str) -> Origin {
        Origin(Cow::Owned(format!("{}[{key:?}]", self.0)))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Origin {
    fn from(place: String) -> Origin {
        Origin(Cow::Owned(place))
    }
}
