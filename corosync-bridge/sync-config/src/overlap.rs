//! No path belongs to two, neither where it is read nor where it is kept.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, MOST_TOLD, Mistake};
use crate::entry::Entry;
use crate::parse::Draft;
use crate::source::At;

/// Where an entry is used: a node reads it at the one and keeps it at the other, as its role says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Path,
    Destination,
}

impl Side {
    const ALL: [Self; 2] = [Self::Path, Self::Destination];

    fn covers(self, entry: &Entry, path: &Path) -> bool {
        match self {
            Self::Path => entry.covers(path),
            Self::Destination => entry.source_of(path).is_some(),
        }
    }

    fn roots(self, entry: &Entry) -> Vec<PathBuf> {
        match self {
            Self::Path => entry.roots().map(Path::to_owned).collect(),
            Self::Destination => entry
                .roots()
                .filter_map(|root| entry.destination_of(root))
                .collect(),
        }
    }

    /// The key, and where it stands.
    fn told(self, draft: &Draft) -> Option<(&'static str, &At, &Path)> {
        match self {
            Self::Path => Some(("Path", &draft.path_at, &draft.entry.path)),
            Self::Destination => Some((
                "DestinationPath",
                draft.destination_at.as_ref()?,
                draft.entry.destination.as_ref()?,
            )),
        }
    }
}

/// Reports each pair of overlapping entries, and each entry that touches one of the directories `kept`.
pub(crate) fn check(drafts: &[Draft], kept: &[&Path], problems: &mut Vec<Diagnostic>) {
    each_other(drafts, problems);
    for draft in drafts {
        problems.extend(Side::ALL.into_iter().find_map(|side| touches(draft, side, kept)));
    }
}

/// What somebody else keeps in `kept` is no setting.
fn touches(draft: &Draft, side: Side, kept: &[&Path]) -> Option<Diagnostic> {
    let roots = side.roots(&draft.entry);
    let touched = kept
        .iter()
        .find(|kept| side.covers(&draft.entry, kept) || roots.iter().any(|root| root.starts_with(kept)))?;
    let (key, at, path) = side.told(draft)?;
    let kept = touched.display();
    let message = format!(
        "{key} {} overlaps {kept}, where the bridge keeps its own state",
        path.display()
    );
    let problem = Diagnostic::new(Mistake::Overlap, at, message);
    Some(problem.help(format!(
        "replicated, it would make the sibling forget who it is: leave {kept}/ out"
    )))
}

/// Two entries that cover the same path could differ in what is to be done with it, and the author has to say which
/// is meant. The same goes for a destination: what one entry keeps there, another would send or overwrite.
fn each_other(drafts: &[Draft], problems: &mut Vec<Diagnostic>) {
    let zones = || (0..drafts.len()).flat_map(|index| Side::ALL.map(|side| (index, side)));
    let mut at_root: HashMap<PathBuf, Vec<(usize, Side)>> = HashMap::new();
    for (index, side) in zones() {
        for root in side.roots(&drafts[index].entry) {
            at_root.entry(root).or_default().push((index, side));
        }
    }
    // Where two overlap, one of them covers a root of the other, and has a root at or above that.
    let mut pairs = BTreeSet::new();
    for zone in zones() {
        for root in zone.1.roots(&drafts[zone.0].entry) {
            let above = root.ancestors().filter_map(|path| at_root.get(path)).flatten();
            let others =
                above.filter(|other| **other != zone && other.1.covers(&drafts[other.0].entry, &root));
            pairs.extend(others.map(|other| (zone.max(*other), zone.min(*other))));
        }
    }
    let tell = |(index, side): (usize, Side)| side.told(drafts.get(index)?);
    for (later, earlier) in pairs.into_iter().take(MOST_TOLD) {
        if let (Some((key, at, path)), Some((other_key, other_at, other))) = (tell(later), tell(earlier)) {
            let message = format!(
                "{key} {} overlaps {other_key} {}",
                path.display(),
                other.display()
            );
            let help = if later.0 == earlier.0 {
                "an entry keeps what it receives apart from what it sends: choose another DestinationPath"
            } else {
                "a path belongs to one entry: remove one of them, or leave the path out by the ExcludeList of the \
                 other"
            };
            let problem = Diagnostic::new(Mistake::Overlap, at, message);
            problems.push(
                problem
                    .related(other_at, format!("{other_key} stands here"))
                    .help(help),
            );
        }
    }
}
