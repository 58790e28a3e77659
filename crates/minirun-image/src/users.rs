//! Who a container's process is: names in the image's own /etc/passwd and /etc/group (conversion.md, "Config.User"), read
//! through the layers as overlayfs would show them.

use crate::error::{ImageError, Result};
use crate::stack::Stack;

/// How large such a file may be, in bytes.
const MOST: u64 = 1 << 20;

/// Whom a process belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// All its groups, that one first: without it in the list, a program that changes its group would be rid of what is
    /// denied to the group (CVE-2022-36109).
    pub groups: Vec<u32>,
}

impl Stack {
    /// Finds out who `user` is: `USER`, `UID`, with `:GROUP` or `:GID` or without; nothing is root.
    ///
    /// # Errors
    /// The image has no such user or group, or its files cannot be read.
    pub fn identity(&self, user: &str) -> Result<Identity> {
        let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
        let name = if name.is_empty() { "0" } else { name };
        let passwd = self.table("/etc/passwd")?;
        let groups = self.table("/etc/group")?;
        let line = passwd
            .iter()
            .find(|line| line.field(0) == name)
            .or_else(|| passwd.iter().find(|line| number(name).is_some() && number(line.field(2)) == number(name)));
        let uid = line.and_then(|line| number(line.field(2))).or_else(|| number(name));
        let uid = uid.ok_or_else(|| ImageError::not_found(format!("the image has no user {name:?}")))?;
        if let Some(group) = group.filter(|group| !group.is_empty()) {
            let line = groups.iter().find(|line| line.field(0) == group);
            let gid = line.and_then(|line| number(line.field(2))).or_else(|| number(group));
            let gid = gid.ok_or_else(|| ImageError::not_found(format!("the image has no group {group:?}")))?;
            return Ok(Identity { uid, gid, groups: vec![gid] });
        }
        let gid = line.and_then(|line| number(line.field(3))).unwrap_or(0);
        let name = line.map_or("", |line| line.field(0));
        let is_member = |line: &&Line| !name.is_empty() && line.field(3).split(',').any(|member| member == name);
        let mut further: Vec<_> = groups.iter().filter(is_member).filter_map(|line| number(line.field(2))).collect();
        further.retain(|further| *further != gid);
        further.sort_unstable();
        further.dedup();
        further.insert(0, gid);
        Ok(Identity { uid, gid, groups: further })
    }

    /// The lines of a file that say something; none if there is no file.
    fn table(&self, path: &str) -> Result<Vec<Line>> {
        let text = self.read(path, MOST)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let kept = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(kept.map(|line| Line(line.to_owned())).collect())
    }
}

/// A line of fields with colons between them.
struct Line(String);

impl Line {
    fn field(&self, index: usize) -> &str {
        self.0.split(':').nth(index).unwrap_or_default()
    }
}

/// An id that the kernel has: plain digits.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| plain && *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_numbers() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("4294967294"), Some(u32::MAX - 1));
        for text in ["", "-1", "+1", " 1", "1x", "4294967295", "4294967296"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
