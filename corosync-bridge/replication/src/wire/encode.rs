//! Messages to bytes.

use super::{
    Hello, MAGIC, ManifestEntry, Message, OfferStage, Operation, Range, VERSION, Verdict, kind, operation,
    stage, verdict,
};
use crate::agreed::Version;
use crate::entry::Attributes;
use crate::{EntryPath, NodeId, Role, Switch, Sync};

/// Room for the header and the fixed fields of any message.
const FIXED_BYTES: usize = 64;

pub(super) fn message(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED_BYTES);
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    match message {
        Message::Hello(hello) => put_hello(&mut out, hello),
        Message::Promote { epoch } => {
            out.push(kind::PROMOTE);
            put_u64(&mut out, *epoch);
        }
        Message::Compare {
            epoch,
            target,
            session,
            sequence,
        } => {
            out.push(kind::COMPARE);
            put_u64(&mut out, *epoch);
            put_u32(&mut out, target.0);
            put_u64(&mut out, *session);
            put_u64(&mut out, *sequence);
        }
        Message::Manifest {
            epoch,
            session,
            range,
            entries,
        } => {
            out.push(kind::MANIFEST);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *session);
            put_range(&mut out, range);
            entries
                .iter()
                .for_each(|entry| put_manifest_entry(&mut out, entry));
        }
        Message::Ack {
            epoch,
            sequence,
            received,
        } => {
            out.push(kind::ACK);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *sequence);
            put_u64(&mut out, *received);
        }
        Message::Lacks {
            epoch,
            session,
            follows,
            path,
            reason,
        } => {
            out.push(kind::LACKS);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *session);
            out.push(u8::from(*follows));
            put_long(&mut out, path.as_ref().map_or(&[], EntryPath::as_bytes));
            put_long(&mut out, reason.as_bytes());
        }
        Message::Operation {
            epoch,
            sequence,
            target,
            operation,
        } => {
            out.push(kind::OPERATION);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *sequence);
            put_target(&mut out, *target);
            put_operation(&mut out, operation);
        }
        Message::Begin {
            epoch,
            target,
            transfer,
            path,
            base,
        } => {
            out.push(base.map_or(kind::BEGIN, |_| kind::BEGIN_FROM));
            put_u64(&mut out, *epoch);
            put_target(&mut out, *target);
            put_u64(&mut out, *transfer);
            put_path(&mut out, path);
            if let Some(base) = base {
                out.extend_from_slice(&base.0);
            }
        }
        Message::Chunk {
            epoch,
            transfer,
            offset,
            bytes,
        } => {
            out.push(kind::CHUNK);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *transfer);
            put_u64(&mut out, *offset);
            put_long(&mut out, bytes);
        }
        Message::Abandon { epoch, transfer } => {
            out.push(kind::ABANDON);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *transfer);
        }
        Message::Sign {
            epoch,
            target,
            transfer,
            path,
            seed,
            sections,
        } => {
            out.push(kind::SIGN);
            put_u64(&mut out, *epoch);
            put_u32(&mut out, target.0);
            put_u64(&mut out, *transfer);
            put_path(&mut out, path);
            put_u64(&mut out, seed.0);
            sections.iter().for_each(|offset| put_u64(&mut out, *offset));
        }
        Message::Signature {
            epoch,
            transfer,
            detail,
            last,
            chunks,
        } => {
            out.push(kind::SIGNATURE);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *transfer);
            out.push(u8::from(*detail));
            out.push(u8::from(*last));
            for chunk in chunks {
                put_u64(&mut out, chunk.offset);
                put_u32(&mut out, chunk.length);
                out.extend_from_slice(&chunk.id.0);
            }
        }
        Message::Copy {
            epoch,
            transfer,
            offset,
            from,
            length,
        } => {
            out.push(kind::COPY);
            for field in [epoch, transfer, offset, from, length] {
                put_u64(&mut out, *field);
            }
        }
        Message::Hole {
            epoch,
            transfer,
            offset,
            length,
        } => {
            out.push(kind::HOLE);
            for field in [epoch, transfer, offset, length] {
                put_u64(&mut out, *field);
            }
        }
        Message::Summary {
            epoch,
            session,
            last,
            ranges,
        } => {
            out.push(kind::SUMMARY);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *session);
            out.push(u8::from(*last));
            for range in ranges {
                put_path(&mut out, &range.up_to);
                out.extend_from_slice(&range.digest.0);
            }
        }
        Message::Detail {
            epoch,
            target,
            session,
            ranges,
        } => {
            out.push(kind::DETAIL);
            put_u64(&mut out, *epoch);
            put_u32(&mut out, target.0);
            put_u64(&mut out, *session);
            ranges.iter().for_each(|range| put_range(&mut out, range));
        }
        Message::Time {
            epoch,
            target,
            exchange,
            time,
        } => {
            out.push(kind::TIME);
            put_u64(&mut out, *epoch);
            put_u32(&mut out, target.0);
            put_u64(&mut out, *exchange);
            out.push(u8::from(time.is_some()));
            if let Some(time) = time {
                put_u64(&mut out, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Message::Offer {
            epoch,
            offer,
            path,
            base,
            now,
        } => {
            out.push(kind::OFFER);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *offer);
            put_path(&mut out, path);
            put_version(&mut out, base.as_ref());
            put_version(&mut out, now.as_ref());
        }
        Message::Verdict {
            epoch,
            target,
            offer,
            verdict,
        } => {
            out.push(kind::VERDICT);
            put_u64(&mut out, *epoch);
            put_u32(&mut out, target.0);
            put_u64(&mut out, *offer);
            put_verdict(&mut out, *verdict);
        }
        Message::Contribution {
            epoch,
            offer,
            operation,
        } => {
            out.push(kind::CONTRIBUTION);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *offer);
            put_operation(&mut out, operation);
        }
        Message::Piece {
            epoch,
            offer,
            offset,
            bytes,
        } => {
            out.push(kind::PIECE);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *offer);
            put_u64(&mut out, *offset);
            put_long(&mut out, bytes);
        }
        Message::SignBase {
            epoch,
            offer,
            seed,
            sections,
        } => {
            out.push(kind::SIGN_BASE);
            put_u64(&mut out, *epoch);
            put_u64(&mut out, *offer);
            put_u64(&mut out, seed.0);
            sections.iter().for_each(|offset| put_u64(&mut out, *offset));
        }
        Message::PieceCopy {
            epoch,
            offer,
            offset,
            from,
            length,
        } => {
            out.push(kind::PIECE_COPY);
            for field in [epoch, offer, offset, from, length] {
                put_u64(&mut out, *field);
            }
        }
        Message::PieceHole {
            epoch,
            offer,
            offset,
            length,
        } => {
            out.push(kind::PIECE_HOLE);
            for field in [epoch, offer, offset, length] {
                put_u64(&mut out, *field);
            }
        }
        Message::Offering { epoch, stage } => {
            out.push(kind::OFFERING);
            put_u64(&mut out, *epoch);
            out.push(match stage {
                OfferStage::Begun => stage::BEGUN,
                OfferStage::Done => stage::DONE,
                OfferStage::Claimed => stage::CLAIMED,
            });
        }
    }
    out
}

/// An end that is open is an empty path, which no entry has.
fn put_range(out: &mut Vec<u8>, range: &Range) {
    for end in [&range.after, &range.up_to] {
        put_long(out, end.as_ref().map_or(&[], EntryPath::as_bytes));
    }
}

fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    out.push(kind::HELLO);
    put_u64(out, hello.epoch);
    put_u32(out, hello.owner.0);
    out.push(match hello.role {
        Role::Active => 1,
        Role::Passive => 2,
    });
    put_u64(out, hello.position.epoch);
    put_u64(out, hello.position.sequence);
    out.push(match hello.sync {
        Sync::Source => 1,
        Sync::InSync => 2,
        Sync::Syncing => 3,
        Sync::NoSource => 4,
        Sync::Failed => 5,
    });
    out.push(match hello.switch {
        Switch::On => 1,
        Switch::Paused => 2,
        Switch::Disabled => 3,
    });
    out.push(u8::from(hello.essential));
}

/// Nothing, or a kind and two digests.
fn put_version(out: &mut Vec<u8>, version: Option<&Version>) {
    let Some(version) = version else {
        out.push(0);
        return;
    };
    out.push(version.kind.number());
    out.extend_from_slice(&version.content.0);
    out.extend_from_slice(&version.attributes.0);
}

fn put_verdict(out: &mut Vec<u8>, verdict: Verdict) {
    out.push(match verdict {
        Verdict::Taken => verdict::TAKEN,
        Verdict::Lost => verdict::LOST,
        Verdict::Later => verdict::LATER,
        Verdict::Refused => verdict::REFUSED,
        Verdict::WantsAttributes => verdict::WANTS_ATTRIBUTES,
        Verdict::WantsChanges => verdict::WANTS_CHANGES,
        Verdict::WantsContent { offset } => {
            out.push(verdict::WANTS_CONTENT);
            return put_u64(out, offset);
        }
    });
}

fn put_manifest_entry(out: &mut Vec<u8>, entry: &ManifestEntry) {
    put_path(out, &entry.path);
    out.push(entry.kind.number());
    out.extend_from_slice(&entry.content.0);
    out.extend_from_slice(&entry.attributes.0);
}

fn put_operation(out: &mut Vec<u8>, change: &Operation<'_>) {
    match change {
        Operation::Put {
            path,
            attributes,
            content,
        } => {
            out.push(operation::PUT);
            put_path(out, path);
            put_attributes(out, attributes);
            put_long(out, content);
        }
        Operation::PutTransferred {
            path,
            attributes,
            transfer,
            size,
            digest,
        } => {
            out.push(operation::PUT_TRANSFERRED);
            put_path(out, path);
            put_attributes(out, attributes);
            put_u64(out, *transfer);
            put_u64(out, *size);
            out.extend_from_slice(&digest.0);
        }
        Operation::Directory { path, attributes } => {
            out.push(operation::DIRECTORY);
            put_path(out, path);
            put_attributes(out, attributes);
        }
        Operation::Link {
            path,
            attributes,
            target,
        } => {
            out.push(operation::LINK);
            put_path(out, path);
            put_attributes(out, attributes);
            put_long(out, target);
        }
        Operation::Attributes {
            path,
            attributes,
            content,
        } => {
            out.push(operation::ATTRIBUTES);
            put_path(out, path);
            put_attributes(out, attributes);
            out.extend_from_slice(&content.0);
        }
        Operation::Remove { path } => {
            out.push(operation::REMOVE);
            put_path(out, path);
        }
        Operation::EssentialInSync { session } => {
            out.push(operation::ESSENTIAL_IN_SYNC);
            put_u64(out, *session);
        }
        Operation::InSync { session } => {
            out.push(operation::IN_SYNC);
            put_u64(out, *session);
        }
        Operation::HardLink { path, to, content } => {
            out.push(operation::HARD_LINK);
            put_path(out, path);
            put_path(out, to);
            out.extend_from_slice(&content.0);
        }
        Operation::Rename { from, to } => {
            out.push(operation::RENAME);
            put_path(out, from);
            put_path(out, to);
        }
    }
}

fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    put_u32(out, attributes.mode);
    put_u32(out, attributes.uid);
    put_u32(out, attributes.gid);
    out.extend_from_slice(&attributes.mtime.seconds.to_be_bytes());
    put_u32(out, attributes.mtime.nanoseconds);
    put_length(out, attributes.xattrs.len());
    for xattr in &attributes.xattrs {
        put_long(out, &xattr.name);
        put_long(out, &xattr.value);
    }
}

fn put_path(out: &mut Vec<u8>, path: &EntryPath) {
    put_long(out, path.as_bytes());
}

/// Node 0 does not exist and stands for everyone.
fn put_target(out: &mut Vec<u8>, target: Option<NodeId>) {
    put_u32(out, target.map_or(0, |node| node.0));
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// No field comes near 4 GiB; one that did would be told short and refused by every receiver as malformed.
fn put_length(out: &mut Vec<u8>, length: usize) {
    put_u32(out, u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}
