//! A plan as text and as JSON: one line for each thing that is done, with the field that asks for it.

use std::ffi::CStr;
use std::fmt::{self, Write as _};

use crate::compile::limit_name;
use crate::compile::namespaces_name as name_of;
use crate::scheduling::domain_name;
use crate::{
    Attributes, FsOption, GroupKind, Hook, Hooks, HostNode, HostOp, InRoot, MountPoint, Namespaces, NodeKind, Op,
    Origin, Plan, ResctrlPlan, RootPlace, Source,
};

/// One line of a printed plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who does it, or where: `cgroup`, `unit`, `resctrl`, `namespace`, `host`, `init` or `hooks`.
    pub part: &'static str,
    /// What is done, in a word: `mount`, `memory.max`.
    pub verb: String,
    /// To what, and how.
    pub subject: String,
    /// The field that asks for it.
    pub origin: Origin,
}

impl Plan {
    /// The plan line by line, in the order of execution.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut add = |part, verb: &str, subject: String, origin: &Origin| {
            lines.push(Line { part, verb: verb.to_owned(), subject, origin: origin.clone() });
        };
        if self.namespaces.entered == 0 && self.cgroup.is_none() {
            add("cgroup", "stay", String::new(), &self.cgroup.origin);
        } else if self.namespaces.entered == 0 {
            add("cgroup", "make", self.cgroup.path.display().to_string(), &self.cgroup.origin);
        }
        if let Some(unit) = &self.cgroup.unit {
            add("unit", "start", unit.name.clone(), &self.cgroup.origin);
            for property in &unit.properties {
                add("unit", &property.name, property.value.to_string(), &property.origin);
            }
        }
        if !self.cgroup.controllers.is_empty() {
            add("cgroup", "enable", self.cgroup.controllers.join(" "), &Origin::of("linux.resources"));
        }
        if let Some(leaf) = &self.cgroup.leaf {
            add("cgroup", "leaf", leaf.name.to_owned(), &leaf.origin);
        }
        for knob in &self.cgroup.knobs {
            add("cgroup", &knob.file, knob.value.clone(), &knob.origin);
        }
        if let Some(filter) = &self.cgroup.devices {
            let subject = format!("{} rules, {} instructions", filter.rules.len(), filter.program.len());
            add("cgroup", "devices", subject, &Origin::of("linux.resources.devices"));
        }
        if let Some(owner) = &self.cgroup.owner {
            add("cgroup", "owner", owner.uid.to_string(), &owner.origin);
        }
        if let Some(groups) = &self.resctrl {
            groups.lines(&mut add);
        }
        for bit in 0..64 {
            if self.namespaces.new & 1 << bit != 0 {
                add("namespace", "new", name_of(1 << bit).to_owned(), &Origin::of("linux.namespaces"));
            }
        }
        for joined in &self.namespaces.join {
            add("namespace", "join", format!("{} {}", name_of(joined.kind), joined.path.display()), &joined.origin);
        }
        if let Some(offsets) = &self.namespaces.time_offsets {
            add("namespace", "clocks", one_line(offsets), &Origin::of("linux.timeOffsets"));
        }
        for maps in &self.idmaps {
            let subject = match &maps.namespace {
                Some(path) => path.display().to_string(),
                None => format!("uids {}; gids {}", maps.uids.trim_end(), maps.gids.trim_end()).replace('\n', ", "),
            };
            add("host", "idmap", subject, &maps.origin);
        }
        for handle in &self.handles {
            let idmap = match handle.idmap {
                Some((_, true)) => " ridmap",
                Some((_, false)) => " idmap",
                None => "",
            };
            if let Some(HostNode { kind, device, mode, uid, gid }) = handle.node {
                let letter = if kind == NodeKind::Block { 'b' } else { 'c' };
                let numbers = format!("{}:{}", libc::major(device), libc::minor(device));
                let subject = format!("{} {letter} {numbers} mode {mode:04o} owner {uid}:{gid}", show(&handle.path));
                add("host", "device", subject, &handle.origin);
                continue;
            }
            let connected = if handle.connected { " connected" } else { "" };
            add("host", "open", format!("{}{idmap}{connected}", show(&handle.path)), &handle.origin);
        }
        for (steps, own) in [(&self.before_birth, true), (&self.host, false)] {
            for step in steps {
                let (verb, subject) = step.op.shown(own);
                add("host", verb, subject, &step.origin);
            }
        }
        for step in &self.init {
            add("init", step.op.verb(), self.subject(&step.op), &step.origin);
        }
        lines.extend(self.hook_lines());
        lines
    }

    /// What an operation works on, for a person.
    pub fn subject(&self, op: &Op) -> String {
        match op {
            Op::Join(i) => self
                .namespaces
                .join
                .get(*i)
                .map_or(String::new(), |joined| format!("{} {}", name_of(joined.kind), joined.path.display())),
            Op::NewTime => self.namespaces.time_offsets.as_deref().map_or_else(String::new, one_line),
            Op::Execute => {
                let args: Vec<String> = self.payload.args.iter().map(|arg| show(arg)).collect();
                args.join(" ")
            }
            Op::RunHook(i) => self.hooks.start_container.get(*i).map_or(String::new(), hook_subject),
            other => other.subject(),
        }
    }

    /// The hooks of the parent, in the order in which they run, as lines.
    fn hook_lines(&self) -> Vec<Line> {
        let Hooks { prestart, create_runtime, create_container, poststart, poststop, .. } = &self.hooks;
        let lists = [
            ("prestart", prestart),
            ("createRuntime", create_runtime),
            ("createContainer", create_container),
            ("poststart", poststart),
            ("poststop", poststop),
        ];
        let line = |verb: &str, hook: &Hook| Line {
            part: "hooks",
            verb: verb.to_owned(),
            subject: hook_subject(hook),
            origin: hook.origin.clone(),
        };
        lists.iter().flat_map(|(verb, list)| list.iter().map(move |hook| line(verb, hook))).collect()
    }
}

impl ResctrlPlan {
    fn lines(&self, add: &mut impl FnMut(&'static str, &str, String, &Origin)) {
        let verb = match self.kind {
            GroupKind::Own => "make",
            GroupKind::Shared => "make-shared",
            GroupKind::Existing => "use",
        };
        add("resctrl", verb, self.group.display().to_string(), &self.origin);
        for schema in &self.schemata {
            add("resctrl", "schemata", schema.line.escape_debug().to_string(), &schema.origin);
        }
        if let Some(monitoring) = &self.monitoring {
            let origin = Origin::of("linux.intelRdt.enableMonitoring");
            add("resctrl", "monitor", monitoring.display().to_string(), &origin);
        }
    }
}

impl HostOp {
    /// The operation in a word, and what it works on; `own` when it is done to the parent itself.
    fn shown(&self, own: bool) -> (&'static str, String) {
        match self {
            HostOp::WriteProc { file: name, value } | HostOp::MapIds { program: name, value } => {
                (*name, value.trim_end().replace('\n', ", "))
            }
            HostOp::RaiseLimit { resource, hard } => {
                ("raise", format!("{} to {}", limit_name(*resource), limit(*hard)))
            }
            HostOp::JoinResctrl { group, .. } => ("resctrl", group.join("tasks").display().to_string()),
            HostOp::Scheduler(scheduler) => ("scheduler", scheduler.to_string()),
            HostOp::IoPriority(priority) => ("io-priority", priority.to_string()),
            HostOp::NetDevice { name, new_name } => ("net-device", format!("{name} as {new_name}")),
            HostOp::Affinity(cpus) => (if own { "own-affinity" } else { "affinity" }, cpus.to_string()),
        }
    }
}

impl Op {
    /// The operation in a word, as it stands in printed plans and in error messages.
    pub fn verb(&self) -> &'static str {
        match self {
            Op::Join(_) => "join",
            Op::EnterContainer(_) => "enter-container",
            Op::EnterPidNamespace { .. } => "enter-pid-namespace",
            Op::LabelQueues(_) => "label-queues",
            Op::NewTime => "new-time",
            Op::BecomeRoot { .. } => "become-root",
            Op::SessionKeyring(_) => "keyring",
            Op::Hostname(_) => "hostname",
            Op::Domainname(_) => "domainname",
            Op::LoopbackUp => "loopback-up",
            Op::Propagation(_) => "propagation",
            Op::PrivateParent(_) => "private-parent",
            Op::BindRoot(..) => "root",
            Op::OverlayStage { .. } => "overlay-stage",
            Op::OverlayLower(_) => "lower",
            Op::OverlayUpper(_) => "upper",
            Op::OverlayWork(_) => "work",
            Op::OverlayRoot { .. } => "overlay",
            Op::Mount { .. } | Op::ClassicMount { .. } | Op::MountCgroup { .. } => "mount",
            Op::Bind { .. } => "bind",
            Op::Remount { .. } => "remount",
            Op::Device { .. } => "device",
            Op::BindDevice { .. } => "bind-device",
            Op::Symlink { .. } => "symlink",
            Op::AwaitHooks { .. } => "await-hooks",
            Op::RunHook(_) => "hook",
            Op::PivotRoot => "pivot-root",
            Op::TakeAway(_) => "take-away",
            Op::ChangeRoot { .. } => "change-root",
            Op::Chroot(_) => "chroot",
            Op::LsmAttribute { .. } => "lsm-attribute",
            Op::Sysctl { .. } => "sysctl",
            Op::Terminal { .. } => "terminal",
            Op::MaskedPath { .. } => "mask",
            Op::ReadonlyPath { .. } => "read-only",
            Op::VerifyMount { .. } => "verify",
            Op::RootPropagation(_) => "root-propagation",
            Op::ReadonlyRoot => "read-only-root",
            Op::Limit { .. } => "limit",
            Op::MakeDirectory(_) => "make-directory",
            Op::EnterDirectory(_) => "enter",
            Op::EnterDirectoryAsUser(_) => "enter-as-user",
            Op::MemoryPolicy(_) => "memory-policy",
            Op::Personality(_) => "personality",
            Op::Umask(_) => "umask",
            Op::FindHome(_) => "find-home",
            Op::DropBounding(_) => "drop-bounding",
            Op::Groups(_) => "groups",
            Op::User { .. } => "user",
            Op::Capabilities { .. } => "capabilities",
            Op::NoNewPrivileges => "no-new-privileges",
            Op::VerifyCredentials(_) => "verify",
            Op::FindProgram(_) => "find-program",
            Op::AwaitStart => "await-start",
            Op::OwnStreams(_) => "own-streams",
            Op::CloseDescriptors(_) => "close-descriptors",
            Op::Seccomp { .. } => "seccomp",
            Op::Execute => "execute",
        }
    }

    /// What the operation works on.
    pub fn subject(&self) -> String {
        match self {
            Op::Join(_)
            | Op::NewTime
            | Op::PivotRoot
            | Op::NoNewPrivileges
            | Op::LoopbackUp
            | Op::EnterPidNamespace { .. }
            | Op::AwaitStart
            | Op::AwaitHooks { .. }
            | Op::RunHook(_)
            | Op::Execute => String::new(),
            Op::ChangeRoot { .. } | Op::ReadonlyRoot => "/".to_owned(),
            Op::Chroot(path) => show(path).to_string(),
            Op::BecomeRoot { uid: 0, gid: 0 } => String::new(),
            Op::BecomeRoot { uid, gid } => format!("{uid}:{gid}"),
            Op::OverlayStage { place, size } if size.is_empty() => place.to_string(),
            Op::OverlayStage { place, size } => format!("{place} size={}", size.to_string_lossy()),
            Op::LabelQueues(text) | Op::SessionKeyring(text) | Op::Hostname(text) | Op::Domainname(text) => show(text),
            Op::PrivateParent(path)
            | Op::TakeAway(path)
            | Op::OverlayLower(path)
            | Op::OverlayUpper(path)
            | Op::OverlayWork(path) => show(path),
            Op::EnterDirectory(path) | Op::EnterDirectoryAsUser(path) => show(path),
            Op::Propagation(flags) | Op::RootPropagation(flags) => format!("/ {}", propagation(*flags)),
            Op::BindRoot(source, _) => show(source.path()),
            Op::OverlayRoot { place, options, attributes } => {
                format!("{place} {}{}", show(options), words(attributes, ""))
            }
            Op::Mount { filesystem, options, copy_up, point, .. } => {
                let copy = if *copy_up { " tmpcopyup" } else { "" };
                format!("{} {}{copy}{}", point, show(filesystem), fs_options(options))
            }
            Op::ClassicMount { filesystem, flags, data, point, .. } => {
                format!("{point} {} flags {flags:#x} {}", show(filesystem), show(data))
            }
            Op::Bind { source, recursive, idmap, idmap_recursive, point } => {
                let recursive = if *recursive { " recursive" } else { "" };
                let idmap = match idmap {
                    Some(_) if *idmap_recursive => " ridmap",
                    Some(_) => " idmap",
                    None => "",
                };
                format!("{point} from {}{recursive}{idmap}{}", show(source.path()), handle(source))
            }
            Op::MountCgroup { point, .. } => format!("{point} cgroup2"),
            Op::Remount { options, bind, point } => {
                format!("{point}{}{}", if *bind { " bind" } else { "" }, fs_options(options))
            }
            Op::Device { path, kind, device, mode, uid, gid } => {
                let kind = match kind {
                    NodeKind::Char => "c",
                    NodeKind::Block => "b",
                    NodeKind::Fifo => "p",
                };
                format!(
                    "{path} {kind} {}:{} mode {mode:04o} owner {uid}:{gid}",
                    libc::major(*device),
                    libc::minor(*device)
                )
            }
            Op::BindDevice { path, .. } => path.to_string(),
            Op::Symlink { path, target, .. } => format!("{path} to {}", show(target)),
            Op::LsmAttribute { file, value } => format!("{} = {}", show(file), show(value)),
            Op::Sysctl { path, value } => format!("{} = {}", show(path), show(value)),
            Op::EnterContainer(kinds) => {
                let names = (0..64).filter(|bit| kinds & 1 << bit != 0).map(|bit| name_of(1 << bit));
                names.collect::<Vec<_>>().join(" ")
            }
            Op::Terminal { size, console, uid, .. } => {
                let size = size.map_or(String::new(), |(rows, columns)| format!(" {rows} rows {columns} columns"));
                format!("{}owner {uid}{size}", if console.is_some() { "/dev/console " } else { "" })
            }
            Op::MaskedPath { path, label, .. } => format!(
                "{path}{}",
                label.as_deref().map_or(String::new(), |label| format!(" labelled {}", show(label)))
            ),
            Op::ReadonlyPath { path, .. } | Op::VerifyMount { path, .. } | Op::MakeDirectory(path) => path.to_string(),
            Op::Limit { resource, soft, hard } => {
                format!("{} {} {}", limit_name(*resource), limit(*soft), limit(*hard))
            }
            Op::MemoryPolicy(policy) => policy.to_string(),
            Op::Personality(domain) => domain_name(*domain).to_owned(),
            Op::Umask(mask) => format!("{mask:04o}"),
            Op::FindHome(uid) => format!("of user {uid} in /etc/passwd"),
            Op::DropBounding(mask) => capabilities(*mask),
            Op::Groups(groups) if groups.is_empty() => "none".to_owned(),
            Op::Groups(groups) => groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
            Op::User { uid, gid } => format!("{uid}:{gid}"),
            Op::Capabilities { effective, permitted, inheritable, ambient } => format!(
                "effective {}; permitted {}; inheritable {}; ambient {}",
                capabilities(*effective),
                capabilities(*permitted),
                capabilities(*inheritable),
                capabilities(*ambient)
            ),
            Op::VerifyCredentials(_) => "credentials".to_owned(),
            Op::FindProgram(paths) => paths.iter().map(|path| show(path)).collect::<Vec<_>>().join(" "),
            Op::OwnStreams(uid) => format!("user {uid}"),
            Op::CloseDescriptors(from) => format!("from {from}"),
            Op::Seccomp { filter, .. } => {
                let notified = filter.listener.as_ref().map_or("", |listener| listener.path.as_str()).escape_debug();
                let notified = if filter.listener.is_some() { format!(", notifies {notified}") } else { String::new() };
                let short = |name: &&str| name.trim_start_matches("SCMP_ARCH_").to_lowercase();
                let architectures = filter.architectures.iter().map(short).collect::<Vec<_>>().join(" ");
                let default = minirun_seccomp::show(filter.default);
                format!("{} instructions for {architectures}, else {default}{notified}", filter.program.len())
            }
        }
    }
}

fn hook_subject(hook: &Hook) -> String {
    let timeout = hook.timeout.map_or(String::new(), |seconds| format!(" (at most {seconds} s)"));
    format!("{}{timeout}", show(&hook.path))
}

/// The lines of a file in /proc as one.
fn one_line(lines: &str) -> String {
    lines.trim_end().replace('\n', ", ")
}

/// A C string with everything that is not plain text escaped.
fn show(text: &CStr) -> String {
    text.to_string_lossy().escape_debug().to_string()
}

fn handle(source: &Source) -> &'static str {
    match source {
        Source::Handle(..) => " (opened by the parent)",
        Source::Inside(..) => " (in the root)",
        Source::Path(_) => "",
    }
}

fn limit(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

fn capabilities(mask: u64) -> String {
    if mask == 0 {
        return "none".to_owned();
    }
    let mut text = String::new();
    for bit in (0..64).filter(|bit| mask & 1 << bit != 0) {
        if !text.is_empty() {
            text.push(' ');
        }
        let name = caps::all().into_iter().find(|capability| capability.bitmask() == 1 << bit);
        let _infallible = match name {
            Some(name) => write!(text, "{name}"),
            None => write!(text, "{bit}"),
        };
    }
    text
}

fn propagation(flags: u64) -> String {
    let kind = match flags & !libc::MS_REC {
        libc::MS_SHARED => "shared",
        libc::MS_SLAVE => "slave",
        libc::MS_PRIVATE => "private",
        _ => "unbindable",
    };
    format!("{}{kind}", if flags & libc::MS_REC != 0 { "r" } else { "" })
}

/// What an attribute brings along is shown with the attributes.
fn fs_options(options: &[FsOption]) -> String {
    options.iter().filter(|option| option.index.is_some() || option.value.is_some()).fold(
        String::new(),
        |mut text, option| {
            text.push(' ');
            text.push_str(&show(&option.key));
            if let Some(value) = &option.value {
                text.push('=');
                text.push_str(&show(value));
            }
            text
        },
    )
}

/// Attributes as the words of mount options, with a prefix for the recursive ones.
fn words(attributes: &Attributes, prefix: &str) -> String {
    const WORDS: [(u64, &str, &str); 6] = [
        (0x01, "ro", "rw"),
        (0x02, "nosuid", "suid"),
        (0x04, "nodev", "dev"),
        (0x08, "noexec", "exec"),
        (0x80, "nodiratime", "diratime"),
        (0x20_0000, "nosymfollow", "symfollow"),
    ];
    let mut text = String::new();
    let mut add = |word: &str| {
        text.push(' ');
        text.push_str(prefix);
        text.push_str(word);
    };
    for (bit, set, clear) in WORDS {
        if attributes.set & bit != 0 {
            add(set);
        } else if attributes.clear & bit != 0 {
            add(clear);
        }
    }
    match (attributes.set & 0x70, attributes.clear & 0x70) {
        (0x10, _) => add("noatime"),
        (0x20, _) => add("strictatime"),
        (_, 0x70) => add("relatime"),
        _ => {}
    }
    text
}

impl fmt::Display for InRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", show(self.path()))
    }
}

impl fmt::Display for RootPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RootPlace::OverSlash => f.write_str("/"),
            RootPlace::At(path) => f.write_str(&show(path)),
        }
    }
}

impl fmt::Display for MountPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.target, words(&self.attributes, ""), words(&self.recursive, "r"))?;
        self.propagation.iter().try_for_each(|flags| write!(f, " {}", propagation(*flags)))
    }
}

/// Text: the parts under headings, numbers for init's steps, the origin behind each line.
impl fmt::Display for Namespaces {
    /// Which are new, and which are joined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |kinds: u64| (0..64).map(|bit| 1 << bit).filter(move |bit| kinds & bit != 0);
        let new = bits(self.new).map(|kind| format!("new {}", name_of(kind)));
        let joined = self.join.iter().map(|joined| format!("{} of {}", name_of(joined.kind), joined.path.display()));
        let entered = bits(self.entered).map(|kind| format!("{} of the container", name_of(kind)));
        f.write_str(&new.chain(joined).chain(entered).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut part = "";
        let mut number = 0;
        for line in self.lines() {
            if line.part != part {
                part = line.part;
                writeln!(f, "{part}")?;
            }
            number += usize::from(part == "init");
            let step = if part == "init" { format!("{number:3} ") } else { "    ".to_owned() };
            let what = format!("{:<18} {}", line.verb, line.subject);
            writeln!(f, "{step}{:<76} [{}]", what.trim_end(), line.origin)?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}
