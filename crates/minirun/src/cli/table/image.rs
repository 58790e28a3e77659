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
    "directory of the layer store (default: /var/lib/minirun, or for a user other than root $XDG_DATA_HOME/minirun or ~/.local/share/minirun)",
);

pub const DIFF: Command = Command {
    name: "diff",
    group: Group::Images,
    usage: "ID|BUNDLE/",
    arguments: (1, 1),
    takes: &[Kind::Container],
    help: "List the files that a container has changed: A for added, C for changed, D for deleted. The root file system must be an overlay of layers.",
    details: "An argument with a slash is the directory of a bundle; any other argument is the id of a container. The container does not have to be running.\nThe rules are those of docker diff: a file is changed if its type, permissions, owner, size, time or capabilities differ, and a directory if one of its entries differs. Volumes and other mounts are not compared.\nChanges in memory (bundle --upper-size) exist only as long as the container's init process.",
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
        image::diff(&call.globals.runtime()?, &call.args[0])?;
        Ok(ExitCode::SUCCESS)
    }
}

pub const COMMIT: Command = Command {
    name: "commit",
    group: Group::Images,
    usage: "[OPTIONS] ID|BUNDLE/ IMAGE",
    arguments: (2, 2),
    takes: &[Kind::Container, Kind::File],
    help: "Make an image from a container's changes, as a layer on top of the image of its bundle. Prints the ID of the new image.",
    details: "An argument with a slash is the directory of a bundle; any other argument is the id of a container. The container does not have to be running. A running container is paused while its changes are read.\nIMAGE is oci:PATH[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]. An existing layout or archive keeps its other images. The new content replaces the old one in one step, when it is complete.\nAs with docker commit, the image's configuration includes the --cmd, --env, --user and --workdir of the bundle.\nThe same changes make the same layer. If SOURCE_DATE_EPOCH (seconds since 1970) is set in the environment, they make the same image. Volumes, other mounts and sockets are left out.\n--change supports the instructions CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR of a Dockerfile.",
    exit: ORDINARY,
    example: "sudo minirun commit --message 'with a page' web oci:web:changed",
    action: Action::of::<Commit>(),
    passes_on: false,
    failure: 1,
};

options! {
    /// Options of `commit`.
    Commit {
        author: Option<String> = short('a', text("author", "NAME", "author of the image")),
        message: Option<String> = short('m', text("message", "TEXT", "comment on the image")),
        changes: Vec<String> = short(
            'c',
            texts("change", "INSTRUCTION", "apply an instruction of a Dockerfile, for example USER www-data; can be repeated"),
        ),
        compress: Option<String> =
            choice("compress", "METHOD", &["gzip", "zstd", "none"], "compression of the new layer: gzip, zstd or none (default: gzip)"),
        no_pause: bool = flag("no-pause", "do not pause the container while its changes are read"),
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
        image::commit(&call.globals.runtime()?, options)?;
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
    help: "Manage the layer store. ls lists its images, rm removes some, prune removes all unused ones, and verify checks the layers.",
    details: "ls lists the images that bundles were made from. An ID can be shortened as long as it is unique.\nrm removes images, and the layers that no other image has. prune removes all images that no bundle uses, and the leftovers of killed commands. A deleted bundle does not use an image any more. A moved bundle still does if it is on the file system of the store.\nverify rebuilds each layer's archive from its files and compares the digest. It also compares owners, permissions and times with those in the archive.",
    exit: "0 on success, 1 on failure or if verify finds a difference.",
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
            choice("format", "FORMAT", &["table", "json"], "output format of ls: table or json (default: table)"),
    }
}

impl Perform for Images {
    fn perform(self, call: &Call) -> Result<ExitCode> {
        let (action, rest) = (call.args[0].as_str(), &call.args[1..]);
        if action != "rm" && !rest.is_empty() {
            bail!("image {action} does not support arguments");
        }
        let action = match action {
            "ls" if self.format.as_deref() == Some("json") => image::Action::List(Format::Json),
            "ls" => image::Action::List(Format::Table),
            "rm" if rest.is_empty() => bail!("image rm: an ID is missing (minirun image ls lists them)"),
            "rm" => image::Action::Remove(rest.to_vec()),
            "prune" => image::Action::Prune,
            "verify" => image::Action::Verify,
            other => bail!("image {other:?}: expected ls, rm, prune or verify"),
        };
        image::image(self.store, &action)?;
        Ok(ExitCode::SUCCESS)
    }
}
