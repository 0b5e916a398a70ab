//! Remembers across a restart of the bridge, but not of the BMC, that this node is the Active.
//!
//! The marker lives on a file system that a reboot empties: a BMC that comes back from a reset is never the
//! Active by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bmc_replication::Role;

/// Name of the marker in the run directory.
const FILE_NAME: &str = "active";

/// Why the marker could not be read or set.
#[derive(Debug, thiserror::Error)]
#[error("{action} role marker {}: {source}", path.display())]
pub(crate) struct MarkerError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The marker in the run directory.
#[derive(Debug)]
pub(crate) struct RoleMarker {
    path: PathBuf,
}

impl RoleMarker {
    /// The marker in `run_dir`.
    pub(crate) fn in_dir(run_dir: &Path) -> Self {
        Self {
            path: run_dir.join(FILE_NAME),
        }
    }

    /// Whether this node was the Active when the last bridge ended.
    pub(crate) fn says_active(&self) -> Result<bool, MarkerError> {
        self.path
            .try_exists()
            .map_err(|source| self.error("read", source))
    }

    /// Records `role`.
    pub(crate) fn record(&self, role: Role) -> Result<(), MarkerError> {
        match role {
            Role::Active => fs::write(&self.path, b"").map_err(|source| self.error("write", source)),
            Role::Passive => match fs::remove_file(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(|source| self.error("remove", source)),
            },
        }
    }

    fn error(&self, action: &'static str, source: io::Error) -> MarkerError {
        MarkerError {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_outlives_the_bridge_until_the_role_ends() {
        let directory = tempfile::tempdir().unwrap();
        let marker = || RoleMarker::in_dir(directory.path());
        assert!(!marker().says_active().unwrap());
        marker().record(Role::Active).unwrap();
        assert!(marker().says_active().unwrap());
        marker().record(Role::Passive).unwrap();
        marker().record(Role::Passive).unwrap();
        assert!(!marker().says_active().unwrap());
    }

    #[test]
    fn a_marker_that_cannot_be_written_is_named() {
        let marker = RoleMarker::in_dir(Path::new("/nonexistent"));
        let message = marker.record(Role::Active).unwrap_err().to_string();
        assert_eq!(
            message,
            "write role marker /nonexistent/active: No such file or directory (os error 2)"
        );
    }
}
