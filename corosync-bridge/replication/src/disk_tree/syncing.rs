//! Making many files durable at once.
//!
//! A sync of one file waits for its file system to commit and for the device to empty its cache, even where nothing of
//! the file is left to be written. What several wait for at the same time is committed and emptied once.

use std::os::fd::BorrowedFd;
use std::thread;

use rustix::io::Errno;

/// Threads that wait side by side. More of them share hardly more commits.
const SIDE_BY_SIDE: usize = 16;

/// Files that are not worth a thread.
const FEW: usize = 2;

/// Stack of a thread that only waits, in bytes.
const STACK_BYTES: usize = 32 * 1024;

/// Syncs every file, and tells how that went, in their order.
pub(super) fn sync_all(files: &[BorrowedFd<'_>]) -> Vec<Result<(), Errno>> {
    let mut outcomes = vec![None; files.len()];
    let share = files.len().div_ceil(SIDE_BY_SIDE).max(FEW);
    if files.len() > share {
        thread::scope(|scope| {
            for (files, outcomes) in files.chunks(share).zip(outcomes.chunks_mut(share)) {
                let wait = move || {
                    for (file, outcome) in files.iter().zip(outcomes) {
                        *outcome = Some(rustix::fs::fsync(file));
                    }
                };
                // A share without a thread is left to the caller's, below.
                let _ = thread::Builder::new()
                    .name("sync".into())
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, wait);
            }
        });
    }
    files
        .iter()
        .zip(outcomes)
        .map(|(file, outcome)| outcome.unwrap_or_else(|| rustix::fs::fsync(file)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn each_file_gets_its_own_outcome_however_many_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let good = File::create(directory.path().join("good")).unwrap();
        // A socket cannot be synced.
        let (bad, _other) = UnixStream::pair().unwrap();
        for count in [0, 1, 3, 200] {
            let files: Vec<BorrowedFd<'_>> = (0..count)
                .map(|index| if index % 7 == 2 { bad.as_fd() } else { good.as_fd() })
                .collect();
            let expected: Vec<Result<(), Errno>> = (0..count)
                .map(|index| if index % 7 == 2 { Err(Errno::INVAL) } else { Ok(()) })
                .collect();
            assert_eq!(sync_all(&files), expected);
        }
    }
}
