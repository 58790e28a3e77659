//! Compiles a configuration into a plan. This file fixes the order of a container's steps, with the reasons.

mod anchors;
mod annotations;
mod cgroup_path;
pub(crate) mod devices;
mod document;
mod hooks;
mod labels;
mod mount_options;
mod mounted;
mod mounts;
mod namespaces;
mod net_devices;
mod nodes;
mod overlay_root;
mod process;
mod resctrl;
mod resources;
mod scheduling;
mod seccomp;
mod sysctl;
mod unit;

use std::collections::{BTreeMap, HashSet};
use std::ffi::{CStr, CString};
use std::path::Path;

use self::mounted::Mounted;
use crate::spec::Spec;
use crate::{
    CgroupPlan, Handle, Hooks, HostFacts, HostStep, IdMaps, Namespaces, Op, Origin, Payload, Plan, Problems,
    ResctrlPlan, Source, Step,
};

/// The options of the command line that change a container's plan.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's directory, absolute.
    pub bundle: &'a Path,
    /// What the root file system is made of.
    pub root: RootSource,
    /// `root.path`, absolute, where hooks look for the root file system; empty when there is none.
    pub root_path: &'a str,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// The number of descriptors from 3 on that stay open: `--preserve-fds` plus `LISTEN_FDS`.
    pub preserve_fds: u32,
    /// The number of these that are sockets of socket activation (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// Their names, in the same order and separated by colons (`LISTEN_FDNAMES`).
    pub listen_names: Option<&'a str>,
    /// The text of each symbolic link that is the source of a mount with the option `copy-symlink`.
    pub links: BTreeMap<String, String>,
    /// The directory of the socket for readiness messages (sd_notify(3)); none if the caller has no such socket.
    pub notify: Option<&'a str>,
    /// The systemd that creates the cgroup; none if the runtime creates it.
    pub systemd: Option<SystemdRequest<'a>>,
}

/// A systemd that creates the cgroup of a container.
#[derive(Debug, Clone, Copy)]
pub struct SystemdRequest<'a> {
    /// Whether it is a user's systemd rather than the system's.
    pub user: bool,
    /// The cgroup that holds its units, relative to the root of the cgroup2 mount.
    pub cgroup: &'a Path,
    /// The container's state directory. The unit's description names it, so that the runtime recognises its own unit.
    pub owner: &'a str,
}

/// What the root file system is made of.
#[derive(Debug, Clone)]
pub enum RootSource {
    /// `root.path`, absolute.
    Directory(String),
    /// The steps that mount an overlay; the compiler decides where.
    Overlay(Vec<Step>),
}

/// A plan under construction.
pub(crate) struct Draft<'a> {
    pub(crate) facts: &'a HostFacts,
    pub(crate) request: &'a Request<'a>,
    pub(crate) namespaces: Namespaces,
    pub(crate) cgroup: CgroupPlan,
    pub(crate) resctrl: Option<ResctrlPlan>,
    pub(crate) before_birth: Vec<HostStep>,
    pub(crate) host: Vec<HostStep>,
    pub(crate) handles: Vec<Handle>,
    pub(crate) idmaps: Vec<IdMaps>,
    /// Whether later mounts below bind mounts propagate to the host, if the bind mounts ask for it.
    pub(crate) shares_mounts: bool,
    pub(crate) init: Vec<Step>,
    /// The mount points of the steps so far; kept only if sources lead into the root.
    mounted: Mounted,
    pub(crate) payload: Payload,
    pub(crate) hooks: Hooks,
    pub(crate) warnings: Vec<String>,
    /// The warnings that [`Draft::warn`] added.
    warned: HashSet<String>,
    pub(crate) notes: Vec<String>,
    /// `linux.mountLabel`, if SELinux is enabled.
    pub(crate) mount_label: Option<CString>,
    /// The mount option that sets that label.
    pub(crate) label_option: &'static CStr,
    /// Whether the process keeps the supplementary groups of the runtime's caller.
    pub(crate) keeps_groups: bool,
    /// Symbolic links that take the place of mounts.
    pub(crate) links: Vec<Step>,
    /// Steps that wait for the device nodes.
    pub(crate) delayed: Vec<Step>,
    pub(crate) problems: Problems,
}

impl<'a> Draft<'a> {
    fn new(facts: &'a HostFacts, request: &'a Request<'a>) -> Draft<'a> {
        Draft {
            facts,
            request,
            namespaces: Namespaces::default(),
            cgroup: CgroupPlan::default(),
            resctrl: None,
            before_birth: Vec::new(),
            host: Vec::new(),
            handles: Vec::new(),
            idmaps: Vec::new(),
            shares_mounts: false,
            init: Vec::with_capacity(64),
            mounted: Mounted::default(),
            payload: Payload { args: Vec::new(), env: Vec::new() },
            hooks: Hooks::default(),
            warnings: Vec::new(),
            warned: HashSet::new(),
            notes: Vec::new(),
            mount_label: None,
            label_option: c"context",
            keeps_groups: false,
            links: Vec::new(),
            delayed: Vec::new(),
            problems: Problems::new(),
        }
    }

    /// Returns the plan. Fails if any problem was found.
    fn finish(mut self) -> Result<Plan, Problems> {
        let mounts = anchors::anchors(&mut self.init);
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let rootless = self.facts.rootless();
        let Draft { namespaces, cgroup, before_birth, host, handles, idmaps, init, payload, hooks, .. } = self;
        let Draft { resctrl, warnings, notes, .. } = self;
        Ok(Plan {
            rootless,
            cgroup,
            resctrl,
            namespaces,
            before_birth,
            host,
            handles,
            idmaps,
            init,
            mounts,
            payload,
            hooks,
            warnings,
            notes,
        })
    }

    /// Adds a step of init.
    pub(crate) fn step(&mut self, op: Op, origin: Origin) {
        if !self.facts.inside_root.is_empty() {
            self.mounted.add(&op);
        }
        self.init.push(Step { op, origin });
    }

    /// Adds a problem at this place.
    pub(crate) fn problem(&mut self, origin: &Origin, text: impl Into<String>) {
        self.problems.add(origin, text);
    }

    /// Adds a warning about this place.
    pub(crate) fn warn(&mut self, origin: &Origin, text: impl std::fmt::Display) {
        let warning = format!("{origin}: {text}");
        if self.warned.insert(warning.clone()) {
            self.warnings.push(warning);
        }
    }

    /// Returns the text as a C string; a NUL inside is a problem.
    pub(crate) fn c_string(&mut self, text: &str, origin: &Origin) -> CString {
        c_string(&mut self.problems, text, origin)
    }

    /// Whether init runs in a user namespace of its own.
    pub(crate) fn in_user_namespace(&self) -> bool {
        self.namespaces.has(libc::CLONE_NEWUSER)
    }

    /// Whether init runs in a user namespace other than the host's initial one: its own, or the runtime's. If so, it
    /// has no rights to host-wide objects such as device nodes.
    pub(crate) fn below_initial_user_namespace(&self) -> bool {
        self.in_user_namespace() || !self.facts.initial_user_namespace
    }

    /// Returns the source of a bind mount: init opens it, or the parent if init's user namespace may not reach it. A
    /// caller without rights to the host's mounts can copy them only inside the new user namespace, where it reaches
    /// the same files.
    pub(crate) fn source(&mut self, path: &str, recursive: bool, origin: &Origin) -> Source {
        let path = self.c_string(path, origin);
        let reached = !self.in_user_namespace();
        // When init could open it, the mount at `/` no longer has a peer on the host.
        let connected = reached && self.shares_mounts;
        if reached && !connected || self.facts.euid != 0 || self.facts.others_mounts {
            return Source::Path(path);
        }
        self.handles.push(Handle {
            path: path.clone(),
            recursive,
            idmap: None,
            connected,
            node: None,
            label: None,
            origin: origin.clone(),
        });
        Source::Handle(self.handles.len() - 1, path)
    }
}

/// Compiles a configuration for this host.
///
/// # Errors
/// All problems of the configuration, including those that this host cannot satisfy, each with its place.
pub fn compile(spec: &Spec, facts: &HostFacts, request: &Request<'_>) -> Result<Plan, Problems> {
    let none = Default::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let mut draft = Draft::new(facts, request);
    document::document(&mut draft, spec);
    annotations::annotations(&mut draft, spec);

    labels::mounts(&mut draft, spec, linux);
    // Namespaces come first, because later steps depend on them.
    namespaces::namespaces(&mut draft, linux);
    let slice = cgroup_path::cgroup_path(&mut draft, linux);
    cgroup_path::cgroup_owner(&mut draft, spec, linux);
    let limits = resources_of(linux);
    resources::resources(limits, facts, &mut draft.cgroup, &mut draft.problems, &mut draft.warnings);
    cgroup_path::without_cgroup(&mut draft);
    cgroup_path::leaf(&mut draft);
    unit::unit(&mut draft, &slice, spec.annotations.as_ref());
    resctrl::groups(&mut draft, linux, false);

    // Devices come before kernel parameters, because parameters can be about devices.
    net_devices::net_devices(&mut draft, linux);
    // Kernel parameters are written through the host's /proc, before any file of the container is opened.
    labels::keys(&mut draft, spec.process.as_ref());
    namespaces::session_keyring(&mut draft);
    namespaces::names(&mut draft, spec);
    sysctl::sysctl(&mut draft, spec, linux);
    labels::program(&mut draft, spec.process.as_ref());

    hooks::hooks(&mut draft, spec);

    // Steps that need the host's files come before the root changes, all others after it.
    mounts::root(&mut draft, spec, linux);
    mounts::mounts(&mut draft, spec);
    mounts::notify(&mut draft);
    nodes::host_nodes(&mut draft, spec, linux);
    hooks::await_hooks(&mut draft);
    mounts::change_root(&mut draft);
    nodes::own_nodes(&mut draft, spec, linux);
    mounts::links(&mut draft);
    process::terminal(&mut draft, spec, true);
    process::make_working_directory(&mut draft, spec);
    mounts::finish_read_only(&mut draft);
    mounts::views(&mut draft, spec, linux);
    process::process(&mut draft, spec, linux, false);
    draft.finish()
}

/// The options of the command line that change the plan of an `exec`.
#[derive(Debug, Clone)]
pub struct ExecRequest<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle.
    pub bundle: &'a Path,
    /// The number of descriptors from 3 on that stay open.
    pub preserve_fds: u32,
    /// `--no-new-keyring` of the container.
    pub no_new_keyring: bool,
}

/// Compiles the plan of a further process; `spec` is the container's configuration with `process` replaced.
///
/// # Errors
/// All problems of the process.
pub fn compile_exec(spec: &Spec, facts: &HostFacts, request: &ExecRequest<'_>) -> Result<Plan, Problems> {
    let none = Default::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let ExecRequest { id, bundle, preserve_fds, no_new_keyring } = *request;
    let root = RootSource::Overlay(Vec::new());
    let request = Request {
        id,
        bundle,
        root,
        root_path: "",
        no_pivot: false,
        no_new_keyring,
        preserve_fds,
        listen_fds: 0,
        listen_names: None,
        links: BTreeMap::new(),
        notify: None,
        systemd: None,
    };
    let mut draft = Draft::new(facts, &request);
    draft.keeps_groups = annotations::keeps_groups(spec);
    labels::keys(&mut draft, spec.process.as_ref());
    labels::program(&mut draft, spec.process.as_ref());
    resctrl::groups(&mut draft, linux, true);
    namespaces::enter_container(&mut draft, linux);
    process::terminal(&mut draft, spec, false);
    process::process(&mut draft, spec, linux, true);
    draft.finish()
}

/// New limits for an existing container.
#[derive(Debug)]
pub struct Limits {
    /// The knobs, the controllers that they require, and the device filter.
    pub cgroup: CgroupPlan,
    /// Whether the filter replaces the present one.
    pub changes_devices: bool,
    /// Warnings, as in a [`Plan`].
    pub warnings: Vec<String>,
}

/// Compiles new limits for an existing container.
///
/// # Errors
/// All problems of the limits.
pub fn compile_resources(asked: &crate::spec::Resources, facts: &HostFacts) -> Result<Limits, Problems> {
    let (mut cgroup, mut problems, mut warnings) = (CgroupPlan::default(), Problems::new(), Vec::new());
    resources::resources(asked, facts, &mut cgroup, &mut problems, &mut warnings);
    // Without the rights to load a filter there is none, and a warning says so.
    let changes_devices = asked.devices.is_some() && !facts.rootless();
    if problems.is_empty() { Ok(Limits { cgroup, changes_devices, warnings }) } else { Err(problems) }
}

/// Returns the text as a C string; a NUL inside is a problem.
fn c_string(problems: &mut Problems, text: &str, origin: &Origin) -> CString {
    CString::new(text).unwrap_or_else(|_| {
        problems.add(origin, "must not contain a NUL byte");
        CString::default()
    })
}

/// Returns the resources section, or an empty one, because the default device rules apply without a section too.
fn resources_of(linux: &crate::spec::Linux) -> &crate::spec::Resources {
    static NONE: std::sync::OnceLock<crate::spec::Resources> = std::sync::OnceLock::new();
    linux.resources.as_ref().unwrap_or_else(|| NONE.get_or_init(Default::default))
}

pub use cgroup_path::{default_path as default_cgroup, scope_of};
pub use hooks::compile_hooks;
pub(crate) use mount_options::known_words as mount_options;
pub use mounts::is_bind;
pub(crate) use namespaces::name_of as namespaces_name;
pub use overlay_root::{OverlayRoot, is_overlay_root};
pub use process::limit_name;
pub use resctrl::compile_schemata;
pub use unit::{knobs_of, unit_description, unit_devices, unit_properties};
