//! `linux.netDevices`: network devices that become the container's. All of it happens in a network namespace of the
//! test's own, so that no device of the host is touched.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::CloneFlags;
use runtime_tests::{Bundle, Output, fails_on};
use serde_json::{Value, json};

const NEWER: [(&str, &str); 2] =
    [("runc", "1.1 is older than this property"), ("crun", "1.8.1 is older than this property")];

/// A device with addresses, of which some are for the link or the host alone.
const DEVICE: &str = "
    busybox ip link add a0 type dummy 2>/dev/null || busybox ip link add a0 type veth
    busybox ip link set a0 mtu 1400
    busybox ip addr add 10.1.2.3/24 brd 10.1.2.255 dev a0
    busybox ip addr add 10.9.9.1 peer 10.9.9.2/32 dev a0
    busybox ip addr add 192.0.2.1/24 scope link dev a0
    busybox ip -6 addr add fd00::1/64 dev a0
    busybox ip link set a0 up
";

/// A bundle whose container gets these devices and shows what it has.
fn given(devices: Value) -> Bundle {
    let bundle = Bundle::base().with(|config| config["linux"]["netDevices"] = devices);
    bundle.sh("ip -o link; ip -o addr")
}

/// Runs the bundle in a new network namespace that this script has prepared, and then says what is left in that.
fn run(bundle: &Bundle, prepare: &str, options: &[&str]) -> Output {
    let call = bundle.command_for("run", options);
    let script =
        format!("{prepare}\n\"$@\"; status=$?\necho left; busybox ip -o link; busybox ip -o addr; exit $status");
    let mut command = Command::new("/bin/busybox");
    command.args(["sh", "-c", &script, "sh"]).arg(call.get_program()).args(call.get_args());
    command.env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin");
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| nix::sched::unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into)) };
    bundle.finish(&mut command)
}

/// What the container saw, and what was left outside.
#[track_caller]
fn inside_and_left(output: Output) -> (String, String) {
    let text = output.success();
    let (inside, left) = text.split_once("left\n").unwrap();
    (inside.to_owned(), left.to_owned())
}

/// The addresses of a device, each with its scope.
fn addresses(text: &str, device: &str) -> Vec<String> {
    let of_device = text.lines().filter_map(|line| line.split_once(": ")?.1.strip_prefix(device)?.strip_prefix("    "));
    let words =
        of_device.map(|rest| rest.split_whitespace().take_while(|word| *word != "tentative" && *word != "a0\\"));
    words.map(|words| words.filter(|word| !word.ends_with('\\')).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_device_moves_with_its_lasting_addresses_and_is_up() {
    fails_on(&NEWER, || {
        let (inside, left) = inside_and_left(run(&given(json!({"a0": {}})), DEVICE, &[]));
        let link = inside.lines().find(|line| line.contains(": a0")).unwrap_or_else(|| panic!("{inside}"));
        assert!(link.contains(",UP") && link.contains("mtu 1400"), "{link}");
        for address in
            ["10.1.2.3/24 brd 10.1.2.255 scope global", "10.9.9.1 peer 10.9.9.2/32 scope global", "fd00::1/64"]
        {
            assert!(addresses(&inside, "a0").iter().any(|seen| seen.contains(address)), "{address}: {inside}");
        }
        assert!(!inside.contains("192.0.2.1"), "an address of the link alone: {inside}");
        assert!(!left.contains(": a0"), "{left}");
    });
}

#[test]
fn a_device_gets_another_name() {
    fails_on(&NEWER, || {
        for (name, seen) in [("inner0", ": inner0"), ("net%d", ": net0")] {
            let (inside, _) = inside_and_left(run(&given(json!({"a0": {"name": name}})), DEVICE, &[]));
            assert!(inside.contains(seen) && !inside.contains(": a0"), "{inside}");
            assert!(inside.contains("10.1.2.3/24"), "{inside}");
        }
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let bundle = given(json!({"a0": {"name": "lo"}}));
    let output = run(&bundle, DEVICE, &[]);
    fails_on(&NEWER, || {
        let message = output.clone().failure();
        let expected = "linux.netDevices[\"a0\"]: move network device a0 into the container as lo: the container has a \
                        device of this name already";
        assert!(message.contains(expected), "{message}");
        assert!(output.stdout.contains(": a0"), "the device stays: {}", output.stdout);
    });
    bundle.assert_nothing_left();
}

#[test]
fn a_device_that_is_missing_is_refused() {
    let bundle = given(json!({"nosuch0": {}}));
    fails_on(&NEWER, || {
        let message = run(&bundle, "", &[]).failure();
        assert!(message.contains("linux.netDevices[\"nosuch0\"]: ") && message.contains("no such device"), "{message}");
    });
    bundle.assert_nothing_left();
}

/// Nothing of a container that could not be made remains, and nothing is missing.
#[test]
fn a_device_comes_back_when_the_container_cannot_be_made() {
    let bundle = given(json!({"a0": {"name": "inner0"}})).mount("/mnt", "nosuchfs", "x", &[]);
    let output = run(&bundle, DEVICE, &[]);
    // The peers did not know the property, and so the device never left.
    let before = run(&given(json!({})), DEVICE, &[]);
    let left = |output: &Output| {
        let (_, left) = output.stdout.split_once("left\n").unwrap();
        let lasting = addresses(left, "a0").into_iter().filter(|address| !address.contains("scope link"));
        let mut lasting: Vec<_> = lasting.collect();
        lasting.sort();
        let link = left.lines().find(|line| line.contains(": a0")).unwrap_or_else(|| panic!("{left}")).to_owned();
        (lasting, link.split('\\').next().unwrap().replace("NO-CARRIER,", ""))
    };
    output.clone().failure();
    assert_eq!(left(&output), left(&before));
    bundle.assert_nothing_left();
}

/// The namespace belongs to somebody else, and so does what is in it.
#[test]
fn a_device_stays_in_a_joined_namespace() {
    // The shell that holds the namespace is a child of the script, which ends it.
    let namespace = |pid: &str| format!("$(busybox readlink /proc/{pid}/ns/net)");
    let (own, others) = (namespace("$$"), namespace("$holder"));
    let prepare = format!(
        "{DEVICE} busybox unshare -n busybox sleep 1000 & holder=$!; while [ \"{own}\" = \"{others}\" ]; do :; done"
    );
    let bundle = given(json!({"a0": {"name": "inner0"}})).without_mount("/sys");
    let file = bundle.home().join("ns");
    let bundle = bundle.namespace("network", Some(json!({"type": "network", "path": file})));
    let prepare = format!(
        "{prepare}; ln -s /proc/$holder/ns/net {}; trap 'busybox nsenter -t $holder -n busybox ip -o link; kill $holder' \
         EXIT",
        file.display()
    );
    fails_on(&NEWER, || {
        let (_, left) = inside_and_left(run(&bundle, &prepare, &[]));
        let (_, joined) = left.split_once(": lo").unwrap();
        assert!(joined.contains(": inner0"), "{left}");
    });
}

#[test]
fn devices_need_a_network_namespace() {
    let bundle = given(json!({"a0": {}})).namespace("network", None).without_mount("/sys");
    fails_on(&NEWER, || {
        let message = bundle.refused();
        assert!(message.contains("linux.netDevices: unable to move network devices without"), "{message}");
    });
}

#[test]
fn a_device_moves_into_a_user_namespace() {
    let bundle = given(json!({"a0": {}})).user_namespace(100_000, 65_536);
    fails_on(&NEWER, || {
        let (inside, _) = inside_and_left(run(&bundle, DEVICE, &[]));
        assert!(inside.contains("10.1.2.3/24"), "{inside}");
    });
}
