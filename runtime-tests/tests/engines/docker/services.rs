//! Several containers at once: Compose, and a swarm of one node.

use super::{directory, docker, says, sh, wait_until};

/// Runs a script when the test is over.
struct Afterwards(&'static str);

impl Drop for Afterwards {
    fn drop(&mut self) {
        sh(self.0);
    }
}

const COMPOSE: &str = r#"
services:
  web:
    image: box
    command: ["sh", "-c", "echo $$WORD >/srv/index.html; exec httpd -f -h /srv"]
    environment: { WORD: page }
    healthcheck: { test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1/"], interval: 1s }
    deploy: { resources: { limits: { memory: 64M, pids: 50 } } }
  client:
    image: box
    command: sleep 1000
    depends_on: { web: { condition: service_healthy } }
    volumes: ["data:/data"]
volumes: { data: {} }
"#;

#[test]
#[ignore = "long"]
fn compose_runs_two_services() {
    let _docker = docker();
    let path = directory("project", &[("compose.yaml", COMPOSE)]);
    let _down = Afterwards("cd /var/tmp/project && docker compose down --volumes --timeout 1");
    says(&format!("cd {path} && docker compose up --detach"));
    assert_eq!(says(&format!("cd {path} && docker compose exec -T client wget -q -O - http://web/")), "page");
    assert_eq!(says(&format!("cd {path} && docker compose exec -T web cat /sys/fs/cgroup/memory.max")), "67108864");
    assert_eq!(says(&format!("cd {path} && docker compose ps --services --status running | sort")), "client\nweb");
    says(&format!("cd {path} && docker compose restart --timeout 1 client"));
    says(&format!("cd {path} && docker compose down --volumes --timeout 1"));
    assert_eq!(says("docker ps --all --quiet --filter label=com.docker.compose.project=project"), "");
}

#[test]
#[ignore = "long"]
fn a_swarm_of_one_node_runs_a_service() {
    let _docker = docker();
    let _leave = Afterwards("docker service rm swarming; docker swarm leave --force");
    says("docker swarm init --advertise-addr 10.1.1.1");
    says(
        "docker service create --detach --name swarming --replicas 2 --limit-memory 64m --publish 8013:80 box sh -c 'echo page >/srv/index.html; exec httpd -f -h /srv'",
    );
    let running = || says("docker service ls --filter name=swarming --format '{{.Replicas}}'");
    wait_until("two replicas", || running() == "2/2");
    wait_until("the page", || sh("curl -s --max-time 20 http://127.0.0.1:8013/").stdout == "page\n");
    says("docker service scale --detach swarming=1");
    wait_until("one replica", || running() == "1/1");
    says("docker service rm swarming");
    wait_until("the end", || {
        says("docker ps --quiet --filter label=com.docker.swarm.service.name=swarming").is_empty()
    });
}
