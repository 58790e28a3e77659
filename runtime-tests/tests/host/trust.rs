//! State that other users can write is refused, and no file in its place blocks a command.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};

use runtime_tests::{Bundle, Container, Runtime, User, may_fail_on};
use serde_json::{Value, json};

const PEERS: [(&str, &str); 2] = [("runc", "believes every record"), ("crun", "believes every record")];

/// Every command that reads a record.
const COMMANDS: [&[&str]; 9] = [
    &["state"],
    &["start"],
    &["kill"],
    &["pause"],
    &["resume"],
    &["ps"],
    &["events", "--stats"],
    &["update", "--pids-limit", "5"],
    &["delete", "-f"],
];

fn paused() -> Container {
    Bundle::base().probe("pause").create()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// All commands are refused with a message that has this text, and the container is as it was.
#[track_caller]
fn assert_refused(container: &Container, text: &str) {
    let bundle = container.bundle();
    for words in COMMANDS {
        let message = container.call(words, &[]).failure();
        assert!(message.contains(text), "{words:?}: {message}");
    }
    for words in [&["exec"][..], &["list"]] {
        let rest: &[&str] = if words == ["exec"] { &[bundle.id(), "/bin/true"] } else { &[] };
        let message = bundle.call(&[words, rest].concat());
        assert!(words == ["list"] || message.status != 0, "{message:?}");
        assert!(message.stderr.contains(text), "{words:?}: {message:?}");
    }
}

#[test]
fn a_state_directory_of_another_user_is_refused() {
    may_fail_on(&PEERS, || {
        let container = paused();
        let (bundle, root) = (container.bundle(), container.bundle().state_root());
        chown(&root, Some(User::id()), None).unwrap();
        let text = format!("state directory {}: it belongs to user {}", root.display(), User::id());
        assert_refused(&container, &text);
        assert!(bundle.try_create().failure().contains(&text));
        chown(&root, Some(0), None).unwrap();
        assert_eq!(container.status(), "created");
    });
}

/// Files that belong to root are everywhere: root of a container makes them too.
#[test]
fn a_state_directory_that_others_can_exchange_is_refused() {
    may_fail_on(&PEERS, || {
        let container = paused();
        let (bundle, root) = (container.bundle(), container.bundle().state_root());
        let (homes, links) = (bundle.home().join("homes"), bundle.home().join("links"));
        for directory in [&homes, &links] {
            fs::create_dir(directory).unwrap();
        }
        symlink(&root, homes.join("state")).unwrap();
        symlink(homes.join("state"), links.join("state")).unwrap();
        let call = |at: &Path, command: &str| {
            let mut words = Command::new(bundle.runtime().command(&root).get_program());
            bundle.finish(words.arg("--root").arg(at).args([command, bundle.id()]))
        };
        for at in [&homes, &links] {
            call(&at.join("state"), "state").success();
        }
        chown(&homes, Some(User::id()), None).unwrap();
        for at in [&homes, &links] {
            let message = call(&at.join("state"), "state").failure();
            assert!(message.contains(&format!("{}: it belongs to user {}", homes.display(), User::id())), "{message}");
        }
        chown(&homes, Some(0), None).unwrap();
        set_mode(&homes, 0o777);
        let message = call(&links.join("state"), "state").failure();
        assert!(message.contains("its mode 0777"), "{message}");
        // The owner of a link can have it lead to any directory.
        set_mode(&homes, 0o1777);
        call(&links.join("state"), "state").success();
        std::os::unix::fs::lchown(homes.join("state"), Some(User::id()), None).unwrap();
        call(&links.join("state"), "state").failure();
    });
}

#[test]
fn a_state_directory_that_others_can_write_is_refused() {
    may_fail_on(&PEERS, || {
        let container = paused();
        let root = container.bundle().state_root();
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            set_mode(&root, mode);
            assert_refused(&container, &format!("state directory {}: its mode {mode:04o}", root.display()));
        }
        set_mode(&root, 0o755);
        assert_eq!(container.status(), "created");
    });
}

#[test]
fn a_directory_or_record_of_another_user_is_refused() {
    may_fail_on(&PEERS, || {
        let container = paused();
        let directory = container.bundle().state_root().join(container.bundle().id());
        for path in [directory.clone(), directory.join("state.json")] {
            chown(&path, Some(User::id()), None).unwrap();
            assert_refused(&container, &format!("it belongs to user {}", User::id()));
            chown(&path, Some(0), None).unwrap();
            set_mode(&path, if path == directory { 0o777 } else { 0o666 });
            assert_refused(&container, "lets other users write");
            set_mode(&path, if path == directory { 0o700 } else { 0o600 });
        }
        assert_eq!(container.status(), "created");
    });
}

/// A process that has nothing to do with any container.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("/bin/busybox").args(["sleep", "1000"]).spawn().unwrap())
    }

    fn start_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The attack: root deletes a container that a user has forged.
#[test]
fn a_forged_record_makes_root_kill_remove_and_run_nothing() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    for trusted in [false, true] {
        let container = paused();
        let (bundle, root) = (container.bundle(), container.bundle().state_root());
        let mut stranger = Stranger::new();
        let record: Value =
            serde_json::from_slice(&fs::read(root.join(bundle.id()).join("state.json")).unwrap()).unwrap();
        let forged = root.join("forged");
        let outside = bundle.home().join("outside");
        fs::create_dir_all(outside.join("victim")).unwrap();
        fs::create_dir(&forged).unwrap();
        let mut lie = record.clone();
        lie["id"] = "forged".into();
        lie["hooksAfterCreate"] = true.into();
        lie["cgroup"]["mount"] = outside.to_str().into();
        lie["cgroup"]["path"] = "victim".into();
        lie["cgroup"]["made"] = "victim".into();
        if !trusted {
            lie["init"] = json!({"pid": stranger.0.id(), "startTime": stranger.start_time()});
        }
        fs::write(forged.join("state.json"), lie.to_string()).unwrap();
        let ran = bundle.home().join("ran");
        let hook = json!([{"path": "/bin/busybox", "args": ["touch", ran]}]);
        let config = json!({"ociVersion": "1.0.2", "hooks": {"poststop": hook}});
        fs::write(forged.join("config.json"), config.to_string()).unwrap();
        if !trusted {
            for path in [forged.join("state.json"), forged.join("config.json"), forged.clone()] {
                chown(path, Some(User::id()), Some(User::id())).unwrap();
            }
        }
        let output = bundle.call(&["delete", "-f", "forged"]);
        assert!(trusted || output.status != 0, "{output:?}");
        assert!(stranger.lives(), "a stranger was killed");
        assert!(outside.join("victim").exists(), "a directory outside of cgroup2 was removed");
        assert!(trusted || !ran.exists(), "a program was run");
        let _ = fs::remove_dir_all(&forged);
    }
}

/// Puts something in the place of a file, and calls all commands.
#[test]
fn nothing_in_the_place_of_a_file_of_the_state_keeps_a_command_waiting() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let make_node = |path: &Path, kind: libc::mode_t, device| {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the string ends in a zero and outlives the call.
        assert_eq!(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) }, 0);
    };
    let intruders: [&dyn Fn(&Path); 6] = [
        &|path| make_node(path, libc::S_IFIFO, 0),
        &|path| make_node(path, libc::S_IFCHR, libc::makedev(1, 3)),
        &|path| make_node(path, libc::S_IFCHR, libc::makedev(5, 0)),
        &|path| drop(UnixListener::bind(path).unwrap()),
        &|path| symlink("/etc/passwd", path).unwrap(),
        &|path| fs::create_dir(path).unwrap(),
    ];
    for name in ["state.json", "config.json"] {
        for (i, put) in intruders.iter().enumerate() {
            let container = paused();
            let path = container.bundle().state_root().join(container.bundle().id()).join(name);
            let kept = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            put(&path);
            for words in
                COMMANDS.iter().filter(|words| words[0] != "delete" && (name == "state.json" || words[0] == "exec"))
            {
                let message = container.call(words, &[]).failure();
                assert!(message.contains(name), "{name} {i} {words:?}: {message}");
            }
            let exec = container.exec(&[], &["/bin/true"]).failure();
            assert!(exec.contains(name), "{name} {i}: {exec}");
            let _ = container.call(&["delete", "-f"], &[]);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            if path.parent().unwrap().exists() {
                fs::write(&path, kept).unwrap();
                container.call(&["delete", "-f"], &[]).success();
            }
            container.bundle().assert_nothing_left();
        }
    }
}

#[test]
fn something_else_in_the_place_of_a_containers_directory_is_an_error() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let container = paused();
    let root = container.bundle().state_root();
    let path = CString::new(root.join("fifo").to_str().unwrap()).unwrap();
    // SAFETY: the string ends in a zero and outlives the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    symlink(container.bundle().id(), root.join("link")).unwrap();
    for id in ["fifo", "link"] {
        for words in COMMANDS {
            container.bundle().call(&[words, &[id]].concat()).failure();
        }
    }
    assert_eq!(container.status(), "created");
}

/// The XDG Base Directory Specification has relative paths ignored: they would lead to whatever directory the caller is in.
#[test]
fn a_relative_runtime_directory_is_ignored() {
    if !Runtime::from_env().is_minirun() {
        return;
    }
    let bundle = Bundle::base().of_user(User::plain()).probe("pause");
    bundle.write();
    let directory = bundle.path().join("run");
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(User::id()), Some(User::id())).unwrap();
    for relative in ["run", "./run", "."] {
        for words in [&["list"][..], &["create", bundle.id()]] {
            let mut command = bundle.runtime().bare();
            command.args(words).current_dir(bundle.path());
            bundle.user().unwrap().takes(&mut command);
            let message = bundle.finish(command.env("XDG_RUNTIME_DIR", relative)).failure();
            assert!(message.contains("XDG_RUNTIME_DIR is not an absolute path"), "{relative}: {message}");
        }
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}
