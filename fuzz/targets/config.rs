//! Any file that somebody may put where the lists are: refused with a message, or a configuration that covers its own
//! roots.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use bmc_sync_config::{ConfigError, SyncConfig};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// In memory, where there is a file system in memory: each run writes a file.
static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .expect("a directory for the list")
});

fuzz_target!(|bytes: &[u8]| {
    let list: PathBuf = DIRECTORY.path().join("list.json");
    std::fs::write(&list, bytes).expect("write the list");
    match SyncConfig::load_dir(DIRECTORY.path()) {
        Ok(config) => {
            for root in config.roots() {
                assert!(config.covers(root), "{root:?} is a root and not covered");
            }
        }
        Err(ConfigError::Refused(refused)) => {
            assert!(!refused.problems.is_empty());
            for problem in &refused.problems {
                let explained = problem.explain(|_, text| text.to_owned());
                assert!(explained.lines().count() >= 4, "{explained}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
