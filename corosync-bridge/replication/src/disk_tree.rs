//! The real disk, confined beneath one root.
//!
//! Every path is opened from the root by openat2(2) with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and
//! `RESOLVE_NO_MAGICLINKS`: no symbolic link is followed, whoever puts one where and when, so a covered path
//! can only ever name what is covered. What has to happen by name happens relative to the directory that was opened
//! so. A configured path with a symbolic link on its way is refused; the real path has to be configured.
//!
//! Many entries of one directory are looked at by their names in it, the directory being opened once. It may be moved away
//! the while, and what is known of an entry still show there: then the entry was unchanged when the directory was opened,
//! which is as good as if it had been looked at then. Whatever does not show what is known is looked at by its path.
//!
//! New content goes to a temporary file beside its target, gets owner, mode, extended attributes and mtime,
//! is synced, and is then renamed. Left-overs of a crash are removed at the next start.
//!
//! A directory's mtime is a setting like any other, and every name that comes or goes disturbs it. So it is noted
//! before the first such change and given back by [`Tree::sync`].
//!
//! Directories that lead to a configured path and are missing are made, owned by root with mode 0755; that is
//! all that is ever written outside the configured paths, but for the temporary file beside a configured file.

mod apart;
mod attributes;
mod durable;
mod stage;
mod syncing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::EntryPath;
use crate::coverage::Coverage;
use crate::entry::{Attributes, Body, FileTime, Found, Seen, Stamp};
use crate::path::{MAX_PATH_BYTES, TEMPORARY_PREFIX};
use crate::tree::{Complete, Inspection, Source, Tree, TreeError};

use durable::{Durable, Look};
use syncing::Syncing;

pub use attributes::give_xattrs;
pub use stage::{DiskSealing, DiskStage};

/// Up to this many entries are synced by themselves, above it by syncfs(2), which waits for whatever else anybody wrote
/// to the file system: that may take seconds.
const SYNC_EACH: usize = 4096;

/// Files that are open at once to be synced.
const SYNC_TOGETHER: usize = 128;

/// Bytes that are asked for beyond the size that a file had, in case that it grew.
const READ_MORE_BYTES: u64 = 4096;

/// Tries of openat2(2) when a rename elsewhere disturbs it; openat2(2) asks for the repetition.
const OPEN_TRIES: usize = 64;

/// How what may be a device or pipe by then is opened to be read.
const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Mode of a directory that is made on the way to a configured path.
const PARENT_MODE: Mode = Mode::from_raw_mode(0o755);

/// Why the disk did not go where it was asked to.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is a symbolic link, and none is followed on the way to what is replicated; put a directory there, or \
     configure the path that it leads to"
)]
struct LinkOnTheWay(EntryPath);

/// The real disk. One process at a time may use the same root.
#[derive(Debug)]
pub struct DiskTree {
    root: OwnedFd,
    coverage: Rc<dyn Coverage>,
    /// The directory in which new content was staged last, as long as that is not placed and nothing else was done: what
    /// comes together mostly goes into one.
    staged_in: Option<(EntryPath, Weak<OwnedFd>)>,
    /// What was made durable when everything was.
    durable: Durable,
    /// Numbers temporary files.
    temporaries: u64,
    /// What the next sync has to make durable.
    unsynced: BTreeSet<EntryPath>,
    /// Whether the root itself is among it.
    root_unsynced: bool,
    /// Directories in which names changed since the last sync, and the mtime that each has to have.
    disturbed: BTreeMap<EntryPath, FileTime>,
}

impl DiskTree {
    /// A tree whose `/` is the directory `root`, and removes what an earlier process left behind there.
    ///
    /// # Errors
    /// The root cannot be opened.
    pub fn new(root: &Path, coverage: Rc<dyn Coverage>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut tree = Self {
            root: rustix::fs::openat(CWD, root, flags, Mode::empty())?,
            coverage,
            staged_in: None,
            durable: Durable::default(),
            temporaries: 0,
            unsynced: BTreeSet::new(),
            root_unsynced: false,
            disturbed: BTreeMap::new(),
        };
        tree.remove_left_overs();
        Ok(tree)
    }

    /// A left-over that cannot be removed is harmless: no temporary file is ever taken for a setting.
    fn remove_left_overs(&mut self) {
        let mut directories = self.coverage.roots();
        directories.extend(directories.clone().iter().filter_map(EntryPath::parent));
        let beside: BTreeSet<EntryPath> = directories.iter().cloned().collect();
        while let Some(directory) = directories.pop() {
            let Ok(names) = self.names(&directory) else {
                continue;
            };
            for name in names {
                if name.starts_with(TEMPORARY_PREFIX) {
                    if let Ok(parent) = self.open_directory(Some(&directory)) {
                        attributes::discard(&parent, &name);
                    }
                } else if let Ok(child) = directory.join(&name) {
                    if self.coverage.covers(&child) && !beside.contains(&child) {
                        directories.push(child);
                    }
                }
            }
        }
    }

    fn open_beneath(&self, path: &EntryPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let relative = &path.as_bytes()[1..];
        for _ in 0..OPEN_TRIES {
            match rustix::fs::openat2(&self.root, relative, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome,
            }
        }
        Err(Errno::AGAIN)
    }

    /// `None` is the root.
    fn open_directory(&self, path: Option<&EntryPath>) -> Result<OwnedFd, Errno> {
        match path {
            Some(path) => self.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY),
            None => rustix::io::fcntl_dupfd_cloexec(&self.root, 0),
        }
    }

    fn open_parent(&self, path: &EntryPath) -> Result<OwnedFd, Errno> {
        self.open_directory(path.parent().as_ref())
    }

    /// The directory that `path` is in, made where it is missing; not for a path that nobody could open then.
    fn make_parent(&mut self, path: &EntryPath) -> Result<OwnedFd, Errno> {
        if path.as_bytes().len() > MAX_PATH_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        match self.open_parent(path) {
            Err(Errno::NOENT) => {}
            outcome => return outcome,
        }
        let mut above: Vec<EntryPath> = std::iter::successors(path.parent(), EntryPath::parent).collect();
        while let Some(directory) = above.pop() {
            let parent = self.open_parent(&directory)?;
            self.disturb(&directory, &parent)?;
            match rustix::fs::mkdirat(&parent, directory.name(), PARENT_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        self.open_parent(path)
    }

    /// The directory that `path` is in, opened once for all that is staged there one after the other.
    fn staging_directory(&mut self, path: &EntryPath) -> Result<Rc<OwnedFd>, Errno> {
        let directory = path.parent();
        let here = |(staged_in, _): &&(EntryPath, Weak<OwnedFd>)| directory.as_ref() == Some(staged_in);
        let opened = self.staged_in.as_ref().filter(here);
        if let Some(parent) = opened.and_then(|(_, parent)| parent.upgrade()) {
            return Ok(parent);
        }
        let parent = Rc::new(self.make_parent(path)?);
        self.staged_in = directory.map(|directory| (directory, Rc::downgrade(&parent)));
        Ok(parent)
    }

    /// A file or directory for reading. A device or pipe that takes its place meanwhile is not waited for.
    fn open_readable(&self, path: &EntryPath) -> Result<(OwnedFd, Stat), Errno> {
        let by_path = self.open_beneath(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&by_path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Directory => {}
            _ => return Err(Errno::LOOP),
        }
        self.open_to_read(path)
    }

    /// The same of what was seen to be one.
    fn open_to_read(&self, path: &EntryPath) -> Result<(OwnedFd, Stat), Errno> {
        // Reading a setting must not cost a write to flash. Only its owner or root may ask for that.
        let fd = match self.open_beneath(path, TO_READ | OFlags::NOATIME) {
            Err(Errno::PERM) => self.open_beneath(path, TO_READ)?,
            outcome => outcome?,
        };
        let stat = rustix::fs::fstat(&fd)?;
        Ok((fd, stat))
    }

    fn look(&self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, Errno> {
        let by_path = self.open_beneath(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&by_path)?;
        if known.is_some_and(|known| is_unchanged(&stat, known)) {
            return Ok(Inspection::Unchanged);
        }
        let seen = seen(&stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Directory => {
                let (fd, stat) = self.open_to_read(path)?;
                Ok(Inspection::Present(found(&fd, &stat)?))
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&by_path, "", Vec::new())?.into_bytes();
                Ok(Inspection::Present(Found {
                    body: Body::Link(target),
                    attributes: attributes::of_link(&by_path, &stat)?,
                    linked: false,
                    seen,
                }))
            }
            _ => Ok(Inspection::Absent),
        }
    }

    /// Whether `error` says that nothing is at `path`. Behind a symbolic link, nothing is; but when the link is on the
    /// way to a configured path, that is a mistake to be told of and not a missing file.
    fn is_absent(&self, path: &EntryPath, error: Errno) -> bool {
        match error {
            Errno::NOENT | Errno::NOTDIR => true,
            Errno::LOOP => self
                .coverage
                .roots()
                .iter()
                .filter(|root| path == *root || path.is_beneath(root))
                .all(|root| self.open_parent(root).is_ok()),
            _ => false,
        }
    }

    /// What to tell of an action that failed: the system does not say which link it does not follow.
    fn refusal(&self, action: &'static str, path: &EntryPath, errno: Errno) -> TreeError {
        let link = matches!(errno, Errno::LOOP | Errno::NOTDIR).then(|| self.link_on_the_way(path));
        match link.flatten() {
            Some(link) => TreeError {
                action,
                path: path.clone(),
                source: io::Error::other(LinkOnTheWay(link)),
            },
            None => failed(action, path)(errno),
        }
    }

    /// The first directory above `path` that is a symbolic link.
    fn link_on_the_way(&self, path: &EntryPath) -> Option<EntryPath> {
        let mut above: Vec<EntryPath> = std::iter::successors(path.parent(), EntryPath::parent).collect();
        above.reverse();
        let is_link = |directory: &EntryPath| {
            let stat = self
                .open_parent(directory)
                .and_then(|parent| rustix::fs::statat(&parent, directory.name(), AtFlags::SYMLINK_NOFOLLOW));
            stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
        };
        above.into_iter().find(is_link)
    }

    fn names(&self, path: &EntryPath) -> Result<Vec<Vec<u8>>, Errno> {
        let entries = self.entries(path)?;
        Ok(entries.into_iter().map(|(name, _)| name).collect())
    }

    /// What is in the directory `path`, by its names in their order, and what each is, where the file system tells.
    fn entries(&self, path: &EntryPath) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
        let mut entries = Vec::new();
        for entry in Dir::new(self.open_directory(Some(path))?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                entries.push((name, entry.file_type()));
            }
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    /// The same but for temporary files; nothing where no directory is.
    fn settings_in(&self, path: &EntryPath) -> Result<Vec<(Vec<u8>, FileType)>, TreeError> {
        let mut entries = match self.entries(path) {
            Err(error) if self.is_absent(path, error) => Vec::new(),
            outcome => outcome.map_err(|errno| self.refusal("list", path, errno))?,
        };
        entries.retain(|(name, _)| !name.starts_with(TEMPORARY_PREFIX));
        Ok(entries)
    }

    fn remove_entry(&mut self, path: &EntryPath) -> Result<(), Errno> {
        let parent = match self.open_parent(path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            outcome => outcome?,
        };
        self.disturb(path, &parent)?;
        match rustix::fs::unlinkat(&parent, path.name(), AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            outcome => return outcome,
        }
        for name in self.names(path)? {
            match path.join(&name) {
                Ok(child) if self.coverage.goes_with(&child, path) => self.remove_entry(&child)?,
                _ => {}
            }
        }
        match rustix::fs::unlinkat(&parent, path.name(), AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            outcome => {
                self.disturbed.remove(path);
                outcome
            }
        }
    }

    /// Renames a temporary entry to `path`, in the place of whatever is there.
    fn replace(&mut self, parent: &OwnedFd, temporary: &[u8], path: &EntryPath) -> Result<(), Errno> {
        self.disturb(path, parent)?;
        match rustix::fs::renameat(parent, temporary, parent, path.name()) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.remove_entry(path)?;
                rustix::fs::renameat(parent, temporary, parent, path.name())
            }
            outcome => outcome,
        }
    }

    fn temporary_name(&mut self) -> Vec<u8> {
        self.temporaries += 1;
        let number = self.temporaries.to_string();
        [TEMPORARY_PREFIX, number.as_bytes()].concat()
    }

    fn touch(&mut self, path: &EntryPath) {
        self.unsynced.insert(path.clone());
    }

    /// The name `path` is about to come to `parent`, its directory, or to go from it. The mtime of a directory that is
    /// not replicated is its own.
    fn disturb(&mut self, path: &EntryPath, parent: &OwnedFd) -> Result<(), Errno> {
        let Some(directory) = path.parent() else {
            self.root_unsynced = true;
            return Ok(());
        };
        if self.coverage.covers(&directory) && !self.disturbed.contains_key(&directory) {
            let stat = rustix::fs::fstat(parent)?;
            self.disturbed
                .insert(directory.clone(), file_time(stat.st_mtime, stat.st_mtime_nsec));
        }
        self.unsynced.insert(directory);
        Ok(())
    }

    /// Gives the directories in which names changed their mtimes back.
    fn give_mtimes_back(&self) -> Result<(), TreeError> {
        for (directory, mtime) in &self.disturbed {
            match self.open_directory(Some(directory)) {
                Ok(fd) => {
                    give_mtime_back(&fd, *mtime).map_err(failed("set the mtime of", directory))?;
                }
                // Gone, or not a directory any more.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(failed("open", directory)(error)),
            }
        }
        Ok(())
    }

    /// Syncs each path, or, when it is gone, the nearest directory above it, once for all that are gone from there.
    fn sync_each(&self, paths: &[&EntryPath]) -> Result<(), TreeError> {
        let mut inodes = BTreeSet::new();
        for paths in paths.chunks(SYNC_TOGETHER) {
            let (mut opened, mut files) = (Vec::new(), Vec::new());
            for path in paths {
                let (file, stat) = self.open_to_sync(path).map_err(failed("sync", path))?;
                if inodes.insert((stat.st_dev, stat.st_ino)) {
                    opened.push(path);
                    files.push(Arc::new(file));
                }
            }
            for (path, synced) in opened.iter().zip(Syncing::begin(&files).finish()) {
                synced.map_err(failed("sync", path))?;
            }
        }
        Ok(())
    }

    fn open_to_sync(&self, path: &EntryPath) -> Result<(OwnedFd, Stat), Errno> {
        match self.open_readable(path) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => match path.parent() {
                Some(parent) => self.open_to_sync(&parent),
                None => {
                    let root = self.open_directory(None)?;
                    let stat = rustix::fs::fstat(&root)?;
                    Ok((root, stat))
                }
            },
            outcome => outcome,
        }
    }

    /// Where nothing is to be seen, its directory has to be made durable.
    fn look_for_changes(&self, path: &EntryPath) -> Option<Look> {
        let by_path = self.open_beneath(path, OFlags::PATH).ok()?;
        rustix::fs::fstat(&by_path).ok().as_ref().map(Look::at)
    }

    /// Everything configured that is there; none when it is too much to be synced by itself.
    fn everything(&self) -> Result<Option<Vec<EntryPath>>, TreeError> {
        let mut pending = self.coverage.roots();
        let above: BTreeSet<EntryPath> = pending.iter().filter_map(EntryPath::parent).collect();
        let mut found: Vec<EntryPath> = pending.iter().cloned().chain(above).collect();
        while let Some(path) = pending.pop() {
            for (name, kind) in self.settings_in(&path)? {
                let Some(child) = path.join(&name).ok().filter(|child| self.coverage.covers(child)) else {
                    continue;
                };
                if matches!(kind, FileType::Directory | FileType::Unknown) {
                    pending.push(child.clone());
                }
                found.push(child);
            }
            if found.len() > SYNC_EACH {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    fn sync_file_systems(&self) -> Result<(), TreeError> {
        let mut synced = BTreeSet::new();
        for root in self.coverage.roots() {
            let nearest = std::iter::successors(Some(root.clone()), EntryPath::parent)
                .find_map(|path| self.open_directory(Some(&path)).ok());
            let fd = match nearest {
                Some(fd) => fd,
                None => self.open_directory(None).map_err(failed("open", &root))?,
            };
            let stat = rustix::fs::fstat(&fd).map_err(failed("look at", &root))?;
            if synced.insert(stat.st_dev) {
                rustix::fs::syncfs(&fd).map_err(failed("sync the file system of", &root))?;
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &EntryPath, wanted: &Attributes) -> Result<Seen, Errno> {
        let parent = self.make_parent(path)?;
        self.disturb(path, &parent)?;
        match rustix::fs::mkdirat(&parent, path.name(), Mode::RWXU) {
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, path.name(), AtFlags::SYMLINK_NOFOLLOW)?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    rustix::fs::unlinkat(&parent, path.name(), AtFlags::empty())?;
                    rustix::fs::mkdirat(&parent, path.name(), Mode::RWXU)?;
                }
            }
            outcome => outcome?,
        }
        self.touch(path);
        let fd = self.open_directory(Some(path))?;
        self.set(&fd, path, wanted)
    }

    fn link(&mut self, path: &EntryPath, target: &[u8], wanted: &Attributes) -> Result<Seen, Errno> {
        let parent = self.make_parent(path)?;
        self.disturb(path, &parent)?;
        let temporary = self.temporary_name();
        rustix::fs::symlinkat(target, &parent, temporary.as_slice())?;
        let placed = attributes::apply_to_link(&parent, &temporary, wanted)
            .and_then(|()| self.replace(&parent, &temporary, path));
        if let Err(error) = placed {
            attributes::discard(&parent, &temporary);
            return Err(error);
        }
        let stat = rustix::fs::statat(&parent, path.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(seen(&stat))
    }

    fn hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, Errno> {
        let there = self.open_parent(to)?;
        let parent = self.make_parent(path)?;
        let file = rustix::fs::statat(&there, to.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(file.st_mode) != FileType::RegularFile {
            return Err(Errno::LOOP);
        }
        let is_file = |stat: &Stat| (stat.st_dev, stat.st_ino) == (file.st_dev, file.st_ino);
        // Renaming one name of a file to another would leave both.
        let at_path = rustix::fs::statat(&parent, path.name(), AtFlags::SYMLINK_NOFOLLOW);
        if !at_path.is_ok_and(|stat| is_file(&stat)) {
            self.disturb(path, &parent)?;
            let temporary = self.temporary_name();
            rustix::fs::linkat(&there, to.name(), &parent, temporary.as_slice(), AtFlags::empty())?;
            if let Err(error) = self.replace(&parent, &temporary, path) {
                attributes::discard(&parent, &temporary);
                return Err(error);
            }
        }
        self.touch(path);
        let stat = rustix::fs::statat(&parent, path.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(seen(&stat))
    }

    fn move_entry(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, Errno> {
        let old = self.open_parent(from)?;
        let new = self.make_parent(to)?;
        self.disturb(from, &old)?;
        self.disturb(to, &new)?;
        rustix::fs::renameat(&old, from.name(), &new, to.name())?;
        // What is still to be synced in it has another path now.
        self.disturbed.remove(to);
        self.disturbed = std::mem::take(&mut self.disturbed)
            .into_iter()
            .map(|(path, mtime)| (path.rebased(from, to).unwrap_or(path), mtime))
            .collect();
        self.unsynced = std::mem::take(&mut self.unsynced)
            .into_iter()
            .map(|path| path.rebased(from, to).unwrap_or(path))
            .collect();
        self.touch(to);
        let stat = rustix::fs::statat(&new, to.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(seen(&stat))
    }

    /// Gives what is open at `path` its attributes.
    fn set(&mut self, fd: &OwnedFd, path: &EntryPath, wanted: &Attributes) -> Result<Seen, Errno> {
        attributes::apply(fd, wanted)?;
        if let Some(mtime) = self.disturbed.get_mut(path) {
            *mtime = wanted.mtime;
        }
        Ok(seen(&rustix::fs::fstat(fd)?))
    }
}

impl Tree for DiskTree {
    type Source = DiskSource;
    type Stage = DiskStage;
    type Sealing = DiskSealing;

    /// Each has up to two descriptors open, as many are gathered while the disk is at those before, and a process may usually
    /// have 1024.
    const TOGETHER: usize = 224;

    fn inspect(&mut self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, TreeError> {
        match self.look(path, known) {
            Err(error) if self.is_absent(path, error) => Ok(Inspection::Absent),
            outcome => outcome.map_err(|errno| self.refusal("look at", path, errno)),
        }
    }

    fn inspect_known(&mut self, entries: &[(&EntryPath, &Seen)]) -> Vec<Result<Inspection, TreeError>> {
        // Where it cannot be opened, the look at each entry tells why.
        let directory = entries.first().and_then(|(path, _)| self.open_parent(path).ok());
        let looks = entries.iter().map(|(path, known)| {
            let look = |directory: &OwnedFd| look_in(directory, path.name(), known);
            match directory.as_ref().and_then(look) {
                Some(as_known) => Ok(as_known),
                None => self.inspect(path, Some(known)),
            }
        });
        looks.collect()
    }

    fn list(&mut self, path: &EntryPath) -> Result<Vec<Vec<u8>>, TreeError> {
        let entries = self.settings_in(path)?;
        Ok(entries.into_iter().map(|(name, _)| name).collect())
    }

    fn open(&mut self, path: &EntryPath) -> Result<Option<DiskSource>, TreeError> {
        let (fd, stat) = match self.open_readable(path) {
            Err(error) if self.is_absent(path, error) => return Ok(None),
            outcome => outcome.map_err(|errno| self.refusal("open", path, errno))?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some(DiskSource {
            found: found(&fd, &stat).map_err(|errno| self.refusal("look at", path, errno))?,
            path: path.clone(),
            file: File::from(fd),
            position: 0,
            data_until: 0,
        }))
    }

    fn harden(&mut self, paths: &[EntryPath]) -> Result<(), TreeError> {
        let parents: BTreeSet<EntryPath> = paths.iter().filter_map(EntryPath::parent).collect();
        self.sync_each(&paths.iter().chain(&parents).collect::<Vec<_>>())
    }

    fn harden_all(&mut self) -> Result<(), TreeError> {
        let Some(paths) = self.everything()? else {
            return self.sync_file_systems();
        };
        let (mut changed, mut looks) = (Vec::new(), Vec::new());
        for path in &paths {
            let look = self.look_for_changes(path);
            if !look.as_ref().is_some_and(|look| self.durable.holds(look)) {
                changed.push(path);
                looks.extend(look);
            }
        }
        self.sync_each(&changed)?;
        self.durable.learn(&looks);
        Ok(())
    }

    fn stage(&mut self, path: &EntryPath) -> Result<DiskStage, TreeError> {
        let parent = self
            .staging_directory(path)
            .and_then(|parent| self.disturb(path, &parent).map(|()| parent))
            .map_err(|errno| self.refusal("make the directory of", path, errno))?;
        let name = self.temporary_name();
        DiskStage::create(path.clone(), parent, name)
    }

    fn seal(&mut self, batch: Vec<Complete<DiskStage>>) -> DiskSealing {
        DiskSealing::begin(batch)
    }

    fn place_sealed(&mut self, sealing: DiskSealing) -> Vec<Result<Seen, TreeError>> {
        self.staged_in = None;
        let sealed = sealing.finish();
        sealed
            .into_iter()
            .map(|sealed| {
                let mut complete = sealed?;
                let path = complete.path.clone();
                let (parent, name) = complete.stage.place();
                self.replace(parent, name, &path)
                    .and_then(|()| complete.stage.placed())
                    .map(|stat| seen(&stat))
                    .map_err(|errno| self.refusal("place", &path, errno))
            })
            .collect()
    }

    fn make_directory(&mut self, path: &EntryPath, attributes: &Attributes) -> Result<Seen, TreeError> {
        self.staged_in = None;
        self.directory(path, attributes)
            .map_err(|errno| self.refusal("make the directory", path, errno))
    }

    fn make_link(&mut self, path: &EntryPath, target: &[u8], wanted: &Attributes) -> Result<Seen, TreeError> {
        self.staged_in = None;
        self.link(path, target, wanted)
            .map_err(|errno| self.refusal("make the link", path, errno))
    }

    fn set_attributes(
        &mut self,
        path: &EntryPath,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError> {
        let opened = self.open_readable(path);
        let (fd, stat) = opened.map_err(|errno| self.refusal("set attributes of", path, errno))?;
        if self.has_other_names(&stat, names) {
            return self.part(path, &stat, attributes, names);
        }
        self.touch(path);
        self.set(&fd, path, attributes)
            .map_err(|errno| self.refusal("set attributes of", path, errno))
    }

    fn make_hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.staged_in = None;
        self.hard_link(path, to)
            .map_err(|errno| self.refusal("make the hard link", path, errno))
    }

    fn rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        self.staged_in = None;
        self.move_entry(from, to)
            .map_err(|errno| self.refusal("rename to", to, errno))
    }

    fn remove(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        self.staged_in = None;
        self.remove_entry(path)
            .map_err(|errno| self.refusal("remove", path, errno))
    }

    fn sync(&mut self) -> Result<(), TreeError> {
        // Kept until all of it is durable: what failed once has to be tried again.
        self.give_mtimes_back()?;
        self.sync_each(&self.unsynced.iter().collect::<Vec<_>>())?;
        self.unsynced.clear();
        self.disturbed.clear();
        if std::mem::take(&mut self.root_unsynced) {
            if let (Err(error), Some(root)) = (rustix::fs::fsync(&self.root), self.coverage.roots().first()) {
                self.root_unsynced = true;
                return Err(failed("sync the directory of", root)(error));
            }
        }
        Ok(())
    }

    fn release(&mut self) {
        let _ = self.give_mtimes_back();
        self.disturbed.clear();
    }
}

/// A file open for reading.
#[derive(Debug)]
pub struct DiskSource {
    path: EntryPath,
    file: File,
    found: Found,
    /// Where it is read on.
    position: u64,
    /// Up to here there is no hole.
    data_until: u64,
}

impl DiskSource {
    fn next_hole(&mut self, limit: u64) -> Result<u64, Errno> {
        let here = self.position;
        if here < self.data_until {
            return Ok(0);
        }
        let end = match rustix::fs::seek(&self.file, SeekFrom::Data(here)) {
            Ok(data) => data,
            // No content is behind here: a hole up to the end, or the end.
            Err(Errno::NXIO) => rustix::fs::fstat(&self.file)?.st_size.try_into().unwrap_or(here),
            // This file system does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => here,
            Err(error) => return Err(error),
        };
        if end <= here {
            let hole = rustix::fs::seek(&self.file, SeekFrom::Hole(here));
            self.data_until = hole.unwrap_or(u64::MAX);
        }
        let skipped = end.saturating_sub(here).min(limit);
        self.position = here + skipped;
        rustix::fs::seek(&self.file, SeekFrom::Start(self.position))?;
        Ok(skipped)
    }
}

impl Source for DiskSource {
    fn found(&self) -> &Found {
        &self.found
    }

    fn read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<(), TreeError> {
        let mut limit = u64::try_from(limit).unwrap_or(u64::MAX);
        if self.position < self.data_until {
            // A hole is not read, but skipped by who asks for it.
            limit = limit.min(self.data_until - self.position);
        }
        // More than is left shows whether it grew.
        let left = self.found.seen.stamp.size.saturating_sub(self.position);
        let room = limit.min(left.saturating_add(READ_MORE_BYTES));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let before = buffer.len();
        buffer.resize(before + room, 0);
        let read = (&self.file).read(&mut buffer[before..]);
        buffer.truncate(before + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(read) => {
                self.position += u64::try_from(read).unwrap_or(0);
                Ok(())
            }
            Err(source) => Err(TreeError {
                action: "read",
                path: self.path.clone(),
                source,
            }),
        }
    }

    fn seek(&mut self, offset: u64) -> Result<(), TreeError> {
        rustix::fs::seek(&self.file, SeekFrom::Start(offset)).map_err(failed("read", &self.path))?;
        self.position = offset;
        self.data_until = 0;
        Ok(())
    }

    fn skip_hole(&mut self, limit: u64) -> Result<u64, TreeError> {
        self.next_hole(limit).map_err(failed("read", &self.path))
    }

    fn is_unchanged(&self) -> Result<bool, TreeError> {
        let stat = rustix::fs::fstat(&self.file).map_err(failed("look at", &self.path))?;
        Ok(seen(&stat).stamp == self.found.seen.stamp)
    }
}

/// What the open file or directory `fd` is.
fn found(fd: &OwnedFd, stat: &Stat) -> Result<Found, Errno> {
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Found {
        body: if is_directory { Body::Directory } else { Body::File },
        attributes: attributes::of(fd, stat)?,
        linked: !is_directory && stat.st_nlink > 1,
        seen: seen(stat),
    })
}

fn seen(stat: &Stat) -> Seen {
    let stamp = stamp(stat);
    Seen {
        stamp,
        settled: is_settled(stamp.ctime),
    }
}

fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: file_time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: file_time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn is_unchanged(stat: &Stat, known: &Seen) -> bool {
    known.settled && stamp(stat) == known.stamp
}

/// The entry `name` of an open directory, where it shows what is known of it. A name is no path, and no link is followed: it
/// leads nowhere else.
fn look_in(directory: &OwnedFd, name: &[u8], known: &Seen) -> Option<Inspection> {
    let shows_known = |stat: &Stat| stamp(stat) == known.stamp;
    let look = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    let stat = look.filter(shows_known)?;
    if known.settled {
        return Some(Inspection::Unchanged);
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let flags = TO_READ | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&fd).ok().filter(shows_known)?;
    found(&fd, &stat).ok().map(Inspection::Present)
}

/// Whether a change from now on would give another ctime than this one.
fn is_settled(ctime: FileTime) -> bool {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    ctime.has_passed_by(file_time(now.tv_sec, now.tv_nsec))
}

/// Where no name could be changed, as on a read-only file system, the mtime is what it was and may not be set either.
fn give_mtime_back(directory: &OwnedFd, mtime: FileTime) -> Result<(), Errno> {
    attributes::set_mtime(directory, mtime).or_else(|error| {
        let stat = rustix::fs::fstat(directory)?;
        let is_undisturbed = file_time(stat.st_mtime, stat.st_mtime_nsec) == mtime;
        is_undisturbed.then_some(()).ok_or(error)
    })
}

fn file_time(seconds: impl Into<i64>, nanoseconds: impl TryInto<u32>) -> FileTime {
    FileTime {
        seconds: seconds.into(),
        nanoseconds: nanoseconds.try_into().unwrap_or(0),
    }
}

fn failed(action: &'static str, path: &EntryPath) -> impl FnOnce(Errno) -> TreeError {
    let path = path.clone();
    move |errno| TreeError {
        action,
        path,
        source: errno.into(),
    }
}
