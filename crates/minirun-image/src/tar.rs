//! Reads and writes tar archives: ustar, with the extensions of pax (POSIX.1-2008) and of GNU that image tools write.
//!
//! Own code, because an archive may be hostile: everything that is kept has a limit, what is malformed is an error instead of
//! being skipped, and what two readers would understand differently (sizes of entries without content, data behind the
//! end) is refused. Nothing here touches the file system.

mod entry;
mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub use entry::{Entry, Kind};
pub(crate) use header::BLOCK;
pub use read::Reader;
pub use sparse::Part;
pub use write::Writer;
pub(crate) use write::header_of;

#[cfg(test)]
mod tests;
