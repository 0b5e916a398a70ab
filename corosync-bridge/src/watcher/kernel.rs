//! The inotify descriptor: which directory each watch stands for, and what the kernel tells.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Bytes read from the kernel at once. One event with the longest name takes 272, and a burst is read in
/// several rounds.
const READ_BYTES: usize = 4096;

/// Names that come and go.
const NAMES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// Changes to what has a name. No reads: the bridge itself reads.
const CONTENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE);

/// A message of the kernel.
#[derive(Debug)]
pub(super) enum Change {
    /// Messages were lost, or a watched file system went away: anything may have changed.
    Lost,
    /// Something changed at one place.
    At(Detail),
}

/// What changed where.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) directory: PathBuf,
    /// The name in the directory; the directory itself when there is none.
    pub(super) name: Option<OsString>,
    pub(super) flags: ReadFlags,
}

/// An inotify instance.
#[derive(Debug)]
pub(super) struct Kernel {
    inotify: OwnedFd,
    directories: HashMap<i32, PathBuf>,
}

impl Kernel {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            directories: HashMap::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches `directory`: names, and with `contents` also what they name.
    pub(super) fn watch(&mut self, directory: &Path, contents: bool) -> Result<Listing, Errno> {
        let opened = open_directory(directory)?;
        let flags = if contents { NAMES | CONTENTS } else { NAMES };
        // The path in /proc stands for the very directory that was opened, wherever its name points by now.
        let watch = inotify::add_watch(
            &self.inotify,
            format!("/proc/self/fd/{}", opened.as_raw_fd()),
            flags | WatchFlags::ONLYDIR | WatchFlags::EXCL_UNLINK,
        )?;
        self.directories.insert(watch, directory.to_owned());
        Ok(Listing {
            opened,
            directory: directory.to_owned(),
        })
    }

    /// Stops watching `top` and everything beneath it.
    pub(super) fn forget(&mut self, top: &Path) {
        let inotify = &self.inotify;
        self.directories.retain(|watch, directory| {
            let keep = !directory.starts_with(top);
            if !keep {
                // A directory that was deleted has lost its watch already.
                let _ = inotify::remove_watch(inotify, *watch);
            }
            keep
        });
    }

    /// The next messages; none when there are none.
    pub(super) fn read(&mut self) -> Result<Vec<Change>, Errno> {
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut changes = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
                    changes.extend(change(&mut self.directories, event.wd(), event.events(), name));
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(changes),
                Err(errno) => return Err(errno),
            }
            if reader.is_buffer_empty() {
                return Ok(changes);
            }
        }
    }
}

/// What an event says, if it says something about a directory that is still watched.
fn change(
    directories: &mut HashMap<i32, PathBuf>,
    watch: i32,
    flags: ReadFlags,
    name: Option<OsString>,
) -> Option<Change> {
    if flags.intersects(ReadFlags::QUEUE_OVERFLOW | ReadFlags::UNMOUNT) {
        return Some(Change::Lost);
    }
    if flags.contains(ReadFlags::IGNORED) {
        directories.remove(&watch);
        return None;
    }
    let directory = directories.get(&watch)?.clone();
    Some(Change::At(Detail {
        directory,
        name,
        flags,
    }))
}

/// Opens a directory by its configured name. No link is followed anywhere on the way: what a link points to is
/// not configured.
fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
}

/// An open directory that has just been watched.
pub(super) struct Listing {
    opened: OwnedFd,
    directory: PathBuf,
}

impl Listing {
    /// The directories in it. What cannot be listed holds nothing that could be read either.
    pub(super) fn directories(self) -> Vec<PathBuf> {
        let Ok(entries) = Dir::new(self.opened) else {
            return Vec::new();
        };
        entries
            .filter_map(Result::ok)
            // Some file systems do not tell types; opening will.
            .filter(|entry| matches!(entry.file_type(), FileType::Directory | FileType::Unknown))
            .map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
            .filter(|name| name != "." && name != "..")
            .map(|name| self.directory.join(name))
            .collect()
    }
}
