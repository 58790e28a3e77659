//! Every way in which Docker calls the runtime.

use runtime_tests::Terminal;
use serde_json::json;

use super::{Named, Share, UNIT, directory, document, runtime, says, sh, start_as};
use crate::{calls, machine::shell};

#[test]
#[ignore = "long"]
fn every_call_is_known() {
    let _alone = Share::alone(|| {
        let recorder = calls::recorder();
        let unit = document::block(UNIT);
        let unit = unit.replace(&format!("/usr/local/lib/{}", runtime()), "/run/engines/recording");
        let daemon = json!({"runtimes": {"recording": {"path": recorder}}, "default-runtime": "recording"});
        document::write_as(UNIT, &unit);
        start_as(&daemon);
    });
    let _named = Named(&["called", "called-at-a-terminal"]);
    says("docker run --name called -d -m 64m box sh -c 'trap : USR1; while :; do sleep 0.1; done'");
    says("docker exec called true && docker exec -d called true; docker top called; docker stats --no-stream called");
    sh("docker exec called nosuch; docker run --rm box nosuch");
    says(
        "docker pause called && docker unpause called && docker kill -s USR1 called && docker update -m 32m --memory-swap 32m called",
    );
    let (mut terminal, _slave, mut client) = Terminal::start(&mut shell("exec docker exec -it called sh"), 24, 80);
    terminal.wait_for("# ");
    terminal.send("exit\n");
    client.wait().unwrap();
    let (mut terminal, _slave, mut client) =
        Terminal::start(&mut shell("exec docker run -it --name called-at-a-terminal box sh"), 24, 80);
    terminal.wait_for("# ");
    terminal.send("exit\n");
    client.wait().unwrap();
    says("docker stop --time 0 called && docker start called && docker kill called && docker rm called");
    let path = directory("recorded", &[("Dockerfile", "FROM box\nRUN true\n")]);
    says(&format!("docker build --no-cache {path}"));
    calls::assert_known(include_str!("../../host/engines/docker.calls"));
}
