//! Hard links: names of one file here stay names of one file there.
//!
//! The index knows which names an inode has, and of those that are replicated alike the first, in the order of
//! paths, stands for the file. The others count as links to it when copies are compared ([`Core::compared`]). Whenever a new
//! content is put under one of the names, the others are linked to it again right after: each name shows the old content
//! or the new one at any moment. A file whose other names are not replicated is just a file.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Core;
use super::active::operation;
use super::session::Need;
use crate::coverage::{Direction, Timing};
use crate::digest::Digest;
use crate::entry::{Found, Kind, Known, Stamp};
use crate::inodes::Inode;
use crate::state::StateStore;
use crate::tree::{Inspection, Tree, TreeError};
use crate::wire::Operation;
use crate::{EntryPath, NodeId};

/// Names of files with several that are looked at because a name came and went: some milliseconds of looks. Where there
/// are more, what was written through that name is found by the next look at everything.
const LINKS_LOOKED_AT: usize = 1024;

impl<T: Tree, S: StateStore> Core<T, S> {
    /// The other names of the file that is `known` at `path`, in order.
    pub(super) fn other_names<'a>(
        &'a self,
        path: &'a EntryPath,
        known: &'a Known,
    ) -> impl Iterator<Item = &'a EntryPath> {
        let rule = known.linked.then(|| self.coverage.rule(path));
        let rule = rule.filter(|rule| rule.direction != Direction::PassiveToActive);
        let names = rule.map(|_| self.index.names(&known.seen.stamp));
        names.into_iter().flatten().filter(move |name| {
            let is_file = |known: &Known| known.kind == Kind::File;
            *name != path
                && self.index.get(name).is_some_and(is_file)
                && Some(self.coverage.rule(name)) == rule
        })
    }

    /// The names that are known of the file at `path` and replicated as that one is, that one among them. Those that are replicated
    /// otherwise are files of their own for others.
    pub(super) fn names_known(&self, path: &EntryPath) -> Vec<EntryPath> {
        let rule = self.coverage.rule(path);
        let linked = self.index.get(path).filter(|known| known.linked);
        let names = linked.map(|known| self.index.names(&known.seen.stamp));
        let alike = names
            .into_iter()
            .flatten()
            .filter(|name| self.coverage.rule(name) == rule);
        let mut names: BTreeSet<EntryPath> = alike.cloned().collect();
        names.insert(path.clone());
        names.into_iter().collect()
    }

    /// The name that stands for the file at `path`, when it is not `path`.
    pub(super) fn first_name(&self, path: &EntryPath, known: &Known) -> Option<EntryPath> {
        let first = self.other_names(path, known).next();
        first.filter(|first| *first < path).cloned()
    }

    /// An entry as copies compare it. No file has attributes without a digest, so no file is taken for a link.
    pub(super) fn compared(&self, path: &EntryPath, known: &Known) -> Known {
        match self.first_name(path, known) {
            Some(first) => Known {
                content: Digest::of(first.as_bytes()),
                attributes: Digest::NONE,
                ..*known
            },
            None => *known,
        }
    }

    /// The other names of the file that is `known` at `path`: those that are still there, and those that are another
    /// file's by now.
    fn names_there_and_gone(
        &mut self,
        path: &EntryPath,
        known: &Known,
    ) -> Result<(Vec<EntryPath>, Vec<EntryPath>), TreeError> {
        let names: Vec<EntryPath> = self.other_names(path, known).cloned().collect();
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for name in names {
            let is_there = self.is_at(&name, &known.seen.stamp)?;
            if is_there { &mut there } else { &mut gone }.push(name);
        }
        Ok((there, gone))
    }

    /// Sends a file where it differs from what was announced: as a link to another name of it, whole, or only its
    /// attributes. Where these would show under more names than they should, a small one goes whole, and a large one after
    /// what is under those names.
    pub(super) fn announce_file(
        &mut self,
        path: &EntryPath,
        found: &Found,
        known: Known,
        content: Option<&[u8]>,
        now: Duration,
    ) -> Result<(), TreeError> {
        if self.was_another_files(path, &known) {
            self.leave_names(path, &known);
            self.index.remove(path);
        }
        let elsewhere = self.would_show_elsewhere(path, &known)?;
        if !elsewhere.is_empty() {
            if content.is_some() {
                self.index.remove(path);
            } else if self.look_at_first(elsewhere, path) {
                return Ok(());
            }
        }
        if !known.linked {
            let was_linked = self.index.get(path).is_some_and(|before| before.linked);
            self.announce_known(path, found, known, content, now);
            if was_linked {
                let (_, gone) = self.names_there_and_gone(path, &as_linked(&known))?;
                self.look_at_gone_names(gone);
            }
            return Ok(());
        }
        self.join_names(path, found, &known, now)?;
        let is_apart = self
            .index
            .get(path)
            .is_none_or(|before| !before.linked || !before.same_content(&known));
        self.announce_known(path, found, known, content, now);
        self.share(path, &known, is_apart, now)
    }

    /// Where the attributes of `known`, given to the file that was announced at `path`, would show as well: names that are
    /// another file's by now, and of which nobody has told yet.
    fn would_show_elsewhere(&mut self, path: &EntryPath, known: &Known) -> Result<Vec<EntryPath>, TreeError> {
        let before = self.index.get(path).copied();
        match before.filter(|before| before.attributes != known.attributes) {
            // It may have lost all the others since, of which nobody has told either.
            Some(before) => Ok(self.names_there_and_gone(path, &as_linked(&before))?.1),
            None => Ok(Vec::new()),
        }
    }

    /// Whether nothing else is by now where the other names of the file were that was announced at `path` as `known`.
    pub(super) fn has_no_name_of_another(
        &mut self,
        path: &EntryPath,
        known: &Known,
    ) -> Result<bool, TreeError> {
        for name in self.names_there_and_gone(path, &as_linked(known))?.1 {
            if self.tree.inspect(&name, None)? != Inspection::Absent {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether `path` was announced as a name of another file than the one that is `known` there now, one with several names.
    /// Nothing of what was announced counts then, be it the same: it would stay one file with those. The last that is left of
    /// them may be known as such already, and `path` not yet as another's, or the other way round.
    pub(super) fn was_another_files(&self, path: &EntryPath, known: &Known) -> bool {
        let is_another = |before: &&Known| !before.seen.stamp.is_same_inode(&known.seen.stamp);
        self.index.get(path).filter(is_another).is_some_and(|before| {
            before.linked || self.other_names(path, &as_linked(before)).next().is_some()
        })
    }

    /// Looks at `names`, and then at the large file at `path` again, before any barrier. Returns whether it does: not for a
    /// name that cannot be read.
    fn look_at_first(&mut self, names: Vec<EntryPath>, path: &EntryPath) -> bool {
        let Some(active) = &mut self.active else {
            return false;
        };
        if names.iter().any(|name| active.is_unreadable(name)) {
            return false;
        }
        active.bulk.line.push_front(path.clone(), None);
        self.look_at_gone_names(names);
        true
    }

    /// A file with another name that was announced already is linked to that, which has the attributes of now before; not
    /// where these would show under a name that is another file's by now as well.
    pub(super) fn join_names(
        &mut self,
        path: &EntryPath,
        found: &Found,
        known: &Known,
        now: Duration,
    ) -> Result<(), TreeError> {
        let is_announced = |before: &Known| {
            before.linked && before.same_content(known) && before.seen.stamp.is_same_inode(&known.seen.stamp)
        };
        if !known.linked || self.index.get(path).is_some_and(is_announced) {
            return Ok(());
        }
        let (names, gone) = self.names_there_and_gone(path, known)?;
        if names.is_empty() {
            self.look_for_untold_names(known);
        }
        let announced = names.into_iter().find_map(|name| {
            let announced = *self.index.get(&name)?;
            let is_joinable = gone.is_empty() || announced.attributes == known.attributes;
            (is_joinable && announced.same_content(known)).then_some((name, announced))
        });
        if let Some((name, announced)) = announced {
            self.index.insert(name.clone(), *known);
            if announced.attributes != known.attributes {
                self.send(None, operation(&name, found, *known, None, true), now);
            }
            self.leave_names(path, known);
            self.index.insert(path.clone(), *known);
            self.announce_link(path, &name, known, now);
        }
        Ok(())
    }

    /// The large file at `path` was sent whole: names of it that were announced while it was small, or their only name, are looked
    /// for.
    pub(super) fn look_for_names(&mut self, path: &EntryPath, known: &Known) -> Result<(), TreeError> {
        let is_known = |before: &Known| before.linked && before.seen.stamp.is_same_inode(&known.seen.stamp);
        let is_new = known.linked && !self.index.get(path).is_some_and(is_known);
        if is_new && self.names_there_and_gone(path, known)?.0.is_empty() {
            self.look_for_untold_names(known);
        }
        Ok(())
    }

    fn look_for_untold_names(&mut self, known: &Known) {
        if let Some(active) = &mut self.active {
            active.queue.push_links(known.seen.stamp.inode());
        }
    }

    /// The file at `path` is the one that was announced at `from`, where another is by now. A Passive has it there as well until
    /// it gets that other.
    pub(super) fn link_to_lost_name(&mut self, path: &EntryPath, from: &EntryPath, now: Duration) {
        let Some(announced) = self.index.get(from).map(as_linked) else {
            return;
        };
        self.leave_names(path, &announced);
        self.index.insert(path.clone(), announced);
        self.announce_link(path, from, &announced, now);
    }

    /// What is known of `path` now holds for all names of the file, which are linked to it anew where a Passive has it apart
    /// from them, as when it was sent whole.
    pub(super) fn share(
        &mut self,
        path: &EntryPath,
        known: &Known,
        is_apart: bool,
        now: Duration,
    ) -> Result<(), TreeError> {
        let (there, gone) = self.names_there_and_gone(path, &as_linked(known))?;
        if is_apart {
            self.part_from(&gone);
        }
        self.look_at_gone_names(gone);
        // Where changes travel both ways a Passive may have the names apart: each is told of.
        let is_followed = self.coverage.rule(path).direction == Direction::ActiveToPassive;
        let is_same = |before: &Known| before.same_content(known) && (is_followed || before.same_as(known));
        for name in there.into_iter().filter(|_| known.linked) {
            let is_linked = |before: &Known| before.linked && is_same(before);
            let is_told = !is_apart && self.index.get(&name).is_some_and(is_linked);
            self.index.insert(name.clone(), *known);
            if !is_told {
                self.announce_link(&name, path, known, now);
            }
        }
        self.look_at_unlike_names(path, known);
        Ok(())
    }

    /// `names` keep the file that a Passive had until now. They may be this one's all the same: in a directory that was renamed,
    /// of which nobody has told yet. Then they are linked to it.
    fn part_from(&mut self, names: &[EntryPath]) {
        for name in names {
            if let Some(known) = self.index.get(name).copied() {
                self.index.insert(name.clone(), known.untold());
            }
        }
    }

    /// Names that are replicated otherwise are files of their own on a Passive. Nobody tells that they changed as well.
    fn look_at_unlike_names(&mut self, path: &EntryPath, known: &Known) {
        let rule = self.coverage.rule(path);
        let is_unlike = |name: &EntryPath| self.coverage.rule(name) != rule;
        let names = self.names_that_differ(known).filter(|name| is_unlike(name));
        self.look_at_names(names.cloned().collect());
    }

    /// What came to the file at `path` from a Passive shows under its other names as well.
    pub(super) fn look_at_other_names(&mut self, path: &EntryPath, known: &Known) {
        let names = self.names_that_differ(known).filter(|name| *name != path);
        self.look_at_names(names.cloned().collect());
    }

    /// Names of the file that is `known` at one of them, of which something else is known.
    fn names_that_differ<'a>(&'a self, known: &'a Known) -> impl Iterator<Item = &'a EntryPath> {
        let differs = |known: &Known, other: &Known| !other.same_as(known);
        let names = self.index.names(&known.seen.stamp);
        names.filter(move |name| self.index.get(name).is_some_and(|other| differs(known, other)))
    }

    /// On a Passive is `known` at `path`, where `before` was. What was written to a file shows under its other names, also what was
    /// written through one that is gone: they are offered as files of their own.
    pub(super) fn suspect_other_names(
        &mut self,
        path: &EntryPath,
        before: Option<&Known>,
        known: Option<&Known>,
    ) {
        let mut names: Vec<EntryPath> = Vec::new();
        if let Some(known) = known.filter(|known| known.kind == Kind::File && known.linked) {
            names.extend(self.names_that_differ(known).cloned());
            if !before.is_some_and(|before| before.linked) {
                names.extend(self.names_known_as_only(&[known.seen.stamp.inode()].into()));
            }
        }
        let stays =
            |before: &Known| known.is_some_and(|known| known.seen.stamp.is_same_inode(&before.seen.stamp));
        match before {
            Some(before) if before.linked && !stays(before) => {
                names.extend(self.index.names(&before.seen.stamp).cloned());
            }
            None if known.is_none() => names.extend(self.few_linked_names()),
            Some(_) | None => {}
        }
        for name in names.iter().filter(|name| *name != path) {
            self.suspect(name);
        }
    }

    /// Files with these inodes that are known to have one name.
    fn names_known_as_only(&self, inodes: &BTreeSet<Inode>) -> Vec<EntryPath> {
        let is_wanted = |known: &Known| {
            known.kind == Kind::File && !known.linked && inodes.contains(&known.seen.stamp.inode())
        };
        self.index
            .after(None)
            .filter(|(_, known)| is_wanted(known))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Looks at `names`, those that travel as they change, before what was told after that of which they are names.
    fn look_at_names(&mut self, mut names: Vec<EntryPath>) {
        names.retain(|name| self.coverage.rule(name).timing == Timing::Immediate);
        if let Some(active) = &mut self.active {
            active.queue.push_front(names);
        }
    }

    /// What was written to the large file at `path`, which waits for its turn, was written under its other names as well: they
    /// wait with it, whatever they are names of when their turn comes.
    pub(super) fn look_at_names_with(&mut self, path: &EntryPath, stamp: &Stamp) {
        if let Some(active) = &mut self.active {
            let inode = stamp.inode();
            for name in self.index.names(stamp).filter(|name| *name != path) {
                active.bulk.line.push_by_priority(name, inode, Some(inode));
            }
        }
    }

    /// What was written to a file was written under its other names as well. Those that are another file's by now are looked
    /// at before any barrier: nobody has either there.
    fn look_at_gone_names(&mut self, gone: Vec<EntryPath>) {
        if let Some(active) = &mut self.active {
            for name in gone {
                active.bulk.line.push_front(name, None);
            }
        }
    }

    /// Tells everyone that `path` is a name of the file at `to`. A Passive that is being compared may lack that: there it is
    /// linked later.
    pub(super) fn announce_link(&mut self, path: &EntryPath, to: &EntryPath, known: &Known, now: Duration) {
        self.send(None, link(path, to, known), now);
        self.need(path, Need::Whole);
    }

    /// What `target` got at `path` is what its other names have to be linked to.
    pub(super) fn supply_names(&mut self, path: &EntryPath, known: &Known, target: NodeId, now: Duration) {
        let names: Vec<EntryPath> = self.other_names(path, known).cloned().collect();
        for name in names {
            self.send(Some(target), link(&name, path, known), now);
        }
    }

    /// Sends `target` the link that the file at `path` is. Returns whether it is one.
    pub(super) fn supply_link(
        &mut self,
        path: &EntryPath,
        known: &Known,
        target: NodeId,
        now: Duration,
    ) -> bool {
        let Some(first) = self.first_name(path, known) else {
            return false;
        };
        let priority = self.priority(&first);
        let session = self.active.as_ref().and_then(|active| active.session.as_ref());
        // The links follow what the first name still lacks.
        if !session.is_some_and(|session| session.lacks(priority, &first)) {
            self.send(Some(target), link(path, &first, known), now);
        }
        true
    }

    /// `path` may not be a name any more of the file that was announced there.
    pub(super) fn leave_names(&mut self, path: &EntryPath, now: &Known) {
        let Some(before) = self.index.get(path).copied() else {
            return;
        };
        if !before.seen.stamp.is_same_inode(&now.seen.stamp) {
            self.lose_name(path, &before);
        }
    }

    /// `path` is not a name any more of the file that was announced there. What was last written through it shows under
    /// the other names, of which nobody told; and another name may stand for them now, of which a Passive that is
    /// being compared has to hear.
    pub(super) fn lose_name(&mut self, path: &EntryPath, before: &Known) {
        self.lose_names(&[(path.clone(), as_linked(before))], |name| name == path);
    }

    /// The same of everything in `directory`.
    pub(super) fn lose_names_beneath(&mut self, directory: &EntryPath) {
        let lost: Vec<(EntryPath, Known)> = self
            .index
            .beneath(directory)
            .filter_map(|path| Some((path.clone(), *self.index.get(path)?)))
            .filter(|(_, known)| known.linked)
            .collect();
        self.lose_names(&lost, |name| name.is_beneath(directory));
    }

    fn lose_names(&mut self, lost: &[(EntryPath, Known)], is_lost: impl Fn(&EntryPath) -> bool) {
        let (mut left, mut alike) = (BTreeSet::new(), BTreeSet::new());
        for (path, known) in lost {
            let stays = |name: &&EntryPath| !is_lost(name);
            left.extend(self.index.names(&known.seen.stamp).filter(stays).cloned());
            alike.extend(self.other_names(path, known).filter(stays).cloned());
        }
        for name in alike {
            self.need(&name, Need::Whole);
        }
        self.look_at_names(left.into_iter().collect());
    }

    /// A name came and went, or was replaced, unseen. What was written through it may show under others.
    pub(super) fn lose_unknown_name(&mut self) {
        if let Some(active) = &mut self.active {
            active.queue.push_any_link();
        }
    }

    /// Looks at every file that has several names.
    pub(super) fn look_at_all_links(&mut self) {
        let names = self.few_linked_names();
        self.look_at_names(names);
    }

    /// Paths of all files that have several; none where there are too many to look at each.
    fn few_linked_names(&self) -> Vec<EntryPath> {
        let links = self.index.linked_names();
        let names: Vec<EntryPath> = links.take(LINKS_LOOKED_AT + 1).cloned().collect();
        Some(names)
            .filter(|names| names.len() <= LINKS_LOOKED_AT)
            .unwrap_or_default()
    }

    /// Files whose other names were not announced as such: those are looked for among everything that is known.
    pub(super) fn find_names(&mut self, inodes: &BTreeSet<Inode>) {
        let names = self.names_known_as_only(inodes);
        if let Some(active) = &mut self.active {
            active.queue.push_front(names);
        }
    }
}

/// `known`, which may have had several names until now.
fn as_linked(known: &Known) -> Known {
    Known {
        linked: true,
        ..*known
    }
}

pub(super) fn link(path: &EntryPath, to: &EntryPath, known: &Known) -> Operation<'static> {
    Operation::HardLink {
        path: path.clone(),
        to: to.clone(),
        content: known.content,
    }
}
