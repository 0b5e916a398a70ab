//! Puts a version that lost back in its place: whole or not at all, and through no symbolic link.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bmc_replication::conflicts::{Conflict, unescape};
use bmc_replication::disk_tree::give_xattrs;
use bmc_replication::entry::Xattr;
use bmc_sync_config::RESERVED_PREFIX;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod,
    fchown, fsync, futimens, mkdirat, openat, openat2, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

/// Why it was not put back.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    /// What is told about it is not enough.
    #[error("restore version {number}: {what}")]
    Incomplete {
        /// Its number.
        number: u64,
        /// What is missing or wrong.
        what: String,
    },
    /// The system refused.
    #[error("restore {path}: {action}: {source}")]
    System {
        /// Where it goes, as the record has it.
        path: String,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Puts it back, with `xattrs` where they are known.
pub(super) fn restore(conflict: &Conflict, xattrs: Option<Vec<Xattr>>) -> Result<(), RestoreError> {
    let place = Place::of(conflict)?;
    let owner = || Owner::of(conflict, xattrs);
    match conflict.about.get("kind").map(String::as_str) {
        Some("file") => place.put_file(conflict, &owner()?),
        Some("link") => place.put_link(conflict, &owner()?),
        Some("directory") => place.put_directory(&owner()?),
        Some("removed") => place.remove(),
        _ => Err(incomplete(conflict, "its kind is not known")),
    }
}

/// Where it goes.
struct Place<'a> {
    told: &'a str,
    parent: OwnedFd,
    name: Vec<u8>,
}

/// Whose it is, and what they may do with it.
struct Owner {
    mode: Mode,
    uid: Uid,
    gid: Gid,
    times: Timestamps,
    xattrs: Option<Vec<Xattr>>,
}

impl Owner {
    fn of(conflict: &Conflict, xattrs: Option<Vec<Xattr>>) -> Result<Self, RestoreError> {
        let number = |name: &str, radix| {
            let value = conflict.about.get(name);
            value
                .and_then(|value| u32::from_str_radix(value, radix).ok())
                .ok_or_else(|| incomplete(conflict, &format!("its {name} is not known")))
        };
        let mtime = conflict
            .about
            .get("mtime")
            .and_then(|value| {
                let (seconds, nanoseconds) = value.split_once('.')?;
                Some(Timespec {
                    tv_sec: seconds.parse().ok()?,
                    tv_nsec: nanoseconds.parse().ok()?,
                })
            })
            .ok_or_else(|| incomplete(conflict, "its mtime is not known"))?;
        Ok(Self {
            mode: Mode::from_raw_mode(number("mode", 8)?),
            uid: Uid::from_raw(number("uid", 10)?),
            gid: Gid::from_raw(number("gid", 10)?),
            times: Timestamps {
                last_access: Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                },
                last_modification: mtime,
            },
            xattrs,
        })
    }

    fn apply(&self, file: &impl AsFd) -> io::Result<()> {
        // The owner first: changing it takes set-id bits and capabilities away.
        fchown(file, Some(self.uid), Some(self.gid))?;
        fchmod(file, self.mode)?;
        self.apply_xattrs(file)?;
        Ok(futimens(file, &self.times)?)
    }

    fn apply_xattrs(&self, file: &impl AsFd) -> io::Result<()> {
        self.xattrs
            .as_ref()
            .map_or(Ok(()), |xattrs| give_xattrs(file, xattrs))
    }
}

impl<'a> Place<'a> {
    fn of(conflict: &'a Conflict) -> Result<Self, RestoreError> {
        let told = conflict.about.get("path").map(String::as_str);
        let told = told.ok_or_else(|| incomplete(conflict, "its path is not known"))?;
        let path = unescape(told).ok_or_else(|| incomplete(conflict, "its path is not understood"))?;
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let slash = slash.ok_or_else(|| incomplete(conflict, "its path is not absolute"))?;
        let (parent, name) = path.split_at(slash + 1);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let parent = openat2(CWD, parent, flags, Mode::empty(), resolve)
            .map_err(|errno| failed(told, "open its directory", errno))?;
        Ok(Self {
            told,
            parent,
            name: name.to_vec(),
        })
    }

    fn put_file(&self, conflict: &Conflict, owner: &Owner) -> Result<(), RestoreError> {
        let kept = conflict.content.as_ref();
        let kept = kept.ok_or_else(|| incomplete(conflict, "its content was too large to be kept"))?;
        let temporary = temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.parent, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.failed("create a temporary file beside it", errno))?;
        let mut file = File::from(file);
        let written = File::open(kept)
            .and_then(|mut kept| io::copy(&mut kept, &mut file))
            .and_then(|_| owner.apply(&file))
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            let _ = unlinkat(&self.parent, &temporary, AtFlags::empty());
            return Err(self.failed("write it", source));
        }
        self.place(&temporary)
    }

    fn put_link(&self, conflict: &Conflict, owner: &Owner) -> Result<(), RestoreError> {
        let kept = conflict.content.as_ref();
        let kept = kept.ok_or_else(|| incomplete(conflict, "where it points was not kept"))?;
        let target = std::fs::read(kept).map_err(|source| self.failed("read where it points", source))?;
        let temporary = temporary_name();
        symlinkat(target.as_slice(), &self.parent, &temporary)
            .map_err(|errno| self.failed("make the link", errno))?;
        if let Err(source) = self.give_link_to(owner, &temporary) {
            let _ = unlinkat(&self.parent, &temporary, AtFlags::empty());
            return Err(self.failed("make the link", source));
        }
        self.place(&temporary)
    }

    fn give_link_to(&self, owner: &Owner, link: &str) -> io::Result<()> {
        let (uid, gid) = (Some(owner.uid), Some(owner.gid));
        chownat(&self.parent, link, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        owner.apply_xattrs(&openat(&self.parent, link, flags, Mode::empty())?)
    }

    fn put_directory(&self, owner: &Owner) -> Result<(), RestoreError> {
        match mkdirat(&self.parent, self.name.as_slice(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.failed("make the directory", errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(&self.parent, self.name.as_slice(), flags, Mode::empty());
        directory
            .map_err(io::Error::from)
            .and_then(|directory| owner.apply(&directory))
            .and_then(|()| Ok(fsync(&self.parent)?))
            .map_err(|source| self.failed("make the directory", source))
    }

    fn remove(&self) -> Result<(), RestoreError> {
        match unlinkat(&self.parent, self.name.as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(self.failed("remove it", errno)),
        }
        fsync(&self.parent).map_err(|errno| self.failed("make that durable", errno))
    }

    fn place(&self, temporary: &str) -> Result<(), RestoreError> {
        let placed = renameat(&self.parent, temporary, &self.parent, self.name.as_slice())
            .and_then(|()| fsync(&self.parent));
        placed.map_err(|errno| {
            let _ = unlinkat(&self.parent, temporary, AtFlags::empty());
            self.failed("put it in its place", errno)
        })
    }

    fn failed(&self, action: &'static str, source: impl Into<io::Error>) -> RestoreError {
        failed(self.told, action, source)
    }
}

/// A name that the replication leaves alone.
fn temporary_name() -> String {
    format!("{RESERVED_PREFIX}restored.{}", std::process::id())
}

fn failed(path: &str, action: &'static str, source: impl Into<io::Error>) -> RestoreError {
    RestoreError::System {
        path: path.to_owned(),
        action,
        source: source.into(),
    }
}

fn incomplete(conflict: &Conflict, what: &str) -> RestoreError {
    RestoreError::Incomplete {
        number: conflict.number,
        what: what.to_owned(),
    }
}
