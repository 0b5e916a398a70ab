//! What a configured path may look like. Everything later compares paths as names, which is only right when
//! one file has one name.

use std::path::PathBuf;

/// Longest path that the kernel takes (PATH_MAX, less its terminating NUL).
pub(crate) const MAX_PATH_BYTES: usize = 4095;
/// How the temporary files of the replication begin. No configured name may: a left-over is never taken for a
/// setting, and a setting never for a left-over.
pub const RESERVED_PREFIX: &str = ".bmc-ha-replication.";

/// Longest name of one file or directory (NAME_MAX).
const NAME_MAX_BYTES: usize = 255;

/// A path of a file as a regular expression for JSON Schema: names other than `.` and `..`. Without look-ahead, which
/// not every validator has; lengths are bounded elsewhere.
pub(crate) const FILE_PATTERN: &str = r"^(/([^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+))+$";
/// The same for a directory.
pub(crate) const DIRECTORY_PATTERN: &str = r"^(/([^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+))+/$";
/// The same for a path that is either.
pub(crate) const ANY_PATTERN: &str = r"^(/([^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+))+/?$";

/// A configured path, and whether it was written with the `/` at the end that marks a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrittenPath {
    pub(crate) path: PathBuf,
    pub(crate) names_directory: bool,
}

/// Reads a configured path; the error says what is accepted.
pub(crate) fn parse(text: &str) -> Result<WrittenPath, &'static str> {
    let Some(relative) = text.strip_prefix('/') else {
        return Err("a path has to be absolute, that is, start with /");
    };
    if text.len() > MAX_PATH_BYTES {
        return Err("a path can be at most 4095 bytes long");
    }
    let (relative, names_directory) = match relative.strip_suffix('/') {
        Some(directory) => (directory, true),
        None => (relative, false),
    };
    if relative.is_empty() {
        return Err("the root directory cannot be replicated; name what is beneath it");
    }
    for name in relative.split('/') {
        check_name(name)?;
    }
    Ok(WrittenPath {
        path: PathBuf::from(format!("/{relative}")),
        names_directory,
    })
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("a path has to have one / between names, not several"),
        "." | ".." => Err("a path has to be normalised, without . or .. in it"),
        _ if name.starts_with(RESERVED_PREFIX) => {
            Err("names that begin with .bmc-ha-replication. are kept for the bridge's temporary files")
        }
        _ if name.contains('\0') => Err("a path cannot hold a NUL character"),
        _ if name.len() > NAME_MAX_BYTES => Err("a name in a path has to be at most 255 bytes long"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_trailing_slash_marks_a_directory_and_is_not_part_of_the_path() {
        let written = parse("/var/lib/settings/").unwrap();
        assert_eq!(
            written.path.as_os_str(),
            Path::new("/var/lib/settings").as_os_str()
        );
        assert!(written.names_directory);
        assert!(!parse("/etc/hostname").unwrap().names_directory);
    }

    #[test]
    fn paths_with_two_names_for_one_file_are_refused() {
        for text in [
            "relative",
            "",
            "/",
            "//",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/..",
            "/a/..",
            "/a\0b",
            "/a/.bmc-ha-replication.1",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(parse(&format!("/{}", "n".repeat(256))).is_err());
        assert!(parse(&"/n".repeat(2048)).is_err());
    }

    #[test]
    fn hidden_and_dotted_names_are_ordinary() {
        for text in ["/.hidden", "/a/...", "/a/..b", "/a/b."] {
            assert!(parse(text).is_ok(), "{text:?} was refused");
        }
    }
}
