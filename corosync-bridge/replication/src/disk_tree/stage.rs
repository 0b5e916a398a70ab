//! New content on its way to its path.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{Advice, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{attributes, failed};
use crate::EntryPath;
use crate::tree::{Complete, Stage, TreeError};

/// A temporary file beside its target. Removed when dropped before it was placed.
#[derive(Debug)]
pub struct DiskStage {
    path: EntryPath,
    parent: OwnedFd,
    name: Vec<u8>,
    file: File,
    placed: bool,
}

impl DiskStage {
    pub(super) fn create(path: EntryPath, parent: OwnedFd, name: Vec<u8>) -> Result<Self, TreeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name.as_slice(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed("create a temporary file beside", &path))?;
        Ok(Self {
            path,
            parent,
            name,
            file: File::from(file),
            placed: false,
        })
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
        self.file.write_all(bytes).map_err(|source| TreeError {
            action: "write the new content of",
            path: self.path.clone(),
            source,
        })
    }
}

impl Drop for DiskStage {
    fn drop(&mut self) {
        if !self.placed {
            attributes::discard(&self.parent, &self.name);
        }
    }
}

/// Gives each its attributes and makes all durable.
pub(super) fn seal(batch: Vec<Complete<DiskStage>>) -> Vec<Result<Complete<DiskStage>, TreeError>> {
    for complete in &batch {
        // Starts to write it, so that they are written side by side; the sync below says whether that failed.
        let _ = rustix::fs::fadvise(&complete.stage.file, 0, None, Advice::DontNeed);
    }
    batch
        .into_iter()
        .map(|complete| {
            let file = &complete.stage.file;
            attributes::apply(file, &complete.attributes)
                .map_err(failed("set attributes of the new content of", &complete.path))?;
            rustix::fs::fsync(file).map_err(failed("sync the new content of", &complete.path))?;
            Ok(complete)
        })
        .collect()
}
