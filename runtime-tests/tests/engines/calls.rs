//! How engines call the runtime: a shell script in its place writes the words down and becomes it. The known shapes
//! stand in tests/host/engines/NAME.calls, from where the host suite plays them back.

use std::fs;

use crate::document::write_as;
use crate::machine::{program, says};

/// The script's path.
pub const PATH: &str = "/run/engines/recording/runc";

/// The script, made anew together with an empty list.
#[track_caller]
pub fn recorder() -> &'static str {
    let script =
        "#!/bin/sh\nread -r caller </proc/$PPID/comm\necho \"$caller: $*\" >>/run/engines/calls\nexec PROGRAM \"$@\"\n";
    write_as(PATH, &script.replace("PROGRAM", &program()));
    says(&format!("chmod 755 {PATH} && : >/run/engines/calls && chmod 666 /run/engines/calls"));
    PATH
}

/// The shapes of the calls since, without what differs from one to the next, each once.
#[track_caller]
fn shapes() -> String {
    // Ids, and paths by what they are for. What is global comes first, so that it is not taken for the command's.
    // Buildah starts itself anew, as /proc/self/exe.
    let script = r"sed -E '
        s/--root [^ ]+/--root ROOT/
        s/--log( |=)[^ ]+/--log\1LOG/
        s/--bundle [^ ]+/--bundle BUNDLE/
        s/--pid-file [^ ]+/--pid-file PIDFILE/
        s/--process [^ ]+/--process PROCESS/
        s/--console-socket [^ ]+/--console-socket SOCKET/
        s/--resources=\/[^ ]+/--resources=RESOURCES/
        s/(^| )[0-9a-f]{64}( |$)/\1ID\2/
        s/(^| )[a-z0-9]{25}( |$)/\1ID\2/
        s/(^| )buildah-[^ ]+$/\1ID/
        s/^exe:/buildah-oci-run:/
        ' /run/engines/calls | LC_ALL=C sort -u";
    says(script)
}

/// Fails with every call that is not among the known ones, lines of a file.
#[track_caller]
pub fn assert_known(file: &str) {
    let new: Vec<_> =
        shapes().lines().filter(|shape| !file.lines().any(|known| known == *shape)).map(str::to_owned).collect();
    let raw = fs::read_to_string("/run/engines/calls").unwrap();
    assert!(!raw.is_empty(), "no call was recorded");
    assert!(new.is_empty(), "the list of calls lacks:\n{}\nof {} calls", new.join("\n"), raw.lines().count());
}
