//! `hooks`.

use serde_json::json;

use crate::{Bad, CRUN, NONE, RUNC, bad};

pub fn rows() -> Vec<Bad> {
    let hook = |path: &str, timeout: i64| json!({"createRuntime": [{"path": path, "timeout": timeout}]});
    vec![
        bad("hooks.createRuntime[0].path", "/hooks", hook("bin/true", 1), NONE),
        bad("hooks.createRuntime[0].timeout", "/hooks", hook("/bin/true", 0), CRUN),
        bad("hooks.createRuntime[0].timeout", "/hooks", hook("/bin/true", -1), NONE),
        bad("hooks.createRuntime[0].path", "/hooks", json!({"createRuntime": [{"args": ["x"]}]}), NONE),
        bad("hooks.createRuntime", "/hooks", json!({"createRuntime": {"path": "/bin/true"}}), CRUN),
        bad("hooks.prestart[0].path", "/hooks", json!({"prestart": [{"path": "true"}]}), NONE),
        bad("hooks.createContainer[0].path", "/hooks", json!({"createContainer": [{"path": "true"}]}), NONE),
        bad("hooks.startContainer[0].path", "/hooks", json!({"startContainer": [{"path": "true"}]}), RUNC),
        bad("hooks.poststart[0].path", "/hooks", json!({"poststart": [{"path": "true"}]}), NONE),
        bad("hooks.poststop[0].path", "/hooks", json!({"poststop": [{"path": "true"}]}), RUNC),
        bad("hooks.createRuntime[0].path", "/hooks", hook("", 1), NONE),
        bad("hooks.createRuntime[0].path", "/hooks", hook("/a\0b", 1), NONE),
        bad(
            "hooks.createRuntime[1].args[1]",
            "/hooks",
            json!({"createRuntime": [{"path": "/bin/true"}, {"path": "/bin/true", "args": ["a", "b\0"]}]}),
            NONE,
        ),
        bad("hooks.poststop[0].env[0]", "/hooks", json!({"poststop": [{"path": "/bin/true", "env": ["A=\0"]}]}), RUNC),
        bad("hooks.poststop[0].env", "/hooks", json!({"poststop": [{"path": "/bin/true", "env": "A=1"}]}), NONE),
        bad("hooks.createRuntime[0]", "/hooks", hook("/nosuch", 1), NONE),
    ]
}
