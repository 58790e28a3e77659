//! `--pid-file`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// The draft of a pid file. The record names the file, so that a draft can be removed after a crash; its name holds the
/// container's id, so that no other container has it.
pub fn draft(path: &Path, id: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{id}"))
}

/// Digits only, and in one go: engines read it as soon as it is there.
pub fn write(path: &Path, id: &str, pid: i32) -> Result<()> {
    let draft = draft(path, id);
    let context = || format!("write pid file {}", path.display());
    let mut options = std::fs::File::options();
    options.write(true).create_new(true).mode(0o644);
    let mut file = match options.open(&draft) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&draft).with_context(context)?;
            options.open(&draft).with_context(context)?
        }
        answer => answer.with_context(context)?,
    };
    file.write_all(pid.to_string().as_bytes()).with_context(context)?;
    std::fs::rename(&draft, path).with_context(context)
}
