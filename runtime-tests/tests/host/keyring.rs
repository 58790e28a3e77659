//! The session keyring: a container has its own, by its name, or its caller's on demand.

use std::os::unix::process::CommandExt;
use std::process::Command;

use runtime_tests::{Bundle, may_fail_on};

/// keyctl(2), `KEYCTL_GET_KEYRING_ID`: prints the serial number of the session keyring (-3).
const SERIAL: &str = "/bin/probe call 250 0 4294967293 0";

/// A bundle whose program prints its session keyring's serial number.
fn base() -> Bundle {
    Bundle::base().sh(&format!("{SERIAL}; echo ready; exec sleep 1000"))
}

/// Gives a call a session keyring of this name.
fn in_session<'a>(command: &'a mut Command, name: &str) -> &'a mut Command {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: between fork and exec the closure makes one system call with a string that it owns.
    unsafe {
        command.pre_exec(move || {
            let serial = libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr());
            nix::errno::Errno::result(serial).map(drop).map_err(Into::into)
        })
    }
}

/// A container that runs, made by a caller with the session keyring `caller-ID`; its output.
fn started(options: &[&str]) -> (Bundle, String) {
    let bundle = base();
    let name = format!("caller-{}", bundle.id());
    let output = bundle.finish(in_session(&mut bundle.command_for("create", options), &name));
    let out = output.stdout_file.clone();
    output.success();
    bundle.call(&["start", bundle.id()]).success();
    let read = || std::fs::read_to_string(&out).unwrap();
    runtime_tests::wait_until("the number", || read().contains("ready"));
    (bundle, read())
}

/// The description and the permissions of the keyring with the serial number that the probe printed.
#[track_caller]
fn session(output: &str) -> (String, String) {
    let number = output.lines().find_map(|line| line.strip_prefix("result=")).unwrap_or_else(|| panic!("{output}"));
    let serial = format!("{:08x} ", number.parse::<u32>().unwrap());
    let keys = std::fs::read_to_string("/proc/keys").unwrap();
    let line = keys.lines().find(|line| line.starts_with(&serial)).unwrap_or_else(|| panic!("no {serial}in {keys}"));
    let fields: Vec<_> = line.split_whitespace().collect();
    (fields[8].trim_end_matches(':').to_owned(), fields[4].to_owned())
}

#[test]
fn a_container_has_a_keyring_of_its_own() {
    let (bundle, output) = started(&[]);
    let (name, permissions) = session(&output);
    may_fail_on(&[("crun", "calls it by the id alone, and leaves it as the kernel makes it")], || {
        assert_eq!(name, format!("_ses.{}", bundle.id()));
        // Everything for its holder; seen, read, linked and searched by its owner.
        assert_eq!(permissions, "3f1b0000");
    });
}

#[test]
fn the_callers_keyring_is_kept_on_demand() {
    let (bundle, output) = started(&["--no-new-keyring"]);
    assert_eq!(session(&output).0, format!("caller-{}", bundle.id()));
}

/// A process that comes later joins the container's, or keeps its own caller's, as the container did.
#[test]
fn a_further_process_does_as_the_container() {
    for options in [&[][..], &["--no-new-keyring"]] {
        let (bundle, output) = started(options);
        let mut command = bundle.command(&["exec", bundle.id(), "sh", "-c", SERIAL]);
        let name = format!("later-{}", bundle.id());
        let later = bundle.finish(in_session(&mut command, &name)).success();
        match options {
            [] => may_fail_on(&[("crun", "1.8.1 keeps the caller's")], || {
                assert_eq!(session(&later), session(&output));
            }),
            _ => assert_eq!(session(&later).0, name),
        }
    }
}
