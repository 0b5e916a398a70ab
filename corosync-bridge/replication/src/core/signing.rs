//! A Passive is asked what its version of a large file is made of.

use super::Core;
use super::content::{Part, Signing};
use crate::chunks::{CUT_BYTES, Seed};
use crate::state::StateStore;
use crate::tree::{Source, Tree};
use crate::wire::Message;
use crate::{EntryPath, NodeId};

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn sign_delivered(
        &mut self,
        target: NodeId,
        transfer: u64,
        path: &EntryPath,
        seed: Seed,
        offsets: &[u64],
        length: u64,
    ) {
        if !self.takes_in(length) || Some(target) != self.me {
            return;
        }
        let known = self.follower.signing.as_mut();
        if let Some(signing) = known.filter(|signing| signing.answers(transfer, seed)) {
            return signing.answer_in_detail(offsets);
        }
        // What cannot be read is no problem here: the whole content is sent.
        let opened = self.check_and_place(path).map(|()| self.tree.open(path));
        match opened {
            Ok(Ok(Some(source))) if source.found().seen.stamp.size <= CUT_BYTES => {
                self.follower.signing = Some(Signing::new(transfer, seed, source));
            }
            _ => self.tell_part(transfer, Part::nothing()),
        }
    }

    pub(super) fn signing_step(&mut self) {
        let Some(mut signing) = self.follower.signing.take() else {
            return;
        };
        match signing.step() {
            Ok(part) => {
                if let Some(part) = part {
                    self.tell_part(signing.id(), part);
                }
                self.follower.signing = Some(signing);
            }
            Err(_) => self.tell_part(signing.id(), Part::nothing()),
        }
    }

    /// Tells a part of what a version here is made of, to the one who sends a transfer or an offer.
    pub(super) fn tell_part(&mut self, id: u64, part: Part) {
        let message = Message::Signature {
            epoch: self.state.epoch,
            transfer: id,
            detail: part.detail,
            last: part.last,
            chunks: part.chunks,
        };
        self.outbox.push(message.encode());
    }
}
