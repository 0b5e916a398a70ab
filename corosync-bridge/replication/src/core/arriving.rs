//! A large content of a Passive on its way to the Active.
//!
//! The Active asks for as much at once as it has room for, and for more once that is put together. What it has of the content
//! already it copies from its own version, step by step, with whatever else comes in between; the digest decides whether the
//! content counts. Where it does not fit the whole content is asked for.

use std::time::Duration;

use super::Core;
use super::content::{Assembly, Part, Piece, Signing};
use super::handing_over::ASKED_WEIGHT;
use super::intake::{Member, Offer};
use crate::chunks::{CUT_BYTES, Seed};
use crate::digest::Digest;
use crate::entry::{Kind, Known};
use crate::state::StateStore;
use crate::tree::{Source, Stage, Tree, TreeError};
use crate::wire::{INLINE_BYTES, Operation, Verdict};
use crate::{EntryPath, NodeId};

/// What has arrived of a content.
#[derive(Debug)]
pub(super) struct Arriving<G, F> {
    path: EntryPath,
    assembly: Assembly<G, F>,
    /// Some of it may be copied from the version here.
    is_made_here: bool,
    /// Weight of what came since more was asked for.
    came: u64,
    /// What becomes of it once it is put together.
    contribution: Option<Operation<'static>>,
}

impl<G: Stage, F: Source> Arriving<G, F> {
    fn new(path: EntryPath, stage: G, version: Option<F>) -> Self {
        Self {
            path,
            is_made_here: version.is_some(),
            assembly: Assembly::new(stage, version),
            came: 0,
            contribution: None,
        }
    }

    pub(super) fn is_of(&self, path: &EntryPath) -> bool {
        self.path == *path
    }

    /// Nothing comes of it.
    pub(super) fn into_path(self) -> EntryPath {
        self.path
    }

    pub(super) fn is_made_here(&self) -> bool {
        self.is_made_here
    }

    pub(super) fn has_work(&self) -> bool {
        self.assembly.has_work() || self.contribution.is_some()
    }

    /// Takes in a piece, where it is the next one and was asked for. What was not is noticed at the end: the digest will not
    /// fit.
    fn take(&mut self, offset: u64, piece: Piece<'_>, weight: u64) -> Result<(), TreeError> {
        let is_asked_for = self.came < ASKED_WEIGHT && self.contribution.is_none();
        if self.assembly.size() != offset || !is_asked_for {
            return Ok(());
        }
        self.came = self.came.saturating_add(weight);
        self.assembly.take(piece, weight)
    }

    /// From which byte on more is to be asked for, if it is.
    fn asks_from(&mut self) -> Option<u64> {
        if self.came < ASKED_WEIGHT || self.assembly.has_work() {
            return None;
        }
        self.came = 0;
        Some(self.assembly.size())
    }

    /// The content, when it is whole and the one that was offered.
    pub(super) fn complete(self, size: u64, digest: Digest) -> Result<Option<G>, TreeError> {
        self.assembly.complete(size, digest)
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Whether there is a large file at `path`, from which another version can be made.
    pub(super) fn is_base(&self, path: &EntryPath) -> bool {
        self.index.get(path).is_some_and(is_base)
    }

    /// A member asks what the version here is made of, of which it hands over another one.
    pub(super) fn sign_base_delivered(&mut self, from: NodeId, id: u64, seed: Seed, offsets: &[u64]) {
        let Some(Offer { path, .. }) = self.awaited_of(from, id).cloned() else {
            return;
        };
        let base = match offsets {
            // What cannot be read is no problem here: the whole content is asked for.
            [] => self.open_offered_base(&path),
            _ => None,
        };
        let Some(member) = self.intake.members.get_mut(&from) else {
            return;
        };
        let known = member.signing.as_mut();
        let known = known.filter(|signing| signing.answers(id, seed));
        match (base, known) {
            (Some(base), _) => member.signing = Some(Signing::new(id, seed, base)),
            (None, Some(signing)) if !offsets.is_empty() => signing.answer_in_detail(offsets),
            (None, _) => {
                member.signing = None;
                self.tell_part(id, Part::nothing());
            }
        }
    }

    /// The file at `path`, if it is what it was judged to be.
    fn open_offered_base(&mut self, path: &EntryPath) -> Option<T::Source> {
        self.open_as_known(path, is_base)
    }

    fn awaited_of(&self, from: NodeId, id: u64) -> Option<&Offer> {
        let member = self.intake.members.get(&from);
        member.and_then(|member| member.awaited_offer(id))
    }

    pub(super) fn offered_piece_delivered(
        &mut self,
        from: NodeId,
        id: u64,
        offset: u64,
        piece: Piece<'_>,
        weight: u64,
    ) {
        let Some(Offer { path, .. }) = self.awaited_of(from, id).cloned() else {
            return;
        };
        if offset == 0 {
            let member = self.intake.members.get_mut(&from);
            let signing = member.and_then(|member| member.signing.take());
            let base = signing
                .filter(|signing| signing.is_of(id))
                .map(Signing::into_source);
            if !self.begin_arriving(from, id, path, base) {
                return;
            }
        }
        let member = self.intake.members.get_mut(&from);
        let incoming = member.and_then(|member| member.incoming.as_mut());
        let taken = incoming.map_or(Ok(()), |incoming| incoming.take(offset, piece, weight));
        self.note_arrived(from, id, taken);
    }

    /// Makes room for a content, of which some may be copied from `base`. Returns whether it can be taken.
    fn begin_arriving(&mut self, from: NodeId, id: u64, path: EntryPath, base: Option<T::Source>) -> bool {
        self.drop_incoming(from);
        let stage = match self.has_directory_for(&path) {
            Ok(true) => self.tree.stage(&path),
            Ok(false) => {
                self.settle_offer(from, id, Verdict::Later);
                return false;
            }
            Err(error) => Err(error),
        };
        match stage {
            Ok(stage) => {
                let member = self.intake.members.entry(from).or_default();
                member.incoming = Some(Arriving::new(path, stage, base));
                true
            }
            Err(error) => {
                self.cannot_take(from, id, &error.into());
                false
            }
        }
    }

    /// A content that is all of `source`, a file that is here, and then becomes `contribution`.
    pub(super) fn begin_copy(
        &mut self,
        from: NodeId,
        id: u64,
        path: EntryPath,
        source: T::Source,
        contribution: Operation<'static>,
    ) {
        let length = source.found().seen.stamp.size;
        if !self.begin_arriving(from, id, path, Some(source)) {
            return;
        }
        let member = self.intake.members.get_mut(&from);
        if let Some(incoming) = member.and_then(|member| member.incoming.as_mut()) {
            incoming.contribution = Some(contribution);
            let taken = incoming.assembly.take(Piece::Copy { from: 0, length }, 0);
            self.note_arrived(from, id, taken);
        }
    }

    /// Asks for more once all is put together that was asked for.
    fn note_arrived(&mut self, from: NodeId, id: u64, taken: Result<(), TreeError>) {
        if let Err(error) = taken {
            return self.cannot_take(from, id, &error.into());
        }
        let member = self.intake.members.get_mut(&from);
        let incoming = member.and_then(|member| member.incoming.as_mut());
        if let Some(offset) = incoming.and_then(Arriving::asks_from) {
            self.verdict(from, id, Verdict::WantsContent { offset });
        }
    }

    /// Goes on with what a member was asked for.
    pub(super) fn arriving_step(&mut self, from: NodeId, now: Duration) {
        let Some(member) = self.intake.members.get_mut(&from) else {
            return;
        };
        let Some(id) = member.awaited().map(|offer| offer.id) else {
            return;
        };
        if member.signing.as_ref().is_some_and(Signing::has_work) {
            if let Some(part) = sign(member) {
                self.tell_part(id, part);
            }
            return;
        }
        let Some(incoming) = &mut member.incoming else {
            return;
        };
        if incoming.assembly.has_work() {
            let taken = incoming.assembly.step();
            self.note_arrived(from, id, taken);
        } else if let Some(operation) = incoming.contribution.take() {
            self.contribution_delivered(from, id, operation, now);
        }
    }

    /// A content of which something is still to be copied is whole only behind that. Returns whether it waits.
    pub(super) fn is_put_together_first(&mut self, from: NodeId, operation: &Operation<'_>) -> bool {
        let member = self.intake.members.get_mut(&from);
        let incoming = member.and_then(|member| member.incoming.as_mut());
        let incoming = incoming.filter(|incoming| incoming.has_work());
        match (incoming, operation) {
            (
                Some(incoming),
                Operation::PutTransferred {
                    path,
                    attributes,
                    transfer,
                    size,
                    digest,
                },
            ) => {
                incoming.contribution = Some(Operation::PutTransferred {
                    path: path.clone(),
                    attributes: attributes.clone(),
                    transfer: *transfer,
                    size: *size,
                    digest: *digest,
                });
                true
            }
            _ => false,
        }
    }

    /// What was made from the version here is not what was offered.
    pub(super) fn ask_for_whole(&mut self, from: NodeId, id: u64, path: &EntryPath) {
        self.tree.release();
        self.owe_look_at_names(path);
        self.verdict(from, id, Verdict::WantsContent { offset: 0 });
    }
}

/// Whether it is a large file, from which another version can be made.
fn is_base(known: &Known) -> bool {
    let is_of_use = |size: u64| size > INLINE_BYTES as u64 && size <= CUT_BYTES;
    known.kind == Kind::File && is_of_use(known.seen.stamp.size)
}

/// Finds out a bounded part of what the version here is made of. Returns what is to be told.
fn sign<T: Tree>(member: &mut Member<T>) -> Option<Part> {
    match member.signing.as_mut()?.step() {
        Ok(part) => part,
        Err(_) => {
            member.signing = None;
            Some(Part::nothing())
        }
    }
}
