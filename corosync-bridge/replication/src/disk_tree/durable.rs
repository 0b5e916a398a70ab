//! What was made durable, and was not changed since.
//!
//! Whoever writes to a file, or changes the names in a directory, gives it another ctime. So of what shows the ctime that it
//! had before it was synced nothing is left to be synced, provided that a change would have shown by then.

use std::collections::BTreeMap;

use rustix::fs::Stat;

use super::{SYNC_EACH, file_time, is_settled};
use crate::entry::FileTime;

/// Inodes that are remembered. What is forgotten is synced once more.
const MOST: usize = 2 * SYNC_EACH;

/// A look at what is to be made durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    device: u64,
    inode: u64,
    ctime: FileTime,
    /// A change after this look would give another ctime.
    settled: bool,
}

impl Look {
    /// What was found just now.
    pub(super) fn at(stat: &Stat) -> Self {
        let ctime = file_time(stat.st_ctime, stat.st_ctime_nsec);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            ctime,
            settled: is_settled(ctime),
        }
    }
}

/// Devices and inodes, and the ctime that each had before it was synced.
#[derive(Debug, Default)]
pub(super) struct Durable(BTreeMap<(u64, u64), FileTime>);

impl Durable {
    /// Whether what is seen is durable as it is.
    pub(super) fn holds(&self, look: &Look) -> bool {
        self.0.get(&(look.device, look.inode)) == Some(&look.ctime)
    }

    /// What was seen has been synced since.
    pub(super) fn learn(&mut self, looks: &[Look]) {
        if self.0.len() + looks.len() > MOST {
            self.0.clear();
        }
        let settled = looks.iter().filter(|look| look.settled);
        self.0
            .extend(settled.map(|look| ((look.device, look.inode), look.ctime)));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn look(file: &File) -> Look {
        Look::at(&rustix::fs::fstat(file).unwrap())
    }

    /// A look after which a change of `file` shows.
    fn settled_look(file: &File) -> Look {
        let begin = Instant::now();
        loop {
            let look = look(file);
            if look.settled {
                return look;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not settle");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_was_synced_is_durable_until_it_is_changed() {
        let mut file = tempfile::tempfile().unwrap();
        let mut durable = Durable::default();
        let before = settled_look(&file);
        assert!(!durable.holds(&before));
        durable.learn(&[before]);
        assert!(durable.holds(&look(&file)));
        file.write_all(b"more").unwrap();
        assert!(!durable.holds(&look(&file)));
    }

    #[test]
    fn what_may_change_without_showing_it_is_synced_again() {
        let file = tempfile::tempfile().unwrap();
        let mut durable = Durable::default();
        let fresh = Look {
            settled: false,
            ..look(&file)
        };
        durable.learn(&[fresh]);
        assert!(!durable.holds(&look(&file)));
    }

    #[test]
    fn no_more_is_remembered_than_is_worth_it() {
        let file = tempfile::tempfile().unwrap();
        let mut durable = Durable::default();
        let seen = settled_look(&file);
        let others = (0..MOST as u64).map(|number| Look {
            inode: seen.inode + number,
            ..seen
        });
        durable.learn(&others.collect::<Vec<_>>());
        assert_eq!(durable.0.len(), MOST);
        durable.learn(&[seen]);
        assert_eq!(durable.0.len(), 1);
    }
}
