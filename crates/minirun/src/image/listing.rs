//! `minirun image`: what is in the store, and what is removed from it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use minirun_image::{Digest, Removed, Store};
use serde_json::json;

use super::open_store;
use super::progress::size;
use crate::report::{Format, print};

/// What is done with a store.
#[derive(Debug)]
pub enum Action {
    List(Format),
    /// Removes images by their ids, or the beginnings of those.
    Remove(Vec<String>),
    Prune,
    Verify,
}

/// Carries out `minirun image`.
pub fn image(store: Option<PathBuf>, action: &Action) -> Result<()> {
    let store = open_store(store)?;
    match action {
        Action::List(format) => list(*format, &store),
        Action::Remove(ids) => ids.iter().try_for_each(|id| told(&store.remove(&find(&store, id)?)?)),
        Action::Prune => told(&store.prune()?),
        Action::Verify => verify(&store),
    }
}

/// The image whose id begins so, with or without its algorithm.
fn find(store: &Store, text: &str) -> Result<Digest> {
    let start = text.strip_prefix("sha256:").unwrap_or(text);
    let mut found = store.images()?.into_iter().filter(|id| !start.is_empty() && id.hex().starts_with(start));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => bail!("several images have an id that begins with {text}"),
        (None, _) => bail!("no image in {} has the id {text}", store.path().display()),
    }
}

/// Compares every layer with its digest.
fn verify(store: &Store) -> Result<()> {
    let _lock = store.lock_shared()?;
    let mut damaged = 0;
    let layers = store.layers()?;
    for layer in &layers {
        match store.verify(layer) {
            Ok(()) => print(&format!("layer {} is whole\n", layer.short()))?,
            Err(error) => {
                damaged += 1;
                print(&format!("layer {} is damaged: {error}\n", layer.short()))?;
            }
        }
    }
    if damaged > 0 {
        bail!("{damaged} of {} layers are damaged", layers.len());
    }
    Ok(())
}

fn told(removed: &Removed) -> Result<()> {
    let mut text = String::new();
    for image in &removed.images {
        text.push_str(&format!("removed image {}\n", image.short()));
    }
    for layer in &removed.layers {
        text.push_str(&format!("removed layer {}\n", layer.short()));
    }
    if !removed.layers.is_empty() {
        text.push_str(&format!("{} less\n", size(removed.bytes)));
    }
    print(&text)
}

/// An image, as `ls` tells of it.
struct Row {
    id: Digest,
    reference: String,
    layers: usize,
    bytes: u64,
    bundles: Vec<String>,
}

fn list(format: Format, store: &Store) -> Result<()> {
    let mut rows = Vec::new();
    for id in store.images()? {
        let image = store.image(&id)?;
        let mut bytes = 0;
        for layer in &image.layers {
            bytes += store.layer(layer)?.map_or(0, |layer| layer.facts.bytes);
        }
        let bundles = store.users_of(&id)?.iter().map(|path| path.display().to_string()).collect();
        let reference = image.references.first().cloned().unwrap_or_default();
        rows.push(Row { id, reference, layers: image.layers.len(), bytes, bundles });
    }
    if format == Format::Json {
        let row = |row: &Row| {
            let Row { id, reference, layers, bytes, bundles } = row;
            json!({"id": id.to_string(), "reference": reference, "layers": layers, "bytes": bytes, "bundles": bundles})
        };
        let list = serde_json::to_string(&rows.iter().map(row).collect::<Vec<_>>()).context("write JSON")?;
        return print(&format!("{list}\n"));
    }
    let mut text = format!("{:<14}{:<8}{:<12}{:<9}{}\n", "ID", "LAYERS", "SIZE", "BUNDLES", "IMAGE");
    for Row { id, reference, layers, bytes, bundles } in &rows {
        text.push_str(&format!("{:<14}{layers:<8}{:<12}{:<9}{reference}\n", id.short(), size(*bytes), bundles.len()));
    }
    print(&text)
}
