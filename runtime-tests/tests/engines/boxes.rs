//! The image that containers are made from: busybox and the probe, as an archive that every engine loads.

use std::sync::OnceLock;

use crate::machine::says;

/// The archive's path. Its image is `box:latest`, which Docker and containerd call docker.io/library/box and Podman
/// localhost/box; its command is a shell.
#[track_caller]
pub fn archive() -> &'static str {
    static ARCHIVE: OnceLock<()> = OnceLock::new();
    const PATH: &str = "/var/tmp/box.tar";
    ARCHIVE.get_or_init(|| drop(says(&SCRIPT.replace("PATH_OF_ARCHIVE", PATH))));
    PATH
}

/// In the format of `docker save`, which needs no engine to be made.
const SCRIPT: &str = r#"
set -e
work=$(mktemp -d)
cd "$work"
mkdir -p root/bin root/etc root/tmp root/root root/home/user root/var/lib root/dev root/proc root/sys root/srv
chmod 1777 root/tmp
cp /bin/busybox root/bin/busybox
cp "$MINIRUN_PROBE" root/bin/probe
for applet in $(busybox --list); do [ -e root/bin/$applet ] || ln root/bin/busybox root/bin/$applet; done
chown 1000:1000 root/home/user
printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/:/bin/false user:x:1000:1000:user:/home/user:/bin/sh \
    nobody:x:65534:65534:nobody:/:/bin/false >root/etc/passwd
printf '%s\n' root:x:0: daemon:x:1: tty:x:5: user:x:1000: nogroup:x:65534: >root/etc/group
tar -C root --numeric-owner -cf layer.tar .
layer=$(sha256sum layer.tar | cut -d' ' -f1)
cat >config.json <<END
{"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
 "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]},
 "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "busybox"}]}
END
config=$(sha256sum config.json | cut -d' ' -f1)
mv config.json "$config.json"
printf '[{"Config": "%s", "RepoTags": ["box:latest"], "Layers": ["layer.tar"]}]' "$config.json" >manifest.json
tar -cf PATH_OF_ARCHIVE manifest.json "$config.json" layer.tar
rm -r "$work"
"#;
