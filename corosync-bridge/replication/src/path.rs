//! Paths as the core knows them: absolute, normalised, bytes.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Longest path in bytes: Linux's `PATH_MAX` counts the closing NUL.
pub(crate) const MAX_PATH_BYTES: usize = 4095;

/// Longest name in bytes: Linux's `NAME_MAX`.
const MAX_NAME_BYTES: usize = 255;

/// How the temporary files of this crate begin. No user's file may: such a name is refused everywhere, so
/// that a left-over of ours is never taken for a setting and a setting never for a left-over.
pub(crate) const TEMPORARY_PREFIX: &[u8] = bmc_sync_config::RESERVED_PREFIX.as_bytes();

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?}: {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

impl PathError {
    fn new(path: &[u8], reason: &'static str) -> Self {
        Self {
            path: String::from_utf8_lossy(&path[..path.len().min(MAX_PATH_BYTES)]).into_owned(),
            reason,
        }
    }
}

/// An absolute, normalised path: no `.`, no `..`, no empty names, no NUL; not the root itself; no name of
/// this crate's own temporary files. Bytes, because Linux's names are.
///
/// Ordered by names, so that a directory comes right before what is in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntryPath(Box<[u8]>);

impl EntryPath {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// Names what is wrong with the path.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        match fault(bytes) {
            None => Ok(Self(bytes.into())),
            Some(reason) => Err(PathError::new(bytes, reason)),
        }
    }

    /// Checks a path of the standard library; a closing `/` is dropped.
    ///
    /// # Errors
    /// Names what is wrong with the path.
    pub fn from_path(path: &Path) -> Result<Self, PathError> {
        let bytes = path.as_os_str().as_bytes();
        Self::new(bytes.strip_suffix(b"/").unwrap_or(bytes))
    }

    /// The path as bytes, beginning with `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path for the standard library.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// The directory that it is in; `None` when that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|&byte| byte == b'/')?;
        (slash > 0).then(|| Self(self.0[..slash].into()))
    }

    /// The entry `name` in this directory.
    ///
    /// # Errors
    /// As [`EntryPath::new`].
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let joined = [&self.0, &b"/"[..], name].concat();
        // This path is in order.
        match length_fault(&joined).or_else(|| names_fault(name)) {
            None => Ok(Self(joined.into())),
            Some(reason) => Err(PathError::new(&joined, reason)),
        }
    }

    /// Whether this path is an entry of the same directory as `other`.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let directory = |path: &Self| path.0.len() - path.name().len();
        self.0[..directory(self)] == other.0[..directory(other)]
    }

    /// Whether this path lies beneath `directory` (and is not `directory` itself).
    #[must_use]
    pub fn is_beneath(&self, directory: &Self) -> bool {
        self.0
            .strip_prefix(&*directory.0)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// This path as it is called when `from` is called `to`; `None` when it is neither `from` nor beneath it. One that
    /// gets too long by that is for the system to refuse.
    #[must_use]
    pub fn rebased(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*from.0)?;
        let at_name = rest.is_empty() || rest.starts_with(b"/");
        at_name.then(|| Self([&to.0, rest].concat().into()))
    }
}

fn fault(bytes: &[u8]) -> Option<&'static str> {
    let Some(names) = bytes.strip_prefix(b"/") else {
        return Some("not absolute");
    };
    length_fault(bytes).or_else(|| names_fault(names))
}

fn length_fault(bytes: &[u8]) -> Option<&'static str> {
    (bytes.len() > MAX_PATH_BYTES).then_some("too long")
}

fn names_fault(names: &[u8]) -> Option<&'static str> {
    if names.contains(&0) {
        return Some("contains a NUL byte");
    }
    names.split(|&byte| byte == b'/').find_map(|name| match name {
        b"" => Some("contains an empty name"),
        b"." | b".." => Some("contains . or .."),
        _ if name.len() > MAX_NAME_BYTES => Some("contains a name that is too long"),
        _ if name.starts_with(TEMPORARY_PREFIX) => Some("contains a name that is reserved"),
        _ => None,
    })
}

impl Ord for EntryPath {
    fn cmp(&self, other: &Self) -> Ordering {
        let Some(at) = first_difference(&self.0, &other.0) else {
            return self.0.len().cmp(&other.0.len());
        };
        let key = |path: &Self| if path.0[at] == b'/' { 0 } else { path.0[at] };
        key(self).cmp(&key(other))
    }
}

/// Where the shorter is not how the longer begins. Paths in one directory have much in common: it is passed in blocks.
fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    const BLOCK: usize = 16;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let alike = BLOCK * blocks.take_while(|(a, b)| a == b).count();
    let rest = a[alike..].iter().zip(&b[alike..]);
    rest.enumerate()
        .find_map(|(at, (a, b))| (a != b).then_some(alike + at))
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for EntryPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.as_path().display())
    }
}

impl std::fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_refused() {
        for bad in [
            "",
            "/",
            "a",
            "a/b",
            "//",
            "/a/",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/.",
            "/a\0b",
            "/a/.bmc-ha-replication.1",
        ] {
            assert!(EntryPath::new(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
        assert!(EntryPath::new(&[b"/".as_slice(), &[b'a'; 256]].concat()).is_err());
        assert!(EntryPath::new(&b"/a".repeat(2048)).is_err());
    }

    #[test]
    fn names_are_bytes() {
        let odd = EntryPath::new(b"/a/\xff\xfe").unwrap();
        assert_eq!(odd.name(), b"\xff\xfe");
        assert_eq!(odd.as_path().as_os_str().as_bytes(), b"/a/\xff\xfe");
    }

    #[test]
    fn a_directory_comes_right_before_what_is_in_it() {
        let mut paths = [
            path("/a-b"),
            path("/a/z"),
            path("/a"),
            path("/a.b"),
            path("/a/b/c"),
            path("/a/b"),
        ];
        paths.sort();
        assert_eq!(
            paths,
            [
                path("/a"),
                path("/a/b"),
                path("/a/b/c"),
                path("/a/z"),
                path("/a-b"),
                path("/a.b")
            ]
        );
    }

    #[test]
    fn paths_with_much_in_common_are_ordered_by_names_as_well() {
        let common = "/var/lib/settings/of-this";
        let paths: Vec<EntryPath> = ["", "-one", "-one/a", "-one/b", "-one.a", "-two", "0"]
            .iter()
            .flat_map(|end| [common[..15].to_owned(), common.to_owned()].map(|begin| begin + end))
            .map(|text| path(&text))
            .collect();
        let names = |path: &EntryPath| {
            path.0
                .split(|&byte| byte == b'/')
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        for one in &paths {
            for other in &paths {
                assert_eq!(one.cmp(other), names(one).cmp(&names(other)), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_name_is_joined_only_where_it_leads_to_a_path_in_order() {
        assert_eq!(path("/a").join(b"b"), Ok(path("/a/b")));
        for bad in [&b""[..], b".", b"..", b"b/", b"b/..", b"b\0", &[b'a'; 256]] {
            assert!(path("/a").join(bad).is_err(), "{bad:?} was joined");
        }
        let long = EntryPath::new(&b"/a".repeat(2047)).unwrap();
        assert!(long.join(b"").is_err() && long.join(b"ab").is_err());
    }

    #[test]
    fn beside_are_those_of_one_directory() {
        assert!(path("/a/b").is_beside(&path("/a/c-c")) && path("/a").is_beside(&path("/b")));
        assert!(!path("/a/b").is_beside(&path("/a")) && !path("/a/b").is_beside(&path("/a/b/c")));
        assert!(!path("/a/b").is_beside(&path("/c/b")));
    }

    #[test]
    fn a_path_is_rebased_by_names_and_not_by_letters() {
        let rebased = |text: &str| path(text).rebased(&path("/a"), &path("/b/c"));
        assert_eq!(rebased("/a"), Some(path("/b/c")));
        assert_eq!(rebased("/a/x/y"), Some(path("/b/c/x/y")));
        assert_eq!(rebased("/ab"), None);
        assert_eq!(rebased("/b"), None);
    }

    #[test]
    fn beneath_is_told_by_names_and_not_by_letters() {
        assert!(path("/a/b").is_beneath(&path("/a")));
        assert!(!path("/ab").is_beneath(&path("/a")));
        assert!(!path("/a").is_beneath(&path("/a")));
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), None);
    }
}
