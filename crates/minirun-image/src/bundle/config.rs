//! From an image's configuration to a bundle's: the rules of conversion.md, and the caller's options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::options::{BundleOptions, Network, Upper};
use super::volumes::{Volume, check_destination, in_order};
use crate::document::{Configuration, Execution};
use crate::error::{ImageError, Result};
use crate::files::plain_names;
use crate::users::Identity;

/// What images expect where they do not say it (the same as `minirun spec` has, and Docker).
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The capabilities that images are made for: those of Docker's containers.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Makes the configuration of a bundle from `base`, which has what every container has. `layers` are directories for
/// overlayfs, top first; `own` are the image's volumes, each with its directory.
pub(super) fn convert(
    base: Value,
    image: &Configuration,
    identity: &Identity,
    layers: &[PathBuf],
    own: &[Volume],
    options: &BundleOptions,
) -> Result<Value> {
    for volume in own.iter().chain(&options.volumes) {
        check_destination(&volume.destination)?;
    }
    let mut config = base;
    config["process"]["args"] = args(&image.config, options)?.into();
    config["process"]["env"] = environment(&image.config, options)?.into();
    config["process"]["cwd"] = directory(&image.config, options)?.into();
    config["process"]["terminal"] = options.terminal.into();
    config["process"]["user"] = match identity.groups.as_slice() {
        [] => json!({"uid": identity.uid, "gid": identity.gid}),
        groups => json!({"uid": identity.uid, "gid": identity.gid, "additionalGids": groups}),
    };
    capabilities(&mut config, identity);
    config["root"] = json!({"path": "rootfs", "readonly": options.read_only});
    if let Some(name) = &options.hostname {
        config["hostname"] = name.as_str().into();
    }
    let mut mounts = vec![root(layers, options.upper)?];
    mounts.extend(config["mounts"].as_array_mut().map(std::mem::take).unwrap_or_default());
    mounts.extend(in_order(own, &options.volumes).into_iter().map(Volume::mount));
    config["mounts"] = mounts.into();
    network(&mut config, &options.network);
    merge(&mut config["linux"]["resources"], &options.resources.to_json());
    let annotations = annotations(image);
    if !annotations.is_empty() {
        config["annotations"] = json!(annotations);
    }
    Ok(config)
}

/// Entrypoint and command, one after the other.
fn args(image: &Execution, options: &BundleOptions) -> Result<Vec<String>> {
    let cmd = options.cmd.as_ref().unwrap_or(&image.cmd);
    let args: Vec<_> = image.entrypoint.iter().chain(cmd).cloned().collect();
    match args.first().map(String::as_str) {
        None => Err(ImageError::option("the image has no command").hint("--cmd WORD gives one, a word at a time")),
        Some("") => Err(ImageError::option("the first word of the command is empty").hint("it must name a program")),
        Some(_) => Ok(args),
    }
}

/// The image's variables, with those of the caller in place of the same ones.
fn environment(image: &Execution, options: &BundleOptions) -> Result<Vec<String>> {
    fn name(variable: &str) -> &str {
        variable.split_once('=').map_or(variable, |(name, _)| name)
    }
    let mut env: Vec<String> = Vec::new();
    let first = [PATH.to_owned()].into_iter().chain(options.terminal.then(|| "TERM=xterm".to_owned()));
    for variable in first.chain(image.env.iter().cloned()).chain(options.env.iter().cloned()) {
        if name(&variable).is_empty() || !variable.contains('=') {
            return Err(ImageError::option(format!("invalid variable {variable:?} (expected NAME=VALUE)")));
        }
        match env.iter_mut().find(|known| name(known) == name(&variable)) {
            Some(known) => *known = variable,
            None => env.push(variable),
        }
    }
    Ok(env)
}

fn directory(image: &Execution, options: &BundleOptions) -> Result<String> {
    let wanted = options.working_dir.as_deref().unwrap_or(&image.working_dir);
    match wanted {
        "" => Ok("/".to_owned()),
        path if path.starts_with('/') => Ok(path.to_owned()),
        path => Err(ImageError::option(format!("the working directory {path:?} is not absolute"))),
    }
}

/// Root gets what images expect of it, and another user what it can make use of by files alone.
fn capabilities(config: &mut Value, identity: &Identity) {
    let sets: &[&str] = if identity.uid == 0 { &["bounding", "effective", "permitted"] } else { &["bounding"] };
    let sets: Map<_, _> = sets.iter().map(|set| ((*set).to_owned(), json!(CAPABILITIES))).collect();
    config["process"]["capabilities"] = sets.into();
}

/// The mount that makes the root (see the crate minirun-overlay).
fn root(layers: &[PathBuf], upper: Upper) -> Result<Value> {
    let mut options = Vec::with_capacity(layers.len() + 2);
    for layer in layers {
        options.push(format!("lowerdir+={}", text(layer)?));
    }
    match upper {
        Upper::Bundle => options.extend(["upperdir=private/upper".to_owned(), "workdir=private/work".to_owned()]),
        Upper::Memory(size) => options.push(format!("size={size}")),
    }
    Ok(json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options}))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        ImageError::option(format!("{} is not valid UTF-8, as a configuration requires", path.display()))
    })
}

fn network(config: &mut Value, network: &Network) {
    let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() else { return };
    match network {
        Network::None => return,
        Network::Host => namespaces.retain(|namespace| namespace["type"] != "network"),
        Network::Joined(path) => {
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({"type": "network", "path": path.to_string_lossy()}));
            return;
        }
    }
    // Names are resolved as on the host.
    let Some(mounts) = config["mounts"].as_array_mut() else { return };
    for path in ["/etc/resolv.conf", "/etc/hosts"] {
        // accepts: any error; a file that cannot be seen is not bound, and a mount of it would fail.
        if Path::new(path).exists() && mounts.iter().all(|mount| !is_at(mount, path)) {
            mounts.push(Volume { source: path.into(), destination: path.to_owned(), writable: false }.mount());
        }
    }
}

fn is_at(mount: &Value, path: &str) -> bool {
    mount["destination"].as_str().is_some_and(|destination| plain_names(destination) == plain_names(path))
}

/// Adds the members of an object to another, those of objects in it as well.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (into, from) if !from.is_null() => *into = from.clone(),
        _ => {}
    }
}

/// What the image says of itself; its labels count more (conversion.md, "Annotation Fields").
fn annotations(image: &Configuration) -> BTreeMap<String, String> {
    let ports: Vec<_> = image.config.exposed_ports.keys().cloned().collect();
    let implied = [
        ("os", image.os.clone()),
        ("architecture", image.architecture.clone()),
        ("variant", image.variant.clone()),
        ("author", image.author.clone().unwrap_or_default()),
        ("created", image.created.clone().unwrap_or_default()),
        ("stopSignal", image.config.stop_signal.clone()),
        ("exposedPorts", ports.join(",")),
    ];
    let implied = implied.into_iter().filter(|(_, value)| !value.is_empty());
    let implied = implied.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value));
    let labels = image.config.labels.iter().filter(|(key, _)| !key.is_empty());
    implied.chain(labels.map(|(key, value)| (key.clone(), value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::resources::Resources;
    use super::*;

    fn image(config: &str) -> Configuration {
        crate::document::parse(
            format!(r#"{{"os": "linux", "architecture": "amd64", "config": {config}}}"#).as_bytes(),
            "",
        )
        .unwrap()
    }

    fn converted(config: &str, options: &BundleOptions) -> Value {
        let base = json!({
            "process": {"noNewPrivileges": true},
            "mounts": [{"destination": "/proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "network"}], "resources": {"devices": []}},
        });
        let layers = ["/store/b".into(), "/store/a".into()];
        convert(base, &image(config), &Identity::default(), &layers, &[], options).unwrap()
    }

    #[test]
    fn what_the_image_says_becomes_the_process() {
        let config = converted(
            r#"{"Entrypoint": ["/bin/nginx"], "Cmd": ["-g", "daemon off;"], "Env": ["PATH=/bin", "A=1"], "WorkingDir": "/srv",
                "StopSignal": "SIGQUIT", "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b", "org.opencontainers.image.os": "x"}}"#,
            &BundleOptions::default(),
        );
        assert_eq!(config["process"]["args"], json!(["/bin/nginx", "-g", "daemon off;"]));
        assert_eq!(config["process"]["env"], json!(["PATH=/bin", "A=1"]));
        assert_eq!(config["process"]["cwd"], "/srv");
        assert_eq!(config["process"]["noNewPrivileges"], true);
        assert_eq!(
            config["annotations"],
            json!({
                "a": "b",
                "org.opencontainers.image.architecture": "amd64",
                "org.opencontainers.image.exposedPorts": "80/tcp",
                "org.opencontainers.image.os": "x",
                "org.opencontainers.image.stopSignal": "SIGQUIT",
            })
        );
        assert_eq!(
            config["mounts"][0]["options"],
            json!(["lowerdir+=/store/b", "lowerdir+=/store/a", "upperdir=private/upper", "workdir=private/work"])
        );
        assert_eq!(config["mounts"][1]["destination"], "/proc");
    }

    #[test]
    fn what_the_caller_says_counts_more() {
        let wanted = BundleOptions {
            cmd: Some(vec!["-v".to_owned()]),
            env: vec!["A=2".to_owned(), "B=".to_owned()],
            working_dir: Some("/tmp".to_owned()),
            read_only: true,
            upper: Upper::Memory(65536),
            resources: Resources { memory: Some(1), ..Resources::default() },
            ..BundleOptions::default()
        };
        let config =
            converted(r#"{"Entrypoint": ["/bin/nginx"], "Cmd": ["x"], "Env": ["A=1"], "WorkingDir": "/srv"}"#, &wanted);
        assert_eq!(config["process"]["args"], json!(["/bin/nginx", "-v"]));
        assert_eq!(config["process"]["env"], json!([PATH, "A=2", "B="]));
        assert_eq!(config["process"]["cwd"], "/tmp");
        assert_eq!(config["root"]["readonly"], true);
        assert_eq!(config["mounts"][0]["options"][2], "size=65536");
        assert_eq!(config["linux"]["resources"], json!({"devices": [], "memory": {"limit": 1}}));
    }

    #[test]
    fn an_image_without_a_command_needs_one() {
        let error = args(&Execution::default(), &BundleOptions::default()).unwrap_err().to_string();
        assert!(error.contains("--cmd"), "{error}");
        let empty = Execution { cmd: vec![String::new(), "x".to_owned()], ..Execution::default() };
        let error = args(&empty, &BundleOptions::default()).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }
}
