//! The operations of init as text: the verb of each, and its subject.

use minirun_seccomp::Filter;

use super::words::{capabilities, fs_options, handle, limit, propagation, show, words};
use crate::compile::limit_name;
use crate::compile::namespaces_name as name_of;
use crate::scheduling::domain_name;
use crate::{NodeKind, Op};

impl Op {
    /// Returns the operation in a word, as in printed plans and error messages.
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

    /// Returns the object of the operation; empty if the verb is sufficient.
    pub fn subject(&self) -> String {
        match self {
            Op::EnterContainer(kinds) => {
                let names = (0..64).filter(|bit| kinds & 1 << bit != 0).map(|bit| name_of(1 << bit));
                names.collect::<Vec<_>>().join(" ")
            }
            Op::BecomeRoot { uid: 0, gid: 0 } => String::new(),
            Op::BecomeRoot { uid, gid } => format!("{uid}:{gid}"),
            Op::LabelQueues(text) | Op::SessionKeyring(text) | Op::Hostname(text) | Op::Domainname(text) => show(text),
            Op::LsmAttribute { file, value } => format!("{} = {}", show(file), show(value)),
            Op::Sysctl { path, value } => format!("{} = {}", show(path), show(value)),
            Op::ChangeRoot { .. } | Op::ReadonlyRoot => "/".to_owned(),
            Op::Chroot(path) | Op::PrivateParent(path) | Op::TakeAway(path) => show(path),
            Op::Propagation(flags) | Op::RootPropagation(flags) => format!("/ {}", propagation(*flags)),
            Op::BindRoot(source, _) => show(source.path()),
            Op::OverlayStage { place, size } if size.is_empty() => place.to_string(),
            Op::OverlayStage { place, size } => format!("{place} size={}", size.to_string_lossy()),
            Op::OverlayLower(path) | Op::OverlayUpper(path) | Op::OverlayWork(path) => show(path),
            Op::OverlayRoot { place, options, attributes } => {
                format!("{place} {}{}", show(options), words(attributes, ""))
            }
            other => other.subject_in_root(),
        }
    }

    /// Returns the subject of an operation on a path in the root file system.
    fn subject_in_root(&self) -> String {
        match self {
            Op::Mount { filesystem, options, copy_up, point, .. } => {
                let copy = if *copy_up { " tmpcopyup" } else { "" };
                format!("{point} {}{copy}{}", show(filesystem), fs_options(options))
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
                let (major, minor) = (libc::major(*device), libc::minor(*device));
                format!("{path} {kind} {major}:{minor} mode {mode:04o} owner {uid}:{gid}")
            }
            Op::BindDevice { path, .. } => path.to_string(),
            Op::Symlink { path, target, .. } => format!("{path} to {}", show(target)),
            Op::MaskedPath { path, label, .. } => match label {
                Some(label) => format!("{path} labelled {}", show(label)),
                None => path.to_string(),
            },
            Op::ReadonlyPath { path, .. } | Op::VerifyMount { path, .. } | Op::MakeDirectory(path) => path.to_string(),
            other => other.subject_of_process(),
        }
    }

    /// Returns the subject of an operation on the process.
    fn subject_of_process(&self) -> String {
        match self {
            Op::EnterDirectory(path) | Op::EnterDirectoryAsUser(path) => show(path),
            Op::Terminal { size, console, uid, .. } => {
                let size = size.map_or(String::new(), |(rows, columns)| format!(" {rows} rows {columns} columns"));
                format!("{}owner {uid}{size}", if console.is_some() { "/dev/console " } else { "" })
            }
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
            Op::Seccomp { filter, .. } => filter_subject(filter),
            _ => String::new(),
        }
    }
}

fn filter_subject(filter: &Filter) -> String {
    let notified = filter.listener.as_ref().map_or("", |listener| listener.path.as_str()).escape_debug();
    let notified = if filter.listener.is_some() { format!(", notifies {notified}") } else { String::new() };
    let short = |name: &&str| name.trim_start_matches("SCMP_ARCH_").to_lowercase();
    let architectures = filter.architectures.iter().map(short).collect::<Vec<_>>().join(" ");
    let default = minirun_seccomp::show(filter.default);
    format!("{} instructions for {architectures}, else {default}{notified}", filter.program.len())
}
