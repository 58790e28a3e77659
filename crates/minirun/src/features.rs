//! `minirun features`: what this program can do, whatever the host (runtime-spec, "Features").

use anyhow::Result;
use minirun_container::SPEC_VERSION;
use minirun_plan::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS, known};
use serde_json::json;

use crate::report::print;

/// Whether the systemd cgroup driver is built in.
const SYSTEMD: bool = cfg!(feature = "systemd");

/// Prints the document. It needs no privilege and looks at nothing.
pub fn features() -> Result<()> {
    let [modes, flags] = known::memory_policies();
    let document = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": known::mount_options(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": known::capabilities(),
            "cgroup": { "v1": false, "v2": true, "systemd": SYSTEMD, "systemdUser": SYSTEMD, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": ACTIONS.map(|(name, _)| name),
                "operators": OPERATORS,
                "archs": ARCHITECTURES,
                "knownFlags": FLAGS.map(|(name, _)| name),
                "supportedFlags": FLAGS.map(|(name, _)| name),
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": { "modes": modes, "flags": flags },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
        },
        "annotations": {
            "org.minirun.version": env!("CARGO_PKG_VERSION"),
            "org.minirun.overlay-root": "true",
        },
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property."],
    });
    print(&format!("{}\n", serde_json::to_string_pretty(&document)?))
}
