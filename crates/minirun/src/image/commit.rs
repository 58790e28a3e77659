//! `minirun commit`: what a container has changed, as a layer on top of its image.

use std::time::{Duration, SystemTime};

use crate::report::describe;
use anyhow::{Context, Result, bail};
use minirun_cgroup::Cgroup;
use minirun_container::bundle::Bundle;
use minirun_container::{Runtime, Snapshot, Status};
use minirun_image::{
    Amendment, Base, BundleRecord, Compression, Freeze, IdMaps, ImageError, Reference, Root, Source, Store,
    attribute_layers,
};

use super::subject::Subject;
use super::workers;
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
    base.check(&root, &attribute_layers(&subject.bundle.dir))
        .with_context(|| format!("bundle {}", subject.bundle.dir.display()))?;
    let found = subject.container.as_ref().map(|(_, found)| found);
    let running = || running(no_pause, found).map_err(|error| ImageError::new(describe(&error)));
    let committed = base.commit(&root, &ids, &reference, &amendment, running)?;
    print(&format!("{}\n", committed.id))
}

/// A container that runs while its changes are read.
struct Running(Cgroup);

impl Freeze for Running {
    fn freeze(&self) -> minirun_image::Result<()> {
        self.0.freeze().map_err(|error| ImageError::new(describe(&error.into())))
    }

    fn thaw(&self) -> minirun_image::Result<()> {
        // accepts: any error; to thaw says what is wrong.
        if self.0.populated().is_ok_and(|populated| !populated) {
            return Ok(());
        }
        self.0.thaw().map_err(|error| ImageError::new(describe(&error.into())))
    }
}

/// The container that must be frozen while its changes are read; none if it stands still or that is not wanted.
fn running(no_pause: bool, found: Option<&Snapshot>) -> Result<Option<Running>> {
    let Some(found) = found.filter(|found| matches!(found.status(), Status::Created | Status::Running)) else {
        return Ok(None);
    };
    if no_pause {
        return Ok(None);
    }
    let cgroup = found
        .cgroup("commit of a running container")
        .context("the container cannot be frozen (hint: --no-pause reads its changes while they are made)")?;
    Ok(Some(Running(cgroup)))
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
fn ids(bundle: &Bundle, root: &Root) -> Result<IdMaps> {
    let outside = matches!(root.source, Source::Upper(_)) && nix::unistd::geteuid().is_root();
    let Some(linux) = bundle.spec.linux.as_ref().filter(|_| outside && bundle.has_user_namespace()) else {
        return Ok(IdMaps::default());
    };
    let ids = IdMaps { users: linux.uid_mappings.clone(), groups: linux.gid_mappings.clone() };
    if ids.users.is_empty() || ids.groups.is_empty() {
        bail!("the container joins a user namespace, so its configuration does not say whose its files are");
    }
    Ok(ids)
}
