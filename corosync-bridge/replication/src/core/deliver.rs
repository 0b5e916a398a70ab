//! Messages as they are delivered.

use std::time::Duration;

use super::content::{Part, Piece};
use super::peers::weight;
use super::{Core, Topic};
use crate::NodeId;
use crate::state::StateStore;
use crate::tree::Tree;
use crate::wire::{Bundle, Message, WireError};

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn delivered(&mut self, from: NodeId, bytes: &[u8], now: Duration) {
        let mine = Some(from) == self.me;
        if !mine && self.peers.get(from).is_none() {
            return;
        }
        if !Bundle::is_in(bytes) {
            return self.message_delivered(from, bytes, now);
        }
        // Its messages are all said by one member to the others.
        if mine {
            return;
        }
        match Bundle::unpack(bytes) {
            Err(error) => self.undecodable(from, &error),
            Ok(bundle) => {
                for message in bundle.messages() {
                    self.message_delivered(from, message, now);
                }
            }
        }
    }

    fn message_delivered(&mut self, from: NodeId, bytes: &[u8], now: Duration) {
        let mine = Some(from) == self.me;
        match Message::decode(bytes) {
            Err(error) => self.undecodable(from, &error),
            Ok(Message::Hello(hello)) => self.hello_delivered(from, hello, now),
            Ok(Message::Promote { epoch }) => self.promote_delivered(from, epoch),
            // All else is said by one member to the others.
            Ok(_) if mine => {}
            Ok(message) => {
                let length = weight(&message, bytes.len());
                self.stream_delivered(from, message, length, now);
            }
        }
    }

    fn stream_delivered(&mut self, from: NodeId, message: Message<'_>, length: u64, now: Duration) {
        let epoch = match &message {
            Message::Compare { epoch, .. }
            | Message::Manifest { epoch, .. }
            | Message::Ack { epoch, .. }
            | Message::Operation { epoch, .. }
            | Message::Begin { epoch, .. }
            | Message::Chunk { epoch, .. }
            | Message::Abandon { epoch, .. }
            | Message::Summary { epoch, .. }
            | Message::Lacks { epoch, .. }
            | Message::Detail { epoch, .. }
            | Message::Sign { epoch, .. }
            | Message::Signature { epoch, .. }
            | Message::Copy { epoch, .. }
            | Message::Hole { epoch, .. }
            | Message::Time { epoch, .. }
            | Message::Offer { epoch, .. }
            | Message::Verdict { epoch, .. }
            | Message::Contribution { epoch, .. }
            | Message::Piece { epoch, .. }
            | Message::SignBase { epoch, .. }
            | Message::PieceCopy { epoch, .. }
            | Message::PieceHole { epoch, .. }
            | Message::Offering { epoch, .. } => *epoch,
            Message::Hello(_) | Message::Promote { .. } => return,
        };
        // The fencing token: an older epoch changes nothing any more. A newer one is told of by Promote or
        // Hello before anything in it concerns this node.
        if epoch != self.state.epoch {
            return;
        }
        match message {
            Message::Ack {
                sequence, received, ..
            } => return self.acknowledged(from, sequence, received, now),
            Message::Lacks {
                session,
                follows,
                path,
                reason,
                ..
            } => return self.lacks_delivered(from, session, follows, path.as_ref(), reason, now),
            Message::Time {
                target,
                exchange,
                time,
                ..
            } if Some(target) == self.me => return self.time_delivered(from, exchange, time, now),
            Message::Time { .. } => return,
            Message::Summary {
                session,
                last,
                ranges,
                ..
            } => return self.summary_delivered(from, session, last, ranges, now),
            Message::Manifest {
                session,
                range,
                entries,
                ..
            } => return self.manifest_delivered(from, session, range, entries, now),
            Message::Signature {
                transfer,
                detail,
                last,
                chunks,
                ..
            } => {
                let part = Part { detail, last, chunks };
                return match &self.active {
                    Some(_) => self.signature_delivered(from, transfer, part, now),
                    None => self.base_signature_delivered(from, transfer, part, now),
                };
            }
            Message::Offer {
                offer,
                path,
                base,
                now: version,
                ..
            } => return self.offer_delivered(from, offer, path, base, version, now),
            Message::Contribution { offer, operation, .. } => {
                return self.contribution_delivered(from, offer, operation, now);
            }
            Message::Piece {
                offer, offset, bytes, ..
            } => {
                let piece = Piece::Bytes(bytes.into());
                return self.offered_piece_delivered(from, offer, offset, piece, length);
            }
            Message::PieceCopy {
                offer,
                offset,
                from: start,
                length: copied,
                ..
            } => {
                let piece = Piece::Copy {
                    from: start,
                    length: copied,
                };
                return self.offered_piece_delivered(from, offer, offset, piece, length);
            }
            Message::PieceHole {
                offer,
                offset,
                length: skipped,
                ..
            } => {
                let piece = Piece::Hole(skipped);
                return self.offered_piece_delivered(from, offer, offset, piece, length);
            }
            Message::SignBase {
                offer,
                seed,
                sections,
                ..
            } => {
                return self.sign_base_delivered(from, offer, seed, &sections);
            }
            Message::Offering { stage, .. } => return self.offering_delivered(from, stage),
            _ => {}
        }
        if self.source != Some(from) {
            // The one who opened the epoch has not introduced itself yet: nothing of its is meant for this node.
            if self.state.owner == from {
                return;
            }
            let message = format!("refuse a change from {from}: it is not the Active of epoch {epoch}");
            return self.problem(Topic::Refused(from), message);
        }
        match message {
            Message::Compare {
                target,
                session,
                sequence,
                ..
            } if Some(target) == self.me => self.compare_delivered(session, sequence),
            Message::Detail {
                target,
                session,
                ranges,
                ..
            } if Some(target) == self.me => self.detail_delivered(session, ranges),
            Message::Operation {
                sequence,
                target,
                operation,
                ..
            } => self.operation_delivered(sequence, target, operation, length),
            Message::Begin {
                target,
                transfer,
                path,
                base,
                ..
            } => self.begin_delivered(target, transfer, path, base, length),
            Message::Chunk {
                transfer,
                offset,
                bytes,
                ..
            } => self.chunk_delivered(transfer, offset, bytes, length),
            Message::Sign {
                target,
                transfer,
                path,
                seed,
                sections,
                ..
            } => self.sign_delivered(target, transfer, &path, seed, &sections, length),
            Message::Copy {
                transfer,
                offset,
                from,
                length: copied,
                ..
            } => self.copy_delivered(transfer, offset, from, copied, length),
            Message::Hole {
                transfer,
                offset,
                length: skipped,
                ..
            } => self.hole_delivered(transfer, offset, skipped, length),
            Message::Abandon { transfer, .. } => self.abandon_delivered(transfer, length),
            Message::Verdict {
                target,
                offer,
                verdict,
                ..
            } if Some(target) == self.me => self.verdict_delivered(offer, verdict, now),
            _ => {}
        }
    }

    fn undecodable(&mut self, from: NodeId, error: &WireError) {
        if let (WireError::Version { .. }, Some(peer)) = (error, self.peers.get_mut(from)) {
            peer.incompatible = true;
        }
        self.problem(
            Topic::Refused(from),
            format!("refuse a message of {from}: {error}"),
        );
    }
}
