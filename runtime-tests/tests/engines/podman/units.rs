//! Podman where something else keeps containers running: files of Kubernetes, units of systemd, timers for healthchecks.

use super::{Caller, ROOT, USER};

#[test]
#[ignore = "long"]
fn a_file_of_kubernetes_is_played() {
    for podman in [ROOT, USER] {
        let seen = podman.says(&format!(
            "cat >kube.yaml <<'END'\n{KUBE}END
             podman kube play kube.yaml >/dev/null
             podman exec kube-one sh -c 'cat /sys/fs/cgroup/memory.max; grep CapEff /proc/self/status | cut -f 2'
             podman exec kube-two sh -c 'touch /scratch/file && echo written'
             until podman logs kube-one | grep played; do sleep 0.2; done
             podman kube down kube.yaml >/dev/null; podman pod exists kube || echo gone"
        ));
        assert_eq!(seen, "33554432\n0000000000000000\nwritten\nplayed\ngone", "{podman:?}");
    }
}

const KUBE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  hostNetwork: true
  containers:
  - name: one
    image: localhost/box
    imagePullPolicy: Never
    command: [sh, -c, "echo $WORD; sleep 1000"]
    env: [{name: WORD, value: played}]
    resources: {limits: {memory: 32Mi}}
    securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
  - name: two
    image: localhost/box
    imagePullPolicy: Never
    command: [sleep, "1000"]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes: [{name: scratch, emptyDir: {}}]
"#;

#[test]
#[ignore = "long"]
fn a_generated_unit_starts_and_stops() {
    a_unit(ROOT, "systemctl", "/etc/systemd/system");
    a_unit(USER, "systemctl --user", "/home/user/.config/systemd/user");
}

fn a_unit(podman: Caller, systemctl: &str, directory: &str) {
    let seen = podman.says(&format!(
        "podman create --name unit --network none box sleep 1000 >/dev/null
         mkdir -p {directory}; podman generate systemd --time 0 --name unit 2>/dev/null >{directory}/unit.service
         {systemctl} daemon-reload; {systemctl} start unit; {systemctl} is-active unit
         podman inspect --format '{{{{.State.Status}}}}' unit
         {systemctl} restart unit; {systemctl} is-active unit
         {systemctl} stop unit; podman inspect --format '{{{{.State.Status}}}}' unit; podman rm unit"
    ));
    assert_eq!(seen, "active\nrunning\nactive\nexited\nunit", "{podman:?}");
}

/// Podman has systemd call it by a timer, and looks by an `exec`.
#[test]
#[ignore = "long"]
fn a_timer_looks_after_health() {
    for podman in [ROOT, USER] {
        let health = "podman inspect --format '{{.State.Health.Status}}' health";
        let seen = podman.says(&format!(
            "podman run --detach --name health --network none --health-cmd 'test -e /tmp/well' --health-interval 2s \
                --health-retries 1 box sleep 1000 >/dev/null
             until {health} | grep -x unhealthy; do sleep 1; done
             podman exec health touch /tmp/well
             until {health} | grep -x healthy; do sleep 1; done
             podman healthcheck run health && echo well
             podman rm --force --time 0 health"
        ));
        assert_eq!(seen, "unhealthy\nhealthy\nwell\nhealth", "{podman:?}");
    }
}
