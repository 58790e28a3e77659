//! Images: from containers and archives, to archives, and away.

use super::{Named, docker, refuses, says};

#[test]
#[ignore = "long"]
fn images_travel() {
    let _docker = docker();
    let _named = Named(&["changes", "imported"]);
    says("docker run --name changes box sh -c 'echo changed >/srv/file'");
    says("docker commit --change 'CMD [\"cat\", \"/srv/file\"]' --message changed changes box:changed");
    assert_eq!(says("docker run --rm box:changed"), "changed");
    assert!(says("docker history box:changed").contains("changed"));
    says(
        "docker tag box:changed box:again && docker save box:again >/var/tmp/saved.tar && docker rmi box:changed box:again",
    );
    refuses("docker run --rm --pull never box:again");
    says("docker load </var/tmp/saved.tar");
    assert_eq!(says("docker run --rm box:again"), "changed");
    says("docker export changes | docker import - box:flat");
    assert_eq!(says("docker run --rm --name imported box:flat cat /srv/file"), "changed");
    says("docker rm changes && docker rmi box:again box:flat");
    assert!(says("docker images --quiet box").lines().count() == 1);
}
