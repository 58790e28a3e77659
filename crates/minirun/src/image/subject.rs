//! Whose changes are meant: a bundle, or a container by its id. And `minirun diff`, which lists them.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use minirun_image::{ImageError, Marks, Root, Source};

use super::workers;
use crate::bundle::Bundle;
use crate::container::Found;
use crate::lifecycle;
use crate::options::Runtime;
use crate::report::print;
use crate::store::{Entry, Store};

/// A bundle, with the container that was made from it if there is one.
pub struct Subject {
    /// With the configuration that the container has.
    pub bundle: Bundle,
    pub container: Option<(String, Found)>,
}

impl Subject {
    /// What an argument means. As for `run`, one with a slash is a bundle.
    pub fn of(runtime: &Runtime, argument: &str) -> Result<Subject> {
        let store = lifecycle::store(runtime)?;
        if argument.contains('/') {
            let bundle = Bundle::load(Path::new(argument))?;
            if let Some(id) = container_of(&store, &bundle.dir)?
                && let Some(entry) = store.find(&id)?
            {
                return Subject::of_container(&entry, &id);
            }
            return Ok(Subject { bundle, container: None });
        }
        match store.find(argument)? {
            Some(entry) => Subject::of_container(&entry, argument),
            // accepts: any error; then it is no bundle.
            None if Path::new(argument).join("config.json").exists() => {
                bail!("container does not exist: {argument} (hint: {argument}/ is the bundle in that directory)")
            }
            None => bail!("container does not exist: {argument}"),
        }
    }

    fn of_container(entry: &Entry, id: &str) -> Result<Subject> {
        let found = Found::locked(entry)?;
        let bundle = Bundle::of_text(found.record.bundle.clone(), entry.read_config()?)?;
        Ok(Subject { bundle, container: Some((id.to_owned(), found)) })
    }

    /// Its root, and where its changes are.
    pub fn root(&self) -> Result<Root> {
        let dir = self.bundle.dir.display();
        let layers = self.bundle.layers().with_context(|| {
            format!("the root of bundle {dir} is not an overlay of layers (hint: minirun bundle makes bundles that have one)")
        });
        let layers = layers?.map_err(|problems| anyhow!("bundle {dir}: {problems}"))?;
        let source = match (layers.upper(), &self.container) {
            (Some(upper), _) => Source::Upper(upper.to_owned()),
            (None, Some((id, found))) => {
                let init = found.record.init.map_or(Ok(None), |init| init.open())?;
                let init =
                    init.with_context(|| format!("container {id} has kept its changes in memory, and has ended"))?;
                Source::Inside { init: init.into_fd(), user_namespace: self.bundle.has_user_namespace() }
            }
            (None, None) => bail!("bundle {dir} keeps changes in memory, and no container of it is there"),
        };
        let marks = if layers.userxattr() { Marks::User } else { Marks::Trusted };
        Ok(Root { lower: layers.lower().map(Path::to_owned).collect(), marks, source })
    }
}

/// The container that has processes and was made from the bundle in this directory.
fn container_of(store: &Store, bundle: &Path) -> Result<Option<String>> {
    // A state directory that is not there has no containers, also where it was named.
    // accepts: any error; a store that cannot be read has no container that could be frozen.
    for id in store.ids().unwrap_or_default() {
        // accepts: as above.
        if let Ok(Some(found)) = Found::peek(store, &id)
            && found.init.is_some()
            && found.record.bundle == bundle
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Carries out `minirun diff`.
pub fn diff(runtime: &Runtime, argument: &str) -> Result<()> {
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
