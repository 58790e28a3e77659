//! AppArmor profiles and SELinux labels. A kernel without the module refuses them; with AppArmor a profile is loaded.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use runtime_tests::{Bundle, fails_on};
use serde_json::Value;

/// A profile in the kernel's own binary form that allows and logs everything (security/apparmor/policy_unpack.c).
fn complaining_profile(name: &str) -> Vec<u8> {
    const COMPLAIN: u32 = 1;
    let mut bytes = Vec::new();
    // Elements: 2 a number of 32 bits, 4 the name of what follows, 5 a string, 7 and 8 the ends of a structure.
    let text = |bytes: &mut Vec<u8>, code: u8, text: &str| {
        bytes.push(code);
        bytes.extend((text.len() as u16 + 1).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(0);
    };
    let numbers = |bytes: &mut Vec<u8>, numbers: &[u32]| {
        for number in numbers {
            bytes.push(2);
            bytes.extend(number.to_le_bytes());
        }
    };
    text(&mut bytes, 4, "version");
    numbers(&mut bytes, &[5]);
    text(&mut bytes, 4, "profile");
    bytes.push(7);
    text(&mut bytes, 5, name);
    text(&mut bytes, 4, "flags");
    bytes.push(7);
    numbers(&mut bytes, &[0, COMPLAIN, 0]);
    bytes.push(8);
    // Capabilities: allowed, audited, quiet, and one that is not used any more.
    numbers(&mut bytes, &[0, 0, 0, 0]);
    bytes.push(8);
    bytes
}

/// Loads a profile of this name, where the kernel has AppArmor: then true.
fn load(name: &str) -> bool {
    if !fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y")) {
        return false;
    }
    let files = Path::new("/sys/kernel/security");
    if !files.join("apparmor").exists() {
        let done = std::process::Command::new("mount").args(["-t", "securityfs", "none"]).arg(files).status();
        assert!(done.unwrap().success(), "mount securityfs");
    }
    // In one write, as the kernel wants it.
    let mut file = fs::OpenOptions::new().write(true).open(files.join("apparmor/.replace")).unwrap();
    assert_eq!(file.write(&complaining_profile(name)).unwrap(), complaining_profile(name).len());
    true
}

const CURRENT: [&str; 2] = ["/bin/cat", "/proc/self/attr/current"];

#[test]
fn an_apparmor_profile_is_applied_or_refused() {
    let name = "minirun-test-applied";
    let bundle = Bundle::base().with(|config| config["process"]["apparmorProfile"] = name.into()).args(&CURRENT);
    if load(name) {
        assert_eq!(bundle.run().success(), format!("{name} (complain)\n"));
        return;
    }
    let message = bundle.refused();
    assert!(message.to_lowercase().contains("apparmor"), "{message}");
    assert!(
        !bundle.runtime().is_minirun() || message.contains("config provided but apparmor not supported"),
        "{message}"
    );
}

#[test]
fn a_further_process_has_the_profile_that_it_asks_for() {
    let name = "minirun-test-exec";
    let container = Bundle::base().args(&["sleep", "1000"]).create();
    container.start();
    let output = container.exec(&["--apparmor", name], &CURRENT);
    match load(name) {
        true => {
            assert!(output.failure().contains("the profile is not loaded"));
            assert_eq!(container.exec(&["--apparmor", name], &CURRENT).success(), format!("{name} (complain)\n"));
            assert_eq!(container.exec(&[], &CURRENT).success(), "unconfined\n");
        }
        false => assert!(output.failure().contains("apparmor")),
    }
}

/// No kernel of these tests has a policy; with one, these labels would be unknown to it.
#[test]
fn an_selinux_label_that_cannot_be_had_is_refused() {
    let fields: [fn(&mut Value); 2] = [
        |config| config["process"]["selinuxLabel"] = "no:such:label".into(),
        |config| config["linux"]["mountLabel"] = "no:such:label".into(),
    ];
    for field in fields {
        let bundle = Bundle::base().with(field);
        fails_on(&[("crun", "1.8.1 is built without it and ignores the label")], || {
            let message = bundle.refused();
            assert!(
                !bundle.runtime().is_minirun() || message.contains("selinux is disabled or not supported"),
                "{message}"
            );
        });
    }
}
