//! What was found on the disk and may not be durable there.
//!
//! What the bridge writes it syncs. What others wrote or removed it only finds, and a power cut may take that back, so
//! it is made durable before a position claims it. What is found to be as it was is durable since then: a comparison in which
//! nothing differs syncs nothing.

use std::collections::BTreeSet;

use crate::EntryPath;

/// Paths that are remembered each: above this everything is made durable, which then costs about as much.
const PATHS: usize = 1024;

/// What has to be made durable before this copy is said to be so.
#[derive(Debug)]
pub(crate) enum Undurable {
    /// Anything: nothing is known of what was written here before.
    Everything,
    /// What was found at these paths, or was not found there any more.
    Paths(BTreeSet<EntryPath>),
}

impl Undurable {
    /// Something else than before is at `path`, or nothing.
    pub(crate) fn note(&mut self, path: &EntryPath) {
        if let Self::Paths(paths) = self {
            paths.insert(path.clone());
            if paths.len() > PATHS {
                *self = Self::Everything;
            }
        }
    }

    /// All that is on the disk is durable.
    pub(crate) fn clear(&mut self) {
        *self = Self::Paths(BTreeSet::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_worth_remembering_is_everything_until_that_is_durable() {
        let path = |number: usize| EntryPath::new(format!("/s/{number}").as_bytes()).unwrap();
        let mut undurable = Undurable::Everything;
        undurable.note(&path(0));
        assert!(matches!(undurable, Undurable::Everything));
        undurable.clear();
        (0..PATHS).for_each(|number| undurable.note(&path(number)));
        assert!(matches!(&undurable, Undurable::Paths(paths) if paths.len() == PATHS));
        undurable.note(&path(PATHS));
        assert!(matches!(undurable, Undurable::Everything));
    }
}
