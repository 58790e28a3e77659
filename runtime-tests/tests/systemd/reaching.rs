//! Ways to systemd: its own socket, the bus, and neither.

use std::process::Command;

use runtime_tests::Bundle;

use super::{is_loaded, property, scope, unit_of};

/// `create` of a bundle after this was done to the mounts, which others do not see.
fn create_after(bundle: &Bundle, script: &str) -> runtime_tests::Output {
    let create = bundle.command_for("create", &[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-euc", &format!("{script}\nexec \"$@\""), "sh"]);
    command.arg(create.get_program()).args(create.get_args());
    bundle.finish(&mut command)
}

#[test]
fn the_bus_leads_to_systemd_as_well() {
    let bundle = scope();
    create_after(&bundle, "mount --bind /dev/null /run/systemd/private").success();
    assert_eq!(property(&unit_of(&bundle), "ActiveState"), "active");
    bundle.call(&["delete", "-f", bundle.id()]).success();
    assert!(!is_loaded(&unit_of(&bundle)));
}

#[test]
fn without_a_way_the_sockets_are_named() {
    let bundle = scope();
    let script = "mount --bind /dev/null /run/systemd/private; mount -t tmpfs none /run/dbus";
    let message = create_after(&bundle, script).failure();
    for words in [
        "systemd cannot be reached",
        "/run/systemd/private: ",
        "/run/dbus/system_bus_socket: no such file or directory",
    ] {
        assert!(message.contains(words), "{message}");
    }
    bundle.assert_nothing_left();
}
