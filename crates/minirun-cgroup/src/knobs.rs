//! Writes knobs and verifies them.

use std::os::fd::AsFd;

use minirun_plan::{Expect, Knob};
use minirun_sys::Errno;

use crate::{Cause, Cgroup, CgroupError, Result, files};

impl Cgroup {
    /// Writes the knobs in order and reads each back: a limit that does not hold is an error. The leaf gets the same
    /// values for programs that read them there; the limits of the cgroup itself are the effective ones.
    ///
    /// # Errors
    ///
    /// Fails if a knob cannot be written, or shows another value afterwards. Later knobs are then not written.
    pub fn apply(&self, knobs: &[Knob]) -> Result<()> {
        knobs.iter().try_for_each(|knob| self.write_knob(knob))
    }

    fn write_knob(&self, knob: &Knob) -> Result<()> {
        let failed = |cause: Cause| {
            let hint = cause_hint(knob, &cause);
            let path = self.path().join(&knob.file);
            CgroupError::new(format!("write {:?} to", knob.value), path, cause).origin(&knob.origin).hint(hint)
        };
        let read_back = knob.expect != Expect::Readable;
        let flags = if read_back { libc::O_RDWR } else { libc::O_WRONLY };
        let open = || files::open_file(self.dir.as_fd(), &knob.file, flags);
        // Asked twice: one wrong ENOENT would leave the container without its limit.
        let again = |errno| if errno == Errno::ENOENT { open() } else { Err(errno) };
        let file = match open().or_else(again) {
            Err(Errno::ENOENT) if knob.expect == Expect::SameOrAbsent => return Ok(()),
            answer => answer.map_err(|errno| failed(errno.into()))?,
        };
        files::write(file.as_fd(), &knob.value).map_err(|errno| failed(errno.into()))?;
        if read_back {
            let text = files::read_short(file.as_fd()).map_err(|errno| failed(errno.into()))?;
            if !holds(knob.expect, &knob.value, &text) {
                return Err(failed(Cause::Reads(text.trim_end().to_owned())));
            }
        }
        let Some(leaf) = self.leaf.as_ref().filter(|_| knob.is_repeated()) else { return Ok(()) };
        match files::write_file(leaf.as_fd(), &knob.file, &knob.value) {
            Err(Errno::ENOENT) if knob.expect == Expect::SameOrAbsent => Ok(()),
            answer => answer.map_err(|errno| failed(errno.into())),
        }
    }
}

/// Whether a file shows the expected text after `value` was written.
fn holds(expect: Expect, value: &str, text: &str) -> bool {
    let (value, text) = (value.trim(), text.trim());
    match expect {
        Expect::Readable => true,
        Expect::Same | Expect::SameOrAbsent => value == text,
        Expect::Rounded(granule) => match (value.parse::<u64>(), text) {
            // The kernel's greatest number.
            (Ok(value), "max") => value / granule >= i64::MAX as u64 / granule,
            (Ok(value), text) => text.parse() == Ok(value / granule * granule),
            // accepts: a value that is not a number, which is compared as text.
            (Err(_), text) => value == text,
        },
        Expect::Set => matches!((ranges(value), ranges(text)), (Some(a), Some(b)) if a == b),
        Expect::DeviceLine => text.lines().any(|line| {
            let mut wanted = value.split_whitespace();
            let mut shown = line.split_whitespace();
            wanted.next() == shown.next() && wanted.all(|word| shown.clone().any(|other| other == word))
        }),
    }
}

/// Returns a list of numbers and ranges as sorted ranges that do not touch.
fn ranges(list: &str) -> Option<Vec<(u32, u32)>> {
    let mut parts = Vec::new();
    for part in list.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        parts.push((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?));
    }
    parts.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::new();
    for (first, last) in parts {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    Some(merged)
}

/// Returns the likely cause of a failed knob.
fn cause_hint(knob: &Knob, cause: &Cause) -> &'static str {
    let file = knob.file.as_str();
    match cause {
        Cause::Errno(Errno::ENOENT) if file.starts_with("memory.swap.") => "this kernel does not account for swap",
        Cause::Errno(Errno::ENOENT) => "this kernel has no such file",
        Cause::Errno(Errno::ENODEV) if file.starts_with("io.") => {
            "there is no such block device (a partition does not count)"
        }
        Cause::Errno(Errno::ENODEV) if file == "rdma.max" => "there is no such RDMA device",
        Cause::Errno(Errno::ENODEV) => "the cgroup was removed",
        Cause::Errno(Errno::EINVAL | Errno::ERANGE) if file.starts_with("cpuset.") => {
            "the host might not have all of these"
        }
        Cause::Errno(Errno::EOPNOTSUPP) if file.starts_with("io.") => "the device does not support this policy",
        Cause::Errno(Errno::EACCES | Errno::EPERM) => "this part of the hierarchy is not delegated to this user",
        Cause::Errno(Errno::EBUSY) if file == "memory.max" => "the cgroup already uses more",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_compared_as_expected() {
        for (expect, value, text, answer) in [
            (Expect::Same, "100", "100\n", true),
            (Expect::Same, "100", "1000\n", false),
            (Expect::Same, "root", "root invalid (Parent is not a partition root)\n", false),
            (Expect::SameOrAbsent, "max", "max\n", true),
            (Expect::Rounded(4096), "5000", "4096\n", true),
            (Expect::Rounded(4096), "8192", "8192\n", true),
            (Expect::Rounded(4096), "8192", "4096\n", false),
            (Expect::Rounded(4096), "8192", "max\n", false),
            (Expect::Rounded(4096), "1", "0\n", true),
            (Expect::Rounded(4096), "9223372036854771712", "max\n", true),
            (Expect::Rounded(4096), "max", "max\n", true),
            (Expect::Set, "0,1,2,7", "0-2,7\n", true),
            (Expect::Set, "2,0-1", "0-2\n", true),
            (Expect::Set, "0-4294967295", "0-3\n", false),
            (Expect::Set, "", "\n", true),
            (Expect::Set, "0", "\n", false),
            (Expect::DeviceLine, "8:0 rbps=5", "8:16 rbps=5\n8:0 rbps=5 wbps=max\n", true),
            (Expect::DeviceLine, "8:0 rbps=5", "8:0 rbps=50 wbps=max\n", false),
            (Expect::DeviceLine, "8:0 rbps=5", "8:16 rbps=5\n", false),
            (Expect::DeviceLine, "8:0 rbps=5", "", false),
            (Expect::DeviceLine, "default 50", "default 50\n8:0 70\n", true),
            (Expect::DeviceLine, "rxe3 hca_object=3", "rxe3 hca_handle=max hca_object=3\n", true),
            (Expect::Readable, "1", "2", true),
        ] {
            assert_eq!(holds(expect, value, text), answer, "{expect:?} {value:?} {text:?}");
        }
    }
}
