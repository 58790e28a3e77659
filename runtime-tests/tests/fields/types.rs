//! Each member with values of every other type, out of its range, missing, and given twice.

use runtime_tests::Bundle;
use serde_json::{Value, json};

use crate::schema::{Kind, Member, members, parent, pointer};

/// What does not fit.
fn wrong(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Bool => vec![json!("true"), json!(1), json!([])],
        Kind::Text => vec![json!(7), json!(true), json!(["text"])],
        Kind::Word(_) => vec![json!("nosuch"), json!(""), json!(7)],
        Kind::List => vec![json!({}), json!("text"), json!(7)],
        Kind::Map | Kind::Object(_) => vec![json!([]), json!("text"), json!(7)],
        Kind::Number(least, most) => {
            let mut values = vec![json!("1"), json!(1.5), json!(1e30), json!(true)];
            values.extend(i64::try_from(least - 1).ok().map(Value::from));
            values.extend(u64::try_from(most + 1).ok().map(Value::from));
            values
        }
    }
}

/// What `create` says of a configuration, if it is refused in good order.
fn refusal(bundle: &Bundle) -> Result<String, String> {
    let output = bundle.try_create();
    let message = output.stderr.trim().to_owned();
    if output.status != 1 || message.contains("panicked") {
        return Err(format!("status {}: {message}", output.status));
    }
    Ok(message)
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Is the first problem of this message, or one of the others, at this place and of this kind?
fn names(message: &str, place: &str, text: &str) -> bool {
    let problem = format!("{place}: {text}");
    message.contains(&format!("config.json: {problem}")) || message.contains(&format!("; {problem}"))
}

#[test]
fn another_type_is_refused_by_the_name_of_its_place() {
    let members = members();
    let mut faults = Vec::new();
    let mut rows = 0;
    let mut bundle = Bundle::base();
    let base = bundle.config().clone();
    for member in &members {
        for value in wrong(&member.kind) {
            let mut config = base.clone();
            member.put(&mut config, &members, Some(value.clone()));
            bundle = bundle.with(|old| *old = config);
            match refusal(&bundle) {
                Ok(message) if names(&message, &member.path, "") => {}
                Ok(message) | Err(message) => faults.push(format!("{} = {value}: {message}", member.path)),
            }
            rows += 1;
        }
    }
    bundle.assert_nothing_left();
    assert_none(&faults);
    assert!(rows > 600, "{rows} rows are fewer than there are members");
}

#[test]
fn a_required_member_is_missed_by_name() {
    let members = members();
    let mut faults = Vec::new();
    let mut bundle = Bundle::base();
    let base = bundle.config().clone();
    for member in members.iter().filter(|member| member.required) {
        let mut config = base.clone();
        // All that it takes, and then without it.
        member.put(&mut config, &members, Some(member.sample(&members)));
        member.put(&mut config, &members, None);
        bundle = bundle.with(|old| *old = config);
        match refusal(&bundle) {
            Ok(message) if names(&message, &member.path, "is required") => {}
            Ok(message) | Err(message) => faults.push(format!("{}: {message}", member.path)),
        }
    }
    bundle.assert_nothing_left();
    assert_none(&faults);
}

#[test]
fn a_member_that_is_given_twice_is_refused_by_the_name_of_its_place() {
    let members = members();
    let mut faults = Vec::new();
    let mut bundle = Bundle::base();
    let base = bundle.config().clone();
    for member in members.iter().filter(|member| !member.path.ends_with("[0]")) {
        let mut config = base.clone();
        let value = config.pointer(&pointer(&member.path)).cloned().unwrap_or_else(|| member.sample(&members));
        member.put(&mut config, &members, Some(value.clone()));
        let name = member.name();
        let around = config.pointer_mut(&pointer(parent(&member.path))).and_then(Value::as_object_mut).unwrap();
        around.insert("GIVEN TWICE".to_owned(), value);
        bundle = bundle.with(|old| *old = config);
        bundle.write();
        let file = bundle.path().join("config.json");
        let text = std::fs::read_to_string(&file).unwrap().replace("\"GIVEN TWICE\":", &format!("{name:?}:"));
        std::fs::write(&file, text).unwrap();
        let output = bundle.finish(bundle.command(&["create", "-b"]).arg(bundle.path()).arg(bundle.id()));
        if output.status != 1 || !names(output.stderr.trim(), &member.path, "is given twice") {
            faults.push(format!("{}: status {}: {}", member.path, output.status, output.stderr.trim()));
        }
    }
    bundle.assert_nothing_left();
    assert_none(&faults);
}

#[test]
fn members_are_those_of_the_types() {
    let members = members();
    let find = |path: &str| -> &Member { members.iter().find(|member| member.path == path).unwrap() };
    assert_eq!(find("linux.resources.blockIO.weightDevice[0].major").kind, Kind::Number(0, u32::MAX.into()));
    assert!(find("linux.namespaces[0].type").required && !find("linux.namespaces[0].path").required);
    assert!(matches!(find("process.rlimits[0].type").kind, Kind::Word(words) if words.contains(&"RLIMIT_NOFILE")));
}

/// The members that an object cannot be without, and why. Those that are not here are absent in somebody's configuration, and
/// every peer takes them as zero or as nothing.
const REQUIRED: [(&[&str], &str); 4] = [
    (
        &[
            "ociVersion",
            "root.path",
            "mounts[0].destination",
            "process.consoleSize.height",
            "process.consoleSize.width",
            "process.ioPriority.class",
            "process.scheduler.policy",
            "process.rlimits[0].type",
            "process.rlimits[0].soft",
            "process.rlimits[0].hard",
            "linux.namespaces[0].type",
            "linux.uidMappings[0].containerID",
            "linux.uidMappings[0].hostID",
            "linux.uidMappings[0].size",
            "linux.gidMappings[0].containerID",
            "linux.gidMappings[0].hostID",
            "linux.gidMappings[0].size",
            "mounts[0].uidMappings[0].containerID",
            "mounts[0].uidMappings[0].hostID",
            "mounts[0].uidMappings[0].size",
            "mounts[0].gidMappings[0].containerID",
            "mounts[0].gidMappings[0].hostID",
            "mounts[0].gidMappings[0].size",
            "linux.devices[0].type",
            "linux.devices[0].path",
            "linux.resources.devices[0].allow",
            "linux.resources.blockIO.weightDevice[0].major",
            "linux.resources.blockIO.weightDevice[0].minor",
            "linux.resources.hugepageLimits[0].pageSize",
            "linux.resources.hugepageLimits[0].limit",
            "linux.resources.network.priorities[0].name",
            "linux.resources.network.priorities[0].priority",
            "linux.seccomp.syscalls[0].names",
            "linux.seccomp.syscalls[0].action",
            "linux.seccomp.syscalls[0].args[0].index",
            "linux.seccomp.syscalls[0].args[0].value",
            "linux.seccomp.syscalls[0].args[0].op",
        ],
        "the specification's schema requires it",
    ),
    (
        &[
            "hooks.prestart[0].path",
            "hooks.createRuntime[0].path",
            "hooks.createContainer[0].path",
            "hooks.startContainer[0].path",
            "hooks.poststart[0].path",
            "hooks.poststop[0].path",
        ],
        "the schema requires it, and there is no program without",
    ),
    (
        &[
            "linux.resources.blockIO.throttleReadBpsDevice[0].major",
            "linux.resources.blockIO.throttleReadBpsDevice[0].minor",
            "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
            "linux.resources.blockIO.throttleWriteBpsDevice[0].major",
            "linux.resources.blockIO.throttleWriteBpsDevice[0].minor",
            "linux.resources.blockIO.throttleWriteBpsDevice[0].rate",
            "linux.resources.blockIO.throttleReadIOPSDevice[0].major",
            "linux.resources.blockIO.throttleReadIOPSDevice[0].minor",
            "linux.resources.blockIO.throttleReadIOPSDevice[0].rate",
            "linux.resources.blockIO.throttleWriteIOPSDevice[0].major",
            "linux.resources.blockIO.throttleWriteIOPSDevice[0].minor",
            "linux.resources.blockIO.throttleWriteIOPSDevice[0].rate",
        ],
        "the schema requires the numbers; a limit without its rate would be none",
    ),
    (&["linux.memoryPolicy.mode", "linux.personality.domain"], "the specification requires it, and there is no zero"),
];

#[test]
fn each_required_member_has_a_reason() {
    let mut found: Vec<_> = members().into_iter().filter(|member| member.required).map(|member| member.path).collect();
    let mut known: Vec<_> = REQUIRED.iter().flat_map(|(names, _)| *names).map(|name| (*name).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}
