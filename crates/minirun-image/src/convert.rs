//! From an image's configuration to a bundle's: the rules of conversion.md, and what the caller wants otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::document::{Configuration, Execution};
use crate::error::{ImageError, Result};
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

/// Whose network a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Network {
    /// Its own, with nothing in it.
    #[default]
    None,
    /// The host's.
    Host,
    /// That of the network namespace at this path.
    Joined(PathBuf),
}

/// A directory or file of the host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub destination: String,
    /// May it be written to?
    pub writable: bool,
}

/// Where the container's changes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// The directories `upper` and `work` in the bundle's directory `private`.
    Bundle,
    /// A tmpfs of this many bytes, which is gone with the container.
    Memory(u64),
}

/// What the caller wants.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Arguments in place of the image's `Cmd`.
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, added to the image's or in place of them.
    pub env: Vec<String>,
    /// In place of the image's working directory.
    pub working_dir: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// Is the root file system read-only?
    pub read_only: bool,
    /// Is there a terminal?
    pub terminal: bool,
    /// Whose network it has.
    pub network: Network,
    /// Files of the host.
    pub volumes: Vec<Volume>,
    /// Where changes go.
    pub upper: Upper,
    /// `linux.resources`, as far as they were asked for.
    pub resources: Value,
}

/// Makes the configuration of a bundle from `base`, which has what every container has. `layers` are directories for
/// overlayfs, top first; `own` are the image's volumes, each with its directory.
///
/// # Errors
/// The image has no command, or a value is not what it must be.
pub fn convert(
    base: Value,
    image: &Configuration,
    identity: &Identity,
    layers: &[PathBuf],
    own: &[Volume],
    settings: &Settings,
) -> Result<Value> {
    for volume in own.iter().chain(&settings.volumes) {
        check_place(&volume.destination)?;
    }
    let mut config = base;
    config["process"]["args"] = args(&image.config, settings)?.into();
    config["process"]["env"] = environment(&image.config, settings)?.into();
    config["process"]["cwd"] = directory(&image.config, settings)?.into();
    config["process"]["terminal"] = settings.terminal.into();
    config["process"]["user"] = match identity.groups.as_slice() {
        [] => json!({"uid": identity.uid, "gid": identity.gid}),
        groups => json!({"uid": identity.uid, "gid": identity.gid, "additionalGids": groups}),
    };
    capabilities(&mut config, identity);
    config["root"] = json!({"path": "rootfs", "readonly": settings.read_only});
    if let Some(name) = &settings.hostname {
        config["hostname"] = name.as_str().into();
    }
    let mut mounts = vec![root(layers, &settings.upper)?];
    mounts.extend(config["mounts"].as_array_mut().map(std::mem::take).unwrap_or_default());
    mounts.extend(volumes(own, &settings.volumes).into_iter().map(bind));
    config["mounts"] = mounts.into();
    network(&mut config, &settings.network);
    merge(&mut config["linux"]["resources"], &settings.resources);
    let annotations = annotations(image);
    if !annotations.is_empty() {
        config["annotations"] = json!(annotations);
    }
    Ok(config)
}

/// Entrypoint and command, one after the other.
fn args(image: &Execution, settings: &Settings) -> Result<Vec<String>> {
    let cmd = settings.cmd.as_ref().unwrap_or(&image.cmd);
    let args: Vec<_> = image.entrypoint.iter().chain(cmd).cloned().collect();
    match args.first().map(String::as_str) {
        None => Err(ImageError::new("the image has no command").hint("--cmd WORD gives one, a word at a time")),
        Some("") => Err(ImageError::new("the first word of the command is empty").hint("it must name a program")),
        Some(_) => Ok(args),
    }
}

/// The image's variables, with those of the caller in place of the same ones.
fn environment(image: &Execution, settings: &Settings) -> Result<Vec<String>> {
    fn name(variable: &str) -> &str {
        variable.split_once('=').map_or(variable, |(name, _)| name)
    }
    let mut env: Vec<String> = Vec::new();
    let first = [PATH.to_owned()].into_iter().chain(settings.terminal.then(|| "TERM=xterm".to_owned()));
    for variable in first.chain(image.env.iter().cloned()).chain(settings.env.iter().cloned()) {
        if name(&variable).is_empty() || !variable.contains('=') {
            return Err(ImageError::new(format!("invalid variable {variable:?} (expected NAME=VALUE)")));
        }
        match env.iter_mut().find(|known| name(known) == name(&variable)) {
            Some(known) => *known = variable,
            None => env.push(variable),
        }
    }
    Ok(env)
}

fn directory(image: &Execution, settings: &Settings) -> Result<String> {
    let wanted = settings.working_dir.as_deref().unwrap_or(&image.working_dir);
    match wanted {
        "" => Ok("/".to_owned()),
        path if path.starts_with('/') => Ok(path.to_owned()),
        path => Err(ImageError::new(format!("the working directory {path:?} is not absolute"))),
    }
}

/// Root gets what images expect of it, and another user what it can make use of by files alone.
fn capabilities(config: &mut Value, identity: &Identity) {
    let sets: &[&str] = if identity.uid == 0 { &["bounding", "effective", "permitted"] } else { &["bounding"] };
    let sets: Map<_, _> = sets.iter().map(|set| ((*set).to_owned(), json!(CAPABILITIES))).collect();
    config["process"]["capabilities"] = sets.into();
}

/// The mount that makes the root (see the crate minirun-overlay).
fn root(layers: &[PathBuf], upper: &Upper) -> Result<Value> {
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

/// The image's volumes and the caller's, which take the place of the same ones. One on the way to another comes first, for
/// it would hide that.
fn volumes<'a>(own: &'a [Volume], wanted: &'a [Volume]) -> Vec<&'a Volume> {
    let taken: Vec<_> = wanted.iter().map(|volume| cleaned(&volume.destination)).collect();
    let left = own.iter().filter(|volume| !taken.contains(&cleaned(&volume.destination)));
    let mut all: Vec<_> = left.chain(wanted).collect();
    all.sort_by_key(|volume| cleaned(&volume.destination).len());
    all
}

/// Fails if no volume can be there: it would hide the root, or the /proc that init and the masks need.
///
/// # Errors
/// No volume can be there.
pub fn check_place(destination: &str) -> Result<()> {
    let why = match cleaned(destination).as_slice() {
        [] => "it would hide the root",
        ["proc", ..] => "/proc is the kernel's",
        _ => return Ok(()),
    };
    Err(ImageError::new(format!("volume {destination:?}: {why}")))
}

/// The names of an absolute path, as far as they tell where it leads.
pub(crate) fn cleaned(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| ImageError::new(format!("{} is not valid UTF-8, as a configuration requires", path.display())))
}

fn bind(volume: &Volume) -> Value {
    let Volume { source, destination, writable } = volume;
    let access = if *writable { "rw" } else { "ro" };
    let source = source.to_string_lossy();
    json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rprivate", access]})
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
            mounts.push(bind(&Volume { source: path.into(), destination: path.to_owned(), writable: false }));
        }
    }
}

fn is_at(mount: &Value, path: &str) -> bool {
    mount["destination"].as_str().is_some_and(|destination| cleaned(destination) == cleaned(path))
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
    use super::*;

    fn settings() -> Settings {
        Settings {
            cmd: None,
            env: Vec::new(),
            working_dir: None,
            hostname: None,
            read_only: false,
            terminal: false,
            network: Network::None,
            volumes: Vec::new(),
            upper: Upper::Bundle,
            resources: Value::Null,
        }
    }

    fn image(config: &str) -> Configuration {
        crate::document::parse(
            format!(r#"{{"os": "linux", "architecture": "amd64", "config": {config}}}"#).as_bytes(),
            "",
        )
        .unwrap()
    }

    fn converted(config: &str, settings: &Settings) -> Value {
        let base = json!({
            "process": {"noNewPrivileges": true},
            "mounts": [{"destination": "/proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "network"}], "resources": {"devices": []}},
        });
        let layers = ["/store/b".into(), "/store/a".into()];
        convert(base, &image(config), &Identity::default(), &layers, &[], settings).unwrap()
    }

    #[test]
    fn what_the_image_says_becomes_the_process() {
        let config = converted(
            r#"{"Entrypoint": ["/bin/nginx"], "Cmd": ["-g", "daemon off;"], "Env": ["PATH=/bin", "A=1"], "WorkingDir": "/srv",
                "StopSignal": "SIGQUIT", "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b", "org.opencontainers.image.os": "x"}}"#,
            &settings(),
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
        let wanted = Settings {
            cmd: Some(vec!["-v".to_owned()]),
            env: vec!["A=2".to_owned(), "B=".to_owned()],
            working_dir: Some("/tmp".to_owned()),
            read_only: true,
            upper: Upper::Memory(65536),
            resources: json!({"memory": {"limit": 1}}),
            ..settings()
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
    fn no_volume_hides_a_deeper_one() {
        let volume = |source: &str, destination: &str| Volume {
            source: source.into(),
            destination: destination.to_owned(),
            writable: true,
        };
        let own = [volume("1", "/data/own"), volume("2", "/data/"), volume("3", "/srv")];
        let wanted =
            [volume("a", "/data/sub/../sub/x"), volume("b", "/data"), volume("c", "//srv/."), volume("d", "/a/")];
        let order = volumes(&own, &wanted);
        let order: Vec<_> = order.iter().map(|volume| volume.source.to_str().unwrap()).collect();
        assert_eq!(order, ["b", "c", "d", "1", "a"]);
    }

    #[test]
    fn no_volume_hides_the_root_or_proc() {
        for path in ["/", "//", "/.", "/data/..", "/proc", "/proc/", "/./proc/sys", "/x/../proc"] {
            check_place(path).unwrap_err();
        }
        for path in ["/data", "/process", "/data/proc", "/sys", "/dev/shm"] {
            check_place(path).unwrap();
        }
    }

    #[test]
    fn an_image_without_a_command_needs_one() {
        let error = args(&Execution::default(), &settings()).unwrap_err().to_string();
        assert!(error.contains("--cmd"), "{error}");
        let empty = Execution { cmd: vec![String::new(), "x".to_owned()], ..Execution::default() };
        let error = args(&empty, &settings()).unwrap_err().to_string();
        assert!(error.contains("empty"), "{error}");
    }
}
