//! Groups of the resctrl file system (Intel RDT): made, given their schemata, joined, and removed.
//!
//! The kernel takes one line at a time and tells more of a refusal in `info/last_cmd_status` than by its error number
//! (Documentation/arch/x86/resctrl.rst).

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use minirun_plan::{GroupKind, Origin, ResctrlPlan, Schema};
use minirun_sys::Errno;

use crate::SpawnError;
use crate::error::Doing;

#[cfg(test)]
mod tests;

/// What of a container's groups was made for it, and so goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MadeGroups {
    /// Its group, if the container alone is in it.
    pub group: Option<PathBuf>,
    /// Its monitoring group.
    pub monitoring: Option<PathBuf>,
}

impl MadeGroups {
    /// What will be made, told before it is, so that it can be recorded.
    ///
    /// # Errors
    /// A group must be there and is not, or is there and must not be.
    pub fn foresee(plan: &ResctrlPlan) -> Result<MadeGroups, SpawnError> {
        let doing = Doing::new(&plan.origin, format!("look for {}", plan.group.display()));
        let there = plan.group.try_exists().map_err(|error| doing.failed_io("stat", &error))?;
        if !there && plan.kind == GroupKind::Existing {
            let doing = Doing::new(&plan.origin, format!("join {}", plan.group.display()));
            let hint = "without a schema the group must be there before the container";
            return Err(doing.refused_with("there is no such group", hint));
        }
        if let Some(monitoring) = &plan.monitoring
            && monitoring.try_exists().map_err(|error| monitors(monitoring).failed_io("stat", &error))?
        {
            return Err(monitors(monitoring).refused("another container has a monitoring group of this name"));
        }
        let group = (!there && plan.kind == GroupKind::Own).then(|| plan.group.clone());
        Ok(MadeGroups { group, monitoring: plan.monitoring.clone() })
    }

    /// Makes the groups, and gives the container's its schemata. What turns out to be there already is taken out of `self`.
    ///
    /// # Errors
    /// Why the kernel refused, or that a group which others share has other schemata. A group that was made for others as
    /// well is gone then; the rest is in `self`.
    pub fn make(&mut self, plan: &ResctrlPlan) -> Result<(), SpawnError> {
        let doing = Doing::new(&plan.origin, format!("make the group {}", plan.group.display()));
        let made = match make_directory(&plan.group) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.group = None;
                false
            }
            Err(error) => return Err(refused(&doing, "mkdir", &error, &plan.mount)),
        };
        let equipped = self.equip(plan, made);
        // accepts: any error, which is returned below.
        if equipped.is_err() && made && plan.kind == GroupKind::Shared {
            // Left as it is, the next container would be told that others have made it so.
            let _the_cause_counts = remove(&plan.group);
        }
        equipped
    }

    /// The schemata, and the monitoring group.
    fn equip(&mut self, plan: &ResctrlPlan, made: bool) -> Result<(), SpawnError> {
        if !made {
            compare_shared(plan)?;
        }
        let written = |schema: &&Schema| made || !schema.compared || plan.kind == GroupKind::Own;
        plan.schemata.iter().filter(written).try_for_each(|schema| write(&plan.mount, &plan.group, schema))?;
        let Some(monitoring) = &plan.monitoring else { return Ok(()) };
        make_directory(monitoring).map_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                self.monitoring = None;
            }
            refused(&monitors(monitoring), "mkdir", &error, &plan.mount)
        })
    }

    /// Removes what was made. Processes that are still in a group fall back to the default one.
    ///
    /// # Errors
    /// The kernel refused; what is gone already is as well.
    pub fn remove(&self) -> io::Result<()> {
        self.monitoring.iter().chain(&self.group).try_for_each(|path| remove(path))
    }
}

/// Whether a shared group that exists has what it must have.
///
/// # Errors
/// It has not.
pub fn compare_shared(plan: &ResctrlPlan) -> Result<(), SpawnError> {
    let compared = plan.schemata.iter().filter(|schema| schema.compared && plan.kind == GroupKind::Shared);
    compared.into_iter().try_for_each(|schema| compare(&plan.mount, &plan.group, schema))
}

/// Whatever the caller's umask is: who may write there may make groups.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(path)
}

fn remove(group: &Path) -> io::Result<()> {
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), format!("rmdir {}: {error}", group.display())))
        }
        _ => Ok(()),
    }
}

fn monitors(path: &Path) -> Doing {
    let origin = Origin::of("linux.intelRdt.enableMonitoring");
    Doing::new(&origin, format!("make the monitoring group {}", path.display()))
}

/// Moves a process to a group. What it starts from then on is in there as well.
pub(crate) fn join(origin: &Origin, mount: &Path, group: &Path, pid: i32) -> Result<(), SpawnError> {
    let doing = Doing::new(origin, format!("write {pid} to {}", group.join("tasks").display()));
    write_line(&group.join("tasks"), &pid.to_string()).map_err(|(call, error)| refused(&doing, call, &error, mount))
}

/// Gives a group other schemata: all of them, or none. What it had before is returned.
///
/// # Errors
/// Why the kernel refused.
pub fn change(mount: &Path, group: &Path, schemata: &[Schema]) -> Result<Former, SpawnError> {
    let origin = schemata.first().map_or(Origin::default(), |schema| schema.origin.clone());
    let lines = read(group).map_err(|error| {
        let doing = Doing::new(&origin, format!("read {}", group.join("schemata").display()));
        doing.failed_io("read", &error)
    })?;
    let former = Former { group: group.to_owned(), lines };
    match schemata.iter().try_for_each(|schema| write(mount, group, schema)) {
        Ok(()) => Ok(former),
        Err(cause) => Err(match former.restore() {
            Ok(()) => cause,
            Err(undo) => {
                let doing = Doing::new(&origin, "restore the former schemata".to_owned());
                SpawnError::NotUndone { cause: Box::new(cause), undo: Box::new(doing.failed_io("write", &undo)) }
            }
        }),
    }
}

/// The schemata that a group had.
#[derive(Debug)]
pub struct Former {
    group: PathBuf,
    lines: String,
}

impl Former {
    /// Gives them back: each line, whatever becomes of the others.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn restore(&self) -> io::Result<()> {
        let file = self.group.join("schemata");
        let restore = |line: &str| write_line(&file, line.trim()).map_err(|(_, error)| error);
        self.lines.lines().map(restore).fold(Ok(()), io::Result::and)
    }
}

/// Writes one schema, and sees that it holds.
fn write(mount: &Path, group: &Path, schema: &Schema) -> Result<(), SpawnError> {
    let file = group.join("schemata");
    let doing = Doing::new(&schema.origin, format!("write {:?} to {}", schema.line, file.display()));
    write_line(&file, &schema.line).map_err(|(call, error)| refused(&doing, call, &error, mount))?;
    let now = read(group).map_err(|error| doing.failed_io("read", &error))?;
    match difference(&schema.line, &now, granularity(mount)) {
        None => Ok(()),
        Some(found) => Err(doing.refused(&format!("the kernel made it {found:?}"))),
    }
}

/// Sees that a group which others share has this schema.
fn compare(mount: &Path, group: &Path, schema: &Schema) -> Result<(), SpawnError> {
    let file = group.join("schemata");
    let doing = Doing::new(&schema.origin, format!("compare {:?} with {}", schema.line, file.display()));
    let now = read(group).map_err(|error| doing.failed_io("read", &error))?;
    match difference(&schema.line, &now, granularity(mount)) {
        None => Ok(()),
        Some(found) => Err(doing.refused_with(
            &format!("the group has {found:?}"),
            "a closID that is there already is shared, and keeps what it has",
        )),
    }
}

fn read(group: &Path) -> io::Result<String> {
    fs::read_to_string(group.join("schemata"))
}

fn write_line(file: &Path, line: &str) -> Result<(), (&'static str, io::Error)> {
    let mut open = fs::File::options().write(true).open(file).map_err(|error| ("open", error))?;
    open.write_all(format!("{line}\n").as_bytes()).map_err(|error| ("write", error))
}

/// A failure with what the kernel has to say about it.
fn refused(doing: &Doing, call: &str, error: &io::Error, mount: &Path) -> SpawnError {
    // accepts: any error; the text only explains the one at hand.
    let status = fs::read_to_string(mount.join("info/last_cmd_status")).unwrap_or_default();
    let status = status.trim().replace('\n', "; ");
    let detail = if status.is_empty() || status == "ok" { String::new() } else { format!("; kernel: {status}") };
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC) => doing.failure(call, Some(Errno::ENOSPC), &detail, "the processor has no group left"),
        Some(errno) => doing.failure(call, Some(errno), &detail, ""),
        None => doing.failed_io(call, error),
    }
}

/// In which steps memory bandwidth is given; the kernel rounds up to them.
fn granularity(mount: &Path) -> u64 {
    // accepts: any error; without it a value is not rounded, and differs.
    let text = fs::read_to_string(mount.join("info/MB/bandwidth_gran")).unwrap_or_default();
    text.trim().parse().unwrap_or(1).max(1)
}

/// The line of `schemata` that says otherwise than `line`, if one does; empty when none is about that resource.
fn difference(line: &str, schemata: &str, granularity: u64) -> Option<String> {
    let (resource, wanted) = line.split_once(':')?;
    let resource = resource.trim();
    let there = schemata.lines().find(|there| there.split(':').next().is_some_and(|name| name.trim() == resource));
    let Some(there) = there else { return Some(String::new()) };
    let domains = |text: &str| -> Vec<(String, String)> {
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(id, value)| (id.trim().to_owned(), value.trim().to_owned())).collect()
    };
    let found = domains(there.split_once(':')?.1);
    let holds = |(id, value): &(String, String)| {
        found.iter().any(|(other, now)| number(id, 10) == number(other, 10) && same(resource, value, now, granularity))
    };
    if domains(wanted).iter().all(holds) { None } else { Some(there.trim().to_owned()) }
}

/// Whether two texts mean the same. Masks of caches are hexadecimal, bandwidth is decimal and may be rounded up.
fn same(resource: &str, wanted: &str, now: &str, granularity: u64) -> bool {
    if !resource.ends_with("MB") && !resource.ends_with("MBA") {
        return number(wanted, 16).is_some() && number(wanted, 16) == number(now, 16);
    }
    match (number(wanted, 10), number(now, 10)) {
        (Some(wanted), Some(now)) => wanted == now || wanted.next_multiple_of(granularity) == now,
        _ => false,
    }
}

fn number(text: &str, radix: u32) -> Option<u64> {
    let plain = if radix == 16 { text.trim_start_matches("0x") } else { text };
    u64::from_str_radix(plain, radix).ok()
}
