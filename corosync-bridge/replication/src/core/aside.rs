//! A change of the Active meets one of this Passive.
//!
//! What is on disk is looked at right before it is replaced. What was agreed may go. A change of this node goes too when
//! the Active's is a change as well: the Active's wins, and the version here is kept aside first. When the Active only
//! repeats what was agreed, the change here is newer; it stays, and is offered.

use super::follower::ApplyError;
use super::{Core, Notice};
use crate::agreed::Version;
use crate::conflicts::Loser;
use crate::entry::{Attributes, Body, Kind};
use crate::scan::{Findings, Mode, Scan};
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::Operation;
use crate::{EntryPath, NodeId};

/// What is left to do with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To apply it.
    Clear,
    /// Nothing: it is here already, or something newer is.
    Done,
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Makes way for an operation where this node may have a change of its own. It may be about what was `found_lacking` here.
    pub(super) fn make_way(
        &mut self,
        operation: &Operation<'_>,
        found_lacking: bool,
    ) -> Result<Way, ApplyError> {
        if let Operation::Rename { from, to } = operation {
            return self.make_way_for_move(from, to);
        }
        if let Operation::HardLink { path, to, .. } = operation {
            return self.make_way_for_link(path, to, operation);
        }
        let Some(path) = operation.path() else {
            return Ok(Way::Clear);
        };
        self.check(path)?;
        if self.is_the_passives(path) {
            return Err(ApplyError::OnlyFromPassives { path: path.clone() });
        }
        if !self.holds_two_way(path) {
            return Ok(Way::Clear);
        }
        // What came before is not looked at until it is in its place.
        self.place();
        let wanted = operation.version();
        if self.is_two_way(path) {
            if self.make_way_at(path, operation, found_lacking)? == Way::Done {
                return Ok(Way::Done);
            }
            if wanted.is_some() {
                self.bring_back_above(path)?;
            }
        }
        if wanted.is_none_or(|wanted| wanted.kind != Kind::Directory) {
            self.make_way_beneath(path)?;
        }
        Ok(Way::Clear)
    }

    /// What changes on both sides moves where it is what was agreed. A change of this node that was in it would be at a path at which
    /// nobody made it.
    fn make_way_for_move(&mut self, from: &EntryPath, to: &EntryPath) -> Result<Way, ApplyError> {
        let ends = [from, to];
        let Some(own) = ends.into_iter().find(|path| self.holds_two_way(path)) else {
            return Ok(Way::Clear);
        };
        if !ends.into_iter().all(|path| self.is_two_way(path)) {
            return Err(ApplyError::NotMoved { path: own.clone() });
        }
        // What came before is not looked at until it is in its place.
        self.place();
        for path in ends {
            self.check(path)?;
            if !self.is_as_agreed(path)? {
                return Err(ApplyError::ChangedHere { path: path.clone() });
            }
        }
        Ok(Way::Clear)
    }

    /// Files that change on a Passive alone have no other names as far as replication goes.
    fn make_way_for_link(
        &mut self,
        path: &EntryPath,
        to: &EntryPath,
        operation: &Operation<'_>,
    ) -> Result<Way, ApplyError> {
        if self.are_linked_both_ways(path, to) {
            return self.make_way_for_name(path, to, operation);
        }
        for end in [path, to] {
            if self.is_two_way(end) || self.is_the_passives(end) {
                return Err(ApplyError::NotLinked { path: end.clone() });
            }
        }
        self.check(path)?;
        if self.holds_two_way(path) {
            self.place();
            self.make_way_beneath(path)?;
        }
        Ok(Way::Clear)
    }

    /// What changes on both sides becomes a name of `to`: it gets the content and the attributes of that.
    fn make_way_for_name(
        &mut self,
        path: &EntryPath,
        to: &EntryPath,
        operation: &Operation<'_>,
    ) -> Result<Way, ApplyError> {
        self.check(path)?;
        self.place();
        let wanted = Some(self.version_linked_to(to)?);
        let here = self.look_at_own(path)?.as_ref().map(Version::from);
        if here == wanted && !self.is_one_file(path, to) {
            return Ok(Way::Clear);
        }
        if self.make_way_for_version(path, here, wanted, operation)? == Way::Done {
            return Ok(Way::Done);
        }
        self.bring_back_above(path)?;
        self.make_way_beneath(path)?;
        Ok(Way::Clear)
    }

    fn make_way_at(
        &mut self,
        path: &EntryPath,
        operation: &Operation<'_>,
        found_lacking: bool,
    ) -> Result<Way, ApplyError> {
        let wanted = operation.version();
        let here = self.look_at_own(path)?.as_ref().map(Version::from);
        if here == wanted && found_lacking && self.parts_names(operation) {
            return Ok(Way::Clear);
        }
        self.make_way_for_version(path, here, wanted, operation)
    }

    /// `wanted` takes the place of what is `here`: that stays where it is newer, and is kept aside where nobody else has it.
    fn make_way_for_version(
        &mut self,
        path: &EntryPath,
        here: Option<Version>,
        wanted: Option<Version>,
        operation: &Operation<'_>,
    ) -> Result<Way, ApplyError> {
        if here == wanted {
            // Made here too: nobody has made it durable yet.
            self.tree.harden(std::slice::from_ref(path))?;
            self.agree_here(path);
            return Ok(Way::Done);
        }
        let agreed = self.agreed.get(path);
        if self.agreed.is_known() {
            if here == agreed {
                return Ok(Way::Clear);
            }
            if wanted == agreed && !self.offers.has_lost(path) {
                self.offers.suspect(path);
                return Ok(Way::Done);
            }
        }
        let is_remade = self.offers.is_remade(path) && here.is_some_and(|here| here.kind == Kind::Directory);
        if !is_remade && !self.differs_in_mtime_only(path, operation)? {
            self.keep_aside(path, here, "the Active has another version")?;
        }
        Ok(Way::Clear)
    }

    /// The directory that `path` is in was removed here, or something else took its place, and the Active has changed
    /// something in it: that has lost. The Active tells of the directory again.
    pub(super) fn bring_back_above(&mut self, path: &EntryPath) -> Result<(), ApplyError> {
        let is_directory = |kind: Option<Kind>| kind == Some(Kind::Directory);
        let mut above = path.parent().filter(|_| self.is_two_way(path));
        while let Some(directory) = above.take() {
            if !is_directory(self.agreed.get(&directory).map(|agreed| agreed.kind)) {
                break;
            }
            let here = self.look_at_own(&directory)?;
            if is_directory(here.map(|here| here.kind)) {
                break;
            }
            above = directory.parent();
            let version = here.as_ref().map(Version::from);
            self.keep_aside(&directory, version, "the Active has changed something in it")?;
            self.lose(&directory);
            self.offers.remakes(&directory);
            if here.is_some() {
                self.tree.remove(&directory)?;
                self.note_gone_or_come(&directory);
                self.index.remove(&directory);
            }
            // The one that is made now may get the inode of the one that went, and then looks as if nothing was gone from it.
            self.suspect_tree(&directory);
        }
        Ok(())
    }

    /// A directory's mtime tells when names in it came and went, which may have happened on both sides.
    fn differs_in_mtime_only(
        &mut self,
        path: &EntryPath,
        operation: &Operation<'_>,
    ) -> Result<bool, ApplyError> {
        let Operation::Directory { attributes, .. } = operation else {
            return Ok(false);
        };
        Ok(match self.tree.inspect(path, None)? {
            Inspection::Present(found) if found.body == Body::Directory => {
                let mtime = attributes.mtime;
                Attributes {
                    mtime,
                    ..found.attributes
                } == *attributes
            }
            _ => false,
        })
    }

    /// What is in a directory goes with it.
    fn make_way_beneath(&mut self, path: &EntryPath) -> Result<(), ApplyError> {
        if !self.learn_beneath(path)? {
            return Ok(());
        }
        let changed: Vec<(EntryPath, Version)> = self
            .index
            .after(Some(path))
            .take_while(|(within, _)| within.is_beneath(path))
            .map(|(within, known)| (within, Version::from(known)))
            .filter(|(within, here)| {
                self.is_two_way(within) && !(self.agreed.is_known() && self.agreed.get(within) == Some(*here))
            })
            .map(|(within, here)| (within.clone(), here))
            .collect();
        for (within, here) in changed {
            self.keep_aside(
                &within,
                Some(here),
                "the Active removed the directory that it is in",
            )?;
        }
        Ok(())
    }

    /// Looks at everything that is in the directory `path`. Returns whether it is one.
    pub(super) fn learn_beneath(&mut self, path: &EntryPath) -> Result<bool, TreeError> {
        // One that a program made here is not known where only what the Active does counts.
        match self.tree.inspect(path, None)? {
            Inspection::Present(found) if found.body == Body::Directory => {}
            _ => return Ok(false),
        }
        let mut search = Scan::new(Mode::Learn, vec![path.clone()]);
        let mut findings = Findings::default();
        while !search.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings) {}
        match findings.failed.pop() {
            Some(error) => Err(error),
            None => Ok(true),
        }
    }

    fn keep_aside(
        &mut self,
        path: &EntryPath,
        version: Option<Version>,
        why: &str,
    ) -> Result<(), ApplyError> {
        let found = match self.tree.inspect(path, None)? {
            Inspection::Present(found) => Some(found),
            Inspection::Absent | Inspection::Unchanged => None,
        };
        let is_file = found.as_ref().is_some_and(|found| found.body == Body::File);
        let mut source = if is_file { self.tree.open(path)? } else { None };
        let target = found.as_ref().and_then(|found| match &found.body {
            Body::Link(target) => Some(target.as_slice()),
            Body::File | Body::Directory => None,
        });
        let loser = Loser {
            path,
            version,
            attributes: found.as_ref().map(|found| &found.attributes),
            target,
            node: self.me.unwrap_or(NodeId(0)),
            why,
        };
        let content = source.as_mut().map(|source| source as &mut dyn Source);
        let kept = self.store.keep_aside(&loser, content)?;
        let path = path.clone();
        self.notices.push(Notice::KeptAside { path, kept });
        Ok(())
    }
}
