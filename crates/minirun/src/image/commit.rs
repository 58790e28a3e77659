//! `minirun commit`: what a container has changed, as a layer on top of its image.

use std::time::{Duration, SystemTime};

use crate::report::describe;
use anyhow::{Context, Result, bail};
use minirun_container::bundle::Bundle;
use minirun_container::{Runtime, Snapshot, Status};
use minirun_image::{Amendment, Base, BundleRecord, Compression, Ids, Reference, Root, Source, Store};

use super::frozen::Frozen;
use super::subject::Subject;
use super::{PRIVATE, workers};
use crate::report::print;

/// What `commit` is asked for.
pub struct CommitOptions {
    /// A bundle, or the id of a container.
    pub subject: String,
    /// The new image.
    pub image: Reference,
    pub author: Option<String>,
    pub message: Option<String>,
    /// Instructions of a Dockerfile.
    pub changes: Vec<String>,
    pub compression: Compression,
    /// Reads the changes while they are made.
    pub no_pause: bool,
}

/// Carries out `minirun commit`.
pub fn commit(runtime: &Runtime<'_>, options: CommitOptions) -> Result<()> {
    let CommitOptions { subject, image: reference, author, message, changes, compression, no_pause } = options;
    let created = humantime::format_rfc3339_seconds(time()?).to_string();
    let created_by = "minirun commit".to_owned();
    let amendment = Amendment { author, message, changes, created, created_by, compression };
    let subject = Subject::of(runtime, &subject)?;
    let record = BundleRecord::read(&subject.bundle.dir)?;
    let root = subject.root()?;
    let ids = ids(&subject.bundle, &root)?;
    let store = Store::open(&record.store, workers())?;
    let _lock = store.lock_shared()?;
    let base = Base::find(&store, &record)?;
    // Bundles of earlier versions have it in the bundle's own directory.
    let attributes = [PRIVATE, "."].map(|above| subject.bundle.dir.join(above).join("attributes"));
    base.check(&root, &attributes).with_context(|| format!("bundle {}", subject.bundle.dir.display()))?;
    let found = subject.container.as_ref().map(|(_, found)| found);
    let freeze = || freeze(no_pause, found).map_err(|error| minirun_image::ImageError::new(describe(&error)));
    let committed = base.commit(&root, &ids, &reference, &amendment, freeze)?;
    print(&format!("{}\n", committed.id))
}

/// Stops the container while its changes are read, unless it stands still or that is not wanted.
fn freeze(no_pause: bool, found: Option<&Snapshot>) -> Result<Option<Frozen>> {
    let Some(found) = found.filter(|found| matches!(found.status(), Status::Created | Status::Running)) else {
        return Ok(None);
    };
    if no_pause {
        return Ok(None);
    }
    let cgroup = found
        .cgroup("commit of a running container")
        .context("the container cannot be frozen (hint: --no-pause reads its changes while they are made)")?;
    Frozen::new(cgroup).map(Some)
}

/// Now, or when the caller says that it is (reproducible-builds.org, SOURCE_DATE_EPOCH).
fn time() -> Result<SystemTime> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(std::env::VarError::NotPresent) => Ok(SystemTime::now()),
        text => {
            let seconds = text.ok().and_then(|text| text.parse().ok()).filter(|seconds| *seconds < 1 << 37);
            let seconds = seconds.context("SOURCE_DATE_EPOCH is not a number of seconds since 1970")?;
            Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        }
    }
}

/// The container's ids, where they are not those that are read: root sees the host's. An ordinary user, and whoever is in
/// the container's namespaces, sees them as the container does.
fn ids(bundle: &Bundle, root: &Root) -> Result<Ids> {
    let outside = matches!(root.source, Source::Upper(_)) && nix::unistd::geteuid().is_root();
    let Some(linux) = bundle.spec.linux.as_ref().filter(|_| outside && bundle.has_user_namespace()) else {
        return Ok(Ids::default());
    };
    let maps = |maps: &[minirun_plan::spec::IdMapping]| -> Vec<[u32; 3]> {
        maps.iter().map(|map| [map.container_id, map.host_id, map.size]).collect()
    };
    let ids = Ids { users: maps(&linux.uid_mappings), groups: maps(&linux.gid_mappings) };
    if ids.users.is_empty() || ids.groups.is_empty() {
        bail!("the container joins a user namespace, so its configuration does not say whose its files are");
    }
    Ok(ids)
}
