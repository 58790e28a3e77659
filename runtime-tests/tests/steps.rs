//! Every kind of step fails once, and the message says where in the configuration, what, which call and why.
//!
//! Wherever the kernel can be made to refuse, it does so by itself; what never fails otherwise is failed by a tracer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by panicking")]

#[path = "steps/late.rs"]
mod late;
#[path = "steps/prepare.rs"]
mod prepare;
#[path = "steps/tables"]
mod tables {
    pub mod hooks;
    pub mod mounts;
    pub mod namespaces;
    pub mod nodes_and_views;
    pub mod parent;
    pub mod process;
    pub mod program;
    pub mod root;
}

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use libc::c_long;
use minirun_plan::{HostOp, Op};
use nix::errno::Errno;
use runtime_tests::{Bundle, Runtime, errat};

/// Lists the variants of an enum by name; a variant that is added there must be added here, or this does not compile.
macro_rules! kinds {
    ($list:ident of $kind:ident: $($name:ident)*) => {
        const $list: &[&str] = &[$(stringify!($name)),*];

        const _: fn(&$kind) = |kind| match kind {
            $($kind::$name { .. } => {})*
        };
    };
}

kinds! { OPS of Op:
    Join EnterContainer EnterPidNamespace BecomeRoot SessionKeyring Hostname Domainname LoopbackUp Propagation PrivateParent BindRoot
    OverlayStage OverlayLower OverlayUpper OverlayWork OverlayRoot Mount ClassicMount Bind MountCgroup Remount Device
    AwaitHooks RunHook BindDevice Symlink PivotRoot ChangeRoot Chroot Sysctl Terminal MaskedPath ReadonlyPath RootPropagation
    ReadonlyRoot Limit MakeDirectory EnterDirectory EnterDirectoryAsUser Umask FindHome DropBounding Groups User
    Capabilities NoNewPrivileges VerifyCredentials FindProgram AwaitStart CloseDescriptors OwnStreams Seccomp Execute MemoryPolicy
    Personality LsmAttribute LabelQueues VerifyMount TakeAway NewTime
}

kinds! { HOST_OPS of HostOp: WriteProc MapIds RaiseLimit Scheduler IoPriority Affinity NetDevice JoinResctrl }

/// Without SELinux and without Intel RDT nobody gets that far: see tests/selinux.rs, and resctrl/tests.rs of minirun-spawn.
const FAIL_ELSEWHERE: &[&str] = &["LabelQueues", "JoinResctrl"];

/// How the failing call is made.
#[derive(Clone, Copy)]
enum Call {
    Create,
    /// `run`, for what fails when the program is started.
    Run,
    /// `create` with these options, by a process that did this to itself first.
    After(fn() -> io::Result<()>, &'static [&'static str]),
    /// A call in which one of these system calls fails: that which makes the message appear. Before `exec` there is a
    /// container that runs.
    Traced(&'static str, Errno, &'static [c_long]),
}

/// A step that fails: its kind, what makes it fail, and the message. `BUNDLE` stands for the bundle's directory, `ID`
/// for the container's id, `…` for any text.
struct Row {
    kind: &'static str,
    call: Call,
    prepare: fn(Bundle) -> Bundle,
    message: &'static str,
}

const fn row(kind: &'static str, call: Call, prepare: fn(Bundle) -> Bundle, message: &'static str) -> Row {
    Row { kind, call, prepare, message }
}

/// What precedes every message of a step: engines look for runc's words.
const PREFIX: &str = "unable to start container process: ";

/// Is the message as expected? The parts between `…` come one after the other.
fn matches(message: &str, expected: &str) -> bool {
    let message =
        message.strip_prefix("minirun: error: ").map(|text| text.strip_prefix("exec failed: ").unwrap_or(text));
    let Some(mut rest) = message.and_then(|text| text.strip_prefix(PREFIX)) else { return false };
    let Some((parts, last)) = expected.rsplit_once('…') else { return rest == expected };
    for (i, part) in parts.split('…').enumerate() {
        match rest.split_once(part) {
            Some((before, after)) if i > 0 || before.is_empty() => rest = after,
            _ => return false,
        }
    }
    rest.ends_with(last)
}

/// Makes the call that must fail and leave nothing; its message.
fn message_of(row: &Row) -> String {
    let bundle = (row.prepare)(Bundle::base());
    let shown =
        |text: String| text.trim().replace(bundle.path().to_str().unwrap(), "BUNDLE").replace(bundle.id(), "ID");
    let message = match row.call {
        Call::Create => shown(bundle.try_create().failure()),
        Call::Run => shown(bundle.run().failure()),
        Call::After(change, options) => {
            let mut command = bundle.command_for("create", options);
            // SAFETY: between fork and exec the changes make system calls only.
            unsafe { command.pre_exec(change) };
            shown(bundle.finish(&mut command).failure())
        }
        Call::Traced(verb, errno, calls) => {
            let found = traced(&bundle, verb, errno, calls).find(|text| matches(&shown(text.clone()), row.message));
            if verb.starts_with("exec") {
                let state = bundle.call(&["state", bundle.id()]).success();
                assert!(state.contains("\"running\""), "{verb} has harmed the container: {state}");
                bundle.call(&["delete", "-f", bundle.id()]).success();
            }
            found.map_or_else(|| format!("no failure of {calls:?} in {verb} gives this message"), shown)
        }
    };
    bundle.assert_nothing_left();
    message
}

/// The messages when each of these system calls fails, the last of them first: steps come late in a call.
fn traced(bundle: &Bundle, verb: &'static str, errno: Errno, calls: &'static [c_long]) -> impl Iterator<Item = String> {
    let log = bundle.home().join("traced");
    let words: Vec<_> = verb.split(' ').chain([bundle.id(), "/bin/true"]).collect();
    let inside = words[0] == "exec";
    if inside {
        bundle.try_create().success();
        bundle.call(&["start", bundle.id()]).success();
    }
    let run = move |at| {
        let mut command = if inside { bundle.command(&words) } else { bundle.command_for(verb, &[]) };
        // A pipe, which is made for one reader.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let end = errat(command, at, errno, calls);
        // Some calls do no harm when they fail, and then there is a container.
        if end.status == 0 && verb == "create" {
            bundle.call(&["delete", "-f", bundle.id()]).success();
        }
        (end.calls, fs::read_to_string(&log).unwrap())
    };
    let (count, _) = run(0);
    (1..=count).rev().map(move |at| run(at).1)
}

#[track_caller]
fn check(rows: &[Row]) {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let wrong = rows.iter().filter_map(|row| {
        let message = message_of(row);
        (!matches(&message, row.message)).then(|| format!("{}: {}\n   is {message}\n", row.kind, row.message))
    });
    let wrong: String = wrong.collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_kind_has_a_row() {
    let tables = [
        tables::namespaces::ROWS,
        tables::root::ROWS,
        tables::mounts::ROWS,
        tables::nodes_and_views::ROWS,
        tables::process::ROWS,
        tables::hooks::ROWS,
        tables::program::ROWS,
        tables::parent::ROWS,
    ];
    for kind in OPS.iter().chain(HOST_OPS) {
        let has_row = tables.iter().any(|rows| rows.iter().any(|row| row.kind == *kind));
        let without = FAIL_ELSEWHERE.contains(kind);
        assert!(has_row != without, "{kind} has no row, or is said not to fail");
    }
}

#[test]
fn namespaces_fail_in_words() {
    check(tables::namespaces::ROWS);
}

#[test]
fn the_root_fails_in_words() {
    check(tables::root::ROWS);
}

#[test]
fn mounts_fail_in_words() {
    check(tables::mounts::ROWS);
}

#[test]
fn nodes_and_views_fail_in_words() {
    check(tables::nodes_and_views::ROWS);
}

#[test]
fn the_process_fails_in_words() {
    check(tables::process::ROWS);
}

#[test]
fn hooks_fail_in_words() {
    check(tables::hooks::ROWS);
}

#[test]
fn the_program_fails_in_words() {
    check(tables::program::ROWS);
}

#[test]
fn the_parent_fails_in_words() {
    check(tables::parent::ROWS);
}
