//! One entry of a list, and the questions a replicator asks about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::notify::{Notify, Retry};
use crate::rule::{Direction, Rule, Timing};
use crate::source::Place;

/// Whether an entry stands under `Files` or under `Directories`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One path, whose content is a file or a symbolic link. Nothing beneath it is covered.
    File,
    /// A directory with everything beneath it that the filter leaves.
    Directory,
}

/// Which part of a directory is replicated.
///
/// A listed path stands for itself and for everything beneath it, with or without a `/` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of it.
    All,
    /// `ExcludeList`: all but these paths.
    Exclude(Vec<PathBuf>),
    /// `IncludeList`: only these paths. The directory itself is then just the way to them.
    Include(Vec<PathBuf>),
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, absolute and normalised, without a `/` at its end.
    pub path: PathBuf,
    /// Under which key it stands.
    pub kind: Kind,
    /// Which part of a directory is replicated; always [`Filter::All`] for a file.
    pub filter: Filter,
    /// How what it covers is replicated, but for the exceptions.
    pub rule: Rule,
    /// `ExceptionList`: paths whose change travels in both directions, each with everything beneath it.
    pub exceptions: Vec<PathBuf>,
    /// `DestinationPath`: where the receiving node keeps what is at `path` on the sending node.
    pub destination: Option<PathBuf>,
    /// How often what failed is tried again; `None` leaves it to the replicator.
    pub retry: Option<Retry>,
    /// Whom the receiving node tells of a change.
    pub notify: Option<Notify>,
    /// What the author of the list says that it is.
    pub description: String,
    /// Where it stands.
    pub place: Place,
}

impl Entry {
    /// Whether `path` is replicated through this entry. It is absolute and normalised.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        match (self.kind, &self.filter) {
            (Kind::File, _) => path.as_os_str() == self.path.as_os_str(),
            (Kind::Directory, Filter::All) => is_within(path, &self.path),
            (Kind::Directory, Filter::Exclude(excluded)) => {
                is_within(path, &self.path) && !excluded.iter().any(|prefix| is_within(path, prefix))
            }
            (Kind::Directory, Filter::Include(included)) => {
                included.iter().any(|prefix| is_within(path, prefix))
            }
        }
    }

    /// The topmost paths that this entry covers; everything that it covers is one of them or beneath one.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let included = match &self.filter {
            Filter::Include(included) => included.as_slice(),
            Filter::All | Filter::Exclude(_) => std::slice::from_ref(&self.path),
        };
        included.iter().map(PathBuf::as_path)
    }

    /// The topmost paths of this entry whose changes on a Passive travel to the Active.
    pub fn offered_roots(&self) -> impl Iterator<Item = &Path> {
        let all = self.rule.direction != Direction::ActiveToPassive;
        let exceptions = self.exceptions.iter().map(PathBuf::as_path);
        self.roots()
            .filter(move |_| all)
            .chain(exceptions.filter(move |_| !all))
    }

    /// How the covered `path` is replicated.
    #[must_use]
    pub fn rule_for(&self, path: &Path) -> Rule {
        let excepted = self.exceptions.iter().any(|prefix| is_within(path, prefix));
        Rule {
            direction: if excepted {
                Direction::Both
            } else {
                self.rule.direction
            },
            ..self.rule
        }
    }

    /// Whether everything beneath the covered `directory` is covered too, and replicated as it is.
    pub(crate) fn is_uniform(&self, directory: &Path) -> bool {
        let none_beneath = |paths: &[PathBuf]| {
            !paths
                .iter()
                .any(|path| path != directory && path.starts_with(directory))
        };
        let filtered = match &self.filter {
            Filter::Exclude(excluded) => none_beneath(excluded),
            Filter::All | Filter::Include(_) => true,
        };
        // At a destination other entries may keep things among what this one keeps.
        self.kind == Kind::Directory
            && self.destination.is_none()
            && filtered
            && none_beneath(&self.exceptions)
    }

    /// How often changes travel, when they travel together.
    #[must_use]
    pub fn periodic(&self) -> Option<Duration> {
        match self.rule.timing {
            Timing::Periodic(period) => Some(period),
            Timing::Immediate | Timing::AtJoin => None,
        }
    }

    /// Where the receiving node keeps what the sending node has at the covered `path`, when that is elsewhere.
    #[must_use]
    pub fn destination_of(&self, path: &Path) -> Option<PathBuf> {
        rebase(path, &self.path, self.destination.as_ref()?)
    }

    /// What the sending node has at the path that the receiving node keeps at `path`, when that is elsewhere.
    #[must_use]
    pub fn source_of(&self, path: &Path) -> Option<PathBuf> {
        rebase(path, self.destination.as_ref()?, &self.path).filter(|source| self.covers(source))
    }
}

/// Whether `path` is `prefix` or beneath it, both with one spelling. This is asked of every entry several times, and
/// `Path::starts_with` takes both apart first.
fn is_within(path: &Path, prefix: &Path) -> bool {
    let [path, prefix] = [path, prefix].map(|path| path.as_os_str().as_encoded_bytes());
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

/// `path` as it is called when `from` is called `to`.
fn rebase(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let within = path.strip_prefix(from).ok()?;
    // Joining nothing would leave a / at the end.
    Some(if within.as_os_str().is_empty() {
        to.to_owned()
    } else {
        to.join(within)
    })
}
