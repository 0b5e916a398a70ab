//! Where a node keeps what is replicated: at its path, or, while the node receives it, at its destination.
//!
//! The core and the wire know a setting by its path. [`Placement`] says which path of the disk stands for it, as the
//! role of the node says, and [`PlacedTree`] puts that between the core and a disk. When the role changes, so do the
//! places; a copy is always looked at afresh after that, and what is found there has other inodes, so nothing that is
//! remembered of one place is taken for the other.

use std::cell::Cell;
use std::rc::Rc;

use crate::coverage::{Coverage, Direction, Rule};
use crate::entry::{Attributes, Found, Seen};
use crate::tree::{Complete, Inspection, Source, Tree, TreeError, inspect_each};
use crate::{EntryPath, Role};

/// The configuration as paths of the disk.
#[derive(Debug)]
pub struct Placement {
    coverage: Rc<dyn Coverage>,
    /// `None` until the core has told: what an earlier process left behind may be at either place.
    role: Cell<Option<Role>>,
}

impl Placement {
    /// Where a node keeps what `coverage` covers, whose role is not known yet.
    #[must_use]
    pub fn new(coverage: Rc<dyn Coverage>) -> Rc<Self> {
        Rc::new(Self {
            coverage,
            role: Cell::new(None),
        })
    }

    /// Where this node keeps the covered `path`.
    fn on_disk(&self, path: &EntryPath) -> EntryPath {
        self.coverage
            .destination(path)
            .filter(|_| self.receives(path))
            .unwrap_or_else(|| path.clone())
    }

    /// What this node keeps at `place`, if that is replicated.
    fn named(&self, place: &EntryPath) -> Option<EntryPath> {
        match self.coverage.source(place) {
            Some(path) => self.uses_destination(&path).then_some(path),
            None => (self.coverage.covers(place) && self.uses_path(place)).then(|| place.clone()),
        }
    }

    fn uses_path(&self, path: &EntryPath) -> bool {
        self.role.get().is_none() || self.coverage.destination(path).is_none() || !self.receives(path)
    }

    fn uses_destination(&self, path: &EntryPath) -> bool {
        self.role.get().is_none() || self.receives(path)
    }

    fn receives(&self, path: &EntryPath) -> bool {
        matches!(
            (self.coverage.rule(path).direction, self.role.get()),
            (Direction::ActiveToPassive, Some(Role::Passive))
                | (Direction::PassiveToActive, Some(Role::Active))
        )
    }
}

impl Coverage for Placement {
    fn roots(&self) -> Vec<EntryPath> {
        let roots = self.coverage.roots().into_iter().flat_map(|root| {
            let destination = self.coverage.destination(&root);
            let at_path = self.uses_path(&root).then(|| root.clone());
            [at_path, destination.filter(|_| self.uses_destination(&root))]
        });
        roots.flatten().collect()
    }

    fn covers(&self, place: &EntryPath) -> bool {
        self.named(place).is_some()
    }

    fn rule(&self, place: &EntryPath) -> Rule {
        self.named(place)
            .map(|path| self.coverage.rule(&path))
            .unwrap_or_default()
    }

    /// Another entry may keep something beneath the destination of this one, where this one leaves it out.
    fn goes_with(&self, place: &EntryPath, directory: &EntryPath) -> bool {
        match (self.named(place), self.named(directory)) {
            (Some(path), Some(directory)) => {
                path.is_beneath(&directory) && self.coverage.goes_with(&path, &directory)
            }
            _ => false,
        }
    }
}

/// A disk on which everything is where the node's role puts it. The disk beneath it is configured by the same
/// [`Placement`].
#[derive(Debug)]
pub struct PlacedTree<T> {
    tree: T,
    placement: Rc<Placement>,
}

impl<T: Tree> PlacedTree<T> {
    /// Puts `placement` between the core and `tree`.
    pub fn new(tree: T, placement: Rc<Placement>) -> Self {
        Self { tree, placement }
    }

    /// Does something on the disk with what stands for `path`.
    fn at<A>(
        &mut self,
        path: &EntryPath,
        act: impl FnOnce(&mut T, &EntryPath) -> Result<A, TreeError>,
    ) -> Result<A, TreeError> {
        let place = self.placement.on_disk(path);
        act(&mut self.tree, &place).map_err(|error| self.named(error))
    }

    /// The error as the core knows the path.
    fn named(&self, error: TreeError) -> TreeError {
        TreeError {
            path: self.placement.named(&error.path).unwrap_or(error.path),
            ..error
        }
    }
}

impl<T: Tree> Tree for PlacedTree<T> {
    type Source = PlacedSource<T::Source>;
    type Stage = T::Stage;
    type Sealing = T::Sealing;

    const TOGETHER: usize = T::TOGETHER;

    fn take_role(&mut self, role: Role) {
        self.placement.role.set(Some(role));
        self.tree.take_role(role);
    }

    fn inspect(&mut self, path: &EntryPath, known: Option<&Seen>) -> Result<Inspection, TreeError> {
        self.at(path, |tree, place| tree.inspect(place, known))
    }

    fn inspect_known(&mut self, entries: &[(&EntryPath, &Seen)]) -> Vec<Result<Inspection, TreeError>> {
        let directory = entries.first().and_then(|(path, _)| path.parent());
        // What has a destination is not uniform: all of this is where it is called.
        if directory.is_some_and(|directory| self.placement.coverage.is_uniform(&directory)) {
            return self.tree.inspect_known(entries);
        }
        inspect_each(self, entries)
    }

    fn list(&mut self, path: &EntryPath) -> Result<Vec<Vec<u8>>, TreeError> {
        self.at(path, T::list)
    }

    fn open(&mut self, path: &EntryPath) -> Result<Option<Self::Source>, TreeError> {
        let source = self.at(path, T::open)?;
        Ok(source.map(|source| PlacedSource {
            source,
            path: path.clone(),
        }))
    }

    fn harden(&mut self, paths: &[EntryPath]) -> Result<(), TreeError> {
        let places: Vec<EntryPath> = paths.iter().map(|path| self.placement.on_disk(path)).collect();
        self.tree.harden(&places).map_err(|error| self.named(error))
    }

    fn harden_all(&mut self) -> Result<(), TreeError> {
        self.tree.harden_all().map_err(|error| self.named(error))
    }

    fn stage(&mut self, path: &EntryPath) -> Result<T::Stage, TreeError> {
        self.at(path, T::stage)
    }

    fn seal(&mut self, batch: Vec<Complete<T::Stage>>) -> T::Sealing {
        let placed = batch.into_iter().map(|complete| Complete {
            path: self.placement.on_disk(&complete.path),
            ..complete
        });
        self.tree.seal(placed.collect())
    }

    fn place_sealed(&mut self, sealing: T::Sealing) -> Vec<Result<Seen, TreeError>> {
        let outcomes = self.tree.place_sealed(sealing);
        outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(|error| self.named(error)))
            .collect()
    }

    fn make_directory(&mut self, path: &EntryPath, attributes: &Attributes) -> Result<Seen, TreeError> {
        self.at(path, |tree, place| tree.make_directory(place, attributes))
    }

    fn make_link(
        &mut self,
        path: &EntryPath,
        target: &[u8],
        attributes: &Attributes,
    ) -> Result<Seen, TreeError> {
        self.at(path, |tree, place| tree.make_link(place, target, attributes))
    }

    fn set_attributes(
        &mut self,
        path: &EntryPath,
        attributes: &Attributes,
        names: &[EntryPath],
    ) -> Result<Seen, TreeError> {
        let names: Vec<EntryPath> = names.iter().map(|name| self.placement.on_disk(name)).collect();
        self.at(path, |tree, place| tree.set_attributes(place, attributes, &names))
    }

    fn make_hard_link(&mut self, path: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        let to = self.placement.on_disk(to);
        self.at(path, |tree, place| tree.make_hard_link(place, &to))
    }

    fn rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Seen, TreeError> {
        let old = self.placement.on_disk(from);
        self.at(to, |tree, place| tree.rename(&old, place))
    }

    fn remove(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        self.at(path, T::remove)
    }

    fn sync(&mut self) -> Result<(), TreeError> {
        self.tree.sync().map_err(|error| self.named(error))
    }

    fn release(&mut self) {
        self.tree.release();
    }
}

/// A file that is open where it is kept.
#[derive(Debug)]
pub struct PlacedSource<S> {
    source: S,
    path: EntryPath,
}

impl<S> PlacedSource<S> {
    fn named(&self, error: TreeError) -> TreeError {
        TreeError {
            path: self.path.clone(),
            ..error
        }
    }
}

impl<S: Source> Source for PlacedSource<S> {
    fn found(&self) -> &Found {
        self.source.found()
    }

    fn read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<(), TreeError> {
        let outcome = self.source.read(buffer, limit);
        outcome.map_err(|error| self.named(error))
    }

    fn seek(&mut self, offset: u64) -> Result<(), TreeError> {
        let outcome = self.source.seek(offset);
        outcome.map_err(|error| self.named(error))
    }

    fn skip_hole(&mut self, limit: u64) -> Result<u64, TreeError> {
        let outcome = self.source.skip_hole(limit);
        outcome.map_err(|error| self.named(error))
    }

    fn is_unchanged(&self) -> Result<bool, TreeError> {
        self.source.is_unchanged().map_err(|error| self.named(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    /// `/a` is kept at `/b` but for `/a/own`, `/b/own` where it is; `/c` is the Passive's and kept at `/d`.
    #[derive(Debug)]
    struct Configured;

    impl Coverage for Configured {
        fn roots(&self) -> Vec<EntryPath> {
            ["/a", "/b/own", "/c"].map(path).into()
        }

        fn covers(&self, entry: &EntryPath) -> bool {
            let own = path("/a/own");
            let within = |root: &EntryPath| entry == root || entry.is_beneath(root);
            self.roots().iter().any(within) && !within(&own)
        }

        fn rule(&self, entry: &EntryPath) -> Rule {
            let from_passive = entry.rebased(&path("/c"), &path("/c")).is_some();
            Rule {
                direction: if from_passive {
                    Direction::PassiveToActive
                } else {
                    Direction::ActiveToPassive
                },
                ..Rule::default()
            }
        }

        fn destination(&self, entry: &EntryPath) -> Option<EntryPath> {
            let moved = |(from, to)| entry.rebased(&path(from), &path(to));
            [("/a", "/b"), ("/c", "/d")].into_iter().find_map(moved)
        }

        fn source(&self, entry: &EntryPath) -> Option<EntryPath> {
            let moved = |(from, to)| entry.rebased(&path(from), &path(to));
            let source = [("/b", "/a"), ("/d", "/c")].into_iter().find_map(moved)?;
            self.covers(&source).then_some(source)
        }
    }

    fn placement(role: Role) -> Rc<Placement> {
        let placement = Placement::new(Rc::new(Configured));
        placement.role.set(Some(role));
        placement
    }

    #[test]
    fn whoever_receives_keeps_it_at_the_destination() {
        for (role, places) in [
            (
                Role::Passive,
                [("/a/x", "/b/x"), ("/c/x", "/c/x"), ("/b/own", "/b/own")],
            ),
            (
                Role::Active,
                [("/a/x", "/a/x"), ("/c/x", "/d/x"), ("/b/own", "/b/own")],
            ),
        ] {
            let placement = placement(role);
            for (name, place) in places {
                assert_eq!(placement.on_disk(&path(name)), path(place), "{role:?} {name}");
                assert_eq!(
                    placement.named(&path(place)),
                    Some(path(name)),
                    "{role:?} {place}"
                );
            }
        }
    }

    #[test]
    fn what_the_role_does_not_use_is_not_touched() {
        let covers = |role, place| placement(role).covers(&path(place));
        for place in ["/a", "/a/x", "/d/x"] {
            assert!(!covers(Role::Passive, place), "{place}");
        }
        for place in ["/b", "/b/x", "/c/x"] {
            assert!(!covers(Role::Active, place), "{place}");
        }
        assert_eq!(placement(Role::Passive).roots(), ["/b", "/b/own", "/c"].map(path));
    }

    #[test]
    fn before_the_role_is_known_both_places_are_looked_at() {
        let placement = Placement::new(Rc::new(Configured));
        assert_eq!(placement.roots(), ["/a", "/b", "/b/own", "/c", "/d"].map(path));
        assert!(placement.covers(&path("/a/x")) && placement.covers(&path("/b/x")));
        assert!(!placement.covers(&path("/a/own")));
    }

    #[test]
    fn what_another_entry_keeps_beneath_a_destination_does_not_go_with_it() {
        let placement = placement(Role::Passive);
        assert!(placement.goes_with(&path("/b/x"), &path("/b")));
        assert!(!placement.goes_with(&path("/b/own"), &path("/b")));
        assert!(placement.goes_with(&path("/b/own/x"), &path("/b/own")));
    }
}
