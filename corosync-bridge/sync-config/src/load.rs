//! Reading the lists from a directory.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::entry::{Entry, SyncConfig};
use crate::error::ConfigError;
use crate::json::Json;
use crate::parse;

/// Largest list that is read. The published lists have a few kilobytes; what is larger than this is the
/// wrong file, and reading it whole would cost a BMC memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl SyncConfig {
    /// Loads every `*.json` file of `directory`, in the order of their names. As with a shell's `*.json`, a
    /// name that starts with a dot does not count: editors leave such files.
    ///
    /// # Errors
    /// [`ConfigError`] names the first thing that is wrong and where it stands.
    pub fn load_dir(directory: &Path) -> Result<Self, ConfigError> {
        let files = list(directory)?;
        if files.is_empty() {
            return Err(ConfigError::NoFiles {
                path: directory.to_owned(),
            });
        }
        let mut entries = Vec::new();
        for file in files {
            entries.extend(load_file(&file)?);
        }
        Self::new(entries)
    }
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::ReadDirectory {
        path: directory.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for item in fs::read_dir(directory).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if is_list(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_list(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "json")
}

fn load_file(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let text = read_bounded(path)?;
    let document: Json = serde_json::from_slice(&text).map_err(|source| ConfigError::Syntax {
        path: path.to_owned(),
        source,
    })?;
    parse::entries(path, &document)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::ReadFile {
        path: path.to_owned(),
        source,
    };
    let mut text = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        return Ok(text);
    }
    Err(ConfigError::TooLarge {
        path: path.to_owned(),
        limit_bytes: MAX_FILE_BYTES,
    })
}
