//! Buildah, and `podman build`, which is the same: each RUN is a container of the runtime under test.

use crate::podman::{Caller, ROOT, USER};
use runtime_tests::fails_on;

#[test]
#[ignore = "long"]
fn of_root() {
    a_build(ROOT);
}

#[test]
fn of_a_user() {
    a_build(USER);
}

#[test]
#[ignore = "long"]
fn of_roots_cgroups() {
    a_build(ROOT.with_cgroupfs());
}

fn a_build(caller: Caller) {
    let seen = caller.says(&format!(
        "mkdir -p build; cd build; cat >Containerfile <<'END'\n{STAGES}END
         buildah bud --quiet --pull=never --network none --build-arg WORD=given --tag built . >/dev/null
         podman run --rm --network none built"
    ));
    assert_eq!(seen, "given b root /srv/work\nuser 2\nmade", "{caller:?}");
}

const STAGES: &str = "
FROM localhost/box AS first
ARG WORD=none
ENV A=b
WORKDIR /srv/work
RUN echo $WORD $A $(id -un) $(pwd) >file
USER user
RUN echo $(id -un) $(grep Seccomp: /proc/self/status | cut -f 2) >/tmp/who
FROM localhost/box
COPY --from=first /srv/work/file /tmp/who /
RUN --mount=type=cache,target=/cache touch /cache/file && ls /cache && echo made >/made
CMD cat /file /who /made
";

#[test]
#[ignore = "long"]
fn a_working_container() {
    for caller in [ROOT, USER] {
        let seen = caller.says(
            "one=$(buildah from --pull-never localhost/box)
             buildah run --network none $one sh -c 'exit 3'; echo $?
             buildah run --network none --user user --env A=b --cap-drop all $one sh -c 'id -un; echo $A'
             buildah rm $one >/dev/null",
        );
        assert_eq!(seen, "3\nuser\nb", "{caller:?}");
    }
}

/// Of a mount that belongs to root a user may not change the flags, so that they have to be kept beside the new one.
#[test]
#[ignore = "long"]
fn a_read_only_volume() {
    for (caller, known) in [(ROOT, &[][..]), (USER, &[("runc", "1.1 does not keep them")])] {
        fails_on(known, || {
            let seen = caller.says(
                "one=$(buildah from --pull-never localhost/box)
                 buildah run --network none --volume /tmp:/srv:ro $one sh -c 'touch /srv/x 2>/dev/null || echo read-only'
                 buildah rm $one >/dev/null",
            );
            assert_eq!(seen, "read-only", "{caller:?}");
        });
    }
}

/// The step that failed is told with the runtime's own words.
#[test]
#[ignore = "long"]
fn a_step_that_fails_is_told() {
    let output = USER.sh("printf 'FROM localhost/box\\nRUN [\"nosuch\"]\\n' >bad
         buildah bud --pull=never --network none --file bad .");
    assert!(output.status != 0, "{output:?}");
    fails_on(&[("crun", "has words of its own")], || {
        assert!(output.stderr.contains("executable file not found in $PATH"), "{}", output.stderr);
    });
}
