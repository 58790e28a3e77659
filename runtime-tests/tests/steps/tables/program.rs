//! Finding, awaiting and executing the program.

use nix::errno::Errno;
use serde_json::json;

use crate::Call::{Create, Run, Traced};
use crate::prepare::{program, same, set};
use crate::{Row, row};

pub const ROWS: &[Row] = &[
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["nosuch"]),
        "process.args[0]: exec: \"nosuch\": executable file not found in $PATH",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/nosuch"]),
        "process.args[0]: exec: \"/nosuch\": stat /nosuch: no such file or directory",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/etc"]),
        "process.args[0]: exec: \"/etc\": permission denied (it is a directory)",
    ),
    row(
        "FindProgram",
        Create,
        |bundle| bundle.args(&["/etc/passwd"]),
        "process.args[0]: exec: \"/etc/passwd\": permission denied",
    ),
    row("AwaitStart", Traced("run", Errno::ENOMEM, &[libc::SYS_prctl]), same, "…prctl: out of memory"),
    row(
        "CloseDescriptors",
        Traced("create", Errno::ENOMEM, &[libc::SYS_close_range]),
        same,
        "default descriptors: close-descriptors from 3: close_range: out of memory",
    ),
    row(
        "Seccomp",
        Traced("run", Errno::EACCES, &[libc::SYS_seccomp]),
        |bundle| set(bundle, "/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})),
        "linux.seccomp: seccomp: seccomp: permission denied (without noNewPrivileges it requires CAP_SYS_ADMIN)",
    ),
    row(
        "Execute",
        Run,
        |bundle| program(bundle, "#!/nosuch\n"),
        "exec /bin/program: no such file or directory (its interpreter or dynamic loader is missing in the container)",
    ),
    row(
        "Execute",
        Run,
        |bundle| program(bundle, "\x7f\n"),
        "exec /bin/program: exec format error (built for another architecture, or a script without a #! line)",
    ),
];
