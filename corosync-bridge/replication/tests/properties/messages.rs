//! Messages that the dice make up. Every field gets any value that it may have.

use std::time::Duration;

use bmc_replication::agreed::Version;
use bmc_replication::chunks::{Chunk, ChunkId, Seed};
use bmc_replication::digest::Digest;
use bmc_replication::entry::{Attributes, FileTime, Kind, Xattr};
use bmc_replication::wire::{
    COPY_BYTES, Hello, ManifestEntry, Message, OfferStage, Operation, Range, STRETCH_BYTES, SummaryRange,
    Verdict,
};
use bmc_replication::{EntryPath, NodeId, Position, Role, Switch, Sync};

use crate::random::Dice;

/// Every kind of message, as [`kind_of`] calls them.
pub(crate) const KINDS: [&str; 32] = [
    "Hello",
    "Promote",
    "Compare",
    "Manifest",
    "Ack",
    "Put",
    "PutTransferred",
    "Directory",
    "Link",
    "Attributes",
    "Remove",
    "InSync",
    "EssentialInSync",
    "Lacks",
    "Begin",
    "Chunk",
    "Abandon",
    "Summary",
    "Detail",
    "Sign",
    "Signature",
    "Copy",
    "Hole",
    "Time",
    "Offer",
    "Verdict",
    "Contribution",
    "Piece",
    "SignBase",
    "PieceCopy",
    "PieceHole",
    "Offering",
];

/// What a message is called. A kind that is new has to be named here, in [`KINDS`], and made up in
/// [`some_message`].
pub(crate) fn kind_of(message: &Message<'_>) -> &'static str {
    match message {
        Message::Hello(_) => "Hello",
        Message::Promote { .. } => "Promote",
        Message::Compare { .. } => "Compare",
        Message::Manifest { .. } => "Manifest",
        Message::Ack { .. } => "Ack",
        Message::Begin { .. } => "Begin",
        Message::Chunk { .. } => "Chunk",
        Message::Abandon { .. } => "Abandon",
        Message::Summary { .. } => "Summary",
        Message::Detail { .. } => "Detail",
        Message::Sign { .. } => "Sign",
        Message::Signature { .. } => "Signature",
        Message::Copy { .. } => "Copy",
        Message::Hole { .. } => "Hole",
        Message::Lacks { .. } => "Lacks",
        Message::Time { .. } => "Time",
        Message::Offer { .. } => "Offer",
        Message::Verdict { .. } => "Verdict",
        Message::Contribution { .. } => "Contribution",
        Message::Piece { .. } => "Piece",
        Message::SignBase { .. } => "SignBase",
        Message::PieceCopy { .. } => "PieceCopy",
        Message::PieceHole { .. } => "PieceHole",
        Message::Offering { .. } => "Offering",
        Message::Operation { operation, .. } => match operation {
            Operation::Put { .. } => "Put",
            Operation::PutTransferred { .. } => "PutTransferred",
            Operation::Directory { .. } => "Directory",
            Operation::Link { .. } => "Link",
            Operation::Attributes { .. } => "Attributes",
            Operation::Remove { .. } => "Remove",
            Operation::InSync { .. } => "InSync",
            Operation::EssentialInSync { .. } => "EssentialInSync",
            Operation::HardLink { .. } => "HardLink",
            Operation::Rename { .. } => "Rename",
        },
    }
}

/// Any message; `content` is what it carries where it carries any.
pub(crate) fn some_message<'a>(dice: &mut Dice, content: &'a [u8]) -> Message<'a> {
    let epoch = dice.next();
    match dice.below(25) {
        0 => Message::Hello(some_hello(dice)),
        1 => Message::Promote { epoch },
        2 => Message::Compare {
            epoch,
            target: NodeId(dice.next() as u32),
            session: dice.next(),
            sequence: dice.next(),
        },
        3 => Message::Manifest {
            epoch,
            session: dice.next(),
            range: Range {
                after: None,
                up_to: None,
            },
            entries: some_manifest(dice),
        },
        4 => Message::Ack {
            epoch,
            sequence: dice.next(),
            received: dice.next(),
        },
        5 => Message::Begin {
            epoch,
            target: some_target(dice),
            transfer: dice.next(),
            path: some_path(dice),
            base: dice.one_in(2).then(|| some_digest(dice)),
        },
        6 => Message::Chunk {
            epoch,
            transfer: dice.next(),
            offset: dice.next(),
            bytes: content,
        },
        7 => Message::Abandon {
            epoch,
            transfer: dice.next(),
        },
        20 => Message::Time {
            epoch,
            target: NodeId(dice.next() as u32),
            exchange: dice.next(),
            time: dice.one_in(2).then(|| Duration::from_nanos(dice.next())),
        },
        8 => Message::Summary {
            epoch,
            session: dice.next(),
            last: dice.one_in(2),
            ranges: some_manifest(dice)
                .into_iter()
                .map(|entry| SummaryRange {
                    up_to: entry.path,
                    digest: entry.content,
                })
                .collect(),
        },
        9 => Message::Detail {
            epoch,
            target: NodeId(dice.next() as u32),
            session: dice.next(),
            ranges: some_ranges(dice),
        },
        10 => Message::Sign {
            epoch,
            target: NodeId(dice.next() as u32),
            transfer: dice.next(),
            path: some_path(dice),
            seed: Seed(dice.next()),
            sections: (0..dice.below(4)).map(|_| dice.next()).collect(),
        },
        11 => Message::Signature {
            epoch,
            transfer: dice.next(),
            detail: dice.one_in(2),
            last: dice.one_in(2),
            chunks: (0..dice.below(4)).map(|_| some_chunk(dice)).collect(),
        },
        12 => Message::Copy {
            epoch,
            transfer: dice.next(),
            offset: dice.next(),
            from: dice.next(),
            length: dice.next() % (COPY_BYTES + 1),
        },
        13 => Message::Hole {
            epoch,
            transfer: dice.next(),
            offset: dice.next(),
            length: dice.next() % (STRETCH_BYTES + 1),
        },
        14 => Message::Offer {
            epoch,
            offer: dice.next(),
            path: some_path(dice),
            base: some_version(dice),
            now: some_version(dice),
        },
        15 => Message::Verdict {
            epoch,
            target: NodeId(dice.next() as u32),
            offer: dice.next(),
            verdict: some_verdict(dice),
        },
        16 => Message::Contribution {
            epoch,
            offer: dice.next(),
            operation: some_operation(dice, content),
        },
        17 => Message::Piece {
            epoch,
            offer: dice.next(),
            offset: dice.next(),
            bytes: content,
        },
        22 => Message::SignBase {
            epoch,
            offer: dice.next(),
            seed: Seed(dice.next()),
            sections: (0..dice.below(4)).map(|_| dice.next()).collect(),
        },
        23 => Message::PieceCopy {
            epoch,
            offer: dice.next(),
            offset: dice.next(),
            from: dice.next(),
            length: dice.next() % (COPY_BYTES + 1),
        },
        24 => Message::PieceHole {
            epoch,
            offer: dice.next(),
            offset: dice.next(),
            length: dice.next() % (STRETCH_BYTES + 1),
        },
        18 => Message::Offering {
            epoch,
            stage: [OfferStage::Begun, OfferStage::Done, OfferStage::Claimed][dice.below(3)],
        },
        19 => Message::Lacks {
            epoch,
            session: dice.next(),
            follows: dice.one_in(2),
            path: Some(some_path(dice)).filter(|_| dice.one_in(2)),
            reason: "place /s/a: No space left on device",
        },
        _ => Message::Operation {
            epoch,
            sequence: dice.next(),
            target: some_target(dice),
            operation: some_operation(dice, content),
        },
    }
}

fn some_chunk(dice: &mut Dice) -> Chunk {
    Chunk {
        offset: dice.next(),
        length: dice.next() as u32,
        id: ChunkId(some_digest(dice).0),
    }
}

fn some_operation<'a>(dice: &mut Dice, content: &'a [u8]) -> Operation<'a> {
    let path = some_path(dice);
    match dice.below(10) {
        0 => Operation::Put {
            path,
            attributes: some_attributes(dice),
            content,
        },
        1 => Operation::PutTransferred {
            path,
            attributes: some_attributes(dice),
            transfer: dice.next(),
            size: dice.next(),
            digest: some_digest(dice),
        },
        2 => Operation::Directory {
            path,
            attributes: some_attributes(dice),
        },
        3 => Operation::Link {
            path,
            attributes: some_attributes(dice),
            target: content,
        },
        4 => Operation::Attributes {
            path,
            attributes: some_attributes(dice),
            content: some_digest(dice),
        },
        5 => Operation::Remove { path },
        6 => Operation::EssentialInSync { session: dice.next() },
        7 => Operation::HardLink {
            path,
            to: some_path(dice),
            content: some_digest(dice),
        },
        8 => Operation::Rename {
            from: path,
            to: some_path(dice),
        },
        _ => Operation::InSync { session: dice.next() },
    }
}

fn some_version(dice: &mut Dice) -> Option<Version> {
    let kinds = [Kind::File, Kind::Directory, Kind::Link];
    (!dice.one_in(3)).then(|| Version {
        kind: *dice.pick(&kinds).expect("there are kinds"),
        content: some_digest(dice),
        attributes: some_digest(dice),
    })
}

fn some_verdict(dice: &mut Dice) -> Verdict {
    let offset = dice.next();
    let verdicts = [
        Verdict::Taken,
        Verdict::Lost,
        Verdict::Later,
        Verdict::Refused,
        Verdict::WantsAttributes,
        Verdict::WantsContent { offset },
        Verdict::WantsChanges,
    ];
    *dice.pick(&verdicts).expect("there are verdicts")
}

fn some_hello(dice: &mut Dice) -> Hello {
    let roles = [Role::Active, Role::Passive];
    let syncs = [
        Sync::Source,
        Sync::InSync,
        Sync::Syncing,
        Sync::NoSource,
        Sync::Failed,
    ];
    let switches = [Switch::On, Switch::Paused, Switch::Disabled];
    Hello {
        epoch: dice.next(),
        owner: NodeId(dice.next() as u32),
        role: *dice.pick(&roles).expect("there are roles"),
        position: Position {
            epoch: dice.next(),
            sequence: dice.next(),
        },
        sync: *dice.pick(&syncs).expect("there are some"),
        switch: *dice.pick(&switches).expect("there are some"),
        essential: dice.one_in(2),
    }
}

fn some_manifest(dice: &mut Dice) -> Vec<ManifestEntry> {
    let kinds = [Kind::File, Kind::Directory, Kind::Link];
    let mut entries: Vec<ManifestEntry> = (0..dice.below(8))
        .map(|_| ManifestEntry {
            path: some_path(dice),
            kind: *dice.pick(&kinds).expect("there are kinds"),
            content: some_digest(dice),
            attributes: some_digest(dice),
        })
        .collect();
    entries.sort_by(|left, right| left.path.cmp(&right.path));
    entries.dedup_by(|left, right| left.path == right.path);
    entries
}

/// Ranges that ascend; the first and the last may be open.
fn some_ranges(dice: &mut Dice) -> Vec<Range> {
    let mut ends: Vec<Option<EntryPath>> = some_manifest(dice)
        .into_iter()
        .map(|entry| Some(entry.path))
        .collect();
    if dice.one_in(2) {
        ends.insert(0, None);
    }
    if ends.len() % 2 == 1 {
        ends.push(None);
    }
    ends.chunks(2)
        .map(|ends| Range {
            after: ends[0].clone(),
            up_to: ends[1].clone(),
        })
        .collect()
}

/// Any attributes.
pub(crate) fn some_attributes(dice: &mut Dice) -> Attributes {
    let mut xattrs: Vec<Xattr> = (0..dice.below(6).saturating_sub(2))
        .map(|_| Xattr {
            name: [&b"user."[dice.below(2) * 5..], &some_bytes(dice, 12)].concat(),
            value: some_bytes(dice, 40),
        })
        .collect();
    xattrs.sort();
    xattrs.dedup_by(|left, right| left.name == right.name);
    Attributes {
        mode: dice.next() as u32 & 0o7777,
        uid: dice.next() as u32,
        gid: dice.next() as u32,
        mtime: FileTime {
            seconds: i64::from_ne_bytes(dice.next().to_ne_bytes()),
            nanoseconds: dice.below(1_000_000_000) as u32,
        },
        xattrs,
    }
}

/// Paths that mean something to a Passive, in its configuration or right beside it.
const PLACES: [&str; 16] = [
    "/s",
    "/s/a",
    "/s/b",
    "/s/d",
    "/s/d/x",
    "/s/d/e/f",
    "/s/way",
    "/s/way/x",
    "/s/private",
    "/s/private/key",
    "/s2",
    "/etc",
    "/etc/one",
    "/etc/one/below",
    "/etc/shadow",
    "/outside/x",
];

/// Any path: names are any bytes but `/` and NUL.
pub(crate) fn some_path(dice: &mut Dice) -> EntryPath {
    if dice.one_in(2) {
        let place = dice.pick(&PLACES).expect("there are places");
        return EntryPath::new(place.as_bytes()).expect("a plain path");
    }
    loop {
        let mut bytes = Vec::new();
        for _ in 0..=dice.below(5) {
            bytes.push(b'/');
            bytes.extend(some_bytes(dice, 30));
        }
        // Nearly all are paths; the others hold what a path cannot.
        if let Ok(path) = EntryPath::new(&bytes) {
            return path;
        }
    }
}

fn some_target(dice: &mut Dice) -> Option<NodeId> {
    Some(NodeId(dice.below(3) as u32)).filter(|node| node.0 != 0)
}

fn some_digest(dice: &mut Dice) -> Digest {
    Digest(std::array::from_fn(|_| dice.next() as u8))
}

/// Up to `limit` bytes.
pub(crate) fn some_bytes(dice: &mut Dice, limit: usize) -> Vec<u8> {
    (0..dice.below(limit)).map(|_| dice.next() as u8).collect()
}
