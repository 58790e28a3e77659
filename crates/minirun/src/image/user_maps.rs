//! The id maps of an ordinary user's containers, and of the processes that make the files of their images.

use anyhow::{Context, Result};
use minirun_image::{IdMapping, IdMaps};
use minirun_plan::Origin;

use crate::ids::granted;

/// Maps in which root is the caller, and the ids from 1 on are those that the administrator has granted to the caller.
#[derive(Debug, Clone)]
pub struct UserMaps(IdMaps);

impl UserMaps {
    pub fn of_caller() -> UserMaps {
        let map = |container_id, host_id, size| IdMapping { container_id, host_id, size };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let own = |id| vec![map(0, id, 1)];
        // One without the other is of no use: newgidmap and newuidmap are both asked or none.
        match (granted("/etc/subuid"), granted("/etc/subgid")) {
            (Some((first_uid, uids)), Some((first_gid, gids))) if uids > 0 && gids > 0 => UserMaps(IdMaps {
                users: vec![map(0, uid, 1), map(1, first_uid, uids)],
                groups: vec![map(0, gid, 1), map(1, first_gid, gids)],
            }),
            _ => UserMaps(IdMaps { users: own(uid), groups: own(gid) }),
        }
    }

    pub fn id_maps(self) -> IdMaps {
        self.0
    }

    /// Writes the maps for the process with this pid, which is in a new user namespace of the caller.
    pub fn write(&self, pid: i32) -> Result<()> {
        let line = |map: &IdMapping| format!("{} {} {}\n", map.container_id, map.host_id, map.size);
        let text = |maps: &[IdMapping]| maps.iter().map(line).collect::<String>();
        let files = [("uid_map", "newuidmap", text(&self.0.users)), ("gid_map", "newgidmap", text(&self.0.groups))];
        if self.0.users.len() == 1 {
            let write = |file: &str, value: &str| {
                let path = format!("/proc/{pid}/{file}");
                std::fs::write(&path, value).with_context(|| format!("write {path}"))
            };
            write("setgroups", "deny")?;
            return files.iter().try_for_each(|(file, _, value)| write(file, value));
        }
        for (file, helper, value) in files {
            // Signals are not blocked here: they end this process.
            minirun_spawn::map_ids(pid, helper, &value, &Origin::of(file), &mut |_| Ok(()))?;
        }
        Ok(())
    }
}
