//! `docker run`: what its options make of the process, and its exit statuses.

use runtime_tests::fails_on;

use super::{docker, fs, runtime, says, sh};

/// Docker makes exit statuses of runc's words.
pub const CRUNS_WORDS: [(&str, &str); 1] =
    [("crun", "says \"executable file `nosuch` not found\" and \"exists but it is not executable\", so it is 125")];

#[test]
fn a_program_that_cannot_run_has_the_status_of_a_shell() {
    let _docker = docker();
    assert_eq!(says("docker info --format '{{.DefaultRuntime}}'"), runtime());
    let output = sh("docker run --rm box nosuch");
    fails_on(&CRUNS_WORDS, || {
        assert!(output.status == 127 && output.stderr.contains("executable file not found in $PATH"), "{output:?}");
    });
    fails_on(&CRUNS_WORDS, || assert_eq!(sh("docker run --rm box /etc/passwd").status, 126));
    // A first process cannot kill itself; as the init's child it can.
    for (words, status) in [("box sh -c 'exit 5'", 5), ("--init box sh -c 'kill -9 $$'", 137)] {
        assert_eq!(sh(&format!("docker run --rm {words}")).status, status, "{words}");
    }
    assert_eq!(sh("docker run --rm --nosuch box true").status, 125);
}

#[test]
fn options_arrive_at_the_process() {
    let _docker = docker();
    fs::write("/var/tmp/variables", "TWO=2\nTHREE\n").unwrap();
    let script = "echo $(id -u) $(id -g) $(id -G); pwd; hostname; echo $ONE $TWO $THREE; cat /proc/1/comm
        getent=$(grep other /etc/hosts); echo ${getent%%[^0-9.]*}; grep ^nameserver /etc/resolv.conf
        cat /sys/class/net/eth0/address; echo >/srv/file || echo refused; echo >/tmp/file && echo written; umask
        ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj
        df -k /dev/shm | tail -n 1";
    let seen = says(&format!(
        "rm -f /var/tmp/cid; THREE=3 docker run --rm -e ONE=1 --env-file /var/tmp/variables -w /srv -u 1000:5 -h named \
         --group-add 7 --add-host other:10.9.9.9 --dns 10.9.9.53 --mac-address 02:42:ac:11:00:99 --read-only \
         --tmpfs /tmp \
         --init --cidfile /var/tmp/cid --ulimit nofile=77 --sysctl net.ipv4.ip_unprivileged_port_start=55 \
         --oom-score-adj 44 --shm-size 3m box sh -c '{script}' 2>/dev/null"
    ));
    let lines: Vec<_> = seen.lines().collect();
    let expected = [
        "1000 5 5 7",
        "/srv",
        "named",
        "1 2 3",
        "docker-init",
        "10.9.9.9",
        "nameserver 10.9.9.53",
        "02:42:ac:11:00:99",
        "refused",
        "written",
        "0022",
        "77",
        "55",
        "44",
    ];
    assert_eq!(lines[..expected.len()], expected, "{seen}");
    assert!(lines[expected.len()].contains(" 3072 "), "{seen}");
    assert_eq!(fs::read_to_string("/var/tmp/cid").unwrap().len(), 64);
}

#[test]
#[ignore = "long"]
fn entry_points_and_arguments_come_together() {
    let _docker = docker();
    assert_eq!(says("docker run --rm --entrypoint echo box one 'two  three' '$four'"), "one two  three $four");
    assert_eq!(says("echo typed | docker run --rm -i box cat"), "typed");
    let output = sh("docker run --rm -a stderr box sh -c 'echo out; echo err >&2'");
    assert_eq!((&*output.stdout, &*output.stderr), ("", "err\n"));
}
