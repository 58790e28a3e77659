//! The top level, `root`, `mounts` and `hooks`. Seen from inside: host/mounts.rs, host/names.rs, host/hooks.rs.

use serde_json::json;

use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            &["ociVersion"],
            json!({"/ociVersion": "2.0.0"}),
            &["refused: ociVersion: version \"2.0.0\" is not supported (expected 1.0.0 to 1.3.x)"],
        ),
        row(&["root.path"], json!({"/root/path": "other"}), &[]),
        row(&["root.readonly"], json!({"/root/readonly": true}), &["init read-only-root / [root.readonly]"]),
        row(&["hostname"], json!({"/hostname": "box"}), &["init hostname box [hostname]"]),
        row(&["domainname"], json!({"/domainname": "example"}), &["init domainname example [domainname]"]),
        row(&["annotations[\"KEY\"]"], json!({"/annotations": {"KEY": "value"}}), &[]),
        row(
            &["mounts[0].destination"],
            json!({"/mounts": [{"destination": "/a/../b", "type": "tmpfs"}]}),
            &["init mount /b tmpfs [mounts[0]]"],
        ),
        row(
            &["mounts[0].type"],
            json!({"/mounts": [{"destination": "/mnt", "type": "mqueue"}]}),
            &["init mount /mnt mqueue [mounts[0]]"],
        ),
        row(
            &["mounts[0].source"],
            json!({"/mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "shm"}]}),
            &["init mount /mnt tmpfs [mounts[0]]"],
        ),
        row(
            &["mounts[0].options[0]"],
            json!({"/mounts": [{"destination": "/mnt", "type": "tmpfs", "options": ["nosuid", "size=64k"]}]}),
            &["init mount /mnt nosuid tmpfs size=64k [mounts[0]]"],
        ),
        row(
            &[
                "mounts[0].uidMappings[0].containerID",
                "mounts[0].uidMappings[0].hostID",
                "mounts[0].uidMappings[0].size",
                "mounts[0].gidMappings[0].containerID",
                "mounts[0].gidMappings[0].hostID",
                "mounts[0].gidMappings[0].size",
            ],
            json!({"/mounts": [{"destination": "/mnt", "type": "bind", "source": "/src", "options": ["bind"], "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 5}], "gidMappings": [{"containerID": 1, "hostID": 2000, "size": 6}]}]}),
            &["host idmap uids 0 1000 5; gids 1 2000 6 [mounts[0]]", "init bind /mnt from /src idmap [mounts[0]]"],
        ),
        row(
            &["hooks.prestart[0].path"],
            json!({"/hooks": {"prestart": [{"path": "/bin/hook"}]}}),
            &["init await-hooks [hooks]", "hooks prestart /bin/hook [hooks.prestart[0]]"],
        ),
        row(
            &["hooks.prestart[0].args[0]"],
            json!({"/hooks": {"prestart": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["init await-hooks [hooks]", "hooks prestart /bin/hook [hooks.prestart[0]]"],
        ),
        row(
            &["hooks.prestart[0].env[0]"],
            json!({"/hooks": {"prestart": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["init await-hooks [hooks]", "hooks prestart /bin/hook [hooks.prestart[0]]"],
        ),
        row(
            &["hooks.prestart[0].timeout"],
            json!({"/hooks": {"prestart": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["init await-hooks [hooks]", "hooks prestart /bin/hook (at most 3 s) [hooks.prestart[0]]"],
        ),
        row(
            &["hooks.createRuntime[0].path"],
            json!({"/hooks": {"createRuntime": [{"path": "/bin/hook"}]}}),
            &["init await-hooks [hooks]", "hooks createRuntime /bin/hook [hooks.createRuntime[0]]"],
        ),
        row(
            &["hooks.createRuntime[0].args[0]"],
            json!({"/hooks": {"createRuntime": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["init await-hooks [hooks]", "hooks createRuntime /bin/hook [hooks.createRuntime[0]]"],
        ),
        row(
            &["hooks.createRuntime[0].env[0]"],
            json!({"/hooks": {"createRuntime": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["init await-hooks [hooks]", "hooks createRuntime /bin/hook [hooks.createRuntime[0]]"],
        ),
        row(
            &["hooks.createRuntime[0].timeout"],
            json!({"/hooks": {"createRuntime": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["init await-hooks [hooks]", "hooks createRuntime /bin/hook (at most 3 s) [hooks.createRuntime[0]]"],
        ),
        row(
            &["hooks.createContainer[0].path"],
            json!({"/hooks": {"createContainer": [{"path": "/bin/hook"}]}}),
            &["init await-hooks [hooks]", "hooks createContainer /bin/hook [hooks.createContainer[0]]"],
        ),
        row(
            &["hooks.createContainer[0].args[0]"],
            json!({"/hooks": {"createContainer": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["init await-hooks [hooks]", "hooks createContainer /bin/hook [hooks.createContainer[0]]"],
        ),
        row(
            &["hooks.createContainer[0].env[0]"],
            json!({"/hooks": {"createContainer": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["init await-hooks [hooks]", "hooks createContainer /bin/hook [hooks.createContainer[0]]"],
        ),
        row(
            &["hooks.createContainer[0].timeout"],
            json!({"/hooks": {"createContainer": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["init await-hooks [hooks]", "hooks createContainer /bin/hook (at most 3 s) [hooks.createContainer[0]]"],
        ),
        row(
            &["hooks.startContainer[0].path"],
            json!({"/hooks": {"startContainer": [{"path": "/bin/hook"}]}}),
            &["init hook /bin/hook [hooks.startContainer[0]]"],
        ),
        row(
            &["hooks.startContainer[0].args[0]"],
            json!({"/hooks": {"startContainer": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["init hook /bin/hook [hooks.startContainer[0]]"],
        ),
        row(
            &["hooks.startContainer[0].env[0]"],
            json!({"/hooks": {"startContainer": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["init hook /bin/hook [hooks.startContainer[0]]"],
        ),
        row(
            &["hooks.startContainer[0].timeout"],
            json!({"/hooks": {"startContainer": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["init hook /bin/hook (at most 3 s) [hooks.startContainer[0]]"],
        ),
        row(
            &["hooks.poststart[0].path"],
            json!({"/hooks": {"poststart": [{"path": "/bin/hook"}]}}),
            &["hooks poststart /bin/hook [hooks.poststart[0]]"],
        ),
        row(
            &["hooks.poststart[0].args[0]"],
            json!({"/hooks": {"poststart": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["hooks poststart /bin/hook [hooks.poststart[0]]"],
        ),
        row(
            &["hooks.poststart[0].env[0]"],
            json!({"/hooks": {"poststart": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["hooks poststart /bin/hook [hooks.poststart[0]]"],
        ),
        row(
            &["hooks.poststart[0].timeout"],
            json!({"/hooks": {"poststart": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["hooks poststart /bin/hook (at most 3 s) [hooks.poststart[0]]"],
        ),
        row(
            &["hooks.poststop[0].path"],
            json!({"/hooks": {"poststop": [{"path": "/bin/hook"}]}}),
            &["hooks poststop /bin/hook [hooks.poststop[0]]"],
        ),
        row(
            &["hooks.poststop[0].args[0]"],
            json!({"/hooks": {"poststop": [{"path": "/bin/hook", "args": ["hook", "x"]}]}}),
            &["hooks poststop /bin/hook [hooks.poststop[0]]"],
        ),
        row(
            &["hooks.poststop[0].env[0]"],
            json!({"/hooks": {"poststop": [{"path": "/bin/hook", "env": ["A=1"]}]}}),
            &["hooks poststop /bin/hook [hooks.poststop[0]]"],
        ),
        row(
            &["hooks.poststop[0].timeout"],
            json!({"/hooks": {"poststop": [{"path": "/bin/hook", "timeout": 3}]}}),
            &["hooks poststop /bin/hook (at most 3 s) [hooks.poststop[0]]"],
        ),
    ]
}
