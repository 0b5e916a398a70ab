//! Versions that lost: changes on two nodes at once are settled for the Active's, and the other is kept here.
//!
//! The directory `conflicts` of the state directory holds up to three files for each, readable with nothing but a shell:
//! `NUMBER.about`, lines of a name, a blank and a value; `NUMBER.content`, what the file held or where the link
//! pointed; and `NUMBER.xattrs`, extended attributes as lines of name, blank and value. A directory and a removal have no
//! content. Both are durable before the lines that tell of them, and all are before the version is replaced.
//!
//! | name | value |
//! |---|---|
//! | `path` | where it was, bytes that are not plain text as `\xNN` |
//! | `kind` | `file`, `directory`, `link`, or `removed`: here it was removed, and the Active's version is back |
//! | `time` | when it was kept, in seconds since 1970 by the clock of this BMC |
//! | `node` | the node on which it was made |
//! | `why` | what came in its place |
//! | `mode`, `uid`, `gid`, `mtime` | what it had; the mode in octal |
//! | `xattrs` | how many extended attributes it had; without this line, as in what was kept by older bridges, that is not known |
//! | `size` | bytes of content |
//! | `digest` | SHA-256 of path, kind, content and attributes: the same version is kept once |
//! | `kept` | `whole`, or `no`: it was larger than everything that may be kept |
//!
//! Bytes that are not plain text are `\xNN`, and so are blanks in extended attributes.

mod plain_text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::agreed::Version;
use crate::digest::Hasher;
use crate::entry::{Attributes, Kind, Xattr};
use crate::state::StateError;
use crate::tree::Source;
use crate::wire::XATTR_BYTES;
use crate::{EntryPath, NodeId};

pub use plain_text::unescape;

/// Name of the directory in the state directory.
const DIRECTORY: &str = "conflicts";

/// How the files of a version end.
const ABOUT: &str = "about";
const CONTENT: &str = "content";
const XATTRS: &str = "xattrs";

/// Versions kept at most: more than a person looks at, few enough for small flash.
const KEPT: usize = 64;

/// Bytes of content and extended attributes kept at most, for the same reason.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes read of a file that tells about a version: a path of the greatest length, escaped, and the rest.
const ABOUT_BYTES: u64 = 32 * 1024;

/// Bytes read of a file with extended attributes: as many as an entry may have, all of them escaped, and two for each line,
/// which has one at least.
const XATTRS_BYTES: u64 = XATTR_BYTES as u64 * 6;

/// Bytes copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// A version that lost.
#[derive(Debug)]
pub struct Loser<'a> {
    /// Where it is.
    pub path: &'a EntryPath,
    /// What it is; `None`: it was removed.
    pub version: Option<Version>,
    /// Its attributes, unless it was removed.
    pub attributes: Option<&'a Attributes>,
    /// Where a link points.
    pub target: Option<&'a [u8]>,
    /// The node on which it was made.
    pub node: NodeId,
    /// What comes in its place.
    pub why: &'a str,
}

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Older ones that had to go for it.
    pub dropped: usize,
    /// It was too large: only what it was is on record.
    pub without_content: bool,
}

/// Where versions that lost are kept.
pub trait ConflictStore {
    /// Keeps a version with what `content` reads, durably. The oldest ones go where there is no more room.
    ///
    /// # Errors
    /// It is not known to be kept.
    fn keep_aside(&mut self, loser: &Loser<'_>, content: Option<&mut dyn Source>)
    -> Result<Kept, StateError>;

    /// How many are kept.
    fn conflicts(&self) -> u64;
}

/// A version that is kept, for a person to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Names it.
    pub number: u64,
    /// What is told about it, by name.
    pub about: BTreeMap<String, String>,
    /// The file with its content, where it has one.
    pub content: Option<PathBuf>,
}

/// Keeps them in a directory of the state directory, which nothing else writes to.
#[derive(Debug)]
pub struct ConflictDirectory {
    directory: PathBuf,
}

impl ConflictDirectory {
    /// In `state`, which exists.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            directory: state.join(DIRECTORY),
        }
    }

    /// The versions that are kept, the oldest first.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Conflict>, StateError> {
        let mut conflicts = Vec::new();
        for number in self.numbers()? {
            let mut text = Vec::new();
            let path = self.file(number, ABOUT);
            File::open(&path)
                .and_then(|file| file.take(ABOUT_BYTES).read_to_end(&mut text))
                .map_err(failed("read", &path))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let about = text.lines().filter_map(|line| line.split_once(' '));
            let content = self.file(number, CONTENT);
            conflicts.push(Conflict {
                number,
                about: about
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                content: content.exists().then_some(content),
            });
        }
        Ok(conflicts)
    }

    /// The extended attributes of one that is kept; `None` where they are not known.
    ///
    /// # Errors
    /// They are known, and cannot be read.
    pub fn xattrs(&self, conflict: &Conflict) -> Result<Option<Vec<Xattr>>, StateError> {
        let Some(count) = conflict.about.get("xattrs") else {
            return Ok(None);
        };
        if count == "0" {
            return Ok(Some(Vec::new()));
        }
        let path = self.file(conflict.number, XATTRS);
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(XATTRS_BYTES).read_to_string(&mut text))
            .map_err(failed("read", &path))?;
        let xattrs = plain_text::to_xattrs(&text).filter(|xattrs| xattrs.len().to_string() == *count);
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
        xattrs.ok_or_else(|| failed("read", &path)(damaged())).map(Some)
    }

    /// Forgets one.
    ///
    /// # Errors
    /// What the system said.
    pub fn drop_one(&self, number: u64) -> Result<(), StateError> {
        // Without the lines about it the rest is nobody's, and goes when its number is used again.
        for kind in [ABOUT, CONTENT, XATTRS] {
            let path = self.file(number, kind);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Numbers of the versions that are kept, ascending.
    fn numbers(&self) -> Result<Vec<u64>, StateError> {
        let names = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(failed("list", &self.directory))?,
        };
        let mut numbers = Vec::new();
        for name in names {
            let name = name
                .map_err(failed("list", &self.directory))?
                .file_name()
                .into_vec();
            let number: Option<u64> = String::from_utf8(name)
                .ok()
                .and_then(|name| name.strip_suffix(&format!(".{ABOUT}"))?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn file(&self, number: u64, kind: &str) -> PathBuf {
        self.directory.join(format!("{number:06}.{kind}"))
    }

    fn size(&self, number: u64) -> u64 {
        let sizes = [CONTENT, XATTRS].map(|kind| fs::metadata(self.file(number, kind)));
        sizes.into_iter().flatten().map(|metadata| metadata.len()).sum()
    }

    /// Makes room for one more with `size` bytes. How many had to go.
    fn make_room(&self, mut numbers: Vec<u64>, size: u64) -> Result<usize, StateError> {
        let before = numbers.len();
        let mut bytes: u64 = numbers.iter().map(|&number| self.size(number)).sum();
        while !numbers.is_empty() && (numbers.len() >= KEPT || bytes.saturating_add(size) > KEPT_BYTES) {
            let oldest = numbers.remove(0);
            bytes = bytes.saturating_sub(self.size(oldest));
            self.drop_one(oldest)?;
        }
        Ok(before - numbers.len())
    }

    fn write_content(&self, number: u64, content: Content<'_>) -> Result<(), StateError> {
        let path = self.file(number, CONTENT);
        let mut file = create(&path)?;
        match content {
            Content::None => return Ok(()),
            Content::Target(target) => file.write_all(target).map_err(failed("write", &path))?,
            Content::File(source) => {
                let mut buffer = Vec::with_capacity(COPY_BYTES);
                loop {
                    buffer.clear();
                    source
                        .read(&mut buffer, COPY_BYTES)
                        .map_err(|error| failed("copy to", &path)(error.source))?;
                    if buffer.is_empty() {
                        break;
                    }
                    file.write_all(&buffer).map_err(failed("write", &path))?;
                }
            }
        }
        file.sync_all().map_err(failed("sync", &path))
    }

    fn write_xattrs(&self, number: u64, text: &str) -> Result<(), StateError> {
        let path = self.file(number, XATTRS);
        let mut file = create(&path)?;
        file.write_all(text.as_bytes()).map_err(failed("write", &path))?;
        file.sync_all().map_err(failed("sync", &path))
    }

    /// The lines about it come into being whole: by a rename.
    fn write_about(&self, number: u64, text: &str) -> Result<(), StateError> {
        let (path, next) = (self.file(number, ABOUT), self.file(number, "next"));
        let mut file = create(&next)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &next))?;
        fs::rename(&next, &path).map_err(failed("replace", &path))?;
        sync_directory(&self.directory)
    }

    fn keep(&self, loser: &Loser<'_>, content: Content<'_>) -> Result<Kept, StateError> {
        if !self.directory.is_dir() {
            DirBuilder::new()
                .mode(0o700)
                .create(&self.directory)
                .map_err(failed("create", &self.directory))?;
            self.directory.parent().map_or(Ok(()), sync_directory)?;
        }
        let digest = digest(loser);
        let kept = self.list()?;
        if kept.iter().any(|kept| kept.about.get("digest") == Some(&digest)) {
            return Ok(Kept::default());
        }
        let numbers: Vec<u64> = kept.iter().map(|kept| kept.number).collect();
        let number = numbers.last().map_or(1, |last| last + 1);
        let size = content.size();
        let xattrs = loser.attributes.map_or_else(String::new, |attributes| {
            plain_text::of_xattrs(&attributes.xattrs)
        });
        let xattr_bytes = u64::try_from(xattrs.len()).unwrap_or(u64::MAX);
        let without_content = size.saturating_add(xattr_bytes) > KEPT_BYTES;
        let dropped = self.make_room(numbers, xattr_bytes + if without_content { 0 } else { size })?;
        if !xattrs.is_empty() {
            self.write_xattrs(number, &xattrs)?;
        }
        if !without_content && !matches!(content, Content::None) {
            self.write_content(number, content)?;
        }
        self.write_about(number, &about(loser, size, without_content, &digest))?;
        Ok(Kept {
            dropped,
            without_content,
        })
    }
}

impl ConflictStore for ConflictDirectory {
    fn keep_aside(
        &mut self,
        loser: &Loser<'_>,
        content: Option<&mut dyn Source>,
    ) -> Result<Kept, StateError> {
        let content = match (content, loser.target) {
            (Some(source), _) => Content::File(source),
            (None, Some(target)) => Content::Target(target),
            (None, None) => Content::None,
        };
        self.keep(loser, content)
    }

    fn conflicts(&self) -> u64 {
        let count = self.numbers().map_or(0, |numbers| numbers.len());
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

/// What is copied.
enum Content<'a> {
    None,
    Target(&'a [u8]),
    File(&'a mut dyn Source),
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Target(target) => u64::try_from(target.len()).unwrap_or(u64::MAX),
            Self::File(source) => source.found().seen.stamp.size,
        }
    }
}

fn about(loser: &Loser<'_>, size: u64, without_content: bool, digest: &str) -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut text = String::new();
    let kind = loser.version.map_or("removed", |version| match version.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
    });
    let path = loser.path.as_bytes().escape_ascii();
    let (seconds, node, why) = (time.as_secs(), loser.node.0, loser.why);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "path {path}\nkind {kind}\ntime {seconds}\nnode {node}\nwhy {why}"
    );
    if let Some(attributes) = loser.attributes {
        let Attributes {
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        } = attributes;
        let _ = writeln!(
            text,
            "mode {mode:o}\nuid {uid}\ngid {gid}\nmtime {}.{:09}\nxattrs {}",
            mtime.seconds,
            mtime.nanoseconds,
            xattrs.len()
        );
    }
    let kept = if without_content { "no" } else { "whole" };
    let _ = writeln!(text, "size {size}\ndigest {digest}\nkept {kept}");
    text
}

/// Tells versions apart.
fn digest(loser: &Loser<'_>) -> String {
    let mut hasher = Hasher::new();
    hasher.update(loser.path.as_bytes());
    if let Some(version) = loser.version {
        hasher.update(&[0, version.kind.number()]);
        hasher.update(&version.content.0);
        hasher.update(&version.attributes.0);
    }
    hasher.finish().0.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn create(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))
}

fn sync_directory(directory: &Path) -> Result<(), StateError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync", directory))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn removed(path: &EntryPath) -> Loser<'_> {
        Loser {
            path,
            version: None,
            attributes: None,
            target: None,
            node: NodeId(2),
            why: "the Active has another version",
        }
    }

    fn link<'a>(path: &'a EntryPath, target: &'a [u8]) -> Loser<'a> {
        let version = Version {
            kind: Kind::Link,
            content: Digest::of(target),
            attributes: Digest::NONE,
        };
        Loser {
            version: Some(version),
            target: Some(target),
            ..removed(path)
        }
    }

    fn store() -> (tempfile::TempDir, ConflictDirectory) {
        let state = tempfile::tempdir().unwrap();
        let store = ConflictDirectory::new(state.path());
        (state, store)
    }

    #[test]
    fn a_version_is_told_about_in_lines_and_kept_whole() {
        let (_state, mut store) = store();
        let path = EntryPath::new(b"/etc/a\nb\xff").unwrap();
        store.keep_aside(&link(&path, b"../over/there"), None).unwrap();
        let kept = store.list().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].about["path"], r"/etc/a\nb\xff");
        assert_eq!(kept[0].about["kind"], "link");
        assert_eq!(kept[0].about["node"], "2");
        assert_eq!(
            fs::read(kept[0].content.as_ref().unwrap()).unwrap(),
            b"../over/there"
        );
    }

    #[test]
    fn the_same_version_is_kept_once_and_a_removal_has_no_content() {
        let (_state, mut store) = store();
        let path = EntryPath::new(b"/etc/a").unwrap();
        for _ in 0..3 {
            store.keep_aside(&removed(&path), None).unwrap();
        }
        let kept = store.list().unwrap();
        assert_eq!((kept.len(), store.conflicts()), (1, 1));
        assert_eq!(kept[0].about["kind"], "removed");
        assert_eq!(kept[0].content, None);
        store.drop_one(kept[0].number).unwrap();
        assert_eq!(store.conflicts(), 0);
    }

    fn with_xattr(value: &[u8]) -> Attributes {
        Attributes {
            xattrs: vec![Xattr {
                name: b"user.comment".to_vec(),
                value: value.to_vec(),
            }],
            ..Attributes::default()
        }
    }

    #[test]
    fn extended_attributes_are_kept_and_go_with_their_version() {
        let (state, mut store) = store();
        let path = EntryPath::new(b"/etc/a").unwrap();
        let attributes = with_xattr(&[b'\n'; XATTR_BYTES - 12]);
        let loser = Loser {
            attributes: Some(&attributes),
            ..link(&path, b"there")
        };
        store.keep_aside(&loser, None).unwrap();
        store.keep_aside(&removed(&path), None).unwrap();
        let kept = store.list().unwrap();
        let xattrs: Vec<_> = kept.iter().map(|kept| store.xattrs(kept).unwrap()).collect();
        assert_eq!(xattrs, [Some(attributes.xattrs.clone()), None]);
        store.drop_one(kept[0].number).unwrap();
        store.drop_one(kept[1].number).unwrap();
        assert_eq!(fs::read_dir(state.path().join(DIRECTORY)).unwrap().count(), 0);
    }

    #[test]
    fn extended_attributes_that_are_damaged_are_an_error() {
        let (state, mut store) = store();
        let path = EntryPath::new(b"/etc/a").unwrap();
        let attributes = with_xattr(b"value");
        let loser = Loser {
            attributes: Some(&attributes),
            ..link(&path, b"there")
        };
        store.keep_aside(&loser, None).unwrap();
        fs::write(state.path().join("conflicts/000001.xattrs"), "").unwrap();
        let kept = store.list().unwrap();
        let error = store.xattrs(&kept[0]).unwrap_err().to_string();
        assert!(error.contains("000001.xattrs: it is damaged"), "{error}");
    }

    #[test]
    fn extended_attributes_take_room_from_contents() {
        let (_state, mut store) = store();
        let attributes = with_xattr(&[0; XATTR_BYTES - 12]);
        for number in 0..KEPT {
            let path = EntryPath::new(format!("/etc/{number}").as_bytes()).unwrap();
            let loser = Loser {
                attributes: Some(&attributes),
                ..link(&path, b"there")
            };
            store.keep_aside(&loser, None).unwrap();
        }
        let kept = store.list().unwrap();
        let bytes: u64 = kept.iter().map(|kept| store.size(kept.number)).sum();
        assert!(kept.len() > 10 && bytes <= KEPT_BYTES, "{} {bytes}", kept.len());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (_state, mut store) = store();
        let path = EntryPath::new(b"/etc/a").unwrap();
        let mut dropped = 0;
        for number in 0..KEPT + 3 {
            let target = number.to_string();
            dropped += store
                .keep_aside(&link(&path, target.as_bytes()), None)
                .unwrap()
                .dropped;
        }
        assert_eq!(dropped, 3);
        let kept = store.list().unwrap();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(fs::read(kept[0].content.as_ref().unwrap()).unwrap(), b"3");
    }
}
