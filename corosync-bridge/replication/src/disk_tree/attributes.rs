//! Owner, mode, times and extended attributes.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::file_time;
use crate::entry::{Attributes, FileTime, Xattr};
use crate::wire::XATTR_BYTES;

/// Permission bits, set-id and sticky bits of a mode.
const MODE_BITS: u32 = 0o7777;

/// Tries to read extended attributes that change their size meanwhile.
const XATTR_TRIES: usize = 8;

/// Attributes of an open file or directory.
pub(super) fn of(fd: &OwnedFd, stat: &Stat) -> Result<Attributes, Errno> {
    Ok(Attributes {
        mode: stat.st_mode & MODE_BITS,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: file_time(stat.st_mtime, stat.st_mtime_nsec),
        xattrs: xattrs(fd)?,
    })
}

/// Attributes of a symbolic link that is open by its path. It has no mode of its own.
pub(super) fn of_link(link: &OwnedFd, stat: &Stat) -> Result<Attributes, Errno> {
    Ok(Attributes {
        mode: 0,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: file_time(stat.st_mtime, stat.st_mtime_nsec),
        xattrs: xattrs(link)?,
    })
}

/// Gives an open file or directory these attributes. The owner first: changing it takes set-id bits and
/// capabilities away.
pub(super) fn apply(fd: impl AsFd, wanted: &Attributes) -> Result<(), Errno> {
    rustix::fs::fchown(
        &fd,
        Some(Uid::from_raw(wanted.uid)),
        Some(Gid::from_raw(wanted.gid)),
    )?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(wanted.mode))?;
    apply_xattrs(&fd, &wanted.xattrs)?;
    set_mtime(&fd, wanted.mtime)
}

/// Gives an open file or directory this mtime, and leaves the time of its last reading alone.
pub(super) fn set_mtime(fd: impl AsFd, mtime: FileTime) -> Result<(), Errno> {
    rustix::fs::futimens(fd, &timestamps(mtime))
}

/// Gives an open file or directory, or a symbolic link that is open by its path, the extended attributes of a setting, and
/// takes those away that it has not.
///
/// # Errors
/// What the system said.
pub fn give_xattrs(fd: impl AsFd, wanted: &[Xattr]) -> std::io::Result<()> {
    Ok(apply_xattrs(fd, wanted)?)
}

/// Removes the name of a temporary file, as if it had never been there: the directory keeps its mtime. What cannot be
/// removed is harmless; it is tried again at the next start.
pub(super) fn discard(directory: &OwnedFd, temporary: &[u8]) {
    let mtime = rustix::fs::fstat(directory).map(|stat| file_time(stat.st_mtime, stat.st_mtime_nsec));
    let removed = rustix::fs::unlinkat(directory, temporary, AtFlags::empty());
    if let (Ok(mtime), Ok(())) = (mtime, removed) {
        let _ = set_mtime(directory, mtime);
    }
}

/// Gives the symbolic link `name` in `directory` these attributes.
pub(super) fn apply_to_link(directory: &OwnedFd, name: &[u8], wanted: &Attributes) -> Result<(), Errno> {
    rustix::fs::chownat(
        directory,
        name,
        Some(Uid::from_raw(wanted.uid)),
        Some(Gid::from_raw(wanted.gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    apply_xattrs(&link, &wanted.xattrs)?;
    rustix::fs::utimensat(
        directory,
        name,
        &timestamps(wanted.mtime),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

fn timestamps(mtime: FileTime) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.into(),
        },
    }
}

/// Whether an extended attribute is a setting: labels and measurements of security modules belong to the
/// system that made them, and overlayfs's bookkeeping to its upper layer.
fn is_carried(name: &[u8]) -> bool {
    name == b"security.capability"
        || !(name.starts_with(b"security.") || name.starts_with(b"trusted.overlay."))
}

/// Where the system takes an open file, directory or symbolic link itself for a path: a link has no other way to
/// its extended attributes that cannot be led astray.
fn itself(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn xattrs(fd: impl AsFd) -> Result<Vec<Xattr>, Errno> {
    let itself = itself(fd);
    for _ in 0..XATTR_TRIES {
        match try_xattrs(&itself) {
            // One grew or went between being measured and being read.
            Err(Errno::RANGE | Errno::NODATA) => {}
            outcome => return outcome.map_err(never_absent),
        }
    }
    Err(Errno::AGAIN)
}

/// What is open is there. It is /proc that is missing.
fn never_absent(error: Errno) -> Errno {
    match error {
        Errno::NOENT => Errno::NOSYS,
        other => other,
    }
}

fn try_xattrs(itself: &str) -> Result<Vec<Xattr>, Errno> {
    let mut xattrs = Vec::new();
    let mut bytes = 0;
    for name in xattr_names(itself)?.into_iter().filter(|name| is_carried(name)) {
        let mut value = vec![0; rustix::fs::getxattr_query(itself, name.as_slice())?];
        if !value.is_empty() {
            let length = rustix::fs::getxattr(itself, name.as_slice(), value.as_mut_slice())?;
            value.truncate(length);
        }
        bytes += name.len() + value.len();
        xattrs.push(Xattr { name, value });
    }
    if bytes > XATTR_BYTES {
        return Err(Errno::TOOBIG);
    }
    xattrs.sort();
    Ok(xattrs)
}

fn xattr_names(itself: &str) -> Result<Vec<Vec<u8>>, Errno> {
    let size = match rustix::fs::listxattr_query(itself) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        outcome => outcome?,
    };
    let mut list = vec![0; size];
    let length = rustix::fs::listxattr(itself, list.as_mut_slice())?;
    list.truncate(length);
    Ok(list
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

fn apply_xattrs(fd: impl AsFd, wanted: &[Xattr]) -> Result<(), Errno> {
    let itself = itself(fd);
    for name in xattr_names(&itself).map_err(never_absent)? {
        if is_carried(&name) && !wanted.iter().any(|xattr| xattr.name == name) {
            rustix::fs::removexattr(&itself, name.as_slice())?;
        }
    }
    for xattr in wanted.iter().filter(|xattr| is_carried(&xattr.name)) {
        rustix::fs::setxattr(&itself, xattr.name.as_slice(), &xattr.value, XattrFlags::empty())
            .map_err(never_absent)?;
    }
    Ok(())
}
