//! A Passive hands over what the Active asked for of its offers.
//!
//! What is there now is handed over, as one state of it, though it may have changed since it was offered: what is written
//! all the time would never be handed over otherwise. A large content goes in pieces, as far as the Active asked. Where the
//! Active has a large version of it the content is read first, while the Active tells what its version is made of, and only
//! what is new goes.

use std::time::Duration;

use super::Core;
use super::active::unstable;
use super::content::{Outgoing, Own, Part, Piece, Reading, Told, WhenRead};
use super::offers::Offered;
use super::peers::weight;
use crate::chunks::CUT_BYTES;
use crate::delta::Plan;
use crate::entry::{Body, Found};
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, INLINE_BYTES, Message, Operation, Verdict};
use crate::{EntryPath, NodeId};

/// Weight of the pieces that are sent of a content each time that the Active asks for more of it: four that travel, or two of
/// the longest that are copied.
pub(super) const ASKED_WEIGHT: u64 = 4 * CHUNK_BYTES as u64;

/// A large content being handed over.
#[derive(Debug)]
pub(super) struct Sending<F> {
    offer: u64,
    stage: Stage<F>,
}

/// How far it is.
#[derive(Debug)]
enum Stage<F> {
    /// What it holds, and what the Active has of that, is being found out.
    Survey(Survey<F>),
    /// It goes, piece by piece.
    Pieces(Box<Pieces<F>>),
}

#[derive(Debug)]
struct Survey<F> {
    source: F,
    own: Own,
    /// What the Active tells of its version.
    told: Told,
}

#[derive(Debug)]
struct Pieces<F> {
    outgoing: Outgoing<F>,
    /// Weight of those that were sent since the Active asked.
    sent: u64,
}

impl<F: Source> Sending<F> {
    /// All of `source`.
    fn whole(offer: u64, source: F) -> Self {
        let plan = Plan::whole(source.found().seen.stamp.size);
        let read = WhenRead::AsSent(Reading::new(None));
        Self::planned(offer, source, plan, read)
    }

    fn surveyed(offer: u64, survey: Survey<F>) -> Self {
        let stage = Stage::Survey(survey);
        Self { offer, stage }
    }

    fn planned(offer: u64, source: F, plan: Plan, read: WhenRead) -> Self {
        Self {
            offer,
            stage: Stage::Pieces(Box::new(Pieces {
                outgoing: Outgoing::new(source, plan, read),
                sent: 0,
            })),
        }
    }

    pub(super) fn is_of(&self, offer: u64) -> bool {
        self.offer == offer
    }

    /// Whether there is something to do before the Active says more.
    pub(super) fn can_go_on(&self) -> bool {
        match &self.stage {
            Stage::Survey(survey) => !survey.own.is_read() || survey.told.awaited_until().is_none(),
            Stage::Pieces(pieces) => pieces.sent < ASKED_WEIGHT,
        }
    }

    /// Until when it is waited for what the Active tells of its version; not as long as there is something to be read here.
    pub(super) fn awaits(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Survey(survey) if survey.own.is_read() => survey.told.awaited_until(),
            Stage::Survey(_) | Stage::Pieces(_) => None,
        }
    }

    /// An Active that has told nothing until now is sent the whole content.
    pub(super) fn silence_is_over(&mut self, now: Duration) {
        let is_over = self.awaits().is_some_and(|until| until <= now);
        if let Stage::Survey(survey) = &mut self.stage {
            if is_over {
                survey.told.give_up();
            }
        }
    }

    /// The Active has taken in what was sent up to `offset`. Returns whether that is how far it goes.
    fn go_on_from(&mut self, offset: u64) -> bool {
        match &mut self.stage {
            Stage::Pieces(pieces) if offset > 0 && pieces.outgoing.offset() == offset => {
                pieces.sent = 0;
                true
            }
            Stage::Pieces(_) | Stage::Survey(_) => false,
        }
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
            Some((offer, verdict)) => self.begin_hand_over(offer, verdict, now),
            None => self.go_on_handing_over(now),
        };
        if let Err(error) = outcome {
            self.withdraw_offer(offer);
            self.cannot_offer(error, now);
        }
    }

    fn begin_hand_over(&mut self, offer: u64, verdict: Verdict, now: Duration) -> Result<(), TreeError> {
        let Some(offered) = self.offers.offered.get(&offer).cloned() else {
            return Ok(());
        };
        let path = offered.path.clone();
        if let Verdict::WantsContent { offset } = verdict {
            let sending = self.offers.sending.as_mut();
            let sending = sending.filter(|sending| sending.is_of(offer));
            if sending.is_some_and(|sending| sending.go_on_from(offset)) {
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
            Body::File => return self.hand_over_file(offer, &offered, verdict, now),
            Body::Directory => Operation::Directory { path, attributes },
            Body::Link(target) => Operation::Link {
                path,
                attributes,
                target,
            },
        };
        self.contribute(offer, operation)
    }

    fn hand_over_file(
        &mut self,
        offer: u64,
        offered: &Offered,
        verdict: Verdict,
        now: Duration,
    ) -> Result<(), TreeError> {
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
            let is_cut = verdict == Verdict::WantsChanges && seen.stamp.size <= CUT_BYTES;
            self.offers.sending = Some(match is_cut {
                true => self.begin_survey(offer, source, now),
                false => Sending::whole(offer, source),
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

    /// Finds out what a content is; meanwhile the Active finds out what it has of it.
    fn begin_survey(&mut self, offer: u64, source: T::Source, now: Duration) -> Sending<T::Source> {
        let mut told = Told::default();
        self.ask_for_base(offer, &mut told, Vec::new(), now);
        let own = Own::new(Reading::new(Some(self.seed)));
        Sending::surveyed(offer, Survey { source, own, told })
    }

    /// Asks the Active for its version: for all of it, or for the chunks in some sections.
    fn ask_for_base(&mut self, offer: u64, told: &mut Told, sections: Vec<u64>, now: Duration) {
        let sign = Message::SignBase {
            epoch: self.state.epoch,
            offer,
            seed: self.seed,
            sections,
        };
        self.outbox.push(sign.encode());
        told.expect(now);
    }

    pub(super) fn base_signature_delivered(&mut self, from: NodeId, offer: u64, part: Part, now: Duration) {
        let sending = self.offers.sending.as_mut();
        let sending = sending.filter(|sending| self.source == Some(from) && sending.is_of(offer));
        if let Some(Stage::Survey(survey)) = sending.map(|sending| &mut sending.stage) {
            survey.told.take(part, now);
        }
    }

    fn go_on_handing_over(&mut self, now: Duration) -> Result<(), TreeError> {
        let Some(Sending { offer, stage }) = self.offers.sending.take() else {
            return Ok(());
        };
        let Some(offered) = self.offers.offered.get(&offer) else {
            return Ok(());
        };
        let path = offered.path.clone();
        match stage {
            Stage::Survey(survey) => {
                let Some(sending) = self.survey_offered(offer, survey, now)? else {
                    return Err(unstable(&path));
                };
                self.offers.sending = Some(sending);
                Ok(())
            }
            Stage::Pieces(pieces) => self.send_piece(offer, path, pieces),
        }
    }

    /// A step to know how a content is sent. `None` where it changed meanwhile.
    fn survey_offered(
        &mut self,
        offer: u64,
        survey: Survey<T::Source>,
        now: Duration,
    ) -> Result<Option<Sending<T::Source>>, TreeError> {
        let Survey {
            mut source,
            mut own,
            mut told,
        } = survey;
        match own {
            // All of it has to be sent, and read for that.
            Own::Reading(_) if told.is_nothing() => return Ok(Some(Sending::whole(offer, source))),
            Own::Reading(_) => {
                if own.read(&mut source)? {
                    if !source.is_unchanged()? {
                        return Ok(None);
                    }
                    // The Active may have been waiting for this node's disk as long.
                    told.wait_anew(now);
                }
            }
            Own::Read(read) => {
                let missing = told.sections_to_ask(&read);
                if missing.is_empty() {
                    let plan = told.plan(source.found().seen.stamp.size, &read);
                    let read = WhenRead::Before(read);
                    return Ok(Some(Sending::planned(offer, source, plan, read)));
                }
                self.ask_for_base(offer, &mut told, missing, now);
                own = Own::Read(read);
            }
        }
        Ok(Some(Sending::surveyed(offer, Survey { source, own, told })))
    }

    fn send_piece(
        &mut self,
        offer: u64,
        path: EntryPath,
        mut pieces: Box<Pieces<T::Source>>,
    ) -> Result<(), TreeError> {
        let outgoing = &mut pieces.outgoing;
        let Some(stretch) = outgoing.next_stretch() else {
            if !outgoing.source().is_unchanged()? {
                return Err(unstable(&path));
            }
            let operation = Operation::PutTransferred {
                path,
                attributes: outgoing.source().found().attributes.clone(),
                transfer: offer,
                size: outgoing.offset(),
                digest: outgoing.finish_reading().digest,
            };
            return self.contribute(offer, operation);
        };
        let mut buffer = Vec::new();
        let (epoch, offset) = (self.state.epoch, outgoing.offset());
        let Some(piece) = outgoing.next_piece(stretch, &mut buffer)? else {
            return Err(unstable(&path));
        };
        let message = match &piece {
            &Piece::Copy { from, length } => Message::PieceCopy {
                epoch,
                offer,
                offset,
                from,
                length,
            },
            &Piece::Hole(length) => Message::PieceHole {
                epoch,
                offer,
                offset,
                length,
            },
            Piece::Bytes(bytes) => Message::Piece {
                epoch,
                offer,
                offset,
                bytes,
            },
        };
        let encoded = message.encode();
        pieces.sent = pieces.sent.saturating_add(weight(&message, encoded.len()));
        self.outbox.push(encoded);
        let stage = Stage::Pieces(pieces);
        self.offers.sending = Some(Sending { offer, stage });
        Ok(())
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
