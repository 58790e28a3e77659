//! `docker build`, by BuildKit, which calls the runtime itself, and by the classic builder, which makes containers.

use super::{Named, directory, docker, inspect, says, sh, wait_until};

const DOCKERFILE: &str = r#"FROM box AS first
ARG WORD=default
ENV ONE=$WORD
WORKDIR /made
RUN echo "$ONE" >word && hostname >/dev/null && cat /proc/self/cgroup
USER user
RUN id -un >/tmp/who
FROM box
COPY --from=first /made/word /tmp/who /made/
WORKDIR /srv
USER user
HEALTHCHECK --interval=1s CMD test -e /tmp/healthy
STOPSIGNAL SIGUSR1
ONBUILD RUN cat /made/word >/tmp/onbuild
CMD ["sh", "-c", "trap 'exit 9' USR1; touch /tmp/healthy; while :; do sleep 0.1; done"]
"#;

#[track_caller]
fn build(environment: &str, tag: &'static str) {
    let path = directory(tag, &[("Dockerfile", DOCKERFILE), ("Onbuild", &format!("FROM {tag}\n"))]);
    says(&format!("{environment} docker build --build-arg WORD=given -t {tag} {path}"));
    assert_eq!(
        says(&format!("docker run --rm {tag} sh -c 'cat /made/word /made/who; pwd; id -un'")),
        "given\nuser\n/srv\nuser"
    );
}

/// Stops by the image's signal once it is healthy.
#[track_caller]
fn run(tag: &'static str) {
    says(&format!("docker run -d --name {tag} {tag}"));
    wait_until("its health", || inspect(tag, ".State.Health.Status") == "healthy");
    says(&format!("docker stop --time 60 {tag}"));
    assert_eq!(inspect(tag, ".State.ExitCode"), "9");
}

#[test]
fn buildkit_builds() {
    let _docker = docker();
    build("", "built-by-buildkit");
}

#[test]
#[ignore = "long"]
fn what_buildkit_built_has_its_health_signal_and_triggers() {
    let _docker = docker();
    let _named = Named(&["built-and-run"]);
    build("", "built-and-run");
    run("built-and-run");
    says("docker build -t built-on -f /var/tmp/built-and-run/Onbuild /var/tmp/built-and-run");
    assert_eq!(says("docker run --rm built-on cat /tmp/onbuild"), "given");
}

#[test]
#[ignore = "long"]
fn the_classic_builder_builds() {
    let _docker = docker();
    let _named = Named(&["built-classically"]);
    build("DOCKER_BUILDKIT=0", "built-classically");
    run("built-classically");
}

#[test]
#[ignore = "long"]
fn a_build_that_fails_says_the_status() {
    let _docker = docker();
    for (line, words) in
        [("RUN exit 7", "exit code: 7"), ("RUN nosuch", "exit code: 127"), ("RUN [\"nosuch\"]", "nosuch")]
    {
        let path = directory("build-fails", &[("Dockerfile", &format!("FROM box\n{line}\n"))]);
        let output = sh(&format!("docker build {path}"));
        assert!(output.status != 0 && output.stderr.contains(words), "{line}: {}", output.stderr);
    }
}
