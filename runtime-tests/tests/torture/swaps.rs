//! Another process renames directories of the root file system at every system call of a command: the command fails and
//! leaves nothing, or the container is confined as configured.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use runtime_tests::{Bundle, beside, may_fail_on, sample};
use serde_json::json;

use super::{settled, silent};

/// The directories that are exchanged for a link to an empty one.
const PLACES: [&str; 5] = ["proc", "sys", "dev", "data", "work"];

/// Looks for a view of the kernel or a mount without its masks, at its place and where it may have been moved to.
const LOOK: &str = r#"
for d in /proc /elsewhere; do
  if [ -e $d/sys/kernel/panic ]; then
    for f in sys/kernel/panic sysrq-trigger; do (: >> $d/$f) 2>/dev/null && echo "$d/$f can be written"; done
    [ -n "$(cat $d/version 2>/dev/null)" ] && echo "$d/version can be read"
  fi
done
for d in /sys /elsewhere; do
  [ -e $d/devices/system/cpu/online ] && echo "$d/devices/system/cpu can be read"
  [ -e $d/kernel/mm ] && (: >> $d/kernel/profiling) 2>/dev/null && echo "$d/kernel/profiling can be written"
done
for d in /dev /elsewhere; do
  [ -e $d/pts/ptmx ] && (: > $d/shm/file) 2>/dev/null && echo "$d/shm can be written"
done
for d in /data /elsewhere; do
  [ -s $d/inner/passwd ] && echo "$d/inner/passwd can be read"
  [ -e $d/inner/passwd ] && (: >> $d/inner/group) 2>/dev/null && echo "$d/inner can be written"
done
echo looked
"#;

/// A container whose masks and read-only paths are on several mounts.
fn bundle() -> Bundle {
    let bundle = Bundle::base().writable().mount("/data/inner", "bind", "rootfs/etc", &["bind"]).probe("pause");
    for directory in ["decoy", "data/inner", "work"] {
        fs::create_dir_all(bundle.rootfs().join(directory)).unwrap();
    }
    bundle.with(|config| {
        config["process"]["cwd"] = "/work".into();
        let linux = &mut config["linux"];
        let masked = linux["maskedPaths"].as_array_mut().unwrap();
        masked.extend(["/proc/version", "/sys/devices/system/cpu", "/data/inner/passwd"].map(Into::into));
        let read_only = linux["readonlyPaths"].as_array_mut().unwrap();
        read_only.extend(["/dev/shm", "/data/inner"].map(Into::into));
    })
}

/// Exchanges a directory for a link, and takes that back.
struct Swap {
    path: PathBuf,
    elsewhere: PathBuf,
    done: AtomicBool,
}

impl Swap {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), elsewhere: path.with_file_name("elsewhere"), done: AtomicBool::new(false) }
    }

    fn make(&self) {
        if fs::rename(&self.path, &self.elsewhere).is_ok() {
            symlink("decoy", &self.path).unwrap();
            self.done.store(true, Ordering::Relaxed);
        }
    }

    fn take_back(&self) {
        if self.done.swap(false, Ordering::Relaxed) {
            fs::remove_file(&self.path).unwrap();
            fs::rename(&self.elsewhere, &self.path).unwrap();
        }
    }
}

/// How many system calls an exchange lasts that begins at this one: some for ever.
fn length(at: u64) -> u64 {
    if at.is_multiple_of(3) { u64::MAX / 2 } else { at * 7 % 40 + 1 }
}

/// Runs the call with an exchange of `path` at its `at`-th system call.
fn swapped(command: Command, path: &Path, at: u64) -> i32 {
    let swap = Swap::of(path);
    let end = at + length(at);
    let traced = beside(silent(command), |call| match call {
        _ if call == at => swap.make(),
        _ if call == end => swap.take_back(),
        _ => {}
    });
    traced.status
}

/// The device nodes below a directory of the host.
fn nodes_in(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_char_device() || kind.is_block_device() {
            found.push(entry.path());
        } else if kind.is_dir() {
            found.extend(nodes_in(&entry.path()));
        }
    }
    found
}

/// What is wrong with the container after a call that ended so; nothing, as it should be.
fn faults_of(bundle: &Bundle, verb: &str, status: i32) -> Vec<String> {
    let mut faults = Vec::new();
    let nodes = nodes_in(&bundle.rootfs());
    if !nodes.is_empty() {
        faults.push(format!("device nodes on the host: {nodes:?}"));
    }
    if status != 0 && verb != "exec" {
        let left = settled(bundle);
        if !left.is_none() {
            faults.push(format!("failed, and left {left:?}"));
            left.sweep();
        }
        return faults;
    }
    if verb == "create" && bundle.call(&["start", bundle.id()]).status != 0 {
        return faults;
    }
    // Without /dev/null nothing could be thrown away.
    let seen = bundle.call(&["exec", bundle.id(), "/bin/sh", "-c", LOOK]);
    let lines: Vec<_> = seen.stdout.lines().filter(|line| *line != "looked").map(str::to_owned).collect();
    if seen.status == 0 && !seen.stdout.contains("looked") {
        faults.push(format!("the look failed: {seen:?}"));
    }
    faults.extend(lines);
    faults
}

/// Exchanges each of the places at every system call.
fn swap_everywhere(verb: &'static str, before: impl Fn(&Bundle)) {
    let command = |bundle: &Bundle| match verb {
        "run" => bundle.command_for("run", &["-d"]),
        "exec" => bundle.command(&["exec", bundle.id(), "/bin/true"]),
        verb => bundle.command_for(verb, &[]),
    };
    let whole = {
        let bundle = bundle();
        before(&bundle);
        let whole = beside(silent(command(&bundle)), |_| ());
        assert_eq!((whole.status, faults_of(&bundle, verb, whole.status)), (0, vec![]), "{verb} without an exchange");
        whole.calls
    };
    let points: Vec<_> = PLACES.iter().flat_map(|place| (1..=whole).map(move |at| (*place, at))).collect();
    let mut faults = Vec::new();
    for (place, at) in sample(&format!("swaps of {verb}"), points) {
        let bundle = bundle();
        before(&bundle);
        let status = swapped(command(&bundle), &bundle.rootfs().join(place), at);
        for fault in faults_of(&bundle, verb, status) {
            faults.push(format!("{place} at {at} for {}, status {status}: {fault}", length(at)));
        }
        if faults.len() > 20 {
            break;
        }
    }
    assert!(faults.is_empty(), "of {whole} system calls:\n{}", faults.join("\n"));
}

const KNOWN: [(&str, &str); 2] =
    [("runc", "1.1 looks masks up by their names"), ("crun", "1.8.1 looks masks up by their names")];

#[test]
fn create_is_confined_whatever_is_renamed() {
    may_fail_on(&KNOWN, || swap_everywhere("create", |_| ()));
}

#[test]
fn run_is_confined_whatever_is_renamed() {
    may_fail_on(&KNOWN, || swap_everywhere("run", |_| ()));
}

#[test]
fn exec_is_confined_whatever_is_renamed() {
    swap_everywhere("exec", super::running);
}

/// The layers of an overlay: what is mounted is one of the two, and nothing else changes.
#[test]
fn create_is_confined_whatever_becomes_of_a_layer() {
    let layered = || {
        let bundle = bundle();
        let layers = bundle.path().join("layers");
        fs::create_dir_all(layers.join("top/data/inner")).unwrap();
        fs::create_dir_all(layers.join("decoy/data/inner")).unwrap();
        bundle.with(|config| {
            let layers = json!({"destination": "/", "type": "overlay", "source": "overlay",
                "options": ["lowerdir=layers/top:rootfs"]});
            config["mounts"].as_array_mut().unwrap().insert(0, layers);
        })
    };
    let whole = beside(silent(layered().command_for("create", &[])), |_| ());
    assert_eq!(whole.status, 0);
    let mut faults = Vec::new();
    for at in sample("swaps of a layer", (1..=whole.calls).collect()) {
        let bundle = layered();
        let status = swapped(bundle.command_for("create", &[]), &bundle.path().join("layers/top"), at);
        faults.extend(faults_of(&bundle, "create", status).into_iter().map(|fault| format!("at {at}: {fault}")));
    }
    assert!(faults.is_empty(), "of {} system calls:\n{}", whole.calls, faults.join("\n"));
}
