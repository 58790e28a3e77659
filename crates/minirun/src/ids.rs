//! The ids that an ordinary user may map, besides its own.

use anyhow::{Context, Result};
use minirun_plan::Origin;

/// The ids that the administrator has granted to this user: the first, and how many (subuid(5)).
pub fn granted(file: &str) -> Option<(u32, u32)> {
    let uid = nix::unistd::geteuid();
    // accepts: any error; ids are granted to a number as well.
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    // accepts: any error; a user to whom none are granted has the own one, and more are refused.
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let who = fields.next()?;
        (Some(who) == name.as_deref() || who == uid.to_string())
            .then(|| Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?)))?
    })
}

/// Maps of a user namespace, for users and for groups, in the form of `uid_map`.
#[derive(Debug, Clone)]
pub struct Maps {
    uids: Vec<[u32; 3]>,
    gids: Vec<[u32; 3]>,
}

impl Maps {
    /// Root is the caller, and from 1 on there is what was granted to the caller.
    pub fn of_caller() -> Maps {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let map = |own, file| match granted(file) {
            Some((first, count)) if count > 0 => vec![[0, own, 1], [1, first, count]],
            _ => vec![[0, own, 1]],
        };
        let maps = Maps { uids: map(uid, "/etc/subuid"), gids: map(gid, "/etc/subgid") };
        // One without the other is of no use: newgidmap and newuidmap are both asked or none.
        match (maps.uids.len(), maps.gids.len()) {
            (2, 2) => maps,
            _ => Maps { uids: vec![[0, uid, 1]], gids: vec![[0, gid, 1]] },
        }
    }

    /// May processes with these ids change their groups?
    pub fn allow_groups(&self) -> bool {
        self.gids.len() > 1
    }

    /// `linux.uidMappings` and `linux.gidMappings`.
    pub fn mappings(&self) -> [(&'static str, serde_json::Value); 2] {
        let list = |maps: &[[u32; 3]]| {
            let entry = |[inside, outside, size]: &[u32; 3]| serde_json::json!({"containerID": inside, "hostID": outside, "size": size});
            maps.iter().map(entry).collect()
        };
        [("uidMappings", list(&self.uids)), ("gidMappings", list(&self.gids))]
    }

    /// Writes them for the process with this pid, which is in a new user namespace of the caller.
    pub fn write(&self, pid: i32) -> Result<()> {
        let text = |maps: &[[u32; 3]]| maps.iter().map(|[a, b, c]| format!("{a} {b} {c}\n")).collect::<String>();
        let files = [("uid_map", "newuidmap", text(&self.uids)), ("gid_map", "newgidmap", text(&self.gids))];
        if self.uids.len() == 1 {
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
