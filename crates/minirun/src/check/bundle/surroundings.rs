//! What is around the container's process: namespaces, id maps, clocks, kernel parameters, and its file systems, each made
//! for a moment in namespaces of the same kind.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};

use minirun_plan::{FsOption, IdMaps, Op, Origin, Plan, Step};
use minirun_sys as sys;
use minirun_sys::Errno;

use super::Findings;
use super::maps::IdRanges;
use crate::check::trial::{self, At as _, Birth, Fault, attempt, attempt_all, born_in};

/// File systems of which a new instance is nobody's business: without a device, a peer or files of the host.
const HARMLESS: [&[u8]; 8] = [b"proc", b"sysfs", b"tmpfs", b"devpts", b"mqueue", b"ramfs", b"hugetlbfs", b"bpf"];

/// Namespaces of the plan, to make trials in.
struct Around {
    new: i32,
    ranges: Option<IdRanges>,
    /// What a trial cannot be born in: new namespaces would belong to a user namespace that it can only join.
    joins_user: bool,
    joined: Vec<(OwnedFd, i32)>,
}

impl Around {
    fn of(plan: &Plan) -> Around {
        let kinds = [libc::CLONE_NEWNET, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS, libc::CLONE_NEWCGROUP];
        let open = |kind: i32| {
            let joined = plan.namespaces.join.iter().find(|joined| joined.kind == kind as u64)?;
            let path = CString::new(joined.path.as_os_str().as_encoded_bytes()).ok()?;
            Some((sys::open(&path, libc::O_RDONLY).ok()?, kind))
        };
        Around {
            new: plan.namespaces.new as i32,
            ranges: IdRanges::of(plan),
            joins_user: plan.namespaces.is_joined(libc::CLONE_NEWUSER),
            joined: kinds.into_iter().filter_map(open).collect(),
        }
    }

    /// Does this with each step in new namespaces of these kinds, as far as the plan has them, and in the joined ones.
    fn attempt_all(
        &self,
        kinds: i32,
        steps: &[&Step],
        work: impl Fn(&Op) -> Result<(), Fault>,
    ) -> Vec<(usize, trial::Failure)> {
        if self.joins_user {
            return Vec::new();
        }
        let maps = self.ranges.as_ref().and_then(IdRanges::for_child);
        let namespaces = self.new & (kinds | libc::CLONE_NEWUSER);
        let birth = Birth { namespaces, maps, joined: &self.joined, cgroup: None };
        attempt_all(birth, steps, |step| work(&step.op))
    }
}

pub fn check(findings: &mut Findings<'_>) {
    joined(findings);
    if id_maps(findings) {
        return;
    }
    clocks(findings);
    let around = Around::of(findings.plan);
    mounts(findings, &around);
    parameters(findings, &around);
}

/// The file systems, made but never attached.
fn mounts(findings: &mut Findings<'_>, around: &Around) {
    let is_mount = |step: &&Step| matches!(step.op, Op::Mount { .. } | Op::ClassicMount { .. });
    let steps: Vec<&Step> = findings.plan.init.iter().filter(is_mount).collect();
    let failures = around.attempt_all(ALL, &steps, |op| match op {
        Op::Mount { filesystem, source, options, point, .. } => make(filesystem, source, options, point.attributes.set),
        Op::ClassicMount { filesystem, .. } => sys::fsopen(filesystem).map(drop).at("fsopen"),
        _ => Ok(()),
    });
    for (i, failure) in failures {
        let Step { op, origin } = steps[i];
        let (filesystem, origin) = match op {
            Op::Mount { filesystem, options, .. } => (filesystem, option_at_fault(origin, options, &failure)),
            Op::ClassicMount { filesystem, .. } => (filesystem, origin.clone()),
            _ => continue,
        };
        findings.problem(&origin, failure.to_string(), advice_for_mount(filesystem, &failure));
    }
    for Step { op, origin } in steps {
        if let Op::Mount { filesystem, options, .. } = op
            && filesystem.to_bytes() == b"overlay"
        {
            overlay(findings, origin, options);
        }
    }
}

/// An overlay that is not the root, without which directories the kernel refuses it (overlayfs.rst).
fn overlay(findings: &mut Findings<'_>, origin: &Origin, options: &[FsOption]) {
    let has = |key: &str| options.iter().any(|option| option.key.to_bytes() == key.as_bytes());
    let origin = origin.field("options");
    if !has("lowerdir") && !has("lowerdir+") {
        findings.problem(&origin, "an overlay needs a lowerdir", "add the option lowerdir=DIRECTORY");
    }
    if has("upperdir") != has("workdir") {
        let advice = "give both, on one file system";
        findings.problem(&origin, "an overlay needs upperdir and workdir together", advice);
    }
}

fn parameters(findings: &mut Findings<'_>, around: &Around) {
    let mut kinds: BTreeMap<i32, Vec<&Step>> = BTreeMap::new();
    for step in &findings.plan.init {
        if let Op::Sysctl { path, .. } = &step.op {
            kinds.entry(belongs_to(path.to_bytes()) & around.new).or_default().push(step);
        }
    }
    let in_user_namespace = findings.plan.namespaces.has(libc::CLONE_NEWUSER);
    for (new, steps) in kinds {
        let failures = around.attempt_all(new, &steps, |op| match op {
            // Written where the namespace ends with the trial.
            Op::Sysctl { path, value } => set_parameter(path, (new != 0).then_some(value.as_c_str())),
            _ => Ok(()),
        });
        for (i, failure) in failures {
            let Step { op, origin } = steps[i];
            let ping = matches!(op, Op::Sysctl { path, .. } if path.to_bytes() == b"net/ipv4/ping_group_range");
            let advice = match failure.errno {
                Some(Errno::ENOENT) => {
                    "this kernel has no such parameter: leave it out, or load the module that has it"
                }
                Some(Errno::EINVAL) if ping && in_user_namespace => {
                    "both groups must be mapped in linux.gidMappings: name groups of the container that are, as \"0 0\""
                }
                Some(Errno::EINVAL | Errno::ERANGE) => "give a value that the kernel accepts",
                _ => "leave it out, or give the container a namespace of its own for it",
            };
            findings.problem(origin, failure.to_string(), advice);
        }
    }
}

/// The namespaces that a file system shows.
const ALL: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;

/// Each namespace to be joined is one, of the right type, and lets the caller in.
fn joined(findings: &mut Findings<'_>) {
    let plan = findings.plan;
    for joined in &plan.namespaces.join {
        let advice = "name the file of a living process, /proc/PID/ns/…, or a bind mount of one";
        if let Err(error) = minirun_spawn::check_namespace(plan, joined) {
            let text = error.to_string();
            let text = text.strip_prefix(&format!("{}: ", joined.origin)).unwrap_or(&text).to_owned();
            findings.problem(&joined.origin, text, advice);
            continue;
        }
        let Ok(path) = CString::new(joined.path.as_os_str().as_encoded_bytes()) else { continue };
        let entered = attempt(born_in(0), || {
            let namespace = sys::open(&path, libc::O_RDONLY).at("open")?;
            sys::setns(namespace.as_fd(), joined.kind as i32).at("setns")
        });
        if let Err(failure) = entered {
            findings.problem(
                &joined.origin,
                failure.to_string(),
                "run as root, in the user namespace that it belongs to",
            );
        }
    }
}

/// The maps of the container's user namespace, and those of mounts. True when the former cannot be had.
fn id_maps(findings: &mut Findings<'_>) -> bool {
    let plan = findings.plan;
    let mut without = false;
    if let Some(ranges) = IdRanges::of(plan) {
        let origin = Origin::of("linux.uidMappings");
        let birth = Birth { namespaces: libc::CLONE_NEWUSER, maps: ranges.for_child(), ..Birth::default() };
        if let Err(failure) = attempt(birth, || Ok(())) {
            let advice = match nix::unistd::geteuid().is_root() {
                true => "map ids that the caller has, 0 of the container among them, in at most 340 lines",
                false => "map the caller's own ids and those that /etc/subuid and /etc/subgid grant, to 0 as well",
            };
            findings.problem(&origin, failure.to_string(), advice);
            without = true;
        }
    }
    for maps in &plan.idmaps {
        if let Err(error) = minirun_spawn::map_namespace(&IdMaps { ..maps.clone() }) {
            let text = error.to_string();
            let text = text.strip_prefix(&format!("{}: ", maps.origin)).unwrap_or(&text).to_owned();
            findings.problem(&maps.origin, text, "map ids that the caller has, as root");
        }
    }
    without
}

/// Clocks in a time namespace that nobody is in.
fn clocks(findings: &mut Findings<'_>) {
    let Some(offsets) = &findings.plan.namespaces.time_offsets else { return };
    let user = findings.plan.namespaces.new as i32 & libc::CLONE_NEWUSER;
    let set = attempt(born_in(user), || {
        sys::unshare(libc::CLONE_NEWTIME).at("unshare")?;
        let file = sys::open(c"/proc/self/timens_offsets", libc::O_WRONLY).at("open /proc/self/timens_offsets")?;
        sys::write(file.as_fd(), offsets.as_bytes()).map(drop).at("write /proc/self/timens_offsets")
    });
    if let Err(failure) = set {
        let advice = "keep the clocks above zero and below 146 years; CAP_SYS_TIME is needed";
        findings.problem(&Origin::of("linux.timeOffsets"), failure.to_string(), advice);
    }
}

/// A file system with its options, never attached. Those with files or a device behind them get no superblock.
fn make(filesystem: &std::ffi::CStr, source: &std::ffi::CStr, options: &[FsOption], set: u64) -> Result<(), Fault> {
    let context = sys::fsopen(filesystem).at("fsopen")?;
    let explained = |errno| Fault::explained("fsconfig", errno, context.as_fd());
    sys::fsconfig_set(context.as_fd(), c"source", Some(source)).map_err(explained)?;
    for option in options {
        sys::fsconfig_set(context.as_fd(), &option.key, option.value.as_deref())
            .map_err(|errno| Fault::explained(OPTION, errno, context.as_fd()))?;
    }
    if !HARMLESS.contains(&filesystem.to_bytes()) {
        return Ok(());
    }
    sys::fsconfig_create(context.as_fd()).map_err(explained)?;
    sys::fsmount(context.as_fd(), set).map(drop).at("fsmount")
}

/// The call that sets an option.
const OPTION: &str = "fsconfig of an option";

/// The option that the kernel names in its message, if it names one.
fn option_at_fault(origin: &Origin, options: &[FsOption], failure: &trial::Failure) -> Origin {
    let text = failure.to_string();
    let named = |option: &&FsOption| {
        let key = option.key.to_string_lossy();
        [format!("'{key}'"), format!("\"{key}\""), format!(" {key}")].iter().any(|form| text.contains(form.as_str()))
    };
    match options.iter().find(named).and_then(|option| option.index) {
        Some(index) if failure.call == OPTION => origin.field("options").index(index),
        _ => origin.clone(),
    }
}

fn advice_for_mount(filesystem: &std::ffi::CStr, failure: &trial::Failure) -> String {
    let name = filesystem.to_string_lossy();
    match failure.errno {
        Some(Errno::ENODEV) => {
            format!("modprobe {name}, or correct the type: /proc/filesystems lists those that are there")
        }
        Some(Errno::EINVAL) => {
            format!("correct the options: the kernel's {name} does not support these")
        }
        Some(Errno::EPERM) if failure.call == "fsmount" || failure.call == "fsconfig" => {
            "give the container new namespaces of the kind that this file system shows".to_owned()
        }
        _ => String::new(),
    }
}

/// The namespace that a kernel parameter is of.
fn belongs_to(path: &[u8]) -> i32 {
    match path {
        path if path.starts_with(b"net/") => libc::CLONE_NEWNET,
        path if path.starts_with(b"user/") => libc::CLONE_NEWUSER,
        b"kernel/domainname" | b"kernel/hostname" => libc::CLONE_NEWUTS,
        _ => libc::CLONE_NEWIPC,
    }
}

/// Opens the parameter as init does; writes it where the namespace ends with the trial.
fn set_parameter(path: &std::ffi::CStr, value: Option<&std::ffi::CStr>) -> Result<(), Fault> {
    let directory = sys::open(c"/proc/sys", libc::O_PATH | libc::O_DIRECTORY).at("open /proc/sys")?;
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    let file = sys::openat2(directory.as_fd(), path, libc::O_WRONLY, 0, how).at("openat2")?;
    match value {
        Some(value) => sys::write(file.as_fd(), value.to_bytes()).map(drop).at("write"),
        None => Ok(()),
    }
}
