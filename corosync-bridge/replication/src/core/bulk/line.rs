//! The line in which large contents wait, and barriers among them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::EntryPath;
use crate::core::essential::Priorities;
use crate::core::queue::Barrier;
use crate::inodes::Inode;

/// How often a content of priority 2 is overtaken by one of priority 1 that was found later. More would let large files that are
/// written all the time hold it up for long; fewer would let it hold up what is essential.
const OVERTAKINGS: u32 = 4;

/// What waits, in order: a path that waits does not wait twice.
#[derive(Debug)]
pub(in crate::core) struct Line {
    priorities: Priorities,
    turns: VecDeque<Turn>,
    /// Which files were found at each of the paths that wait.
    files: BTreeMap<EntryPath, BTreeSet<Inode>>,
    /// Where each of these files was found.
    places: BTreeMap<Inode, BTreeSet<EntryPath>>,
    /// How many of the paths each directory holds.
    directories: BTreeMap<EntryPath, usize>,
}

#[derive(Debug)]
enum Turn {
    /// A file was large when it was looked at.
    Content(Waiting),
    /// A request may go on: every content before it is sent.
    Barrier(Barrier),
}

/// A large content that waits.
#[derive(Debug)]
struct Waiting {
    path: EntryPath,
    is_essential: bool,
    /// How often something that came later went before it.
    overtaken: u32,
    /// It has let what it takes the place of go first.
    has_waited: bool,
}

/// What has its turn.
#[derive(Debug)]
pub(super) enum Next {
    Content(Due),
    Barrier(Barrier),
}

/// A path at which something large waited.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) path: EntryPath,
    /// Which files were found there.
    pub(super) files: BTreeSet<Inode>,
    /// It has let what it takes the place of go first.
    pub(super) has_waited: bool,
}

impl Line {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self {
            priorities,
            turns: VecDeque::new(),
            files: BTreeMap::new(),
            places: BTreeMap::new(),
            directories: BTreeMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many contents wait.
    pub(super) fn contents(&self) -> usize {
        self.files.len()
    }

    pub(super) fn holds_content_in(&self, directory: &EntryPath) -> bool {
        self.directories.contains_key(directory)
    }

    /// The files that wait, and where they are.
    pub(super) fn files(&self) -> impl Iterator<Item = (&EntryPath, Inode)> {
        let files = self.files.iter();
        files.flat_map(|(path, files)| files.iter().map(move |file| (path, *file)))
    }

    /// Where the file of `inode` waits.
    pub(super) fn places(&self, inode: Inode) -> impl Iterator<Item = &EntryPath> {
        self.places.get(&inode).into_iter().flatten()
    }

    pub(super) fn into_paths(self) -> impl Iterator<Item = EntryPath> {
        self.files.into_keys()
    }

    pub(super) fn push_barrier(&mut self, barrier: Barrier) {
        self.turns.push_back(Turn::Barrier(barrier));
    }

    /// Also where it waits already: barriers that it was told before must not overtake it.
    pub(in crate::core) fn push_front(&mut self, path: EntryPath, file: Option<Inode>) {
        if !self.note(&path, file) {
            let is_another = |turn: &Turn| !matches!(turn, Turn::Content(other) if other.path == path);
            self.turns.retain(is_another);
        }
        let turn = self.turn(path);
        self.turns.push_front(turn);
    }

    /// Behind all that waits.
    pub(in crate::core) fn push(&mut self, path: &EntryPath, file: Option<Inode>) {
        if self.note(path, file) {
            let turn = self.turn(path.clone());
            self.turns.push_back(turn);
        }
    }

    /// The file of `inode` takes the place of the one announced at `path`, `replaced`. What is essential goes before what is not,
    /// but not before anything that a barrier waits for.
    pub(in crate::core) fn push_by_priority(
        &mut self,
        path: &EntryPath,
        inode: Inode,
        replaced: Option<Inode>,
    ) {
        if !self.priorities.is_essential(path) {
            return self.push(path, Some(inode));
        }
        if !self.note(path, Some(inode)) {
            return;
        }
        let lets_pass = |turn: &&Turn| match turn {
            Turn::Content(waiting) => self.lets_pass(waiting, replaced),
            Turn::Barrier(_) => false,
        };
        let overtaken = self.turns.iter().rev().take_while(lets_pass).count();
        let place = self.turns.len() - overtaken;
        for turn in self.turns.range_mut(place..) {
            if let Turn::Content(waiting) = turn {
                waiting.overtaken += 1;
            }
        }
        let turn = self.turn(path.clone());
        self.turns.insert(place, turn);
    }

    /// Puts what had its turn behind all that waits, once.
    pub(super) fn wait_once(&mut self, due: &Due) {
        for file in &due.files {
            self.note(&due.path, Some(*file));
        }
        let has_waited = true;
        self.turns.push_back(Turn::Content(Waiting {
            has_waited,
            ..self.waiting(due.path.clone())
        }));
    }

    /// Whether a content of priority 1 may go before `waiting` that takes the place of the file `replaced`. That has to be there
    /// under its new name before; what is not known may be just that.
    fn lets_pass(&self, waiting: &Waiting, replaced: Option<Inode>) -> bool {
        let files = self.files.get(&waiting.path).filter(|files| !files.is_empty());
        let is_another =
            files.is_some_and(|files| replaced.is_none_or(|replaced| !files.contains(&replaced)));
        !waiting.is_essential && is_another && waiting.overtaken < OVERTAKINGS
    }

    fn turn(&self, path: EntryPath) -> Turn {
        Turn::Content(self.waiting(path))
    }

    fn waiting(&self, path: EntryPath) -> Waiting {
        Waiting {
            is_essential: self.priorities.is_essential(&path),
            path,
            overtaken: 0,
            has_waited: false,
        }
    }

    /// Something waits at `path`, where `file` was found. Returns whether nothing did before.
    fn note(&mut self, path: &EntryPath, file: Option<Inode>) -> bool {
        if let Some(file) = file {
            self.places.entry(file).or_default().insert(path.clone());
        }
        if let Some(files) = self.files.get_mut(path) {
            files.extend(file);
            return false;
        }
        self.files.insert(path.clone(), file.into_iter().collect());
        if let Some(directory) = path.parent() {
            *self.directories.entry(directory).or_default() += 1;
        }
        true
    }

    /// Nothing waits at `path` any more. Returns the files that were found there.
    fn forget(&mut self, path: &EntryPath) -> BTreeSet<Inode> {
        let Some(files) = self.files.remove(path) else {
            return BTreeSet::new();
        };
        for file in &files {
            let left = self.places.get_mut(file).map(|places| {
                places.remove(path);
                places.len()
            });
            if left == Some(0) {
                self.places.remove(file);
            }
        }
        if let Some(directory) = path.parent() {
            let left = self.directories.get_mut(&directory).map(|held| {
                *held -= 1;
                *held
            });
            if left == Some(0) {
                self.directories.remove(&directory);
            }
        }
        files
    }

    pub(super) fn pop(&mut self) -> Option<Next> {
        Some(match self.turns.pop_front()? {
            Turn::Barrier(barrier) => Next::Barrier(barrier),
            Turn::Content(Waiting { path, has_waited, .. }) => Next::Content(Due {
                files: self.forget(&path),
                path,
                has_waited,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_was_found_at_a_path_while_it_waits_counts_as_waiting_there() {
        let path = EntryPath::new(b"/s/large").expect("a plain path");
        let mut line = Line::new(Priorities::default());
        line.push_front(path.clone(), None);
        assert_eq!(line.files().count(), 0);
        line.push(&path, Some((1, 1)));
        line.push_by_priority(&path, (1, 2), None);
        line.push_front(path.clone(), Some((1, 3)));
        let files = [(1, 1), (1, 2), (1, 3)];
        assert_eq!(line.files().collect::<Vec<_>>(), files.map(|file| (&path, file)));
        for file in files {
            assert_eq!(line.places(file).collect::<Vec<_>>(), [&path]);
        }
        assert_eq!(line.contents(), 1);
        assert!(matches!(line.pop(), Some(Next::Content(due)) if due.files == BTreeSet::from(files)));
        assert!(line.pop().is_none() && line.files().count() == 0);
        assert!(files.iter().all(|file| line.places(*file).next().is_none()));
        assert!(!line.holds_content_in(&EntryPath::new(b"/s").expect("a plain path")));
    }
}
