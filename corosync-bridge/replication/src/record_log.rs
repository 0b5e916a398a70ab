//! Records on disk that survive power cuts and damage: a file that only grows, and is replaced when it has grown
//! too much.
//!
//! A file begins with four bytes of magic and one of version. Each record is its length (four bytes, big-endian), the
//! same with all bits turned, a digest of the content, and the content. Whatever a power cut leaves of the last append, a
//! record is read back whole or not at all, and nothing behind a record that is not whole is believed: reading stops
//! there, says why, and cuts the rest off, so that what is appended next stands behind something readable. The length
//! is there twice so that a damaged one is not taken for that of a record which the power cut short.
//!
//! Appending alone promises nothing about a power cut; [`RecordLog::sync`] does. Between them records reach the disk
//! in the order in which they were appended, or not at all.
//!
//! [`RecordLog::begin_rewrite`] starts a successor with what is still wanted, in as many steps as its owner likes; the
//! successor takes the place of the file, durably and at once, with [`RecordLog::finish_rewrite`]. Until then the old
//! file goes on being appended to, and a crash leaves it as it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Longest record in bytes. A longer length in a file is damage, and no memory is asked for because of it.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Magic and version.
const HEADER_BYTES: usize = 5;

/// Length, turned length and digest before each record.
const FRAME_BYTES: usize = 4 + 4 + Digest::BYTES;

/// What tells one kind of log from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// First bytes of the file.
    pub magic: [u8; 4],
    /// Version of its records. A file of another version counts as damaged: nothing can be said of it.
    pub version: u8,
}

impl Format {
    fn header(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = self.magic;
        [a, b, c, d, self.version]
    }
}

/// How a file ended when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With its last record, or it was never written.
    Whole,
    /// Within a record: the power went while it was written.
    Torn,
    /// With something that was not written so. What was behind it is lost.
    Damaged,
}

/// Why records could not be kept or found.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct LogError {
    /// What was attempted.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Where the bytes of a log are: a file and, while it is rewritten, its successor.
pub trait Medium: std::fmt::Debug {
    /// Its name, for messages.
    fn path(&self) -> &Path;

    /// Bytes from `offset` on into `buffer`; how many there were. A file that was never written has none.
    ///
    /// # Errors
    /// What the system said.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Appends, making the file where it is missing.
    ///
    /// # Errors
    /// What the system said; some of `bytes` may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// What the system said.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// What the system said.
    fn sync(&mut self) -> io::Result<()>;

    /// Begins an empty successor. One that was begun before is forgotten.
    ///
    /// # Errors
    /// What the system said.
    fn begin_next(&mut self) -> io::Result<()>;

    /// Appends to the successor.
    ///
    /// # Errors
    /// What the system said.
    fn append_next(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the successor durable and puts it in the place of the file.
    ///
    /// # Errors
    /// The file is what it was.
    fn adopt_next(&mut self) -> io::Result<()>;
}

/// A log of records.
#[derive(Debug)]
pub struct RecordLog {
    medium: Box<dyn Medium>,
    format: Format,
    /// Bytes of the file that are known to be good.
    bytes: u64,
    /// The file may end with something else than a record.
    broken: bool,
    /// Bytes of the successor, while there is one.
    next: Option<u64>,
}

impl RecordLog {
    /// A log over `medium`, to be read by [`RecordLog::load`] before anything else.
    #[must_use]
    pub fn new(medium: Box<dyn Medium>, format: Format) -> Self {
        Self {
            medium,
            format,
            bytes: 0,
            broken: false,
            next: None,
        }
    }

    /// Size of the file in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a successor was begun and has not taken the place of the file yet.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        self.next.is_some()
    }

    /// Gives every record to `take`, in order, and cuts off what is none.
    ///
    /// # Errors
    /// The file is there and cannot be read, or not be cut. Records may have been given nevertheless.
    pub fn load(&mut self, mut take: impl FnMut(&[u8])) -> Result<Ending, LogError> {
        let mut reader = Reader::new();
        let header = self.format.header();
        self.broken = true;
        let mut record = Vec::new();
        let mut good = 0;
        let length = self.fill(&mut reader, HEADER_BYTES)?;
        let begins = reader.take(length);
        let ending = if begins == header {
            loop {
                good = reader.offset();
                match self.next_record(&mut reader, &mut record)? {
                    None => take(&record),
                    Some(ending) => break ending,
                }
            }
        } else if begins.is_empty() {
            Ending::Whole
        } else if header.starts_with(begins) {
            Ending::Torn
        } else {
            Ending::Damaged
        };
        self.bytes = good;
        if ending != Ending::Whole {
            self.medium
                .cut(good)
                .map_err(|source| self.failed("cut", source))?;
        }
        self.broken = false;
        Ok(ending)
    }

    /// Reads the next record into `record`; how the file ends when there is none.
    fn next_record(&mut self, reader: &mut Reader, record: &mut Vec<u8>) -> Result<Option<Ending>, LogError> {
        match self.fill(reader, FRAME_BYTES)? {
            0 => return Ok(Some(Ending::Whole)),
            FRAME_BYTES => {}
            _ => return Ok(Some(Ending::Torn)),
        }
        let frame = reader.take(FRAME_BYTES).to_vec();
        let (lengths, check) = frame.split_at(8);
        let Some(length) = length_from(lengths) else {
            return Ok(Some(Ending::Damaged));
        };
        if self.fill(reader, length)? < length {
            return Ok(Some(Ending::Torn));
        }
        record.clear();
        record.extend_from_slice(reader.take(length));
        if Digest::of(record).0 == check {
            return Ok(None);
        }
        // The last record may have been long enough already, but not written yet.
        let is_last = self.fill(reader, 1)? == 0;
        Ok(Some(if is_last { Ending::Torn } else { Ending::Damaged }))
    }

    /// Has `wanted` bytes at hand, fewer only at the end of the file; how many.
    fn fill(&mut self, reader: &mut Reader, wanted: usize) -> Result<usize, LogError> {
        reader.drop_taken();
        while reader.left() < wanted {
            let held = reader.buffer.len();
            reader.buffer.resize(held + READ_BYTES.max(wanted), 0);
            let read = self
                .medium
                .read_at(reader.offset_of(held), &mut reader.buffer[held..]);
            let read = read.map_err(|source| self.failed("read", source));
            reader
                .buffer
                .truncate(held + read.as_ref().map_or(0, |&read| read));
            if read? == 0 {
                break;
            }
        }
        Ok(reader.left().min(wanted))
    }

    /// Appends a record, to the successor as well while there is one.
    ///
    /// # Errors
    /// It is not in the log; what was is still there.
    pub fn append(&mut self, record: &[u8]) -> Result<(), LogError> {
        self.append_old(record)?;
        match self.next {
            Some(_) => self.append_next(record),
            None => Ok(()),
        }
    }

    fn append_old(&mut self, record: &[u8]) -> Result<(), LogError> {
        if self.broken {
            self.medium
                .cut(self.bytes)
                .map_err(|source| self.failed("cut", source))?;
            self.broken = false;
        }
        let bytes = self.framed(self.bytes, record)?;
        let appended = self.medium.append(&bytes);
        self.broken = appended.is_err();
        appended.map_err(|source| self.failed("append to", source))?;
        self.bytes += length_of(&bytes);
        Ok(())
    }

    /// Makes every record durable that was appended.
    ///
    /// # Errors
    /// They are not known to be durable.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.medium.sync().map_err(|source| self.failed("sync", source))
    }

    /// Begins an empty successor.
    ///
    /// # Errors
    /// There is none.
    pub fn begin_rewrite(&mut self) -> Result<(), LogError> {
        self.next = None;
        self.medium
            .begin_next()
            .map_err(|source| self.failed("begin a successor of", source))?;
        self.next = Some(0);
        Ok(())
    }

    /// Appends a record to the successor alone.
    ///
    /// # Errors
    /// The successor is given up; the file is what it was.
    pub fn append_next(&mut self, record: &[u8]) -> Result<(), LogError> {
        let Some(before) = self.next.take() else {
            return Ok(());
        };
        let bytes = self.framed(before, record)?;
        self.medium
            .append_next(&bytes)
            .map_err(|source| self.failed("append to the successor of", source))?;
        self.next = Some(before + length_of(&bytes));
        Ok(())
    }

    /// Puts the successor in the place of the file, durably.
    ///
    /// # Errors
    /// The successor is given up; the file is what it was.
    pub fn finish_rewrite(&mut self) -> Result<(), LogError> {
        let Some(bytes) = self.next.take() else {
            return Ok(());
        };
        self.medium
            .adopt_next()
            .map_err(|source| self.failed("replace", source))?;
        self.bytes = bytes;
        self.broken = false;
        Ok(())
    }

    /// `record` as it stands in a file that holds `before` bytes.
    fn framed(&self, before: u64, record: &[u8]) -> Result<Vec<u8>, LogError> {
        let length = match u32::try_from(record.len()) {
            Ok(length) if (1..=MAX_RECORD_BYTES).contains(&record.len()) => length,
            _ => return Err(self.failed("append to", io::ErrorKind::InvalidInput.into())),
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + FRAME_BYTES + record.len());
        if before == 0 {
            bytes.extend_from_slice(&self.format.header());
        }
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&(!length).to_be_bytes());
        bytes.extend_from_slice(&Digest::of(record).0);
        bytes.extend_from_slice(record);
        Ok(bytes)
    }

    fn failed(&self, action: &'static str, source: io::Error) -> LogError {
        LogError {
            action,
            path: self.medium.path().to_owned(),
            source,
        }
    }
}

/// A length that stands twice, as an append writes it.
fn length_from(lengths: &[u8]) -> Option<usize> {
    let (length, turned) = lengths.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    let agrees = turned == (!length).to_be_bytes();
    usize::try_from(length)
        .ok()
        .filter(|length| agrees && (1..=MAX_RECORD_BYTES).contains(length))
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Bytes of a file, read ahead.
#[derive(Debug)]
struct Reader {
    buffer: Vec<u8>,
    taken: usize,
    /// Where in the file the buffer begins.
    begins: u64,
}

impl Reader {
    fn new() -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            begins: 0,
        }
    }

    fn offset_of(&self, index: usize) -> u64 {
        self.begins + u64::try_from(index).unwrap_or(u64::MAX)
    }

    /// Where in the file the next byte is.
    fn offset(&self) -> u64 {
        self.offset_of(self.taken)
    }

    fn left(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let from = self.taken;
        self.taken += length;
        &self.buffer[from..self.taken]
    }

    /// Makes room once a good part was taken.
    fn drop_taken(&mut self) {
        if self.taken >= READ_BYTES {
            self.begins = self.offset();
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
    }
}

/// A log's bytes in a file of a directory that nothing else writes to.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    next_path: PathBuf,
    file: Option<File>,
    next: Option<File>,
    /// The file is new, and its name not known to be durable.
    name_unsynced: bool,
}

impl LogFile {
    /// The file `name` in `directory`, which exists.
    #[must_use]
    pub fn new(directory: &Path, name: &str) -> Self {
        Self {
            path: directory.join(name),
            next_path: directory.join(format!("{name}.next")),
            file: None,
            next: None,
            name_unsynced: false,
        }
    }

    /// The open file; `None` when there is none.
    fn open(&mut self) -> io::Result<Option<&mut File>> {
        if self.file.is_none() {
            match OpenOptions::new().read(true).append(true).open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.file.as_mut())
    }

    fn create(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.open(path)
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Medium for LogFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.open()? {
            Some(file) => file.read_at(buffer, offset),
            None => Ok(0),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = self.open()? {
            return file.write_all(bytes);
        }
        self.name_unsynced = true;
        self.file.insert(Self::create(&self.path)?).write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        match self.open()? {
            Some(file) => file.set_len(length),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = self.open()? {
            file.sync_data()?;
        }
        if self.name_unsynced {
            self.sync_directory()?;
            self.name_unsynced = false;
        }
        Ok(())
    }

    fn begin_next(&mut self) -> io::Result<()> {
        self.next = None;
        match fs::remove_file(&self.next_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.next = Some(Self::create(&self.next_path)?);
        Ok(())
    }

    fn append_next(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.next {
            Some(next) => next.write_all(bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn adopt_next(&mut self) -> io::Result<()> {
        let next = self.next.take().ok_or(io::ErrorKind::NotFound)?;
        next.sync_data()?;
        fs::rename(&self.next_path, &self.path)?;
        self.file = Some(next);
        // The rename has happened. Where its name is not durable yet, the next sync makes it so.
        self.name_unsynced = self.sync_directory().is_err();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
