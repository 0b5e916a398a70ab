//! What is known about one file, link or directory.

use std::time::Duration;

use crate::digest::{Digest, Hasher};
use crate::inodes::Inode;

/// What an entry is. Devices, sockets and pipes are not settings and are not replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; replicated as a link, never followed.
    Link,
}

impl Kind {
    /// The number that stands for it in messages and files.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::Link => 3,
        }
    }

    /// The kind that `number` stands for.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::File),
            2 => Some(Self::Directory),
            3 => Some(Self::Link),
            _ => None,
        }
    }
}

/// A point in the time of a file system's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTime {
    /// Seconds since the epoch of Unix.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl FileTime {
    /// A change this much later surely gets another time: the kernel takes times from a clock that ticks at least every
    /// 10 ms.
    const PASSES_AFTER: Duration = Duration::from_millis(100);

    /// The same where the file system may count whole seconds, as those for raw flash do, and the clock may be in the middle
    /// of one.
    const PASSES_AFTER_COARSE: Duration = Duration::from_secs(3);

    /// Whether what happens at `now` gets another time than this one. A time with digits below the millisecond is none that
    /// a file system rounded to more than that.
    pub(crate) fn has_passed_by(self, now: Self) -> bool {
        let after = match self.nanoseconds % 1_000_000 {
            0 => Self::PASSES_AFTER_COARSE,
            _ => Self::PASSES_AFTER,
        };
        let age = i128::from(now.seconds.saturating_sub(self.seconds)) * 1_000_000_000
            + i128::from(now.nanoseconds)
            - i128::from(self.nanoseconds);
        u128::try_from(age).is_ok_and(|age| age > after.as_nanos())
    }
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Name with its name space: `user.comment`.
    pub name: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

/// Everything about an entry but its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits with set-id and sticky bits: `0o7777` at most. Without meaning for a link.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification: of the content, or, of a directory, of the names in it.
    pub mtime: FileTime,
    /// Extended attributes, sorted by name. Access control lists are among them.
    pub xattrs: Vec<Xattr>,
}

impl Attributes {
    /// Digest of all of them.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(&self.mode.to_be_bytes());
        hasher.update(&self.uid.to_be_bytes());
        hasher.update(&self.gid.to_be_bytes());
        hasher.update(&self.mtime.seconds.to_be_bytes());
        hasher.update(&self.mtime.nanoseconds.to_be_bytes());
        for xattr in &self.xattrs {
            for part in [&xattr.name, &xattr.value] {
                hasher.update(&part.len().to_be_bytes());
                hasher.update(part);
            }
        }
        hasher.finish()
    }
}

/// By what an unchanged entry is known again without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Device number of the file system.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last modification of the content.
    pub mtime: FileTime,
    /// Last change of content or attributes, by the kernel's own word: no program can set it back.
    pub ctime: FileTime,
}

impl Stamp {
    /// Whether both are of one inode.
    #[must_use]
    pub fn is_same_inode(&self, other: &Self) -> bool {
        self.inode() == other.inode()
    }

    /// Whether any later write shows in the stamp, even in the tick of the look: the content is older than the last change of
    /// the attributes, or of the name, so a write gives another mtime. Nobody sets that back to what it was in the same
    /// tick.
    pub(crate) fn shows_writes(&self) -> bool {
        self.mtime.has_passed_by(self.ctime)
    }

    /// Device and inode number.
    pub(crate) fn inode(&self) -> Inode {
        (self.device, self.inode)
    }
}

/// A look at an entry on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What was seen.
    pub stamp: Stamp,
    /// Whether the stamp will differ after any later change. A file system's clock is coarse: a change within the
    /// same tick as the look leaves the same stamp, so a look at a fresh change settles nothing.
    pub settled: bool,
}

/// What is remembered about an entry: digests in place of the content and the attributes, to keep memory
/// per file small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What it is.
    pub kind: Kind,
    /// Digest of a file's content or a link's target; [`Digest::NONE`] for a directory.
    pub content: Digest,
    /// Digest of the attributes.
    pub attributes: Digest,
    /// Whether it is a file with several names, here or elsewhere.
    pub linked: bool,
    /// The look by which this is known.
    pub seen: Seen,
}

impl Known {
    /// That something is there, and nothing of what it holds: whoever looks at it finds a change.
    pub(crate) fn untold(mut self) -> Self {
        self.content = Digest::NONE;
        self.seen.settled = false;
        self.seen.stamp.ctime = FileTime {
            seconds: 0,
            nanoseconds: 0,
        };
        self
    }

    /// Whether this is what was `found`. Of a file that had other names some may have come and gone since: that changes its ctime.
    pub(crate) fn is_but_for_names(&self, found: &Found) -> bool {
        let (known, now) = (&self.seen.stamp, &found.seen.stamp);
        let is_same_file = self.linked && known.is_same_inode(now) && known.size == now.size;
        known == now || is_same_file && self.attributes == found.attributes.digest()
    }

    /// Whether both describe the same content and attributes.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.same_content(other) && self.attributes == other.attributes
    }

    /// Whether both are of one kind and content.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.kind == other.kind && self.content == other.content
    }
}

/// What is at a path on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A regular file; its content is read through [`crate::Tree::open`].
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points, not looked at.
    Link(Vec<u8>),
}

impl Body {
    /// Without what it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::File => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Link(_) => Kind::Link,
        }
    }
}

/// An entry on disk without a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub body: Body,
    /// Its attributes.
    pub attributes: Attributes,
    /// Whether it is a file with several names.
    pub linked: bool,
    /// The look.
    pub seen: Seen,
}

impl Found {
    /// What to remember, a file's content having `content` as its digest.
    #[must_use]
    pub fn known_with(&self, content: Digest) -> Known {
        let content = match &self.body {
            Body::File => content,
            Body::Directory => Digest::NONE,
            Body::Link(target) => Digest::of(target),
        };
        Known {
            kind: self.body.kind(),
            content,
            attributes: self.attributes.digest(),
            linked: self.linked,
            seen: self.seen,
        }
    }
}
