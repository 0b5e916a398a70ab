//! Making many files durable at once.
//!
//! A sync of one file waits for its file system to commit and for the device to empty its cache, even where nothing of
//! the file is left to be written. What several wait for at the same time is committed and emptied once.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::io::Errno;

/// Threads that wait side by side. More of them share hardly more commits.
const SIDE_BY_SIDE: usize = 16;

/// Files that are not worth a thread.
const FEW: usize = 2;

/// Stack of a thread that only waits, in bytes.
const STACK_BYTES: usize = 32 * 1024;

/// Files that are being made durable.
#[derive(Debug)]
pub(super) struct Syncing<F>(Vec<Share<F>>);

/// Files that are synced one after the other, and who is at it.
#[derive(Debug)]
struct Share<F> {
    files: Vec<Arc<F>>,
    /// Without one they are left until somebody waits for them.
    thread: Option<JoinHandle<Vec<Result<(), Errno>>>>,
}

impl<F: AsFd + Send + Sync + 'static> Syncing<F> {
    /// Begins with every file.
    pub(super) fn begin(files: &[Arc<F>]) -> Self {
        let share = files.len().div_ceil(SIDE_BY_SIDE).max(FEW);
        let has_threads = files.len() > share;
        let shares = files.chunks(share).map(|files| Share {
            files: files.to_vec(),
            thread: has_threads.then(|| begin_share(files.to_vec())).flatten(),
        });
        Self(shares.collect())
    }

    /// Waits until every file is synced, and tells how that went, in their order.
    pub(super) fn finish(self) -> Vec<Result<(), Errno>> {
        let outcomes = self.0.into_iter().flat_map(|share| match share.thread {
            // Whatever became of a thread that cannot tell, its files may not be durable.
            Some(thread) => thread
                .join()
                .unwrap_or_else(|_| vec![Err(Errno::IO); share.files.len()]),
            None => sync_each(&share.files),
        });
        outcomes.collect()
    }
}

/// Where no thread can be had, the files are left.
fn begin_share<F: AsFd + Send + Sync + 'static>(
    files: Vec<Arc<F>>,
) -> Option<JoinHandle<Vec<Result<(), Errno>>>> {
    thread::Builder::new()
        .name("sync".into())
        .stack_size(STACK_BYTES)
        .spawn(move || sync_each(&files))
        .ok()
}

fn sync_each<F: AsFd>(files: &[Arc<F>]) -> Vec<Result<(), Errno>> {
    files.iter().map(rustix::fs::fsync).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn each_file_gets_its_own_outcome_however_many_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("good")).unwrap();
        let good = Arc::new(OwnedFd::from(file));
        // A socket cannot be synced.
        let (bad, _other) = UnixStream::pair().unwrap();
        let bad = Arc::new(OwnedFd::from(bad));
        for count in [0, 1, 3, 200] {
            let files = (0..count).map(|index| Arc::clone(if index % 7 == 2 { &bad } else { &good }));
            let expected: Vec<Result<(), Errno>> = (0..count)
                .map(|index| if index % 7 == 2 { Err(Errno::INVAL) } else { Ok(()) })
                .collect();
            assert_eq!(Syncing::begin(&files.collect::<Vec<_>>()).finish(), expected);
        }
    }
}
