//! Containers of bundles that were made from images.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use runtime_tests::{Runtime, Terminal, User, require_cgroup2, wait_until};
use serde_json::json;

use crate::archive::{Entry, archive, directory, docker, entry, file, link, symlink};
use crate::home::{Answer, Home, answer, sh};

/// A layer with busybox, and a file of this user.
pub fn busybox(user: u32) -> Vec<u8> {
    let program = std::env::var_os("MINIRUN_BUSYBOX").unwrap_or_else(|| "/bin/busybox".into());
    let program = Entry { content: fs::read(program).unwrap(), ..entry(b'0', "bin/busybox") }.mode(0o755);
    let mut entries = vec![directory("bin"), program];
    for name in [
        "sh", "unshare", "true", "cat", "echo", "id", "ls", "pwd", "stat", "env", "test", "touch", "df", "sleep",
        "hostname", "readlink", "rm",
    ] {
        entries.push(symlink(format!("bin/{name}"), "busybox"));
    }
    for name in ["dev", "proc", "sys", "etc", "gone", "data"] {
        entries.push(directory(name));
    }
    entries.push(directory("tmp").mode(0o1777));
    entries.push(file("gone/file", "x"));
    entries.push(file("etc/passwd", "root:x:0:0::/:\nwww:x:33:33::/:\n"));
    entries.push(file("data/file", "from the image").ids(user, user));
    archive(&entries)
}

fn image(home: &Home, config: &serde_json::Value) {
    image_of(home, config, 33);
}

fn image_of(home: &Home, config: &serde_json::Value, user: u32) {
    require_cgroup2();
    let above = archive(&[
        directory("gone"),
        entry(b'0', "gone/.wh..wh..opq"),
        file("etc/new", "new"),
        entry(b'0', "etc/.wh.none"),
    ]);
    docker(&home.path("image.tar"), config, &[busybox(user), above]);
}

/// Makes a bundle and runs it.
fn run(home: &Home, name: &str, options: &[&str], script: &str) -> Answer {
    let words = ["bundle", "--store", "store", "--cmd", "-c", "--cmd", script];
    home.call(&[&words, options, &["docker-archive:image.tar", name]].concat()).success();
    again(home, name)
}

/// A container that runs until it is dropped.
struct Container<'a> {
    home: &'a Home,
    id: String,
}

impl<'a> Container<'a> {
    fn start(home: &'a Home, name: &str, options: &[&str], script: &str) -> Self {
        let words = ["bundle", "--store", "store", "--cmd", "-c", "--cmd", script];
        home.call(&[&words, options, &["docker-archive:image.tar", name]].concat()).success();
        let container = Self { home, id: format!("images-{}-{name}", std::process::id()) };
        answer(container.command(&["run", "-d", "-b", name]).stdout(Stdio::null()).stderr(Stdio::null())).success();
        container
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Runtime::from_env().command(&self.home.path("state"));
        command.args(words).arg(&self.id).current_dir(self.home.path("."));
        command
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _gone = self.command(&["delete", "-f"]).output();
    }
}

fn again(home: &Home, name: &str) -> Answer {
    let state = home.path("state");
    let mut command = Runtime::from_env().command(&state);
    answer(command.args(["run", &format!("./{name}/")]).current_dir(home.path(".")))
}

#[test]
fn a_container_is_what_the_image_says() {
    let home = Home::new();
    image(
        &home,
        &json!({"Entrypoint": ["/bin/sh"], "Env": ["A=image", "PATH=/bin"], "User": "www", "WorkingDir": "/etc"}),
    );
    let script = "id -u; pwd; echo $A $B; cat new; ls -a /gone; touch /tmp/x && echo made";
    let said = run(&home, "one", &["--env", "B=caller"], script).success();
    assert_eq!(said, "33\n/etc\nimage caller\nnew.\n..\nmade\n");
    // What was changed is in the bundle.
    assert!(home.path("one/private/upper/tmp/x").exists());
    let said =
        run(&home, "two", &["--user", "0", "--read-only", "--hostname", "box"], "id -u; hostname; touch /etc/x").stdout;
    assert_eq!(said, "0\nbox\n");
}

#[test]
fn changes_in_memory_are_limited_and_gone_with_the_container() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let script =
        "test ! -e /etc/x; echo $?; touch /etc/x; cat /bin/busybox /bin/busybox >/tmp/x 2>/dev/null || echo full";
    let said = run(&home, "one", &["--upper-size", "1m"], script).success();
    assert_eq!(said, "0\nfull\n");
    assert_eq!(again(&home, "one").success(), "0\nfull\n");
    assert!(!home.path("one/private/upper").exists());
}

#[test]
fn volumes_are_directories_of_the_bundle_or_of_the_host() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"], "Volumes": {"/data": {}}}));
    fs::create_dir(home.path("host")).unwrap();
    fs::write(home.path("host/file"), "from the host").unwrap();
    let said = run(&home, "one", &[], "cat /data/file; stat -c ' %u' /data/file; echo x >/data/made").success();
    assert_eq!(said, "from the image 33\n");
    assert!(
        home.path("one/private/volumes/0-data/made").exists() && !home.path("one/private/upper/data/made").exists()
    );
    let volume = format!("{}:/data:ro", home.path("host").display());
    let said =
        run(&home, "two", &["--volume", &volume], "cat /data/file; echo; touch /data/x 2>/dev/null || echo read-only")
            .success();
    assert_eq!(said, "from the host\nread-only\n");
}

#[test]
fn volumes_keep_attributes_and_links() {
    let home = Home::new();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = archive(&[
        directory("data").ids(7, 8).mode(0o2750).pax("SCHILY.xattr.user.on", "directory"),
        directory("data/sub"),
        file("data/a", "content").ids(7, 8).pax("SCHILY.xattr.security.capability", capability),
        link("data/sub/b", "data/a"),
        symlink("data/sub/link", "x"),
        file("data/one", "").pax("SCHILY.xattr.user.on", "file").mode(0o4755),
    ]);
    docker(&home.path("image.tar"), &json!({"Volumes": {"/data": {}}}), &[layer]);
    home.bundle("docker-archive:image.tar", "one", &[]).success();
    let said = sh(
        &home.path("one/private/volumes/0-data"),
        "test a -ef sub/b; stat -c '%h %u %g %a' a one .; getcap sub/b; getfattr --only-values -n user.on . one",
    );
    assert_eq!(said, "2 7 8 644\n1 0 0 4755\n3 7 8 2750\nsub/b cap_net_bind_service=ep\ndirectoryfile");
}

#[test]
fn a_volume_does_not_hide_a_deeper_one() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"], "Volumes": {"/data/image": {}}}));
    sh(&home.path("."), "mkdir -p deep shallow; echo deep >deep/file; echo shallow >shallow/file");
    let volume = |name: &str, at: &str| format!("--volume={}:{at}", home.path(name).display());
    let options = [volume("deep", "/data/sub"), volume("shallow", "/data/")];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let said = run(&home, "one", &options, "cat /data/sub/file /data/file; touch /data/image/made").success();
    assert_eq!(said, "deep\nshallow\n");
    assert!(home.path("one/private/volumes/0-data-image/made").exists());
}

#[test]
fn root_of_a_user_namespace_sees_what_layers_hide() {
    let home = Home::new();
    // No other user is mapped.
    image_of(&home, &json!({"Entrypoint": ["/bin/sh"]}), 0);
    let script = r#"set -- "$0" --root state --cgroup-manager disabled
        "$@" bundle --store store --cmd -c --cmd "ls -a /gone; rm -r /etc; test ! -e /etc && echo removed" \
            docker-archive:image.tar one
        sed -i s/gid=5/gid=0/ one/config.json
        "$@" run ./one/
        "$@" diff ./one/"#;
    let mut command = Command::new("unshare");
    command.args(["-Urmpf", "--mount-proc", "sh", "-euc", script]).arg(Runtime::from_env().bare().get_program());
    let said = answer(command.current_dir(home.path("."))).success();
    assert!(said.starts_with(".\n..\nremoved\n") && said.contains("D /etc\n"), "{said}");
}

#[test]
fn limits_are_in_the_configuration() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let options = [
        "--memory",
        "64m",
        "--cpus",
        "0.5",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "--pids-limit",
        "20",
        "--net",
        "host",
    ];
    home.bundle("docker-archive:image.tar", "one", &options).success();
    let config = home.config("one");
    let resources = &config["linux"]["resources"];
    assert_eq!(resources["memory"], json!({"limit": 64 << 20}));
    assert_eq!(resources["cpu"], json!({"cpus": "0", "period": 100_000, "quota": 50_000, "shares": 512}));
    assert_eq!(resources["pids"], json!({"limit": 20}));
    let namespaces = config["linux"]["namespaces"].as_array().unwrap();
    assert!(namespaces.iter().all(|namespace| namespace["type"] != "network"));
    for (options, why) in [
        (["--cpus", "0"], "--cpus"),
        (["--memory", "much"], "--memory"),
        (["--net", "bridge"], "--net"),
        (["--device-read-bps", "/dev/null:1m"], "not a block device"),
        (["--volume", "/no/such/place:/data"], "--volume"),
        (["--env", "NO_SUCH_VARIABLE"], "--env"),
        (["--user", "nobody-there"], "has no user"),
    ] {
        let said = home.bundle("docker-archive:image.tar", "two", &options).failure();
        assert!(said.contains(why), "{options:?}: {said}");
        assert!(!home.path("two").exists());
    }
}

#[test]
fn rates_are_those_of_block_devices() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    sh(&home.path("."), "mknod disk b 7 200; mknod 'a:b' b 7 201");
    let options = [
        "--device-read-bps=disk:1m",
        "--device-read-bps=a:b:2048",
        "--device-write-bps=disk:2g",
        "--device-read-iops=disk:100",
        "--device-write-iops=disk:200",
    ];
    home.bundle("docker-archive:image.tar", "one", &options).success();
    let rate = |minor: u32, rate: u64| json!({"major": 7, "minor": minor, "rate": rate});
    let expected = json!({
        "throttleReadBpsDevice": [rate(200, 1 << 20), rate(201, 2048)],
        "throttleWriteBpsDevice": [rate(200, 2 << 30)],
        "throttleReadIOPSDevice": [rate(200, 100)],
        "throttleWriteIOPSDevice": [rate(200, 200)],
    });
    assert_eq!(home.config("one")["linux"]["resources"]["blockIO"], expected);
}

#[test]
fn a_network_is_none_the_hosts_or_that_of_a_container() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let own = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let script = "readlink /proc/self/ns/net";
    let namespace = |name: &str, options: &[&str]| run(&home, name, options, script).success().trim().to_owned();
    assert_eq!(namespace("host", &["--net", "host"]), own);
    assert_ne!(namespace("none", &["--net", "none"]), own);
    let first = Container::start(&home, "first", &[], "readlink /proc/self/ns/net >/net; sleep 1000");
    let expected = home.path("first/private/upper/net");
    wait_until("the first container", || fs::read_to_string(&expected).is_ok_and(|text| text.ends_with('\n')));
    let joined = format!("container:{}", first.id);
    let state = home.path("state");
    let words = ["bundle", "--store", "store", "--net", &joined, "--cmd", "-c", "--cmd", script];
    let mut command = Runtime::from_env().command(&state);
    command.args(words).args(["docker-archive:image.tar", "second"]).current_dir(home.path("."));
    answer(&mut command).success();
    assert_eq!(again(&home, "second").success(), fs::read_to_string(expected).unwrap());
    assert_ne!(again(&home, "second").success().trim(), own);
    let said = home.bundle("docker-archive:image.tar", "third", &["--net", "container:nobody"]).failure();
    assert!(said.contains("container nobody does not exist") && !home.path("third").exists(), "{said}");
}

#[test]
fn a_terminal_is_given_and_told_to_programs() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"], "WorkingDir": "/etc"}));
    let script = "test -t 0 && test -t 1 && echo on $TERM in $(pwd)";
    let words = ["bundle", "--store", "store", "--tty", "--workdir", "/tmp", "--cmd", "-c", "--cmd", script];
    home.call(&[&words[..], &["docker-archive:image.tar", "one"]].concat()).success();
    let state = home.path("state");
    let mut command = Runtime::from_env().command(&state);
    command.args(["run", "./one/"]).current_dir(home.path("."));
    let (mut terminal, slave, mut child) = Terminal::start(&mut command, 24, 80);
    terminal.wait_for("on xterm in /tmp\r\n");
    assert!(child.wait().unwrap().success());
    drop(slave);
}

#[test]
fn an_ordinary_user_has_images_of_its_own() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let own = home.path("own");
    fs::create_dir(&own).unwrap();
    fs::copy(home.path("image.tar"), own.join("image.tar")).unwrap();
    let program = Runtime::from_env().copied_to(&own);
    for path in [home.path("."), own.clone()] {
        chown(&path, Some(User::id()), Some(User::id())).unwrap();
    }
    let call = |user: &User, words: &[&str]| {
        let mut command = program.bare();
        command.args(words).current_dir(&own).env("HOME", &own).env_remove("XDG_DATA_HOME");
        user.takes(&mut command);
        answer(&mut command)
    };
    let user = User::with_ids().at_home(&own);
    let make = |user: &User, name: &str| {
        call(
            user,
            &[
                "bundle",
                "--cmd",
                "-c",
                "--cmd",
                "ls -a /gone; cat /etc/new; stat -c ' %u' /data/file",
                "docker-archive:image.tar",
                name,
            ],
        )
    };
    make(&user, "one").success();
    let said = call(&user, &["run", "./one/"]).success();
    assert_eq!(said, ".\n..\nnew 33\n");
    call(&user, &["image", "verify"]).success();
    assert!(exists(&own, ".local/share/minirun/layers"));
    fs::remove_dir_all(own.join("one")).unwrap();
    call(&user, &["image", "prune"]).success();
    assert_eq!(fs::read_dir(own.join(".local/share/minirun/layers")).unwrap().count(), 0);
}

fn exists(directory: &Path, name: impl AsRef<OsStr>) -> bool {
    directory.join(name.as_ref()).exists()
}

/// The filter of `bundle`, as the programs of a container meet it.
#[test]
fn a_bundle_has_a_filter_of_system_calls() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let script = "cat /proc/self/status >/tmp/status; cat /tmp/status | while read -r key value; do \
                  [ $key = Seccomp: ] && echo $value; done; touch /tmp/x; rm /tmp/x; unshare -U true 2>/dev/null || echo refused";
    assert_eq!(run(&home, "default", &[], script).success(), "2\nrefused\n");
    let seccomp = home.config("default")["linux"]["seccomp"].clone();
    assert_eq!(seccomp["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(run(&home, "same", &["--seccomp", "default"], script).success(), "2\nrefused\n");
    assert_eq!(home.config("same")["linux"]["seccomp"], seccomp);
    assert_eq!(run(&home, "none", &["--seccomp", "none"], script).success().lines().next(), Some("0"));
    assert!(home.config("none")["linux"]["seccomp"].is_null());
    let own = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["unlinkat", "unlink"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11}]});
    fs::write(home.path("own.json"), own.to_string()).unwrap();
    let said =
        run(&home, "own", &["--seccomp", "own.json"], "touch /tmp/x; rm /tmp/x 2>/dev/null || echo kept").success();
    assert_eq!(said, "kept\n");
    assert_eq!(home.config("own")["linux"]["seccomp"], own);
}

#[test]
fn profiles_that_would_mean_something_else_are_refused() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let rule = |more: serde_json::Value| {
        let mut rule = json!({"names": ["mount"], "action": "SCMP_ACT_ALLOW"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}).to_string()
    };
    for (text, why) in [
        ("{".to_owned(), "EOF"),
        ("[]".to_owned(), "expected an object"),
        (json!({"defaultAction": "ALLOW"}).to_string(), "unknown action \"ALLOW\""),
        (json!({"defaultAction": "SCMP_ACT_ERRNO", "archMap": []}).to_string(), "\"archMap\" is not a member"),
        // Docker's condition: without it the call would be allowed to every container.
        (rule(json!({"includes": {"caps": ["CAP_SYS_ADMIN"]}})), "\"includes\" is not a member"),
        (rule(json!({"args": [{"index": 9, "value": 0, "op": "SCMP_CMP_EQ"}]})), "out of range"),
    ] {
        fs::write(home.path("own.json"), &text).unwrap();
        let said = home.bundle("docker-archive:image.tar", "one", &["--seccomp", "own.json"]).failure();
        assert!(said.contains("--seccomp own.json") && said.contains(why), "{text}: {said}");
        assert!(!home.path("one").exists());
    }
    let said = home.bundle("docker-archive:image.tar", "one", &["--seccomp", "missing"]).failure();
    assert!(said.contains("--seccomp missing"), "{said}");
}

#[test]
fn what_engines_mask_is_masked() {
    let home = Home::new();
    image(&home, &json!({"Entrypoint": ["/bin/sh"]}));
    let script = "cat /proc/interrupts; ls /sys/devices/virtual/powercap 2>/dev/null; \
                  cat /sys/devices/system/cpu/cpu0/thermal_throttle/* 2>/dev/null; echo end";
    assert_eq!(run(&home, "one", &[], script).success(), "end\n");
    home.call(&["spec", "--bundle", "."]).success();
    let spec: serde_json::Value = serde_json::from_slice(&fs::read(home.path("config.json")).unwrap()).unwrap();
    assert_eq!(spec["linux"]["maskedPaths"], home.config("one")["linux"]["maskedPaths"]);
}

#[test]
fn what_no_container_can_run_with_is_refused() {
    let home = Home::new();
    for (config, options, why) in [
        (json!({"Cmd": ["sh"], "Volumes": {"/": {}}}), &[][..], "it would hide the root"),
        (json!({"Cmd": ["sh"], "Volumes": {"/data/..": {}}}), &[], "it would hide the root"),
        (json!({"Cmd": ["sh"], "Volumes": {"//proc/": {}}}), &[], "/proc is the kernel's"),
        (json!({"Cmd": ["sh"]}), &["--volume", "/tmp:/proc/sys"], "/proc is the kernel's"),
        (json!({"Cmd": ["sh"]}), &["--volume", "/tmp:/"], "it would hide the root"),
        (json!({"Cmd": [""]}), &[], "the first word of the command is empty"),
        (json!({"Entrypoint": ["", "x"], "Cmd": ["sh"]}), &[], "the first word of the command is empty"),
        (json!({"Cmd": ["sh"]}), &["--cmd", ""], "the first word of the command is empty"),
    ] {
        image(&home, &config);
        let words = [&["bundle", "--store", "store"], options, &["docker-archive:image.tar", "one"]].concat();
        let said = home.call(&words).failure();
        assert!(said.contains(why), "{config}: {said}");
        assert!(!home.path("one").exists());
    }
}
