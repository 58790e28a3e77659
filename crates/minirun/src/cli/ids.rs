//! Ids of users and groups.

use anyhow::{Context as _, Result, bail};

use minirun_container::options::UserIds;

/// `UID[:GID]`.
pub fn user_of(text: &str) -> Result<UserIds> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let uid = id_of(uid).with_context(|| format!("--user {text}"))?;
    let gid = gid.map(id_of).transpose().with_context(|| format!("--user {text}"))?;
    Ok(UserIds { uid, gid })
}

/// A user or group id in plain decimal digits: a loose parser has made others root (CVE-2026-30892).
pub fn id_of(text: &str) -> Result<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    match text.parse::<u32>() {
        Ok(id) if canonical && id != u32::MAX => Ok(id),
        _ => bail!("invalid id {text:?} (expected 0 to 4294967294)"),
    }
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn ids_are_plain_decimal_numbers() {
        for (text, id) in [("0", 0), ("1", 1), ("1000", 1000), ("4294967294", 4_294_967_294)] {
            assert_eq!(id_of(text).unwrap(), id);
        }
        for text in
            ["", "-1", "+1", "01", " 1", "1 ", "0x1", "1e3", "root", "4294967295", "4294967296", "99999999999999999999"]
        {
            id_of(text).unwrap_err();
        }
    }
}
