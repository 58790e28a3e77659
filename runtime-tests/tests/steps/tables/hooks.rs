//! Hooks.

use serde_json::json;

use crate::Call::{Create, Run};
use crate::prepare::{hook, set};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "AwaitHooks",
        Create,
        |bundle| hook(bundle, "createRuntime", "echo no network >&2; exit 4"),
        "hooks.createRuntime[0]: hook /bin/sh failed: exit status 4, output: no network",
    ),
    row(
        "AwaitHooks",
        Create,
        |bundle| hook(bundle, "createContainer", "kill -9 $$"),
        "hooks.createContainer[0]: hook /bin/sh was ended by signal 9",
    ),
    row(
        "AwaitHooks",
        Create,
        |bundle| bundle.with(|config| config["hooks"]["prestart"] = json!([{"path": "/nosuch"}])),
        "hooks.prestart[0]: run hook /nosuch: no such file or directory",
    ),
    row(
        "RunHook",
        Run,
        |bundle| hook(bundle, "startContainer", "exit 3"),
        "hooks.startContainer[0]: …hook /bin/sh failed: exit status 3",
    ),
    row(
        "RunHook",
        Run,
        |bundle| hook(bundle, "startContainer", "kill -9 $$"),
        "hooks.startContainer[0]: …hook /bin/sh … signal 9",
    ),
    row(
        "RunHook",
        Run,
        |bundle| {
            let bundle = hook(bundle, "startContainer", "sleep 1000");
            set(bundle, "/hooks/startContainer/0/timeout", json!(1))
        },
        "hooks.startContainer[0]: …hook /bin/sh ran past specified timeout…",
    ),
    row(
        "RunHook",
        Run,
        |bundle| bundle.with(|config| config["hooks"]["startContainer"] = json!([{"path": "/nosuch"}])),
        "hooks.startContainer[0]: …hook /nosuch…",
    ),
];
