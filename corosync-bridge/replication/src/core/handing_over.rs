//! A Passive hands over what the Active asked for of its offers.
//!
//! What is there now is handed over, as one state of it, though it may have changed since it was offered: what is written
//! all the time would never be handed over otherwise. A large content goes in pieces, as far as the Active asked.

use std::time::Duration;

use super::Core;
use super::active::unstable;
use super::offers::Offered;
use crate::digest::Hasher;
use crate::entry::{Body, Found};
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, INLINE_BYTES, Message, Operation, Verdict};

/// Bytes sent of a content each time that the Active asks for more of it.
pub(super) const ASKED_BYTES: u64 = 4 * CHUNK_BYTES as u64;

/// A large content being handed over.
#[derive(Debug)]
pub(super) struct Sending<F> {
    offer: u64,
    source: F,
    hasher: Hasher,
    offset: u64,
    /// As far as the Active asked.
    until: u64,
}

impl<F> Sending<F> {
    pub(super) fn is_of(&self, offer: u64) -> bool {
        self.offer == offer
    }

    pub(super) fn can_go_on(&self) -> bool {
        self.offset < self.until
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Hands over a part of what the Active asked for.
    pub(super) fn hand_over(&mut self, now: Duration) {
        let asked = self.offers.asked.pop_front();
        let offer = match (&asked, &self.offers.sending) {
            (Some((offer, _)), _) => *offer,
            (None, Some(sending)) => sending.offer,
            (None, None) => return,
        };
        let outcome = match asked {
            Some((offer, verdict)) => self.begin_hand_over(offer, verdict),
            None => self.go_on_handing_over(),
        };
        if let Err(error) = outcome {
            self.withdraw_offer(offer);
            self.cannot_offer(error, now);
        }
    }

    fn begin_hand_over(&mut self, offer: u64, verdict: Verdict) -> Result<(), TreeError> {
        let Some(offered) = self.offers.offered.get(&offer).cloned() else {
            return Ok(());
        };
        let path = offered.path.clone();
        if let Verdict::WantsContent { offset } = verdict {
            let sending = self.offers.sending.as_mut();
            let going_on = sending.filter(|sending| sending.offer == offer && sending.offset == offset);
            if let Some(sending) = going_on.filter(|_| offset > 0) {
                sending.until = offset + ASKED_BYTES;
                return Ok(());
            }
        }
        let found = match self.tree.inspect(&path, None)? {
            Inspection::Present(found) => found,
            Inspection::Absent | Inspection::Unchanged => {
                return self.offer_anew(offer);
            }
        };
        if offered.now.map(|now| now.kind) != Some(found.body.kind()) {
            return self.offer_anew(offer);
        }
        let attributes = found.attributes.clone();
        let operation = match &found.body {
            Body::File => return self.hand_over_file(offer, &offered, verdict),
            Body::Directory => Operation::Directory { path, attributes },
            Body::Link(target) => Operation::Link {
                path,
                attributes,
                target,
            },
        };
        self.contribute(offer, operation)
    }

    fn hand_over_file(&mut self, offer: u64, offered: &Offered, verdict: Verdict) -> Result<(), TreeError> {
        let path = offered.path.clone();
        let (Some(version), Some(mut source)) = (offered.now, self.tree.open(&path)?) else {
            return self.offer_anew(offer);
        };
        let Found { attributes, seen, .. } = source.found().clone();
        if verdict == Verdict::WantsAttributes {
            if attributes.digest() != version.attributes {
                // With another content, as likely as not.
                return self.offer_anew(offer);
            }
            let content = version.content;
            let operation = Operation::Attributes {
                path,
                attributes,
                content,
            };
            return self.contribute(offer, operation);
        }
        if seen.stamp.size > INLINE_BYTES as u64 {
            self.offers.sending = Some(Sending {
                offer,
                source,
                hasher: Hasher::new(),
                offset: 0,
                until: ASKED_BYTES,
            });
            return Ok(());
        }
        let mut content = Vec::new();
        source.read(&mut content, INLINE_BYTES)?;
        if !source.is_unchanged()? {
            return Err(unstable(&path));
        }
        let operation = Operation::Put {
            path,
            attributes,
            content: &content,
        };
        self.contribute(offer, operation)
    }

    fn go_on_handing_over(&mut self) -> Result<(), TreeError> {
        let Some(mut sending) = self.offers.sending.take() else {
            return Ok(());
        };
        let offer = sending.offer;
        let Some(path) = self
            .offers
            .offered
            .get(&offer)
            .map(|offered| offered.path.clone())
        else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        sending.source.read(&mut bytes, CHUNK_BYTES)?;
        if !bytes.is_empty() {
            let piece = Message::Piece {
                epoch: self.state.epoch,
                offer,
                offset: sending.offset,
                bytes: &bytes,
            };
            self.outbox.push(piece.encode());
            sending.hasher.update(&bytes);
            sending.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.offers.sending = Some(sending);
            return Ok(());
        }
        if !sending.source.is_unchanged()? {
            return Err(unstable(&path));
        }
        let operation = Operation::PutTransferred {
            path,
            attributes: sending.source.found().attributes.clone(),
            transfer: offer,
            size: sending.offset,
            digest: sending.hasher.finish(),
        };
        self.contribute(offer, operation)
    }

    /// It is durable here before the Active has it, in the state in which it is handed over or a later one.
    fn contribute(&mut self, offer: u64, operation: Operation<'_>) -> Result<(), TreeError> {
        let version = operation.version();
        if let Some(offered) = self.offers.offered.get_mut(&offer) {
            if offered.now != version {
                self.tree.harden(std::slice::from_ref(&offered.path))?;
                self.offers.suspects.insert(offered.path.clone());
                offered.now = version;
            }
        }
        let contribution = Message::Contribution {
            epoch: self.state.epoch,
            offer,
            operation,
        };
        self.outbox.push(contribution.encode());
        Ok(())
    }
}
