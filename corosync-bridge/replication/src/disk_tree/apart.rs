//! Files that somebody gave a name of his own.
//!
//! A local program may link a replicated file to a name that is not replicated. What is done to the file would show under that
//! name too, outside what this tree may touch: its attributes, since a content always comes as a new file.

use std::io;

use rustix::fs::{AtFlags, FileType, Stat};

use super::DiskTree;
use crate::EntryPath;
use crate::entry::{Attributes, Seen};
use crate::tree::{Complete, Source, Stage, Tree, TreeError};
use crate::wire::CHUNK_BYTES;

impl DiskTree {
    /// Whether the file of `stat` has a name besides `names`, of which some may not be its names any more.
    pub(super) fn has_other_names(&self, stat: &Stat, names: &[EntryPath]) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_nlink > 1
            && names.iter().filter(|name| self.is_name_of(name, stat)).count() as u64 != stat.st_nlink
    }

    fn is_name_of(&self, name: &EntryPath, file: &Stat) -> bool {
        let stat = self
            .open_parent(name)
            .and_then(|parent| rustix::fs::statat(&parent, name.name(), AtFlags::SYMLINK_NOFOLLOW));
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (file.st_dev, file.st_ino))
    }

    /// Puts a copy of the file of `stat`, with attributes of its own, at those of `names` that are its, `path` among them.
    pub(super) fn part(
        &mut self,
        path: &EntryPath,
        stat: &Stat,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError> {
        let others: Vec<&EntryPath> = names
            .iter()
            .filter(|name| *name != path && self.is_name_of(name, stat))
            .collect();
        let stage = self.copy_of(path)?;
        let copy = Complete {
            stage,
            path: path.clone(),
            attributes: attributes.clone(),
        };
        let placed = self.place(vec![copy]).pop();
        let mut seen = placed.unwrap_or_else(|| Err(changed(path)))?;
        for name in others {
            seen = self.make_hard_link(name, path)?;
        }
        Ok(seen)
    }

    fn copy_of(&mut self, path: &EntryPath) -> Result<<Self as Tree>::Stage, TreeError> {
        let mut source = self.open(path)?.ok_or_else(|| changed(path))?;
        let mut stage = self.stage(path)?;
        let mut buffer = Vec::new();
        loop {
            let hole = source.skip_hole(u64::MAX)?;
            if hole > 0 {
                stage.skip(hole)?;
            }
            buffer.clear();
            source.read(&mut buffer, CHUNK_BYTES)?;
            if buffer.is_empty() && hole == 0 {
                break;
            }
            stage.write(&buffer)?;
        }
        match source.is_unchanged()? {
            true => Ok(stage),
            false => Err(changed(path)),
        }
    }
}

fn changed(path: &EntryPath) -> TreeError {
    TreeError {
        action: "copy",
        path: path.clone(),
        source: io::Error::other("it changes all the time"),
    }
}
