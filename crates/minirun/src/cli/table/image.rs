//! Commands about images, the store of their layers, and what containers have changed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use minirun_image::{Compression, Reference};

use super::ORDINARY;
use crate::cli::Call;
use crate::cli::command::{Action, Command, Group, Kind, Perform};
use crate::cli::option::{Typed, choice, directory, flag, options, short, text, texts};
use crate::image::{self, CommitOptions};
use crate::report::Format;

pub const STORE: Typed<Option<PathBuf>> = directory(
    "store",
    "the store of layers (default: /var/lib/minirun; of a user $XDG_DATA_HOME/minirun or ~/.local/share/minirun)",
);

pub const DIFF: Command = Command {
    name: "diff",
    group: Group::Images,
    usage: "ID|BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "List what a container has changed in its root, which must be a stack of layers: A for what was added, C for what \
           was changed, D for what was deleted.",
    details: "An argument with a slash is a bundle, of which a container may run or not; any other is the id of a \
              container.\nThe rules are those of docker diff: type, permissions, owner, size, time and capabilities count, \
              and a directory is changed when something in it is. What is in volumes and other mounts is no part of the \
              root.\nWhere changes are kept in memory (bundle --upper-size) they are there as long as the container's init.",
    exit: ORDINARY,
    example: "sudo minirun diff web",
    action: Action::of::<Diff>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// `diff` has no options.
    Diff {}
}

impl Perform for Diff {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        image::diff(&call.globals.runtime(), &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const COMMIT: Command = Command {
    name: "commit",
    group: Group::Images,
    usage: "[OPTIONS] ID|BUNDLE/ IMAGE",
    arguments: (2, 2),
    takes: &[Kind::Container, Kind::File],
    help: "Make an image of what a container has changed: a layer on top of the image that its bundle was made from. The new \
           image's ID is printed.",
    details: "An argument with a slash is a bundle, of which a container may run or not; any other is the id of a \
              container. A running one stands still while its changes are read.\nIMAGE is oci:PATH[:TAG], \
              oci-archive:FILE[:TAG] or docker-archive:FILE[:REF], a new one or one that gets another image: an archive is \
              then written anew, with the images that it has. It appears in one go, when it is whole.\nAs with docker \
              commit it is run as the container was: with the --cmd, --env, --user and --workdir of the bundle.\nThe same \
              changes make the same layer; with SOURCE_DATE_EPOCH, seconds since 1970, in the environment, the same image. \
              What is in volumes and other mounts is no part of it, and sockets are left out.\n--change takes CMD, \
              ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR, as a Dockerfile has them.",
    exit: ORDINARY,
    example: "sudo minirun commit --message 'with a page' web oci:web:changed",
    action: Action::of::<Commit>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `commit`.
    Commit {
        author: Option<String> = short('a', text("author", "WHO", "who made it")),
        message: Option<String> = short('m', text("message", "TEXT", "why it was made")),
        changes: Vec<String> = short(
            'c',
            texts("change", "INSTRUCTION", "change how the image is run: USER www-data; may be given again"),
        ),
        compress: Option<String> =
            choice("compress", "HOW", &["gzip", "zstd", "none"], "the new layer's compression (default: gzip)"),
        no_pause: bool = flag("no-pause", "do not stop the container while its changes are read"),
    }
}

impl Perform for Commit {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let options = CommitOptions {
            image: Reference::parse(&call.args[1])?,
            subject: call.args[0].clone(),
            author: self.author,
            message: self.message,
            changes: self.changes,
            compression: match self.compress.as_deref() {
                Some("none") => Compression::None,
                Some("zstd") => Compression::Zstd,
                _ => Compression::Gzip,
            },
            no_pause: self.no_pause,
        };
        image::commit(&call.globals.runtime(), options)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What `image` can do.
pub const ACTIONS: &[&str] = &["ls", "rm", "prune", "verify"];

pub const IMAGE: Command = Command {
    name: "image",
    group: Group::Images,
    usage: "[--store DIR] ls | rm ID... | prune | verify",
    arguments: (1, usize::MAX),
    takes: &[Kind::Choice(ACTIONS)],
    help: "Look after the store of layers: list its images, remove some or all that no bundle uses, verify it.",
    details: "ls lists the images that bundles were made from. An ID is as ls prints it, or the beginning of it that is \
              enough.\nrm removes images, with those of their layers that nothing else has. prune removes all images that no \
              bundle uses, and what killed commands have left behind. A bundle that was deleted uses nothing; one that was \
              moved still does, if it lies on the file system of the store.\nverify puts each layer's archive together again \
              from its files and compares the digest, and owners, permissions and times with what the archive says.",
    exit: "0 when it is done, 1 when it is not, or when verify finds a difference.",
    example: "sudo minirun image ls",
    action: Action::of::<Images>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `image`.
    Images {
        store: Option<PathBuf> = STORE,
        format: Option<String> =
            choice("format", "FORMAT", &["table", "json"], "how ls prints: table or json (default: table)"),
    }
}

impl Perform for Images {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let (action, rest) = (call.args[0].as_str(), &call.args[1..]);
        if action != "rm" && !rest.is_empty() {
            bail!("image {action} takes no further arguments");
        }
        let action = match action {
            "ls" if self.format.as_deref() == Some("json") => image::Action::List(Format::Json),
            "ls" => image::Action::List(Format::Table),
            "rm" if rest.is_empty() => bail!("image rm: an ID is missing (minirun image ls lists them)"),
            "rm" => image::Action::Remove(rest.to_vec()),
            "prune" => image::Action::Prune,
            "verify" => image::Action::Verify,
            other => bail!("image {other:?}: ls, rm, prune or verify is meant"),
        };
        image::image(self.store, &action)?;
        Ok(ExitCode::SUCCESS)
    }
}
