//! What a Passive may have changed: what is essential comes first, and then the order is that of paths.

use std::collections::BTreeSet;

use super::essential::Priorities;
use crate::EntryPath;

/// Paths at which something may not be what was agreed.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    priorities: Priorities,
    essential: BTreeSet<EntryPath>,
    ordinary: BTreeSet<EntryPath>,
}

impl Suspects {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self {
            priorities,
            ..Self::default()
        }
    }

    pub(super) fn insert(&mut self, path: EntryPath) {
        match self.priorities.is_essential(&path) {
            true => self.essential.insert(path),
            false => self.ordinary.insert(path),
        };
    }

    pub(super) fn remove(&mut self, path: &EntryPath) {
        let _ = self.essential.remove(path) || self.ordinary.remove(path);
    }

    pub(super) fn retain(&mut self, which: impl Fn(&EntryPath) -> bool) {
        self.essential.retain(&which);
        self.ordinary.retain(&which);
    }

    /// The first of those that `may` be offered now.
    pub(super) fn next(&self, may: impl Fn(&EntryPath) -> bool) -> Option<&EntryPath> {
        let essential = self.essential.iter().find(|path| may(path));
        let Some(path) = essential else {
            return self.ordinary.iter().find(|path| may(path));
        };
        // The Active takes nothing in before the directory that it is in.
        let above = std::iter::successors(path.parent(), EntryPath::parent);
        let above = above.filter_map(|above| self.ordinary.get(&above));
        above.filter(|above| may(above)).last().or(Some(path))
    }
}

impl Extend<EntryPath> for Suspects {
    fn extend<I: IntoIterator<Item = EntryPath>>(&mut self, paths: I) {
        paths.into_iter().for_each(|path| self.insert(path));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::coverage::{Coverage, Priority, Rule};

    /// What is named `e` is essential, with all that is in it.
    #[derive(Debug)]
    struct Configured;

    impl Coverage for Configured {
        fn roots(&self) -> Vec<EntryPath> {
            vec![path("/o"), path("/o/e")]
        }

        fn covers(&self, _: &EntryPath) -> bool {
            true
        }

        fn rule(&self, at: &EntryPath) -> Rule {
            let is_essential = at.as_path().iter().any(|name| name == "e");
            let priority = if is_essential {
                Priority::Essential
            } else {
                Priority::Ordinary
            };
            Rule {
                priority,
                ..Rule::default()
            }
        }
    }

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).expect("a plain path")
    }

    fn suspects(paths: &[&str]) -> Suspects {
        let coverage: Rc<dyn Coverage> = Rc::new(Configured);
        let mut suspects = Suspects::new(Priorities::new(&coverage));
        suspects.extend(paths.iter().map(|text| path(text)));
        suspects
    }

    fn in_turn(mut suspects: Suspects) -> Vec<String> {
        let next = || {
            let next = suspects.next(|_| true)?.clone();
            suspects.remove(&next);
            Some(next.to_string())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_essential_is_offered_first() {
        let offered = in_turn(suspects(&["/o/a", "/o/z", "/o/e/2", "/o/e/1"]));
        assert_eq!(offered, ["/o/e/1", "/o/e/2", "/o/a", "/o/z"]);
    }

    #[test]
    fn the_directories_above_what_is_essential_come_before_it() {
        let offered = in_turn(suspects(&["/o/a", "/o/d", "/o/d/d", "/o/d/d/e"]));
        assert_eq!(offered, ["/o/d", "/o/d/d", "/o/d/d/e", "/o/a"]);
    }

    #[test]
    fn what_may_not_be_offered_now_holds_nothing_up() {
        let suspects = suspects(&["/o/a", "/o/e/1"]);
        let next = suspects.next(|path| path.as_bytes() != b"/o/e/1");
        assert_eq!(next, Some(&path("/o/a")));
    }
}
