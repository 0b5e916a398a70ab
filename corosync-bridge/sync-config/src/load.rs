//! Reading the lists from files.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::check;
use crate::config::SyncConfig;
use crate::diagnostic::{self, Diagnostic, MOST_TOLD, Mistake};
use crate::error::{ConfigError, Refused};
use crate::json;
use crate::keys;
use crate::overlap;
use crate::parse::{self, Draft};
use crate::source::{At, Source, Span};

/// Largest list that is read. The published lists have a few kilobytes; what is larger than this is the
/// wrong file, and reading it whole would cost a BMC memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl SyncConfig {
    /// Loads every `*.json` file of `directory`, in the order of their names. As with a shell's `*.json`, a
    /// name that starts with a dot does not count: editors leave such files.
    ///
    /// # Errors
    /// [`ConfigError`] names everything that is wrong and where it stands.
    pub fn load_dir(directory: &Path) -> Result<Self, ConfigError> {
        Self::load_files(&list(directory)?, &[])
    }

    /// Loads files and directories as one configuration: a file whatever its name is, a directory as
    /// [`SyncConfig::load_dir`] does. No entry may touch the directories `kept`, which are the bridge's own.
    ///
    /// # Errors
    /// As [`SyncConfig::load_dir`].
    pub fn load(paths: &[PathBuf], kept: &[&Path]) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                files.extend(list(path)?);
            } else {
                files.push(path.clone());
            }
        }
        Self::load_files(&files, kept)
    }

    fn load_files(files: &[PathBuf], kept: &[&Path]) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut drafts = Vec::new();
        for file in files {
            if diagnostic::are_enough(&problems) {
                break;
            }
            drafts.extend(read(file, read_bounded(file)?, &mut problems));
        }
        overlap::check(&drafts, kept, &mut problems);
        if problems.is_empty() {
            Ok(Self::assemble(drafts))
        } else {
            problems.truncate(MOST_TOLD);
            Err(Refused { problems }.into())
        }
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
    if files.is_empty() {
        return Err(ConfigError::NoFiles {
            path: directory.to_owned(),
        });
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

/// The entries of the list `text`; all that is wrong with it goes to `problems`.
fn read(file: &Path, text: Vec<u8>, problems: &mut Vec<Diagnostic>) -> Vec<Draft> {
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let start = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Rc::new(Source::new(file, text));
            let at = At::document(&source, Span { start, end: start });
            let problem = Diagnostic::new(Mistake::Syntax, &at, "this is not UTF-8");
            problems.push(problem.help("JSON is written in UTF-8"));
            return Vec::new();
        }
    };
    let source = Rc::new(Source::new(file, text));
    let document = match json::parse(source.text()) {
        Ok(document) => document,
        Err(error) => {
            let problem = Diagnostic::new(Mistake::Syntax, &At::document(&source, error.span), error.message);
            problems.push(error.help.into_iter().fold(problem, Diagnostic::help));
            return Vec::new();
        }
    };
    let at = At::document(&source, document.span);
    check::document(&keys::DOCUMENT, &at, &document, problems)
        .map(|fields| parse::drafts(&fields, problems))
        .unwrap_or_default()
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
