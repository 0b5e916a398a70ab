//! One entry of a tree.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Holes shorter than this, in bytes, are left out: whether a short run of zeros is one is up to the file system.
const LEAST_HOLE: u64 = 128 * 1024;

/// Device and inode number.
pub(crate) type Inode = (u64, u64);

/// All that has to be the same of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    content: Content,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    attributes: Vec<(String, Vec<u8>)>,
    /// The first name of the same file; none for one that has no other name.
    first_name: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File {
        bytes: Vec<u8>,
        holes: Vec<(u64, u64)>,
    },
    Link(PathBuf),
    Directory,
    /// A device, a pipe or a socket.
    Special,
}

impl Entry {
    /// The entry, and the inode of a file that has several names.
    pub(crate) fn read(path: &Path) -> io::Result<(Self, Option<Inode>)> {
        let metadata = fs::symlink_metadata(path)?;
        let entry = Self {
            content: Content::read(path, &metadata)?,
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            attributes: attributes(path)?,
            first_name: None,
        };
        let shared = metadata.is_file() && metadata.nlink() > 1;
        Ok((entry, shared.then(|| (metadata.dev(), metadata.ino()))))
    }

    pub(crate) fn same_file_as(&mut self, first: &Path) {
        self.first_name = Some(first.to_owned());
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.content == Content::Directory
    }

    /// In what this and `other` differ, in words.
    pub(crate) fn unlike(&self, other: &Self) -> Option<String> {
        let mut parts: Vec<String> = self.content.unlike(&other.content).into_iter().collect();
        if self.mode != other.mode {
            parts.push(format!("mode {:o} against {:o}", self.mode, other.mode));
        }
        let differing = [
            ("owner", pair(&self.owner, &other.owner)),
            ("modified", pair(&self.modified, &other.modified)),
            ("attributes", pair(&self.attributes, &other.attributes)),
            ("hard link of", pair(&self.first_name, &other.first_name)),
        ];
        let differing = differing.into_iter();
        parts.extend(differing.filter_map(|(what, shown)| shown.map(|shown| format!("{what} {shown}"))));
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Content {
    fn read(path: &Path, metadata: &Metadata) -> io::Result<Self> {
        Ok(if metadata.is_symlink() {
            Self::Link(fs::read_link(path)?)
        } else if metadata.is_dir() {
            Self::Directory
        } else if metadata.is_file() {
            Self::File {
                bytes: fs::read(path)?,
                holes: holes(&File::open(path)?, metadata.len())?,
            }
        } else {
            Self::Special
        })
    }

    fn unlike(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (
                Self::File {
                    bytes: left,
                    holes: left_holes,
                },
                Self::File {
                    bytes: right,
                    holes: right_holes,
                },
            ) if left == right => pair(left_holes, right_holes).map(|shown| format!("holes {shown}")),
            (Self::File { bytes: left, .. }, Self::File { bytes: right, .. }) => Some(format!(
                "another content, {} against {} bytes",
                left.len(),
                right.len()
            )),
            _ => pair(self, other),
        }
    }
}

fn pair<T: PartialEq + std::fmt::Debug>(left: &T, right: &T) -> Option<String> {
    (left != right).then(|| format!("{left:?} against {right:?}"))
}

fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, list.as_mut_slice()) {
        Err(Errno::NOTSUP) => 0,
        outcome => outcome?,
    };
    list.truncate(length);
    let mut attributes = Vec::new();
    for name in list.split(|&byte| byte == 0).filter(|name| is_carried(name)) {
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
        value.truncate(length);
        attributes.push((String::from_utf8_lossy(name).into_owned(), value));
    }
    attributes.sort();
    Ok(attributes)
}

/// The labels of security modules and the bookkeeping of overlayfs belong to the system that made them.
fn is_carried(name: &[u8]) -> bool {
    let own = [&b"security."[..], b"trusted.overlay."];
    !name.is_empty() && (name == b"security.capability" || !own.iter().any(|space| name.starts_with(space)))
}

/// Begin and end of every hole.
fn holes(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut holes = Vec::new();
    let mut at = 0;
    while at < size {
        let hole = rustix::fs::seek(file, SeekFrom::Hole(at))?;
        at = match rustix::fs::seek(file, SeekFrom::Data(hole)) {
            Err(Errno::NXIO) => size,
            outcome => outcome?,
        };
        if at - hole >= LEAST_HOLE {
            holes.push((hole, at));
        }
    }
    Ok(holes)
}
