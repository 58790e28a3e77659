//! Unpacks the layers of an image into the store, those that are not there.
//!
//! Each layer has two processes: one reads and decompresses the blob, the other makes the files; a pipe is between them, and
//! each verifies the digest of what it reads. As many layers are unpacked at the same time as there are processors.

use std::fs::File;
use std::io::{BufWriter, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use flate2::Compression;
use flate2::write::GzEncoder;
use minirun_sys as sys;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::apply::Applier;
use crate::digest::Digest;
use crate::error::{Doing as _, ErrorKind, ImageError, Result};
use crate::image::{Image, Layer};
use crate::store::{Draft, Staging, Store, Stored, name_of};
use crate::stream::{Content, Limits, Piece, pour};
use crate::workers::{Worker, Workers};

/// How large the pipe between the two processes of a layer is, in bytes: the most that an ordinary user may have.
const PIPE: i32 = 1 << 20;
/// How much of a blob is read before that is told, in bytes.
const STEP: u64 = 1 << 20;

/// How far the work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The layers that were missing.
    pub layers: usize,
    /// How many of them are unpacked.
    pub layers_done: usize,
    /// The bytes of their blobs.
    pub bytes: u64,
    /// How many of them are read.
    pub bytes_read: u64,
}

/// What the processes of a layer tell.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// So many bytes of the blob were read.
    Read(u64),
    /// The layer was made.
    Applied,
    /// It could not be read, or its digests are wrong.
    NotPoured(ImageError),
    /// It could not be made.
    NotApplied(ImageError),
}

impl Store {
    /// Unpacks what is missing of an image, and gives all of its layers, bottom first. The store must be locked.
    ///
    /// # Errors
    /// A layer cannot be read, is not what its digests say, goes over a limit, or cannot be made. Nothing of it is left then.
    pub fn unpack(&self, image: &Image, limits: &Limits, tell: &mut dyn FnMut(&Progress)) -> Result<Vec<Stored>> {
        let mut missing: Vec<&Layer> = Vec::new();
        for layer in &image.layers {
            if self.layer(&layer.diff_id)?.is_some() {
                // Somebody may have been killed right after it was made.
                self.sweep_one(&name_of(&layer.diff_id))?;
            } else if missing.iter().all(|known| known.diff_id != layer.diff_id) {
                missing.push(layer);
            }
        }
        // Everybody takes them in the same order, so that no two wait for each other.
        missing.sort_by_key(|layer| layer.diff_id);
        let mut work = Work { image, limits, waiting: Vec::new(), running: Vec::new(), progress: Progress::default() };
        for layer in missing {
            if let Some(staging) = Staging::take(self, &layer.diff_id)? {
                work.progress.layers += 1;
                work.progress.bytes += layer.size;
                work.waiting.push((layer, staging));
            }
        }
        // The largest first: the others fit beside it.
        work.waiting.sort_by_key(|(layer, _)| layer.size);
        let done = work.carry_out(&self.workers, tell);
        if let Err(error) = done {
            return Err(work.undo(error));
        }
        let stored = |layer: &Layer| {
            let found = self.layer(&layer.diff_id)?;
            found.ok_or_else(|| ImageError::not_found(format!("layer {} is not in the store any more", layer.diff_id)))
        };
        image.layers.iter().map(stored).collect()
    }
}

struct Work<'a> {
    image: &'a Image,
    limits: &'a Limits,
    waiting: Vec<(&'a Layer, Staging<'a>)>,
    running: Vec<Running<'a>>,
    progress: Progress,
}

/// A layer that is being unpacked.
struct Running<'a> {
    layer: &'a Layer,
    staging: Staging<'a>,
    workers: Vec<Worker>,
    reports: PipeReader,
    /// The beginning of a report.
    heard: Vec<u8>,
    read: u64,
    applied: bool,
    failure: Option<ImageError>,
}

impl Work<'_> {
    fn carry_out(&mut self, workers: &Workers, tell: &mut dyn FnMut(&Progress)) -> Result<()> {
        // accepts: any error; one at a time always works.
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        loop {
            while self.running.len() < most
                && let Some((layer, staging)) = self.waiting.pop()
            {
                let running = Running::start(self.image, layer, staging, self.limits, workers)?;
                self.running.push(running);
            }
            if self.running.is_empty() {
                return Ok(());
            }
            tell(&self.progress);
            let ready = self.wait()?;
            let before = self.running[ready].read;
            if self.running[ready].hear()? {
                self.progress.bytes_read += self.running[ready].read - before;
                continue;
            }
            let running = self.running.swap_remove(ready);
            self.progress.bytes_read += running.layer.size - before.min(running.layer.size);
            self.progress.layers_done += 1;
            running.finish()?;
            tell(&self.progress);
        }
    }

    /// Waits for a report: whose it is.
    fn wait(&self) -> Result<usize> {
        loop {
            let mut list: Vec<_> =
                self.running.iter().map(|running| PollFd::new(running.reports.as_fd(), PollFlags::POLLIN)).collect();
            match poll(&mut list, PollTimeout::NONE) {
                Ok(_) | Err(sys::Errno::EINTR) => {}
                Err(errno) => return Err(ImageError::of("poll", errno)),
            }
            if let Some(ready) = list.iter().position(|fd| fd.any() == Some(true)) {
                return Ok(ready);
            }
        }
    }

    /// Ends everything and removes what was made. A failure of that is added to the cause.
    fn undo(mut self, cause: ImageError) -> ImageError {
        let running = self.running.drain(..).map(|running| {
            running.workers.into_iter().for_each(Worker::end);
            running.staging
        });
        let mut stagings: Vec<_> = running.collect();
        stagings.extend(self.waiting.drain(..).map(|(_, staging)| staging));
        let failed = stagings.into_iter().filter_map(|staging| staging.abandon().err());
        failed.fold(cause, |cause, undo| cause.and(&undo))
    }
}

impl<'a> Running<'a> {
    fn start(
        image: &Image,
        layer: &'a Layer,
        staging: Staging<'a>,
        limits: &Limits,
        workers: &Workers,
    ) -> Result<Running<'a>> {
        let (reports, teller) = std::io::pipe().doing(|| "pipe2")?;
        let mut running = Running {
            layer,
            staging,
            workers: Vec::new(),
            reports,
            heard: Vec::new(),
            read: 0,
            applied: false,
            failure: None,
        };
        if let Err(error) = running.start_workers(image, limits, workers, &File::from(OwnedFd::from(teller))) {
            running.workers.into_iter().for_each(Worker::end);
            return Err(match running.staging.abandon() {
                Ok(()) => error,
                Err(undo) => error.and(&undo),
            });
        }
        Ok(running)
    }

    fn start_workers(&mut self, image: &Image, limits: &Limits, workers: &Workers, teller: &File) -> Result<()> {
        let blob = image.blob(self.layer).map_err(|error| error.within(format!("layer {}", self.layer.diff_id)))?;
        let Layer { blob: expected, diff_id, .. } = *self.layer;
        let draft = self.staging.draft()?;
        let (out, into) = nix::unistd::pipe2(OFlag::O_CLOEXEC).doing(|| "pipe2")?;
        // A smaller one is only slower.
        // accepts: any error; a smaller pipe is only slower.
        let _smaller = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE));
        let applier = workers.start(|child| {
            // Its own copy must go, or it would wait for itself.
            child.abandon(&[into.as_raw_fd()]);
            let done = apply(out.as_fd(), diff_id, &draft, limits, workers);
            report(
                teller,
                // accepts: no error: it is told.
                &done.as_ref().map_or_else(|error| Report::NotApplied(error.clone()), |()| Report::Applied),
            );
            done
        })?;
        self.workers.push(applier);
        let feeder = Workers::of_root().start(|child| {
            child.abandon(&[out.as_raw_fd()]);
            feed(blob, expected, limits, &File::from(into), teller)
        })?;
        self.workers.push(feeder);
        Ok(())
    }

    /// Reads reports; false when there will be no more.
    fn hear(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        let length = match self.reports.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(true),
            answer => answer.doing(|| "read the answer of the worker process")?,
        };
        self.heard.extend_from_slice(&buffer[..length]);
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = self.heard.drain(..=end).collect();
            match crate::document::parse(&line, "report")? {
                Report::Read(read) => self.read = read.min(self.layer.size),
                Report::Applied => self.applied = true,
                // What could not be read is the reason for what could not be made.
                Report::NotPoured(error) => self.failure = Some(error),
                Report::NotApplied(error) => {
                    self.failure.get_or_insert(error);
                }
            }
        }
        Ok(length > 0)
    }

    /// After the last report: makes the layer visible, or tells why not.
    fn finish(self) -> Result<()> {
        let mut done = true;
        for worker in self.workers {
            done &= worker.wait();
        }
        match (self.failure, self.applied) {
            (None, true) if done => {
                let stored = self.staging.publish()?;
                if stored.facts.devices > 0 {
                    log::warn!(
                        "{} devices of layer {} are left out, because an ordinary user cannot make devices",
                        stored.facts.devices,
                        self.layer.diff_id.short()
                    );
                }
                Ok(())
            }
            (failure, _) => {
                let died = || ImageError::new("the process that unpacked it has died").with_kind(ErrorKind::Worker);
                let error = failure.unwrap_or_else(died).within(format!("layer {}", self.layer.diff_id));
                match self.staging.abandon() {
                    Ok(()) => Err(error),
                    Err(undo) => Err(error.and(&undo)),
                }
            }
        }
    }
}

/// The first process of a layer.
fn feed(blob: Piece, expected: Option<Digest>, limits: &Limits, mut pipe: &File, teller: &File) -> Result<()> {
    let mut told = 0;
    let mut alone = false;
    let mut sink = |bytes: &[u8]| {
        pipe.write_all(bytes).map_err(|error| {
            // The other one has gone, and has told why.
            alone = true;
            ImageError::new(error.to_string())
        })
    };
    let mut tell = |read: u64| {
        if read - told >= STEP {
            told = read;
            report(teller, &Report::Read(read));
        }
    };
    let done = pour(blob, expected, limits, &mut sink, &mut tell);
    if let Err(error) = &done
        && !alone
    {
        report(teller, &Report::NotPoured(error.clone()));
    }
    done
}

/// The second process of a layer.
fn apply(pipe: BorrowedFd<'_>, diff_id: Digest, draft: &Draft, limits: &Limits, workers: &Workers) -> Result<()> {
    let mut content = Content::new(File::from(pipe.try_clone_to_owned().doing(|| "dup")?));
    let mut kept = GzEncoder::new(BufWriter::new(draft.headers()?), Compression::fast());
    let applied = Applier::new(draft.root()?, limits, workers.marks()).apply(&mut content, &mut kept)?;
    content.verify(diff_id)?;
    kept.finish().and_then(|mut file| file.flush()).doing(|| "write headers.gz")?;
    draft.describe(applied)
}

/// Tells the parent something, in one piece, for both processes use this pipe. If the parent has gone, so will this process.
fn report(mut teller: &File, report: &Report) {
    /// `PIPE_BUF`, with what JSON adds: every byte of a text may become six.
    const MOST: usize = 4096 / 6 - 64;
    let report = match report {
        Report::NotPoured(error) => &Report::NotPoured(error.cut(MOST)),
        Report::NotApplied(error) => &Report::NotApplied(error.cut(MOST)),
        other => other,
    };
    // accepts: any error; progress is only shown.
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        // accepts: as above.
        let _lost = teller.write_all(&line);
    }
}
