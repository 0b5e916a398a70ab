//! A program that does everything to files that a program can do.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, setxattr};

/// Names of files and of folders: few, so that operations meet.
const NAMES: u64 = 40;
const FOLDERS: u64 = 6;

/// Sizes in bytes, below these: most files are settings, some are large.
const SMALL: u64 = 4096;
const LARGE: u64 = 2 << 20;

/// Dice that fall the same way for the same seed (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or_default()
    }
}

/// Writes beneath one folder.
pub(super) struct Writer {
    root: PathBuf,
    dice: Dice,
}

impl Writer {
    pub(super) fn new(root: PathBuf, seed: u64) -> Self {
        Self {
            root,
            dice: Dice::new(seed),
        }
    }

    /// Does one thing. That there is nothing to do it to is nothing special; false when the folder is gone.
    pub(super) fn write_something(&mut self) -> bool {
        self.try_something().is_ok() || self.root.exists()
    }

    fn try_something(&mut self) -> io::Result<()> {
        let (path, other) = (self.some_file(), self.some_file());
        match self.dice.below(18) {
            0..=4 => self.create(&path),
            5 => self.replace(&path, &other),
            6 => self.change_in_place(&path),
            7 => fs::rename(&path, &other),
            8 => fs::rename(self.some_folder(), self.some_folder()),
            9 => fs::remove_file(&path),
            10 => fs::remove_dir_all(self.some_folder()),
            11 => self.change_attributes(&path),
            12 => symlink(format!("../{}", self.dice.below(10)), &path),
            13 => fs::remove_file(&other),
            14 => File::options()
                .write(true)
                .open(&path)?
                .set_len(self.dice.next() % SMALL),
            15 => fs::hard_link(&path, self.some_name()),
            16 => fs::rename(self.some_name(), self.some_name()),
            _ => {
                let value = self.dice.next().to_string();
                setxattr(&path, "user.storm", value.as_bytes(), XattrFlags::empty()).map_err(io::Error::from)
            }
        }
    }

    fn create(&mut self, path: &PathBuf) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let content = self.content();
        File::create(path)?.write_all(&content)
    }

    /// As editors do it.
    fn replace(&mut self, path: &PathBuf, temporary: &PathBuf) -> io::Result<()> {
        self.create(temporary)?;
        fs::rename(temporary, path)
    }

    fn change_in_place(&mut self, path: &PathBuf) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        let at = self.dice.next() % SMALL;
        file.write_all_at(b"changed in place", at)
    }

    fn change_attributes(&mut self, path: &PathBuf) -> io::Result<()> {
        let mode = 0o600 + u32::try_from(self.dice.below(0o177)).unwrap_or_default();
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let owner = u32::try_from(self.dice.below(5)).unwrap_or_default();
        chown(path, Some(owner), Some(owner))?;
        let past = SystemTime::now() - Duration::from_secs(self.dice.next() % 1_000_000);
        OpenOptions::new().write(true).open(path)?.set_modified(past)
    }

    fn content(&mut self) -> Vec<u8> {
        let limit = if self.dice.below(40) == 0 { LARGE } else { SMALL };
        let size = self.dice.below(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut content = format!("{} ", self.dice.next()).into_bytes();
        content.resize(size.max(content.len()), b'.');
        content
    }

    /// Another name for a file, through which nothing is written: nobody could tell of it where the name came and went before
    /// anybody looked.
    fn some_name(&mut self) -> PathBuf {
        self.some_folder()
            .join(format!("name{}", self.dice.next() % NAMES))
    }

    fn some_folder(&mut self) -> PathBuf {
        self.root.join(format!("d{}", self.dice.next() % FOLDERS))
    }

    fn some_file(&mut self) -> PathBuf {
        let folder = if self.dice.below(2) == 0 {
            self.root.clone()
        } else {
            self.some_folder()
        };
        folder.join(format!("f{}", self.dice.next() % NAMES))
    }
}
