//! Sees changes to the replicated paths and turns them into hints: "this path may have changed".
//!
//! Directories are watched (`inotify(7)`), never files: a file that is replaced by a rename keeps its name but
//! not its inode. The directories that lead to a configured path are watched too, so that it may be missing,
//! come, go and be replaced. A directory that appears is watched first and hinted afterwards, and a hint
//! covers everything beneath it, so what was put into it in between is not missed.
//!
//! A file that is open for writing is hinted when it is closed, so that half a file does not travel; one that
//! stays open is hinted [`SETTLE`] after it was written.

mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bmc_sync_config::{RESERVED_PREFIX, SyncConfig};
use rustix::fs::inotify::ReadFlags;
use rustix::io::Errno;

use crate::log;

use self::kernel::{Change, Detail, Kernel};

/// How long a file that was written may stay open before it is hinted as it is. Shorter sends a file that is
/// being written again and again; longer keeps a log or a database that is never closed back for longer.
const SETTLE: Duration = Duration::from_secs(1);

/// How often everything is compared again while a directory could not be watched. Only then does an
/// otherwise idle bridge wake up; longer leaves its changes unseen for longer.
const UNWATCHED_RESCAN: Duration = Duration::from_secs(10);

/// What may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// What is at these paths.
    pub(crate) changed: BTreeSet<PathBuf>,
    /// Those of them from which something was moved away.
    pub(crate) left: BTreeSet<PathBuf>,
    /// What is at these paths and anything beneath them.
    pub(crate) trees: BTreeSet<PathBuf>,
    /// Anything.
    pub(crate) everything: bool,
}

/// Watches what it was told to between [`Watcher::start`] and [`Watcher::stop`].
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    config: Rc<SyncConfig>,
    kernel: Option<Kernel>,
    /// Changes here between two sets of watches were seen by neither, and since when that is to be told.
    unseen: Option<(BTreeSet<PathBuf>, Instant)>,
    /// Files that were written and not closed, and when they are hinted all the same.
    unsettled: BTreeMap<PathBuf, Instant>,
    blind: Option<Blind>,
    /// The problem that was logged last: one that stays is not logged again.
    told: Option<String>,
}

/// A part of the tree could not be watched.
#[derive(Debug)]
struct Blind {
    problem: String,
    next_rescan: Instant,
}

impl Watcher {
    /// Starts to watch what `config` covers, and nothing else; watching already what it covers changes nothing. When this
    /// returns, every later change is seen.
    pub(crate) fn start(&mut self, config: &Rc<SyncConfig>, now: Instant) {
        if self.kernel.is_some() && Rc::ptr_eq(&self.config, config) {
            return;
        }
        if self.kernel.is_some() {
            let stay = |root: &&Path| self.config.covers(root);
            let roots = config.roots().filter(stay).map(Path::to_owned).collect();
            self.unseen = Some((roots, now));
        }
        self.config = Rc::clone(config);
        self.unsettled.clear();
        self.watch(now);
    }

    fn watch(&mut self, now: Instant) {
        self.blind = None;
        match Kernel::new() {
            Ok(kernel) => {
                self.kernel = Some(kernel);
                self.watch_tree(Path::new("/"), now);
            }
            Err(errno) => self.note_blind(&format!("start watching for changes: {}", explain(errno)), now),
        }
    }

    /// Stops watching and forgets everything.
    pub(crate) fn stop(&mut self) {
        self.kernel = None;
        self.unseen = None;
        self.unsettled.clear();
        self.blind = None;
    }

    /// A descriptor that is readable when [`Watcher::take`] has something to say.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(Kernel::fd)
    }

    /// When [`Watcher::take`] has to be called although nothing changed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let settled = self.unsettled.values().min().copied();
        let rescan = self.blind.as_ref().map(|blind| blind.next_rescan);
        let unseen = self.unseen.as_ref().map(|(_, since)| *since);
        settled.into_iter().chain(rescan).chain(unseen).min()
    }

    /// What keeps changes from being seen at once.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.blind.as_ref().map(|blind| blind.problem.as_str())
    }

    /// Takes every hint that is due.
    pub(crate) fn take(&mut self, now: Instant) -> Hints {
        let mut hints = Hints::default();
        if let Some((roots, _)) = self.unseen.take() {
            hints.trees = roots;
        }
        self.read_changes(&mut hints, now);
        while let Some((path, _)) = self.unsettled.iter().find(|(_, due)| **due <= now) {
            let path = path.clone();
            self.unsettled.remove(&path);
            hints.changed.insert(path);
        }
        if self.blind.as_ref().is_some_and(|blind| blind.next_rescan <= now) {
            // What kept a directory from being watched may be over.
            self.watch(now);
            hints.everything = true;
        }
        hints
    }

    /// Takes every hint, due or not: when this returns, nothing that changed before the call is untold.
    pub(crate) fn take_all(&mut self, now: Instant) -> Hints {
        let mut hints = self.take(now);
        hints
            .changed
            .extend(std::mem::take(&mut self.unsettled).into_keys());
        hints.everything |= self.blind.is_some();
        hints
    }

    fn read_changes(&mut self, hints: &mut Hints, now: Instant) {
        loop {
            let Some(kernel) = &mut self.kernel else { return };
            let changes = match kernel.read() {
                Ok(changes) if changes.is_empty() => return,
                Ok(changes) => changes,
                // A descriptor that cannot be read tells nothing; what it would have told is lost.
                Err(_) => vec![Change::Lost],
            };
            for change in changes {
                match change {
                    Change::Lost => {
                        self.stop();
                        self.watch(now);
                        hints.everything = true;
                        return;
                    }
                    Change::At(detail) => self.translate(&detail, hints, now),
                }
            }
        }
    }

    fn translate(&mut self, detail: &Detail, hints: &mut Hints, now: Instant) {
        let Some(name) = &detail.name else {
            self.hint(&detail.directory, hints);
            return;
        };
        let path = detail.directory.join(name);
        if detail.flags.contains(ReadFlags::ISDIR) {
            if detail.flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                self.watch_tree(&path, now);
                self.hint_tree(&path, hints);
            } else if detail.flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                self.forget_tree(&path);
                self.hint_tree(&path, hints);
            } else {
                self.hint(&path, hints);
            }
        } else if !self.config.covers(&path) || name.as_bytes().starts_with(RESERVED_PREFIX.as_bytes()) {
            // Where content of the sibling's arrives, that tells of each file several times.
        } else if self.is_being_written(&path, detail.flags) {
            self.unsettled.entry(path).or_insert(now + SETTLE);
        } else {
            self.unsettled.remove(&path);
            if detail.flags.contains(ReadFlags::MOVED_FROM) {
                hints.left.insert(path.clone());
            }
            self.hint(&path, hints);
        }
    }

    /// Whether a change to what is not a directory will be followed by a close.
    fn is_being_written(&self, path: &Path, flags: ReadFlags) -> bool {
        let finished =
            ReadFlags::CLOSE_WRITE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        if flags.intersects(finished) {
            return false;
        }
        if flags.contains(ReadFlags::ATTRIB) {
            return self.unsettled.contains_key(path);
        }
        // Links and the like are never closed.
        !flags.contains(ReadFlags::CREATE) || is_new_file(path)
    }

    fn hint(&self, path: &Path, hints: &mut Hints) {
        if self.config.covers(path) {
            hints.changed.insert(path.to_owned());
        }
    }

    /// Hints the whole of `path`, or the configured paths beneath it when it only leads to them.
    fn hint_tree(&self, path: &Path, hints: &mut Hints) {
        if self.config.covers(path) {
            hints.trees.insert(path.to_owned());
        }
        let roots = self.config.roots().filter(|root| root.starts_with(path));
        hints.trees.extend(roots.map(Path::to_owned));
    }

    /// Watches `top` and every directory beneath it that is covered or leads to something covered.
    fn watch_tree(&mut self, top: &Path, now: Instant) {
        let mut pending = vec![top.to_owned()];
        while let Some(directory) = pending.pop() {
            if !self.config.may_contain(&directory) {
                continue;
            }
            let covered = self.config.covers(&directory);
            let holds_root = self.config.roots().any(|root| root.parent() == Some(&directory));
            let Some(kernel) = &mut self.kernel else { return };
            match kernel.watch(&directory, covered || holds_root) {
                Ok(listing) if covered => pending.extend(listing.directories()),
                Ok(_) => {}
                // Not there, not a directory, or a link: its parent tells when that changes.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => {
                    let problem = format!("watch {}: {}", directory.display(), explain(errno));
                    self.note_blind(&problem, now);
                }
            }
            pending.extend(self.steps_down(&directory));
        }
    }

    /// The next directories on the way from `directory` to the configured paths beneath it.
    fn steps_down(&self, directory: &Path) -> BTreeSet<PathBuf> {
        let step = |root: &Path| -> Option<OsString> {
            let relative = root.strip_prefix(directory).ok()?;
            relative.iter().next().map(OsStr::to_owned)
        };
        self.config
            .roots()
            .filter_map(step)
            .map(|name| directory.join(name))
            .collect()
    }

    fn forget_tree(&mut self, top: &Path) {
        if let Some(kernel) = &mut self.kernel {
            kernel.forget(top);
        }
        self.unsettled.retain(|path, _| !path.starts_with(top));
    }

    fn note_blind(&mut self, problem: &str, now: Instant) {
        if self.blind.is_some() {
            return;
        }
        let seconds = UNWATCHED_RESCAN.as_secs();
        let problem = format!("{problem}; comparing everything every {seconds} s instead");
        if self.told.as_ref() != Some(&problem) {
            log::warning(&problem);
            self.told = Some(problem.clone());
        }
        self.blind = Some(Blind {
            problem,
            next_rescan: now + UNWATCHED_RESCAN,
        });
    }
}

/// Whether a name that just appeared is a file that somebody created and will close: not a symbolic link, and
/// not another name of a file that exists already.
fn is_new_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

/// The system's word, with what an operator can do about it where it is known.
fn explain(errno: Errno) -> String {
    match errno {
        Errno::NOSPC => {
            "the limit of inotify watches is reached (sysctl fs.inotify.max_user_watches)".to_owned()
        }
        Errno::MFILE => {
            "the limit of inotify instances is reached (sysctl fs.inotify.max_user_instances)".to_owned()
        }
        other => io::Error::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests;
