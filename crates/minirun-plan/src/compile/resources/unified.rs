//! `linux.resources.unified`: cgroup v2 files by name.

use std::collections::BTreeMap;

use super::Limits;
use super::cpu::is_list;
use crate::{Expect, Origin};

/// Files that act on processes immediately. The runtime writes them itself. A cgroup that is frozen, threaded, or has
/// passed its controllers to its children cannot receive the container's first process.
const ACTIONS: [&str; 6] =
    ["cgroup.freeze", "cgroup.kill", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "cgroup.type"];

impl Limits<'_> {
    pub(super) fn unified(&mut self, unified: &BTreeMap<String, String>, at: &Origin) {
        // A cpuset becomes a partition only when it has its CPUs, so partitions come last.
        let late = |file: &str| file.ends_with(".partition");
        let early = unified.iter().filter(|(file, _)| !late(file));
        for (file, value) in early.chain(unified.iter().filter(|(file, _)| late(file))) {
            let origin = at.key(file);
            if value.contains('\0') {
                self.problems.add(&origin, "must not contain a NUL byte");
                continue;
            }
            if let Err(text) = self.may_write(file) {
                self.problems.add(&origin, text);
                continue;
            }
            // Files with one line per device accept one line per write.
            for line in value.split('\n').filter(|line| !line.is_empty() || value.is_empty()) {
                let expect = self.expect(file, line.trim());
                if file.starts_with("cgroup.") {
                    let (file, value, origin) = (file.clone(), line.to_owned(), origin.clone());
                    self.cgroup.knobs.push(crate::Knob { file, value, expect, origin });
                } else {
                    self.knob(file, line, expect, &origin);
                }
            }
        }
    }

    /// Fails if this file must not be written. The errors are worded as in runc.
    fn may_write(&self, file: &str) -> Result<(), String> {
        if file.contains(['/', '\0']) {
            return Err(format!("unified resource {file:?} must be a file name (no slashes)"));
        }
        let controller = match file.split_once('.') {
            Some((controller, parameter)) if !controller.is_empty() && !parameter.is_empty() => controller,
            _ => return Err(format!("unified resource {file:?} must be in the form CONTROLLER.PARAMETER")),
        };
        if ACTIONS.contains(&file) {
            return Err(format!("unified resource {file:?} can't be set: it is not a limit, and the runtime uses it"));
        }
        match self.why_missing(controller) {
            Some(why) if controller != "cgroup" => Err(format!(
                "unified resource {file:?} can't be set: controller {controller:?} not available (it is {why})"
            )),
            _ => Ok(()),
        }
    }

    /// Returns what the file must show after this line was written; [`Expect::Anything`] if that is not known.
    fn expect(&self, file: &str, line: &str) -> Expect {
        let number = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        let words = line.split_whitespace().count();
        match file {
            "memory.min" | "memory.low" | "memory.high" | "memory.max" | "memory.swap.high" | "memory.swap.max"
            | "memory.zswap.max"
                if number =>
            {
                Expect::Rounded(self.page_size())
            }
            "cpu.weight" | "cpu.idle" | "cpu.max.burst" | "pids.max" | "memory.oom.group" if number => Expect::Same,
            "cpu.max" if words == 2 => Expect::Same,
            "cpuset.cpus" | "cpuset.mems" if is_list(line) => Expect::Set,
            // Writing an impossible partition succeeds, and the file then reads "root invalid (why)".
            "cpuset.cpus.partition" => Expect::Same,
            "io.max" | "rdma.max" if words > 1 && !line.contains("=max") => Expect::DeviceLine,
            _ if line == "max" && file.ends_with(".max") => Expect::Same,
            _ => Expect::Readable,
        }
    }
}
