//! What the Active has already of what a Passive offers, at another path: a program there moved or copied it.
//!
//! That is found by the digest of its content, and copied here, with the attributes that it has there. The copy is
//! digested once more before it counts: where it is not what was offered any more, the Passive is asked for all of it.

use std::collections::BTreeMap;

use super::Core;
use super::intake::{Offer, TakeError};
use crate::agreed::Version;
use crate::digest::Digest;
use crate::entry::{Kind, Known};
use crate::state::StateStore;
use crate::tree::{Source, Tree};
use crate::wire::{Operation, Verdict};
use crate::{EntryPath, NodeId};

/// Where the files are whose changes a Passive may offer, by what they hold.
#[derive(Debug, Default)]
pub(super) struct Twins(BTreeMap<Digest, EntryPath>);

impl Twins {
    pub(super) fn note(&mut self, path: &EntryPath, known: &Known) {
        if known.kind == Kind::File && known.seen.stamp.size > 0 {
            self.0.entry(known.content).or_insert_with(|| path.clone());
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Where the Active has a file that holds what is `wanted` of `member`.
    pub(super) fn twin_of(&mut self, member: NodeId, wanted: Version) -> Option<EntryPath> {
        if wanted.kind != Kind::File {
            return None;
        }
        let (index, roots) = (&self.index, &self.offered_roots);
        let member = self.intake.members.get_mut(&member)?;
        let twins = member.twins.get_or_insert_with(|| {
            let mut twins = Twins::default();
            let paths = roots
                .iter()
                .flat_map(|root| std::iter::once(root).chain(index.beneath(root)));
            for path in paths {
                if let Some(known) = index.get(path) {
                    twins.note(path, known);
                }
            }
            twins
        });
        let path = twins.0.get(&wanted.content)?.clone();
        let holds_it = |known: &Known| (known.kind, known.content) == (wanted.kind, wanted.content);
        if !self.index.get(&path).is_some_and(holds_it) {
            // Changed since then. Another that comes may hold it.
            twins.0.remove(&wanted.content);
            return None;
        }
        Some(path)
    }

    /// The Passive told the attributes of a content that is here, at `twin`: a copy of that is what it offered.
    pub(super) fn copy_twin(
        &mut self,
        from: NodeId,
        offer: &Offer,
        twin: &EntryPath,
        contribution: &Operation<'_>,
    ) {
        let Operation::Attributes {
            attributes, content, ..
        } = contribution
        else {
            return self.cannot_take(from, offer.id, &TakeError::Other);
        };
        let Some(source) = self.open_twin(twin, *content) else {
            return self.verdict(from, offer.id, Verdict::WantsContent { offset: 0 });
        };
        let contribution = Operation::PutTransferred {
            path: offer.path.clone(),
            attributes: attributes.clone(),
            transfer: offer.id,
            size: source.found().seen.stamp.size,
            digest: *content,
        };
        self.begin_copy(from, offer.id, offer.path.clone(), source, contribution);
    }

    /// The file at `twin`, if it is what is known of it.
    fn open_twin(&mut self, twin: &EntryPath, content: Digest) -> Option<T::Source> {
        self.open_as_known(twin, |known| known.content == content)
    }
}
