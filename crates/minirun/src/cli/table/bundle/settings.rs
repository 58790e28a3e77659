//! The options of `minirun bundle`, read.

use anyhow::{Context, Result, anyhow, bail};
use minirun_container::{Kind, Runtime};
use minirun_image::{BundleOptions, Limits, Network, Seccomp, Upper, Volume};

use super::{Bundle, resources};

/// The options of the new bundle.
pub fn read(runtime: &Runtime<'_>, options: &Bundle) -> Result<BundleOptions> {
    Ok(BundleOptions {
        cmd: Some(options.cmd.clone()).filter(|cmd| !cmd.is_empty()),
        env: options.env.iter().map(|variable| variable_of(variable)).collect::<Result<_>>()?,
        user: options.user.clone(),
        working_dir: options.workdir.clone(),
        hostname: options.hostname.clone(),
        read_only: options.read_only,
        terminal: options.tty,
        network: network(runtime, options.net.as_deref())?,
        volumes: options.volumes.iter().map(|volume| volume_of(volume)).collect::<Result<_>>()?,
        upper: options.upper_size.map_or(Upper::Bundle, Upper::Memory),
        resources: resources::read(options)?,
        seccomp: seccomp_of(options.seccomp.as_deref())?,
        user_namespace: None,
        limits: options.layer_size.map_or_else(Limits::default, Limits::of_size),
    })
}

/// `NAME=VALUE`, or a name whose value is the caller's.
fn variable_of(text: &str) -> Result<String> {
    if text.contains('=') {
        return Ok(text.to_owned());
    }
    let value = std::env::var(text).map_err(|_| anyhow!("--env {text}: the variable is not set"))?;
    Ok(format!("{text}={value}"))
}

/// `DIR:PATH` or `DIR:PATH:ro`.
fn volume_of(text: &str) -> Result<Volume> {
    let parts: Vec<_> = text.split(':').collect();
    let (source, destination, writable) = match parts.as_slice() {
        [source, destination] | [source, destination, "rw"] => (source, destination, true),
        [source, destination, "ro"] => (source, destination, false),
        _ => bail!("--volume {text:?}: expected DIR:PATH or DIR:PATH:ro"),
    };
    if !destination.starts_with('/') {
        bail!("--volume {text:?}: the path in the container must be absolute");
    }
    let mut volume = Volume::new("", *destination, writable).context("--volume")?;
    volume.source = std::fs::canonicalize(source).with_context(|| format!("--volume {text:?}: {source}"))?;
    Ok(volume)
}

/// The filter of system calls: `default`, `none` or a file.
fn seccomp_of(value: Option<&str>) -> Result<Seccomp> {
    let read = |path: &str| anyhow::Ok(Seccomp::from_json(&std::fs::read(path)?)?);
    match value {
        None | Some("default") => Ok(Seccomp::DEFAULT),
        Some("none") => Ok(Seccomp::NONE),
        Some(path) => read(path).with_context(|| format!("--seccomp {path}")),
    }
}

fn network(runtime: &Runtime<'_>, net: Option<&str>) -> Result<Network> {
    match net {
        None | Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => match other.split_once(':') {
            Some(("container", id)) => network_of(runtime, id),
            _ => bail!("--net {other:?}: expected host, none or container:ID"),
        },
    }
}

/// The network namespace of a container that is there now.
fn network_of(runtime: &Runtime<'_>, id: &str) -> Result<Network> {
    let snapshot = match runtime.container(id)?.snapshot() {
        Err(error) if matches!(error.kind(), Kind::NotFound { .. }) => bail!("container {id} does not exist"),
        answer => answer?,
    };
    let pid = snapshot.pid();
    let pid = pid.with_context(|| format!("container {id} has no process whose network could be joined"))?;
    Ok(Network::Joined(format!("/proc/{pid}/ns/net").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_directory_and_a_path() {
        let volume = volume_of("/:/host:ro").unwrap();
        assert_eq!((volume.source.to_str(), volume.destination.as_str(), volume.writable), (Some("/"), "/host", false));
        assert!(volume_of("/:/host").unwrap().writable);
        for text in ["", "/", "/:", "/:host", "/:/a:b", "/:/a:ro:x", "/:/", "/:/proc/x", "/no/such/place:/a"] {
            volume_of(text).unwrap_err();
        }
    }
}
