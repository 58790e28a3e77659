//! The machine: how commands are run on it, and the daemons that tests share.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};

use runtime_tests::{Output, Running, Runtime};

/// Runs a shell script to its end. `set -u` holds, and standard input is empty.
#[track_caller]
pub fn sh(script: &str) -> Output {
    Running::start(shell(script).stdin(Stdio::null()), Path::new(HOME)).finish()
}

/// What a script that must succeed has printed, without the blanks around it.
#[track_caller]
pub fn says(script: &str) -> String {
    let output = sh(script);
    assert!(output.status == 0, "{script}\nstatus {}\n{}\n{}", output.status, output.stdout, output.stderr);
    output.stdout.trim().to_owned()
}

/// What a script that must fail has printed on standard error.
#[track_caller]
pub fn refuses(script: &str) -> String {
    let output = sh(script);
    assert!(output.status != 0, "{script}\nsucceeds: {}\n{}", output.stdout, output.stderr);
    output.stderr
}

/// A script that is not yet started.
pub fn shell(script: &str) -> Command {
    prepare();
    let mut command = Command::new("/bin/sh");
    command.args(["-uc", script]).current_dir("/root");
    command
}

/// The name of the runtime under test, as engines know it.
pub fn runtime() -> String {
    Runtime::from_env().name().to_owned()
}

/// Where the runtime under test is.
pub fn program() -> String {
    Runtime::from_env().bare().get_program().to_str().unwrap().to_owned()
}

/// For the outputs of commands.
pub const HOME: &str = "/run/engines";

/// What every test relies on. Engines want a way out: a default route over an interface that leads nowhere.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        assert!(Path::new("/run/systemd/system").is_dir(), "systemd is not the first process here: make test-engines");
        fs::create_dir_all(HOME).unwrap();
        let script = "
            ip link show dummy0 2>/dev/null || ip link add dummy0 type dummy
            ip address replace 10.1.1.1/24 dev dummy0 && ip link set dummy0 up &&
                ip route replace default via 10.1.1.2";
        let output = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    });
}

/// The disk of the machine that limits are tried on.
#[derive(Debug)]
pub struct Disk {
    /// Its device.
    pub path: String,
    /// The major and minor number of that, with a colon between them.
    pub number: String,
    /// The directory with its file system.
    pub mounted: &'static str,
}

/// The disk, mounted.
#[track_caller]
pub fn disk() -> &'static Disk {
    static DISK: OnceLock<Disk> = OnceLock::new();
    DISK.get_or_init(|| {
        let path =
            says("findmnt --noheadings --output SOURCE /mnt/disk || { mount /dev/vda /mnt/disk; echo /dev/vda; }");
        let number = says(&format!("lsblk --noheadings --nodeps --output MAJ:MIN {path}"));
        Disk { path, number, mounted: "/mnt/disk" }
    })
}

/// Has a container write 4 MiB to this file on the disk, for which it may write 1 MiB per second.
#[track_caller]
pub fn assert_writes_slowly(exec: &str, file: &str) {
    let seconds = says(&format!(
        "start=$(date +%s); {exec} dd if=/dev/zero of={file} bs=64k count=64 conv=fsync 2>/dev/null
         echo $(($(date +%s) - start))"
    ));
    assert!(seconds.parse::<u32>().unwrap() >= 3, "4 MiB in {seconds} s");
}

/// The daemons of the machine, of which one set-up at a time can be had.
static DAEMONS: Daemons = Daemons { state: Mutex::new(State { current: None, users: 0 }), free: Condvar::new() };

struct Daemons {
    state: Mutex<State>,
    free: Condvar,
}

struct State {
    current: Option<String>,
    users: u32,
}

impl Daemons {
    /// A failed test poisons nothing that others need.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of the daemons in one set-up. Tests that want the same run side by side, others wait.
#[derive(Debug)]
pub struct Share(());

impl Share {
    /// Waits for the daemons and brings them into the set-up of this name, unless they are in it.
    #[track_caller]
    pub fn of(name: &str, set_up: impl FnOnce()) -> Self {
        let mut state = DAEMONS.lock();
        while state.users > 0 && state.current.as_deref() != Some(name) {
            state = DAEMONS.free.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.current.as_deref() != Some(name) {
            state.current = None;
            if let Err(reason) = catch_unwind(AssertUnwindSafe(set_up)) {
                drop(state);
                DAEMONS.free.notify_all();
                resume_unwind(reason);
            }
            state.current = Some(name.to_owned());
        }
        state.users += 1;
        Self(())
    }

    /// As [`Share::of`], for a test that disturbs others: it has the daemons for itself, and who comes next sets them
    /// up anew.
    #[track_caller]
    pub fn alone(set_up: impl FnOnce()) -> Self {
        let mut state = DAEMONS.lock();
        while state.users > 0 {
            state = DAEMONS.free.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.current = None;
        let outcome = catch_unwind(AssertUnwindSafe(set_up));
        // Nobody asks for a set-up without a name.
        state.current = outcome.is_ok().then(String::new);
        state.users += u32::from(outcome.is_ok());
        drop(state);
        outcome.unwrap_or_else(|reason| resume_unwind(reason));
        Self(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        DAEMONS.lock().users -= 1;
        DAEMONS.free.notify_all();
    }
}
