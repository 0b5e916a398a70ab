//! The file system through which one BMC sees the chassis.
//!
//! It behaves as sysfs does: a write takes effect before write(2) returns or fails with a real errno, a read shows the
//! value of its moment, truncation is ignored, and poll(2) reports changes with `POLLPRI | POLLERR` until the file is read
//! again from its start (Documentation/filesystems/sysfs.rst of the kernel).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::consts::FOPEN_DIRECT_IO;
use fuser::{
    FileAttr, FileType, Filesystem, KernelConfig, PollHandle, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyPoll, ReplyWrite, Request, TimeOrNow,
};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::chassis::Refusal;
use crate::hardware::HardwareFile;
use crate::hub::Hub;
use crate::messages::Slot;

/// Nothing is cached: the other BMC, time and tests change what files show.
const NO_CACHE: Duration = Duration::ZERO;
/// What stat(2) shows as size, as for sysfs attributes: one page.
const APPARENT_SIZE: u64 = 4096;
/// More than any value; a longer write is an error of its author.
const MAX_WRITE: u32 = 4096;
/// In the flags of a FUSE poll request: the kernel wants to be told of a change (include/uapi/linux/fuse.h).
const FUSE_POLL_SCHEDULE_NOTIFY: u32 = 1;
/// Inode number of the root, fixed by FUSE.
const ROOT: u64 = fuser::FUSE_ROOT_ID;

/// What an inode number stands for.
enum Node {
    Directory { parent: u64 },
    File { parent: u64, file: HardwareFile },
}

/// An open file.
struct Handle {
    file: HardwareFile,
    /// What the last read from offset 0 found: the rest of the same value is read from here.
    text: String,
    /// The version of the file at that read.
    seen: u64,
    /// The kernel's handle for poll, once somebody polled.
    poll: Option<u64>,
}

/// One BMC's view.
pub struct View {
    hub: Arc<Hub>,
    slot: Slot,
    mounted: SystemTime,
    /// Index plus [`ROOT`] is the inode number.
    nodes: Vec<(String, Node)>,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
}

impl View {
    /// The view of the BMC in this slot.
    pub fn new(hub: Arc<Hub>, slot: Slot) -> Self {
        Self {
            hub,
            slot,
            mounted: SystemTime::now(),
            nodes: lay_out(),
            handles: HashMap::new(),
            next_handle: 1,
        }
    }

    fn node(&self, inode: u64) -> Option<&Node> {
        let index = usize::try_from(inode.checked_sub(ROOT)?).ok()?;
        self.nodes.get(index).map(|(_, node)| node)
    }

    fn file(&self, inode: u64) -> Option<HardwareFile> {
        match self.node(inode)? {
            Node::File { file, .. } => Some(*file),
            Node::Directory { .. } => None,
        }
    }

    fn children(&self, directory: u64) -> impl Iterator<Item = (u64, &str, &Node)> {
        (ROOT..)
            .zip(&self.nodes)
            .map(|(inode, (name, node))| (inode, name.as_str(), node))
            .filter(move |(inode, _, node)| *inode != ROOT && node.parent() == directory)
    }

    fn attributes(&self, inode: u64) -> Option<FileAttr> {
        let (kind, permissions, modified, size) = match self.node(inode)? {
            Node::Directory { .. } => (FileType::Directory, 0o755, self.mounted, 0),
            Node::File { file, .. } => {
                let modified = self.hub.modified(*file, self.mounted);
                (FileType::RegularFile, file.mode(), modified, APPARENT_SIZE)
            }
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: 0,
            atime: modified,
            mtime: modified,
            ctime: modified,
            crtime: self.mounted,
            kind,
            perm: permissions,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: MAX_WRITE,
            flags: 0,
        })
    }

    fn reply_attributes(&self, inode: u64, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&NO_CACHE, &attributes),
            None => reply.error(Errno::NOENT.raw_os_error()),
        }
    }

    /// Opening against the file's mode fails even for root, as in sysfs.
    fn open_file(&mut self, inode: u64, flags: OFlags) -> Result<u64, Errno> {
        let file = self.file(inode).ok_or(Errno::NOENT)?;
        let access = flags & OFlags::RWMODE;
        let (reads, writes) = (access != OFlags::WRONLY, access != OFlags::RDONLY);
        if (reads && !file.readable()) || (writes && !file.writable()) {
            return Err(Errno::ACCESS);
        }
        let number = self.next_handle;
        self.next_handle += 1;
        let seen = self.hub.version(self.slot, file).unwrap_or(0);
        self.handles.insert(
            number,
            Handle {
                file,
                text: String::new(),
                seen,
                poll: None,
            },
        );
        Ok(number)
    }

    fn read_from(&mut self, handle: u64, offset: usize, size: usize) -> Result<&[u8], Errno> {
        let handle = self.handles.get_mut(&handle).ok_or(Errno::BADF)?;
        if offset == 0 {
            handle.seen = self.hub.version(self.slot, handle.file).unwrap_or(0);
            handle.text = self.hub.read(self.slot, handle.file).map_err(errno)? + "\n";
        }
        let rest = handle.text.as_bytes().get(offset..).unwrap_or_default();
        Ok(rest.get(..size).unwrap_or(rest))
    }

    fn write_to(&self, handle: u64, data: &[u8]) -> Result<(), Errno> {
        let handle = self.handles.get(&handle).ok_or(Errno::BADF)?;
        let value = String::from_utf8_lossy(data);
        self.hub.write(self.slot, handle.file, &value).map_err(errno)
    }

    fn poll_handle(&mut self, number: u64, wake: PollHandle, schedule: bool) -> Result<PollFlags, Errno> {
        let handle = self.handles.get_mut(&number).ok_or(Errno::BADF)?;
        let kernel_handle = u64::from(wake.clone());
        let version = if schedule {
            handle.poll = Some(kernel_handle);
            let waker = Box::new(move || {
                if let Err(error) = wake.notify() {
                    eprintln!("chassis-sim: wake a poll: {error}");
                }
            });
            self.hub
                .watch(self.slot, handle.file, handle.seen, kernel_handle, waker)
        } else {
            self.hub.version(self.slot, handle.file)
        };
        let always = PollFlags::IN | PollFlags::OUT | PollFlags::RDNORM | PollFlags::WRNORM;
        let changed = version.is_some_and(|version| version != handle.seen);
        Ok(if changed {
            always | PollFlags::PRI | PollFlags::ERR
        } else {
            always
        })
    }
}

impl Node {
    fn parent(&self) -> u64 {
        match self {
            Self::Directory { parent } | Self::File { parent, .. } => *parent,
        }
    }

    fn kind(&self) -> FileType {
        match self {
            Self::Directory { .. } => FileType::Directory,
            Self::File { .. } => FileType::RegularFile,
        }
    }
}

/// The tree: the root first, then each file after its directory.
fn lay_out() -> Vec<(String, Node)> {
    let mut nodes = vec![(String::new(), Node::Directory { parent: ROOT })];
    for file in HardwareFile::all() {
        let path = file.path();
        let (parent, name) = match path.split_once('/') {
            Some((directory, name)) => (directory_inode(&mut nodes, directory), name.to_owned()),
            None => (ROOT, path),
        };
        nodes.push((name, Node::File { parent, file }));
    }
    nodes
}

fn directory_inode(nodes: &mut Vec<(String, Node)>, name: &str) -> u64 {
    let index = nodes
        .iter()
        .position(|(known, _)| known == name)
        .unwrap_or_else(|| {
            nodes.push((name.to_owned(), Node::Directory { parent: ROOT }));
            nodes.len() - 1
        });
    ROOT + index as u64
}

/// The error that a driver would answer with.
fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NoMux | Refusal::NotRunning => Errno::IO,
        Refusal::NotLocked => Errno::PERM,
        Refusal::LockTaken => Errno::BUSY,
        Refusal::BadValue { .. } => Errno::INVAL,
        Refusal::WrongAccess => Errno::ACCESS,
    }
}

/// A size or offset from the kernel.
fn count(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}

impl Filesystem for View {
    fn init(&mut self, _request: &Request<'_>, config: &mut KernelConfig) -> Result<(), i32> {
        config
            .set_max_write(MAX_WRITE)
            .map(drop)
            .map_err(|_| Errno::INVAL.raw_os_error())
    }

    fn lookup(&mut self, _request: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let inode = self
            .children(parent)
            .find(|(_, known, _)| name == *known)
            .map(|(inode, ..)| inode);
        match inode.and_then(|inode| self.attributes(inode)) {
            Some(attributes) => reply.entry(&NO_CACHE, &attributes, 0),
            None => reply.error(Errno::NOENT.raw_os_error()),
        }
    }

    fn getattr(&mut self, _request: &Request<'_>, inode: u64, _handle: Option<u64>, reply: ReplyAttr) {
        self.reply_attributes(inode, reply);
    }

    /// Truncation and times are ignored, so that `echo 1 > file` works; owner and mode cannot be changed.
    fn setattr(
        &mut self,
        _request: &Request<'_>,
        inode: u64,
        mode: Option<u32>,
        owner: Option<u32>,
        group: Option<u32>,
        _size: Option<u64>,
        _accessed: Option<TimeOrNow>,
        _modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<u64>,
        _created: Option<SystemTime>,
        _changed_flags: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<u32>,
        reply: ReplyAttr,
    ) {
        if mode.is_some() || owner.is_some() || group.is_some() {
            reply.error(Errno::PERM.raw_os_error());
        } else {
            self.reply_attributes(inode, reply);
        }
    }

    fn open(&mut self, _request: &Request<'_>, inode: u64, flags: i32, reply: ReplyOpen) {
        match self.open_file(
            inode,
            OFlags::from_bits_retain(u32::from_ne_bytes(flags.to_ne_bytes())),
        ) {
            Ok(handle) => reply.opened(handle, FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn read(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        handle: u64,
        offset: i64,
        size: u32,
        _flags: i32,
        _lock_owner: Option<u64>,
        reply: ReplyData,
    ) {
        match self.read_from(handle, count(offset), count(size)) {
            Ok(data) => reply.data(data),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn write(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        handle: u64,
        _offset: i64,
        data: &[u8],
        _write_flags: u32,
        _flags: i32,
        _lock_owner: Option<u64>,
        reply: ReplyWrite,
    ) {
        match self.write_to(handle, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(MAX_WRITE)),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }

    fn release(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        handle: u64,
        _flags: i32,
        _lock_owner: Option<u64>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(Handle {
            file,
            poll: Some(kernel_handle),
            ..
        }) = self.handles.remove(&handle)
        {
            self.hub.unwatch(self.slot, file, kernel_handle);
        }
        reply.ok();
    }

    fn flush(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        _handle: u64,
        _lock_owner: u64,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn fsync(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        _handle: u64,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn readdir(
        &mut self,
        _request: &Request<'_>,
        inode: u64,
        _handle: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let Some(Node::Directory { parent }) = self.node(inode) else {
            return reply.error(Errno::NOTDIR.raw_os_error());
        };
        let dots = [
            (inode, FileType::Directory, "."),
            (*parent, FileType::Directory, ".."),
        ];
        let children = self
            .children(inode)
            .map(|(inode, name, node)| (inode, node.kind(), name));
        let entries = (1..).zip(dots.into_iter().chain(children)).skip(count(offset));
        for (next, (inode, kind, name)) in entries {
            if reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn poll(
        &mut self,
        _request: &Request<'_>,
        _inode: u64,
        handle: u64,
        wake: PollHandle,
        _events: u32,
        flags: u32,
        reply: ReplyPoll,
    ) {
        match self.poll_handle(handle, wake, flags & FUSE_POLL_SCHEDULE_NOTIFY != 0) {
            Ok(events) => reply.poll(u32::from(events.bits())),
            Err(errno) => reply.error(errno.raw_os_error()),
        }
    }
}
