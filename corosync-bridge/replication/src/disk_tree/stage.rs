//! New content on its way to its path.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{Advice, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::syncing::Syncing;
use super::{attributes, failed};
use crate::EntryPath;
use crate::tree::{Complete, Stage, TreeError};

/// Bytes of a content that are written before the disk is asked to begin with them. Less would cost a disk more single
/// writes; more would leave more to wait for at the end, when everything else waits too.
const WRITE_BEHIND_BYTES: u64 = 1024 * 1024;

/// A temporary file beside its target. Removed when dropped before it was placed.
#[derive(Debug)]
pub struct DiskStage {
    path: EntryPath,
    parent: Rc<OwnedFd>,
    name: Vec<u8>,
    file: Arc<File>,
    /// Bytes so far.
    length: u64,
    /// Bytes that the disk was asked to begin with.
    begun: u64,
    placed: bool,
}

impl DiskStage {
    pub(super) fn create(path: EntryPath, parent: Rc<OwnedFd>, name: Vec<u8>) -> Result<Self, TreeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name.as_slice(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed("create a temporary file beside", &path))?;
        Ok(Self {
            path,
            parent,
            name,
            file: Arc::new(File::from(file)),
            length: 0,
            begun: 0,
            placed: false,
        })
    }

    /// Lets the disk begin with what it was not asked for yet: the sync at the end then has little left to wait for. What it
    /// was asked for before may be on the disk, and the advice would have the kernel forget it: the next version would be made
    /// of what has to be read again.
    fn begin_to_write(&mut self) {
        let length = NonZeroU64::new(self.length - self.begun);
        // Only advice: the sync says what failed.
        let _ = rustix::fs::fadvise(&self.file, self.begun, length, Advice::DontNeed);
        self.begun = self.length;
    }

    /// Directory and name of the temporary file.
    pub(super) fn place(&self) -> (&OwnedFd, &[u8]) {
        (&self.parent, &self.name)
    }

    /// It has its place now.
    pub(super) fn placed(&mut self) -> Result<Stat, Errno> {
        self.placed = true;
        rustix::fs::fstat(&self.file)
    }
}

impl Stage for DiskStage {
    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError> {
        (&*self.file).write_all(bytes).map_err(|source| TreeError {
            action: "write the new content of",
            path: self.path.clone(),
            source,
        })?;
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.length - self.begun >= WRITE_BEHIND_BYTES {
            self.begin_to_write();
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), TreeError> {
        let end = self.length.saturating_add(length);
        rustix::fs::ftruncate(&self.file, end)
            .and_then(|()| rustix::fs::seek(&self.file, SeekFrom::Start(end)))
            .map_err(failed("write the new content of", &self.path))?;
        self.length = end;
        Ok(())
    }
}

impl Drop for DiskStage {
    fn drop(&mut self) {
        if !self.placed {
            attributes::discard(&self.parent, &self.name);
        }
    }
}

/// Contents that have their attributes, and that the disk is at.
#[derive(Debug)]
pub struct DiskSealing {
    batch: Vec<Complete<DiskStage>>,
    /// Whether each could be given its attributes.
    attributed: Vec<Result<(), TreeError>>,
    syncing: Syncing<File>,
}

impl DiskSealing {
    /// Gives each its attributes and has the disk begin with all.
    pub(super) fn begin(mut batch: Vec<Complete<DiskStage>>) -> Self {
        // So that several are written side by side; one alone is written by its sync.
        if batch.len() > 1 {
            for complete in &mut batch {
                complete.stage.begin_to_write();
            }
        }
        let attributed = batch.iter().map(|complete| {
            attributes::apply(&complete.stage.file, &complete.attributes)
                .map_err(failed("set attributes of the new content of", &complete.path))
        });
        let attributed = attributed.collect();
        let files = batch.iter().map(|complete| Arc::clone(&complete.stage.file));
        let syncing = Syncing::begin(&files.collect::<Vec<_>>());
        Self {
            batch,
            attributed,
            syncing,
        }
    }

    /// Waits until all is durable.
    pub(super) fn finish(self) -> Vec<Result<Complete<DiskStage>, TreeError>> {
        let outcomes = self.attributed.into_iter().zip(self.syncing.finish());
        self.batch
            .into_iter()
            .zip(outcomes)
            .map(|(complete, (attributed, synced))| {
                attributed?;
                synced.map_err(failed("sync the new content of", &complete.path))?;
                Ok(complete)
            })
            .collect()
    }
}
