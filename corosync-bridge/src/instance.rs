//! Keeps a second bridge from running: two of them would write the same state and answer for the same node.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Name of the lock in the run directory.
const FILE_NAME: &str = "bridge.lock";

/// Why this bridge may not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    /// The lock cannot be made.
    #[error("create lock {}: {source}", path.display())]
    Create {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another bridge holds it.
    #[error("take lock {}: {source}; is another bridge running?", path.display())]
    Taken {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The right to be the bridge of this BMC; it ends with the process.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
}

impl Instance {
    /// Claims it in `run_dir`.
    pub(crate) fn claim(run_dir: &Path) -> Result<Self, InstanceError> {
        let path = run_dir.join(FILE_NAME);
        let lock = match File::create(&path) {
            Ok(lock) => lock,
            Err(source) => return Err(InstanceError::Create { path, source }),
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(errno) => Err(InstanceError::Taken {
                path,
                source: errno.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_bridge_is_refused_until_the_first_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let first = Instance::claim(directory.path()).unwrap();
        let message = Instance::claim(directory.path()).unwrap_err().to_string();
        assert!(message.contains("is another bridge running?"), "{message}");
        drop(first);
        assert!(Instance::claim(directory.path()).is_ok());
    }
}
