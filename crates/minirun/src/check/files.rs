//! Places and programs of the host: the state directory, what it lies on, and what commands call.
//!
//! accepts: any error in a look at the host; `check` advises, and enforces nothing.

use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use minirun_sys as sys;

use super::Row;
use super::processes::on_path;
use minirun_container::{Runtime, facts};

pub fn rows(runtime: &Runtime<'_>) -> Vec<Row> {
    vec![state(runtime), huge_pages(), systemd(), ps()]
}

/// Where the state of containers is kept; none without any place.
pub fn state_directory(runtime: &Runtime<'_>) -> Option<PathBuf> {
    let users = || facts::runtime_directory().map(|dir| Path::new(&dir).join("minirun"));
    let default = || if nix::unistd::geteuid().is_root() { Some("/run/minirun".into()) } else { users() };
    runtime.root().map(Path::to_owned).or_else(default)
}

/// The path, or the nearest directory above that is there.
pub fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn state(runtime: &Runtime<'_>) -> Row {
    let (name, matters) = ("files.state-directory", "every container has its record there; --root");
    let Some(path) = state_directory(runtime) else {
        return Row::missing(name, "XDG_RUNTIME_DIR is not set", matters).advice("use --root DIR").essential();
    };
    let there = existing(&path);
    let (c_path, place) = (CString::new(there.as_os_str().as_bytes()).unwrap_or_default(), describe(&there));
    let refused = |seen: String, advice: &str| Row::missing(name, seen, matters).advice(advice).essential();
    if let Err(errno) = sys::faccess(&c_path, libc::W_OK | libc::X_OK) {
        let seen = format!("{} cannot be made: {place}: {}", path.display(), minirun_sys::errno_text(errno));
        return refused(seen, "run as root, or use --root DIR with a directory of your own");
    }
    match nix::sys::statvfs::statvfs(there.as_path()) {
        Ok(found) if found.blocks_available() == 0 || found.files() > 0 && found.files_available() == 0 => {
            refused(format!("{place}: no space left"), "make room there, or use --root DIR")
        }
        Ok(found) => {
            let free = (found.blocks_available() as u64 * found.fragment_size() as u64) >> 20;
            Row::ok(name, format!("{}, {free} MiB free", describe(&path)), matters).essential()
        }
        Err(errno) => refused(format!("{place}: {}", minirun_sys::errno_text(errno)), "use --root DIR"),
    }
}

/// `/run/minirun (tmpfs)`.
pub fn describe(path: &Path) -> String {
    let kind = file_system_of(&existing(path)).unwrap_or_else(|| "an unknown file system".to_owned());
    format!("{} ({kind})", std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display())
}

/// The type of the file system that a path is on, by the device that mountinfo names (proc_pid_mountinfo(5)).
fn file_system_of(path: &Path) -> Option<String> {
    let opened = sys::open(&CString::new(path.as_os_str().as_bytes()).ok()?, libc::O_PATH).ok()?;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&opened)));
    let id = info.ok()?.lines().find_map(|line| line.strip_prefix("mnt_id:").map(|id| id.trim().to_owned()))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&id))?;
    let _still_open = opened.as_fd();
    line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)
}

fn huge_pages() -> Row {
    let (name, matters) = ("files.huge-pages", "linux.resources.hugepageLimits[].pageSize");
    match facts::huge_page_sizes() {
        Err(error) => Row::missing(name, error.to_string(), matters),
        Ok(sizes) if sizes.is_empty() => {
            Row::missing(name, "the kernel has no huge pages", matters).advice("a kernel with CONFIG_HUGETLBFS")
        }
        Ok(sizes) => Row::ok(name, sizes.join(" "), matters),
    }
}

/// Not needed, but often asked for.
fn systemd() -> Row {
    let (name, matters) = ("files.cgroup-driver", "--systemd-cgroup needs systemd as the host's first process");
    let seen = match Path::new("/run/systemd/system").exists() {
        true => "cgroupfs or systemd",
        false => "cgroupfs; systemd does not run here",
    };
    Row::ok(name, seen, matters)
}

fn ps() -> Row {
    let (name, matters) = ("files.ps", "the table of minirun ps; its JSON does not need it");
    match on_path("ps") {
        Some(path) => Row::ok(name, path.to_string_lossy(), matters),
        None => Row::missing(name, "no such program in $PATH", matters).advice("install procps, or use ps -f json"),
    }
}
