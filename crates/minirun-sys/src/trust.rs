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

/// The same for a directory or a link on the way: who can write there can exchange what is below, except in a directory with
/// the sticky bit. The group of root, and `group`, which is this user's own, are not others.
pub fn distrust_way(owner: u32, mode: u32, group: (u32, u32), user: u32) -> Option<String> {
    const STICKY: u32 = 0o1000;
    const GROUP_WRITES: u32 = 0o020;
    let (its, own) = group;
    let spared = if its == 0 || its == own { GROUP_WRITES } else { 0 };
    let counts = if mode & STICKY != 0 { 0 } else { mode & !spared };
    distrust(owner, counts, user).and(distrust(owner, mode, user))
}

#[cfg(test)]
mod tests {
    use super::{distrust, distrust_way};

    #[test]
    fn on_the_way_the_sticky_bit_and_ones_own_group_are_enough() {
        for (owner, mode, group) in [(0, 0o41777, 0), (0, 0o40775, 0), (1000, 0o40775, 1000), (0, 0o40755, 5)] {
            assert_eq!(distrust_way(owner, mode, (group, 1000), 1000), None, "{owner} {mode:o} {group}");
        }
        for (owner, mode, group) in [(1001, 0o41777, 0), (0, 0o40777, 0), (0, 0o40775, 50), (1001, 0o40700, 1000)] {
            assert!(distrust_way(owner, mode, (group, 1000), 1000).is_some(), "{owner} {mode:o} {group}");
        }
    }

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
