//! Actions: their names in a profile, and the numbers that a filter returns (`SECCOMP_RET_*`).

pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
pub(crate) const KILL_THREAD: u32 = 0x0000_0000;
pub(crate) const TRAP: u32 = 0x0003_0000;
pub(crate) const ERRNO: u32 = 0x0005_0000;
pub(crate) const NOTIFY: u32 = 0x7fc0_0000;
pub(crate) const TRACE: u32 = 0x7ff0_0000;
pub(crate) const LOG: u32 = 0x7ffc_0000;
pub(crate) const ALLOW: u32 = 0x7fff_0000;

/// The half of a filter's return value that is the action; the other half is its data.
const ACTION: u32 = 0xffff_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// The kernel truncates larger numbers (`MAX_ERRNO`).
const LARGEST_ERRNO: u32 = 4095;

/// The answer to a call that does not exist.
pub(crate) const NO_SUCH_CALL: u32 = ERRNO | ENOSYS;

/// The actions of a profile, with the kernel's numbers.
pub const ACTIONS: [(&str, u32); 9] = [
    ("SCMP_ACT_KILL", KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS),
    ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
    ("SCMP_ACT_TRAP", TRAP),
    ("SCMP_ACT_ERRNO", ERRNO),
    ("SCMP_ACT_TRACE", TRACE),
    ("SCMP_ACT_ALLOW", ALLOW),
    ("SCMP_ACT_LOG", LOG),
    ("SCMP_ACT_NOTIFY", NOTIFY),
];

/// The invalid part of an action.
pub(crate) enum Wrong {
    /// Its name.
    Name(String),
    /// Its number.
    Number(String),
}

/// Returns the answer for an action and its error number.
pub(crate) fn answer(name: &str, number: Option<u32>) -> Result<u32, Wrong> {
    let Some((_, action)) = ACTIONS.iter().find(|(known, _)| *known == name) else {
        return Err(Wrong::Name(format!("unknown action {name:?}")));
    };
    let most = match *action {
        ERRNO => LARGEST_ERRNO,
        TRACE => u32::from(u16::MAX),
        _ if number.is_some() => return Err(Wrong::Number(format!("{name} does not support an error number"))),
        action => return Ok(action),
    };
    match number.unwrap_or(EPERM) {
        number if number <= most => Ok(action | number),
        number => Err(Wrong::Number(format!("{number} is out of range (expected 0 to {most}) for {name}"))),
    }
}

/// Whether the kernel or a tracer executes the call, so that a nonexistent one fails without the filter.
pub(crate) fn lets_through(answer: u32) -> bool {
    matches!(answer & ACTION, ALLOW | LOG | TRACE)
}

/// Returns the stricter of two answers, in the kernel's order for several filters (seccomp(2)).
pub(crate) fn stricter(one: u32, other: u32) -> u32 {
    let rank = |answer: u32| (answer & ACTION).cast_signed();
    if rank(other) < rank(one) { other } else { one }
}

/// Returns an answer as text: `errno 1`, `allow`.
pub fn show(answer: u32) -> String {
    let data = answer & !ACTION;
    match answer & ACTION {
        KILL_PROCESS => "kill-process".to_owned(),
        KILL_THREAD => "kill-thread".to_owned(),
        TRAP => "trap".to_owned(),
        ERRNO => format!("errno {data}"),
        NOTIFY => "notify".to_owned(),
        TRACE => format!("trace {data}"),
        LOG => "log".to_owned(),
        ALLOW => "allow".to_owned(),
        _ => format!("{answer:#x}"),
    }
}
