//! Host and domain name, and the kernel's parameters.

use runtime_tests::{Bundle, fails_on};
use serde_json::json;

#[test]
fn the_names_are_set() {
    let bundle = Bundle::base().with(|config| config["hostname"] = "box".into()).probe("names");
    assert_eq!(bundle.run().value("hostname"), "box");
}

#[test]
fn the_domain_name_is_set() {
    let bundle = Bundle::base().with(|config| config["domainname"] = "example.org".into()).probe("names");
    fails_on(&[("runc", "1.1 is older than this property")], || {
        assert_eq!(bundle.run().value("domainname"), "example.org")
    });
}

#[test]
fn the_hosts_name_stays() {
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    Bundle::base().with(|config| config["hostname"] = "box".into()).run().success();
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn a_name_without_a_namespace_of_its_own_is_refused() {
    let message = Bundle::base().namespace("uts", None).refused();
    assert!(message.contains("UTS") || message.contains("uts") || message.contains("hostname"), "{message}");
}

#[test]
fn kernel_parameters_of_the_namespaces_are_set() {
    let parameters = [
        ("net.ipv4.ip_forward", "1"),
        ("kernel.shmmni", "1234"),
        ("kernel.msgmax", "9000"),
        ("fs.mqueue.msg_max", "11"),
    ];
    for (name, value) in parameters {
        let bundle = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({name: value}));
        assert_eq!(bundle.probe(&format!("sysctl {name}")).run().value(name), value);
    }
}

#[test]
fn a_parameter_may_be_written_with_slashes() {
    // sysctl(8): with a slash as the first separator, dots belong to the names.
    let bundle = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({"net/ipv4/ip_forward": "1"}));
    assert_eq!(bundle.probe("sysctl net.ipv4.ip_forward").run().value("net.ipv4.ip_forward"), "1");
}

#[test]
fn kernel_parameters_of_the_host_are_refused() {
    for name in ["kernel.core_pattern", "vm.swappiness", "kernel.sysrq", "fs.file-max"] {
        let bundle = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({name: "1"}));
        let message = bundle.refused();
        assert!(message.contains(name), "{name}: {message}");
    }
}

#[test]
fn a_parameter_whose_namespace_is_the_hosts_is_refused() {
    for (name, namespace) in [("net.ipv4.ip_forward", "network"), ("kernel.shmmni", "ipc")] {
        let bundle = Bundle::base().namespace(namespace, None).without_mount("/dev/mqueue");
        bundle.with(|config| config["linux"]["sysctl"] = json!({name: "1"})).refused();
    }
}

#[test]
fn a_parameter_that_does_not_exist_is_refused() {
    let message = Bundle::base().with(|config| config["linux"]["sysctl"] = json!({"net.no.such": "1"})).refused();
    assert!(message.contains("no"), "{message}");
}

/// Limits of a user namespace are the container's own if that is; otherwise they would be the host's.
#[test]
fn parameters_of_the_user_namespace_are_set_in_one_of_its_own() {
    let name = "user.max_mnt_namespaces";
    let limited = |bundle: Bundle| bundle.with(|config| config["linux"]["sysctl"] = json!({name: "7"}));
    let probe = format!("sysctl {name}");
    let host = std::fs::read_to_string("/proc/sys/user/max_mnt_namespaces").unwrap();
    fails_on(&[("runc", "1.1 refuses them: added in 1.4"), ("crun", "1.8.1 refuses them")], || {
        let first = limited(Bundle::base().user_namespace(200_000, 65_536)).args(&["sleep", "1000"]).create();
        first.start();
        assert_eq!(first.exec(&[], &["/bin/probe", "sysctl", name]).value(name), "7");
        // A second container sees what the namespace has.
        let path = format!("/proc/{}/ns/user", first.pid());
        let second = Bundle::base().user_namespace(200_000, 65_536);
        let second = second.namespace("user", Some(json!({"type": "user", "path": path})));
        assert_eq!(second.probe(&probe).run().value(name), "7");
    });
    limited(Bundle::base()).refused();
    assert_eq!(std::fs::read_to_string("/proc/sys/user/max_mnt_namespaces").unwrap(), host);
}
