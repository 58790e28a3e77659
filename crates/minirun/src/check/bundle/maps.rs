//! The id maps of a plan's new user namespace, read back.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use minirun_plan::Plan;

/// The lines of both maps, and what they say; none without a new user namespace.
#[derive(Debug, Clone, Default)]
pub struct IdRanges {
    pub uids: String,
    pub gids: String,
}

impl IdRanges {
    pub fn of(plan: &Plan) -> Option<IdRanges> {
        let line = |name: &str| {
            let maps = plan.host.iter().filter_map(|step| step.op.id_map());
            maps.filter(|(file, _)| *file == name).map(|(_, value)| value.to_owned()).next()
        };
        Some(IdRanges { uids: line("uid_map")?, gids: line("gid_map")? })
    }

    /// The maps to be written for a child; none when it maps itself, because these are an ordinary user's own ids.
    pub fn for_child(&self) -> Option<(&str, &str)> {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let own = |map: &str, id: u32| ranges(map).map(|(_, outside, size)| (outside, size)).eq([(id, 1)]);
        let by_itself = !uid.is_root() && own(&self.uids, uid.as_raw()) && own(&self.gids, gid.as_raw());
        (!by_itself).then_some((&self.uids, &self.gids))
    }

    /// The host's user of a user in the container.
    pub fn uid(&self, inside: u32) -> Option<u32> {
        to_host(&self.uids, inside)
    }

    /// The host's group of a group in the container.
    pub fn gid(&self, inside: u32) -> Option<u32> {
        to_host(&self.gids, inside)
    }

    /// Whether both owners of a file are mapped inside.
    pub fn knows(&self, uid: u32, gid: u32) -> bool {
        has(&self.uids, uid) && has(&self.gids, gid)
    }
}

/// Elements of a map: first inside, first outside, how many (user_namespaces(7)).
fn ranges(map: &str) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    })
}

fn to_host(map: &str, inside: u32) -> Option<u32> {
    ranges(map).find_map(|(first, outside, size)| {
        let offset = inside.checked_sub(first).filter(|offset| *offset < size)?;
        outside.checked_add(offset)
    })
}

fn has(map: &str, id: u32) -> bool {
    ranges(map).any(|(_, outside, size)| id.checked_sub(outside).is_some_and(|offset| offset < size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mapped_by_their_range() {
        let map = "0 1000 1\n1 100000 65535\n";
        assert_eq!(to_host(map, 0), Some(1000));
        assert_eq!(to_host(map, 1000), Some(100_999));
        assert_eq!(to_host(map, 65_536), None);
        assert!(has(map, 100_000) && !has(map, 0));
    }
}
