//! systemd in a container: the system that the machine itself has, with its services in cgroups of their own.

use std::path::Path;
use std::sync::OnceLock;

use runtime_tests::may_fail_on;

use super::{Caller, ROOT, USER};
use crate::machine;

#[test]
#[ignore = "long"]
fn of_root() {
    let known = [("runc", "puts a process of exec above init, where it keeps systemd from enabling controllers")];
    may_fail_on(&known, || a_system(ROOT, "/var/tmp/system"));
}

#[test]
#[ignore = "long"]
fn of_a_user() {
    a_system(USER, "/home/user/system");
}

fn a_system(podman: Caller, root: &str) {
    make_roots();
    podman.says(&format!(
        "podman run --detach --name system --network none --systemd always --rootfs {root} /usr/lib/systemd/systemd"
    ));
    // It answers once its bus is there.
    let seen = podman.says(
        "until podman exec system systemctl is-system-running --wait 2>/dev/null | grep -E 'running|degraded'; do sleep 1; done
         podman exec system systemctl list-units --failed --no-legend --no-pager
         podman exec system systemctl is-active systemd-journald
         podman exec system systemd-run --quiet --wait --pipe --unit limited -p MemoryMax=20M \
            sh -c 'cat /proc/self/cgroup /sys/fs/cgroup/system.slice/limited.service/memory.max'",
    );
    assert_eq!(seen, "running\nactive\n0::/system.slice/limited.service\n20971520");
    let cgroup = podman.says("podman inspect --format '{{.State.CgroupPath}}' system");
    // Podman stops it by the signal that systemd takes for a request to halt (systemd(1), SIGRTMIN+3).
    let seen = podman.says(
        "podman stop --time 120 system >/dev/null; podman inspect --format '{{.State.ExitCode}}' system; podman rm system",
    );
    assert_eq!(seen, "0\nsystem");
    assert!(!Path::new(&format!("/sys/fs/cgroup{cgroup}")).exists());
}

/// A root file system for root, and one that belongs to the user.
fn make_roots() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| drop(machine::says(SCRIPT)));
}

const SCRIPT: &str = r#"
set -e
root=/var/tmp/system
mkdir -p $root
cd $root
mkdir -p usr/bin usr/lib dev proc sys run tmp var/log/journal var/lib root
for link in bin sbin lib lib64; do ln -s usr/$link $link; done
(cd / && tar -c usr/lib/systemd usr/lib/tmpfiles.d usr/lib/sysusers.d usr/lib/x86_64-linux-gnu/systemd \
    usr/share/dbus-1 usr/bin/systemctl usr/bin/systemd-run usr/bin/systemd-tmpfiles usr/bin/journalctl usr/bin/busybox \
    usr/bin/dbus-* etc/passwd etc/group etc/shadow etc/nsswitch.conf usr/lib/os-release) | tar -x
ln -s ../usr/lib/os-release etc/os-release
# Libraries that are named by what they are linked with, and those that systemd opens as it needs them.
{ for file in lib/systemd/systemd lib/systemd/systemd-executor lib/systemd/systemd-journald bin/systemctl bin/systemd-run \
        bin/journalctl bin/dbus-daemon; do ldd /usr/$file; done
  ls /usr/lib/x86_64-linux-gnu/libmount.so.1 /usr/lib/x86_64-linux-gnu/libseccomp.so.2
} | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
    place=$root/usr${library#/usr}
    mkdir -p "$(dirname "$place")"
    [ -e "$place" ] || cp -L "$library" "$place"
done
for name in sh cat sleep; do ln usr/bin/busybox usr/bin/$name; done
# Of the machine's services only what every system starts with.
mkdir -p etc/systemd/system
# With an identity it has been booted before: on its first boot systemd enables whatever has a file.
echo 0123456789abcdef0123456789abcdef >etc/machine-id
for unit in nftables.service ldconfig.service systemd-firstboot.service systemd-journal-catalog-update.service \
    systemd-update-done.service systemd-binfmt.service systemd-sysusers.service; do ln -s /dev/null etc/systemd/system/$unit; done
printf '[Unit]\nRequires=basic.target dbus.socket\nAfter=basic.target dbus.socket\nAllowIsolate=yes\n' \
    >etc/systemd/system/default.target
cp -a $root /home/user/system
chown -R -h user:user /home/user/system
"#;
