//! hacluster's password: from a file that only its owner reads, or from the environment; never from the
//! command line, where every user of the machine sees it.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the password is read when no file is named.
const VARIABLE: &str = "BMC_HA_PASSWORD";

/// Anybody but the owner.
const OTHERS: u32 = 0o077;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum PasswordError {
    /// None was given.
    #[error(
        "the password of hacluster is needed to make the cluster: give --password-file or set {VARIABLE}"
    )]
    Missing,
    /// The file cannot be read.
    #[error("read the password from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("read the password from {}: others may read it (mode {mode:o}); chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Nothing is in it.
    #[error("read the password from {}: its first line is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The password.
pub(super) fn read(file: Option<&Path>) -> Result<String, PasswordError> {
    match file {
        Some(path) => from_file(path),
        None => env::var(VARIABLE)
            .ok()
            .filter(|password| !password.is_empty())
            .ok_or(PasswordError::Missing),
    }
}

fn from_file(path: &Path) -> Result<String, PasswordError> {
    let failed = |source| PasswordError::Read {
        path: path.to_owned(),
        source,
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(PasswordError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(PasswordError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_first_line_is_the_password() {
        let file = file("secret word\nmore\n", 0o600);
        assert_eq!(read(Some(file.path())).unwrap(), "secret word");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let file = file("secret\n", 0o644);
        let error = read(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("mode 644") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_empty_or_absent_file_is_named() {
        let file = file("\n", 0o600);
        assert!(matches!(
            read(Some(file.path())),
            Err(PasswordError::Empty { .. })
        ));
        let error = read(Some(Path::new("/no/such/password")))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/no/such/password"), "{error}");
    }
}
