//! What the core asks of a disk.

use std::io;

use crate::entry::{Attributes, Found, Seen};
use crate::{EntryPath, Role};

/// Why the disk did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path}: {source}")]
pub struct TreeError {
    /// What was attempted: `read`, `place`.
    pub action: &'static str,
    /// On what.
    pub path: EntryPath,
    /// What the system said.
    pub source: io::Error,
}

/// The answer to [`Tree::inspect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// Nothing there, or nothing that can be a setting (a device, a socket, a pipe).
    Absent,
    /// Known already, and surely the same.
    Unchanged,
    /// This is there.
    Present(Found),
}

/// A file open for reading.
pub trait Source: std::fmt::Debug {
    /// What was opened, as seen when it was opened.
    fn found(&self) -> &Found;

    /// Appends at most `limit` bytes to `buffer`; none at the end of the file.
    ///
    /// # Errors
    /// What the system said.
    fn read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<(), TreeError>;

    /// Goes to a byte of the content, from where it is read on.
    ///
    /// # Errors
    /// What the system said.
    fn seek(&mut self, offset: u64) -> Result<(), TreeError>;

    /// Skips the hole that is here, but no more than `limit` bytes of it. Returns how many were skipped: none where
    /// content was written, and none at the end of the file.
    ///
    /// # Errors
    /// What the system said.
    fn skip_hole(&mut self, limit: u64) -> Result<u64, TreeError>;

    /// Whether the file still is what it was when it was opened: what was read is one state of it.
    ///
    /// # Errors
    /// What the system said.
    fn is_unchanged(&self) -> Result<bool, TreeError>;
}

/// New content on its way to a path, out of everyone's sight until it is placed. Dropping it discards it.
pub trait Stage: std::fmt::Debug {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// What the system said.
    fn write(&mut self, bytes: &[u8]) -> Result<(), TreeError>;

    /// Appends a hole of `length` bytes, that reads as zeros and takes no room.
    ///
    /// # Errors
    /// What the system said.
    fn skip(&mut self, length: u64) -> Result<(), TreeError>;
}

/// A staged content that is complete.
#[derive(Debug)]
pub struct Complete<S> {
    /// The content.
    pub stage: S,
    /// Where it goes.
    pub path: EntryPath,
    /// What it gets.
    pub attributes: Attributes,
}

/// A disk. Calls on a path touch that path and what is in it, and nothing else.
///
/// A change is visible when its call returns, and durable once [`Tree::sync`] has returned.
pub trait Tree: std::fmt::Debug {
    /// A file open for reading.
    type Source: Source;
    /// Content on its way.
    type Stage: Stage;
    /// Contents that are being made durable.
    type Sealing: std::fmt::Debug;

    /// Contents that are made durable together at most: enough to share the cost, few enough to bound how long it takes.
    const TOGETHER: usize;

    /// This node has this role from now on. What was open or staged before is not used any more.
    fn take_role(&mut self, _role: Role) {}

    /// Looks at `path` without reading a file's content. Cheap when `known` still holds.
    ///
    /// # Errors
    /// What the system said.
    fn inspect(&mut self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, TreeError>;

    /// Looks at known entries of one directory as [`Tree::inspect`] does, and tells of each in their order. What is told to
    /// be unchanged was so when this was called, whatever became of the directory meanwhile.
    fn inspect_known(&mut self, entries: &[(&EntryPath, &Seen)]) -> Vec<Result<Inspection, TreeError>> {
        inspect_each(self, entries)
    }

    /// Names in the directory `path`, sorted; none when it is not there or not a directory.
    ///
    /// # Errors
    /// What the system said.
    fn list(&mut self, path: &EntryPath) -> Result<Vec<Vec<u8>>, TreeError>;

    /// Opens the file `path`; `None` when there is no file.
    ///
    /// # Errors
    /// What the system said.
    fn open(&mut self, path: &EntryPath) -> Result<Option<Self::Source>, TreeError>;

    /// Makes durable what local programs wrote or removed at `paths`.
    ///
    /// # Errors
    /// What the system said.
    fn harden(&mut self, paths: &[EntryPath]) -> Result<(), TreeError>;

    /// Makes durable what local programs wrote or removed at any configured path.
    ///
    /// # Errors
    /// What the system said.
    fn harden_all(&mut self) -> Result<(), TreeError>;

    /// Opens a stage for a new content of `path`. Directories that lead to it are made where they are missing.
    ///
    /// # Errors
    /// What the system said.
    fn stage(&mut self, path: &EntryPath) -> Result<Self::Stage, TreeError>;

    /// Begins to make the contents durable, with their attributes. Other calls may come while the disk is at it.
    fn seal(&mut self, batch: Vec<Complete<Self::Stage>>) -> Self::Sealing;

    /// Waits until the contents are durable, then moves each to its path, in order; a path shows the old content or
    /// the new, complete with its attributes, at any moment and after any crash.
    fn place_sealed(&mut self, sealing: Self::Sealing) -> Vec<Result<Seen, TreeError>>;

    /// Makes the contents durable and moves each to its path, as [`Tree::place_sealed`] does.
    fn place(&mut self, batch: Vec<Complete<Self::Stage>>) -> Vec<Result<Seen, TreeError>> {
        let sealing = self.seal(batch);
        self.place_sealed(sealing)
    }

    /// Makes `path` a directory with these attributes, keeping what is in it.
    ///
    /// # Errors
    /// What the system said.
    fn make_directory(&mut self, path: &EntryPath, attributes: &Attributes) -> Result<Seen, TreeError>;

    /// Makes `path` a symbolic link to `target`.
    ///
    /// # Errors
    /// What the system said.
    fn make_link(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<Seen, TreeError>;

    /// Sets the attributes of what is at `path`. These are the `names` of a file, `path` among them; where somebody gave it
    /// others they keep a file with the attributes that it had, and the file gets a copy at `names`.
    ///
    /// # Errors
    /// What the system said.
    fn set_attributes(
        &mut self,
        path: &EntryPath,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError>;

    /// Makes `path` another name of the file `to`.
    ///
    /// # Errors
    /// What the system said.
    fn make_hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError>;

    /// Moves what is at `from`, and in it, to `to`, in the place of a file or an empty directory.
    ///
    /// # Errors
    /// What the system said.
    fn rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError>;

    /// Removes what is at `path`, and in it, as far as it is covered: a directory in which something
    /// uncovered is left stays.
    ///
    /// # Errors
    /// What the system said.
    fn remove(&mut self, path: &EntryPath) -> Result<(), TreeError>;

    /// Makes everything placed, made, set and removed so far durable, and gives directories in which names changed the
    /// mtimes that they had or were given.
    ///
    /// # Errors
    /// What the system said.
    fn sync(&mut self) -> Result<(), TreeError>;

    /// Nothing more is applied for now, and local programs may change what is there. Gives directories their mtimes
    /// back as [`Tree::sync`] does, as far as that can be done: the next comparison sees what could not.
    fn release(&mut self);
}

/// Looks at known entries one after the other.
pub(crate) fn inspect_each<T: Tree + ?Sized>(
    tree: &mut T,
    entries: &[(&EntryPath, &Seen)],
) -> Vec<Result<Inspection, TreeError>> {
    let looks = entries
        .iter()
        .map(|(path, known)| tree.inspect(path, Some(known)));
    looks.collect()
}
