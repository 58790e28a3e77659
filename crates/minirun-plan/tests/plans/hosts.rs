//! The hosts for which plans are compiled: descriptions in `rootfs-fixtures/hosts`, so that no plan depends on the
//! machine that runs the tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minirun_plan::{HostFacts, HostNode, NodeKind, Resctrl};
use serde::Deserialize;

/// Returns the device nodes of these hosts: null, fuse, and a disk with the greatest number.
fn nodes() -> BTreeMap<String, HostNode> {
    let node = |kind, device, mode, uid, gid| HostNode { kind, device, mode, uid, gid };
    [
        ("/dev/null", node(NodeKind::Char, 0x103, 0o600, 1000, 100)),
        ("/dev/fuse", node(NodeKind::Char, 0xae5, 0o666, 0, 0)),
        ("/dev/disk/one", node(NodeKind::Block, 0xfff1_03ff, 0o660, 0, 6)),
    ]
    .map(|(path, node)| (path.to_owned(), node))
    .into()
}

/// Returns the path of a file of `rootfs-fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../rootfs-fixtures").join(name)
}

/// The description of a host.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Host {
    /// The kind of host, for readers.
    #[serde(rename = "comment")]
    _comment: String,
    cgroup_mount: Option<PathBuf>,
    #[serde(default)]
    controllers: Vec<String>,
    /// Controllers bound to cgroup v1, with their mount points.
    #[serde(default)]
    v1_controllers: Vec<(String, PathBuf)>,
    #[serde(default)]
    bfq: bool,
    #[serde(default)]
    huge_page_sizes: Vec<String>,
    last_capability: u32,
    /// Capabilities that the runtime lacks, by name; `all` is every one.
    #[serde(default)]
    lacks: Vec<String>,
    kcore: bool,
    euid: u32,
    #[serde(default)]
    egid: u32,
    /// The parent of the containers' cgroups.
    #[serde(default)]
    cgroup_base: PathBuf,
    /// Why containers get no cgroup.
    cgroup_denied: Option<String>,
    #[serde(default)]
    setgroups_denied: bool,
    /// Whether SELinux is enabled in the kernel.
    #[serde(default)]
    selinux: bool,
    initial_user_namespace: bool,
}

/// Returns the host of this name.
pub fn host(name: &str) -> HostFacts {
    let path = fixture("hosts").join(format!("{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let host: Host = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let all = (1 << (host.last_capability + 1)) - 1;
    let lacks = host.lacks.iter().fold(0, |mask, name| match name.as_str() {
        "all" => all,
        name => mask | name.parse::<caps::Capability>().unwrap().bitmask(),
    });
    HostFacts {
        cgroup_mount: host.cgroup_mount,
        controllers: host.controllers,
        v1_controllers: host.v1_controllers,
        bfq: host.bfq,
        huge_page_sizes: host.huge_page_sizes,
        page_size: 4096,
        last_capability: host.last_capability,
        bounding: all & !lacks,
        kcore: host.kcore,
        cgroup_base: host.cgroup_base,
        cgroup_denied: host.cgroup_denied,
        euid: host.euid,
        egid: host.egid,
        setgroups_denied: host.setgroups_denied,
        nodes: nodes(),
        joined_setgroups_denied: false,
        resctrl: Resctrl::Absent,
        selinux: host.selinux,
        initial_user_namespace: host.initial_user_namespace,
        inside_root: std::collections::BTreeMap::new(),
        kernel_views: vec!["/sys".into(), "/proc".into()],
        others_mounts: false,
    }
}
