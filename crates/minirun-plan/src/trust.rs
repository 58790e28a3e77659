//! Which directories and files of the host are trusted: a user who can write a container's record decides which processes
//! root kills.

/// Returns why a file or directory of the host cannot be trusted, given its owner, its mode and the user of this process;
/// none if it can.
///
/// It must belong to root or to this user, and nobody else may write to it. A directory with the sticky bit is no exception:
/// there others make entries of their own.
pub fn distrust(owner: u32, mode: u32, user: u32) -> Option<String> {
    const OTHERS_WRITE: u32 = 0o022;
    if owner != 0 && owner != user {
        return Some(format!("it belongs to user {owner}, not to root or to user {user}"));
    }
    let permissions = mode & 0o7777;
    (mode & OTHERS_WRITE != 0).then(|| format!("its mode {permissions:04o} lets other users write (hint: chmod go-w)"))
}

#[cfg(test)]
mod tests {
    use super::distrust;

    #[test]
    fn only_root_and_the_user_may_write() {
        for (owner, mode, user) in [(0, 0o40700, 0), (0, 0o40755, 1000), (1000, 0o41700, 1000), (1000, 0o100644, 1000)]
        {
            assert_eq!(distrust(owner, mode, user), None, "{owner} {mode:o} {user}");
        }
        for (owner, mode, user) in [
            (1000, 0o40700, 0),
            (1001, 0o40700, 1000),
            (65534, 0o40700, 0),
            (0, 0o41777, 0),
            (0, 0o40770, 0),
            (1000, 0o40702, 1000),
        ] {
            assert!(distrust(owner, mode, user).is_some(), "{owner} {mode:o} {user}");
        }
    }
}
