//! Whose changes are meant: a bundle, or a container by its id. And `minirun diff`, which lists them.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use minirun_container::bundle::Bundle;
use minirun_container::{Errno, Kind, Listed, Runtime, Snapshot};
use minirun_image::{ImageError, Root, Source};

use super::workers;
use crate::report::print;

/// A bundle, with the container that was made from it if there is one.
pub struct Subject {
    /// With the configuration that the container has.
    pub bundle: Bundle,
    pub container: Option<(String, Snapshot)>,
}

impl Subject {
    /// What an argument means. As for `run`, one with a slash is a bundle.
    pub fn of(runtime: &Runtime<'_>, argument: &str) -> Result<Subject> {
        if argument.contains('/') {
            let bundle = Bundle::load(Path::new(argument))?;
            if let Some(id) = container_of(runtime, &bundle.dir)?
                && let Some(subject) = Subject::of_container(runtime, &id)?
            {
                return Ok(subject);
            }
            return Ok(Subject { bundle, container: None });
        }
        match Subject::of_container(runtime, argument)? {
            Some(subject) => Ok(subject),
            // accepts: any error; then it is no bundle.
            None if Path::new(argument).join("config.json").exists() => {
                bail!("container does not exist: {argument} (hint: {argument}/ is the bundle in that directory)")
            }
            None => bail!("container does not exist: {argument}"),
        }
    }

    fn of_container(runtime: &Runtime<'_>, id: &str) -> Result<Option<Subject>> {
        let (snapshot, config) = match runtime.container(id)?.snapshot_and_config() {
            Err(error) if matches!(error.kind(), Kind::NotFound { .. }) => return Ok(None),
            answer => answer?,
        };
        let bundle = Bundle::of_text(snapshot.bundle().to_owned(), config)?;
        Ok(Some(Subject { bundle, container: Some((id.to_owned(), snapshot)) }))
    }

    /// Its root, and where its changes are.
    pub fn root(&self) -> Result<Root> {
        let dir = self.bundle.dir.display();
        let layers = self.bundle.layers().with_context(|| {
            format!("the root of bundle {dir} is not an overlay of layers (hint: minirun bundle makes bundles that have one)")
        });
        let root = layers?.map_err(|problems| anyhow!("bundle {dir}: {problems}"))?;
        let layers = root.layers();
        let source = match (layers.upper(), &self.container) {
            (Some(upper), _) => Source::Upper(upper.upper.path.clone()),
            (None, Some((id, found))) => {
                let init = found
                    .pidfd()
                    .with_context(|| format!("container {id} has kept its changes in memory, and has ended"))?;
                let init = init.try_clone_to_owned().context("keep the container's init")?;
                Source::Inside { init, user_namespace: self.bundle.has_user_namespace() }
            }
            (None, None) => bail!("bundle {dir} keeps changes in memory, and has no running container"),
        };
        let lower = layers.lower().iter().map(|layer| layer.path.clone()).collect();
        Ok(Root { lower, marks: layers.marks(), source })
    }
}

/// Returns the id of the container that has processes and was made from the bundle in this directory.
fn container_of(runtime: &Runtime<'_>, bundle: &Path) -> Result<Option<String>> {
    // A user without a runtime directory has no containers.
    if runtime.root().is_none() {
        return Ok(None);
    }
    let listed = match runtime.list() {
        // A state directory that does not exist has none either, even if it was named.
        Err(error) if error.errno() == Some(Errno::ENOENT) => return Ok(None),
        listed => listed?,
    };
    for Listed { id, snapshot, .. } in listed {
        match snapshot {
            Ok(made) if made.pid().is_some() && made.bundle() == bundle => return Ok(Some(id)),
            Ok(_) => {}
            // It can be this bundle's, and would have to be frozen; more likely it is another's.
            Err(error) => log::warn!("container {id}: {error}"),
        }
    }
    Ok(None)
}

/// Carries out `minirun diff`.
pub fn diff(runtime: &Runtime<'_>, argument: &str) -> Result<()> {
    let root = Subject::of(runtime, argument)?.root()?;
    let mut lost = None;
    let mut tell = |changed: &_| {
        print(&format!("{changed}\n")).map_err(|error| {
            let text = error.to_string();
            lost = Some(error);
            ImageError::new(text)
        })
    };
    let told = root.changes(&workers(), &mut tell);
    lost.map_or_else(|| Ok(told?), Err)
}
