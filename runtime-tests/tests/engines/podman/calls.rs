//! Every way in which Podman and Buildah call the runtime.

use super::{ROOT, USER};
use crate::calls;
use crate::machine::Share;

#[test]
#[ignore = "long"]
fn every_call_is_known() {
    let _alone = Share::alone(|| assert_eq!(calls::recorder(), calls::PATH));
    let recorder = calls::PATH;
    for podman in [ROOT, USER, ROOT.with_cgroupfs(), USER.with_cgroupfs()] {
        podman.sh(&format!(
            "recorded() {{ podman --runtime {recorder} \"$@\"; }}
             recorded run --detach --name called --network none --memory 64m box sleep 1000
             recorded exec called true; recorded exec --detach called true; recorded exec --tty called true
             recorded exec called nosuch; recorded run --rm --network none box nosuch
             recorded pause called; recorded unpause called; recorded update --memory 80m called
             recorded top called; recorded stats --no-stream called; recorded kill --signal USR1 called
             recorded restart --time 0 called; recorded stop --time 0 called; recorded rm called
             recorded run --rm --tty --network none box true
             recorded run --rm --network none --pid host box true
             recorded run --rm --network none --preserve-fds 1 box true 3</dev/null
             recorded run --rm --network none --cgroups disabled box true
             one=$(buildah from --pull-never localhost/box)
             buildah run --runtime {recorder} --network none $one true
             buildah run --runtime {recorder} --network none --terminal $one true
             buildah rm $one
             recorded info"
        ));
    }
    calls::assert_known(include_str!("../../host/engines/podman.calls"));
}
