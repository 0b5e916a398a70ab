//! Puts a version that lost back in its place: whole or not at all, and through no symbolic link.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use bmc_replication::conflicts::Conflict;
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

/// Puts it back.
pub(super) fn restore(conflict: &Conflict) -> Result<(), RestoreError> {
    let place = Place::of(conflict)?;
    match conflict.about.get("kind").map(String::as_str) {
        Some("file") => place.put_file(conflict),
        Some("link") => place.put_link(conflict),
        Some("directory") => place.put_directory(&Owner::of(conflict)?),
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
}

impl Owner {
    fn of(conflict: &Conflict) -> Result<Self, RestoreError> {
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
        })
    }

    fn apply(&self, file: &impl std::os::fd::AsFd) -> Result<(), Errno> {
        // The owner first: changing it takes set-id bits away.
        fchown(file, Some(self.uid), Some(self.gid))?;
        fchmod(file, self.mode)?;
        futimens(file, &self.times)
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

    fn put_file(&self, conflict: &Conflict) -> Result<(), RestoreError> {
        let kept = conflict.content.as_ref();
        let kept = kept.ok_or_else(|| incomplete(conflict, "its content was too large to be kept"))?;
        let owner = Owner::of(conflict)?;
        let temporary = temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.parent, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.failed("create a temporary file beside it", errno))?;
        let mut file = File::from(file);
        let written = File::open(kept)
            .and_then(|mut kept| io::copy(&mut kept, &mut file))
            .and_then(|_| Ok(owner.apply(&file)?))
            .and_then(|()| file.sync_all());
        if let Err(source) = written {
            let _ = unlinkat(&self.parent, &temporary, AtFlags::empty());
            return Err(self.failed("write it", source));
        }
        self.place(&temporary)
    }

    fn put_link(&self, conflict: &Conflict) -> Result<(), RestoreError> {
        let kept = conflict.content.as_ref();
        let kept = kept.ok_or_else(|| incomplete(conflict, "where it points was not kept"))?;
        let owner = Owner::of(conflict)?;
        let target = std::fs::read(kept).map_err(|source| self.failed("read where it points", source))?;
        let temporary = temporary_name();
        let made = symlinkat(target.as_slice(), &self.parent, &temporary).and_then(|()| {
            let (uid, gid) = (Some(owner.uid), Some(owner.gid));
            chownat(&self.parent, &temporary, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        });
        made.map_err(|errno| self.failed("make the link", errno))?;
        self.place(&temporary)
    }

    fn put_directory(&self, owner: &Owner) -> Result<(), RestoreError> {
        match mkdirat(&self.parent, self.name.as_slice(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.failed("make the directory", errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.parent, self.name.as_slice(), flags, Mode::empty())
            .and_then(|directory| owner.apply(&directory))
            .and_then(|()| fsync(&self.parent))
            .map_err(|errno| self.failed("make the directory", errno))
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

/// The bytes that [`u8::escape_ascii`] made `text` of.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match *rest.next()? {
            b't' => b'\t',
            b'r' => b'\r',
            b'n' => b'\n',
            b'x' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                u8::try_from(value).ok()?
            }
            plain @ (b'\\' | b'\'' | b'"') => plain,
            _ => return None,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_as_it_was() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(unescape(&path.escape_ascii().to_string()).unwrap(), path);
        for wrong in ["\\", "\\q", "\\x1", "\\xzz"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
