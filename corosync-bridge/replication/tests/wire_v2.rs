//! The bytes of version 2. Once shipped they never change: a new version gets a file of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::time::Duration;

use bmc_replication::agreed::Version;
use bmc_replication::chunks::{Chunk, ChunkId, Seed};
use bmc_replication::digest::Digest;
use bmc_replication::entry::{Attributes, FileTime, Kind, Xattr};
use bmc_replication::wire::{
    Bundle, COPY_BYTES, Hello, ManifestEntry, Message, OfferStage, Operation, Range, STRETCH_BYTES,
    SummaryRange, Verdict, WireError,
};
use bmc_replication::{EntryPath, NodeId, Position, Role, Switch, Sync};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn attributes() -> Attributes {
    Attributes {
        mode: 0o640,
        uid: 1,
        gid: 2,
        mtime: FileTime {
            seconds: -2,
            nanoseconds: 3,
        },
        xattrs: vec![Xattr {
            name: b"user.a".to_vec(),
            value: b"v".to_vec(),
        }],
    }
}

/// `attributes()` as they travel.
const ATTRIBUTES: &str =
    "000001a0 00000001 00000002 fffffffffffffffe 00000003 00000001 00000006 757365722e61 00000001 76";

/// Every kind of message, with its bytes behind magic and version.
fn every_message() -> Vec<(Message<'static>, String)> {
    let seven = "0000000000000007";
    let operation = |operation, bytes: &str| {
        (
            Message::Operation {
                epoch: 7,
                sequence: 8,
                target: Some(NodeId(2)),
                operation,
            },
            format!("06 {seven} 0000000000000008 00000002 {bytes}"),
        )
    };
    let verdict = |verdict, bytes: &str| {
        (
            Message::Verdict {
                epoch: 7,
                target: NodeId(2),
                offer: 13,
                verdict,
            },
            format!("11 {seven} 00000002 000000000000000d {bytes}"),
        )
    };
    let stage = |stage, bytes: &str| {
        let message = Message::Offering { epoch: 7, stage };
        (message, format!("14 {seven} {bytes}"))
    };
    let digest = "ab".repeat(Digest::BYTES);
    let id = "cd".repeat(ChunkId::BYTES);
    vec![
        (
            Message::Hello(Hello {
                epoch: 7,
                owner: NodeId(2),
                role: Role::Passive,
                position: Position {
                    epoch: 6,
                    sequence: 5,
                },
                sync: Sync::Syncing,
                switch: Switch::Paused,
                essential: true,
            }),
            format!("01 {seven} 00000002 02 0000000000000006 0000000000000005 03 02 01"),
        ),
        (Message::Promote { epoch: 7 }, format!("02 {seven}")),
        (
            Message::Compare {
                epoch: 7,
                target: NodeId(2),
                session: 9,
                sequence: 8,
            },
            format!("03 {seven} 00000002 0000000000000009 0000000000000008"),
        ),
        (
            Message::Manifest {
                epoch: 7,
                session: 9,
                range: Range {
                    after: None,
                    up_to: Some(path("/b")),
                },
                entries: vec![ManifestEntry {
                    path: path("/a"),
                    kind: Kind::Link,
                    content: Digest([0xab; Digest::BYTES]),
                    attributes: Digest([0xab; Digest::BYTES]),
                }],
            },
            format!("04 {seven} 0000000000000009 00000000 00000002 2f62 00000002 2f61 03 {digest} {digest}"),
        ),
        (
            Message::Ack {
                epoch: 7,
                sequence: 8,
                received: 10,
            },
            format!("05 {seven} 0000000000000008 000000000000000a"),
        ),
        operation(
            Operation::Put {
                path: path("/a"),
                attributes: attributes(),
                content: b"xyz",
            },
            &format!("01 00000002 2f61 {ATTRIBUTES} 00000003 78797a"),
        ),
        operation(
            Operation::PutTransferred {
                path: path("/a"),
                attributes: attributes(),
                transfer: 11,
                size: 12,
                digest: Digest([0xab; Digest::BYTES]),
            },
            &format!("02 00000002 2f61 {ATTRIBUTES} 000000000000000b 000000000000000c {digest}"),
        ),
        operation(
            Operation::Directory {
                path: path("/a"),
                attributes: attributes(),
            },
            &format!("03 00000002 2f61 {ATTRIBUTES}"),
        ),
        operation(
            Operation::Link {
                path: path("/a"),
                attributes: attributes(),
                target: b"../b",
            },
            &format!("04 00000002 2f61 {ATTRIBUTES} 00000004 2e2e2f62"),
        ),
        operation(
            Operation::Attributes {
                path: path("/a"),
                attributes: attributes(),
                content: Digest([0xab; Digest::BYTES]),
            },
            &format!("05 00000002 2f61 {ATTRIBUTES} {digest}"),
        ),
        operation(Operation::Remove { path: path("/a") }, "06 00000002 2f61"),
        (
            Message::Lacks {
                epoch: 7,
                session: 9,
                follows: true,
                path: Some(path("/a")),
                reason: "no",
            },
            format!("15 {seven} 0000000000000009 01 00000002 2f61 00000002 6e6f"),
        ),
        operation(Operation::InSync { session: 9 }, "07 0000000000000009"),
        operation(Operation::EssentialInSync { session: 9 }, "0a 0000000000000009"),
        operation(
            Operation::HardLink {
                path: path("/a"),
                to: path("/b"),
                content: Digest([0xab; Digest::BYTES]),
            },
            &format!("08 00000002 2f61 00000002 2f62 {digest}"),
        ),
        operation(
            Operation::Rename {
                from: path("/a"),
                to: path("/b"),
            },
            "09 00000002 2f61 00000002 2f62",
        ),
        (
            Message::Begin {
                epoch: 7,
                target: None,
                transfer: 11,
                path: path("/a"),
                base: None,
            },
            format!("07 {seven} 00000000 000000000000000b 00000002 2f61"),
        ),
        (
            Message::Begin {
                epoch: 7,
                target: None,
                transfer: 11,
                path: path("/a"),
                base: Some(Digest([0xab; Digest::BYTES])),
            },
            format!("1a {seven} 00000000 000000000000000b 00000002 2f61 {digest}"),
        ),
        (
            Message::Chunk {
                epoch: 7,
                transfer: 11,
                offset: 12,
                bytes: b"xyz",
            },
            format!("08 {seven} 000000000000000b 000000000000000c 00000003 78797a"),
        ),
        (
            Message::Abandon {
                epoch: 7,
                transfer: 11,
            },
            format!("09 {seven} 000000000000000b"),
        ),
        (
            Message::Sign {
                epoch: 7,
                target: NodeId(2),
                transfer: 11,
                path: path("/a"),
                seed: Seed(13),
                sections: vec![12],
            },
            format!("0c {seven} 00000002 000000000000000b 00000002 2f61 000000000000000d 000000000000000c"),
        ),
        (
            Message::Signature {
                epoch: 7,
                transfer: 11,
                detail: true,
                last: false,
                chunks: vec![Chunk {
                    offset: 12,
                    length: 13,
                    id: ChunkId([0xcd; ChunkId::BYTES]),
                }],
            },
            format!("0d {seven} 000000000000000b 01 00 000000000000000c 0000000d {id}"),
        ),
        (
            Message::Copy {
                epoch: 7,
                transfer: 11,
                offset: 12,
                from: 13,
                length: 14,
            },
            format!("0e {seven} 000000000000000b 000000000000000c 000000000000000d 000000000000000e"),
        ),
        (
            Message::Hole {
                epoch: 7,
                transfer: 11,
                offset: 12,
                length: 14,
            },
            format!("0f {seven} 000000000000000b 000000000000000c 000000000000000e"),
        ),
        (
            Message::Summary {
                epoch: 7,
                session: 9,
                last: true,
                ranges: vec![SummaryRange {
                    up_to: path("/a"),
                    digest: Digest([0xab; Digest::BYTES]),
                }],
            },
            format!("0a {seven} 0000000000000009 01 00000002 2f61 {digest}"),
        ),
        (
            Message::Detail {
                epoch: 7,
                target: NodeId(2),
                session: 9,
                ranges: vec![Range {
                    after: Some(path("/a")),
                    up_to: None,
                }],
            },
            format!("0b {seven} 00000002 0000000000000009 00000002 2f61 00000000"),
        ),
        (
            Message::Time {
                epoch: 7,
                target: NodeId(2),
                exchange: 9,
                time: None,
            },
            format!("18 {seven} 00000002 0000000000000009 00"),
        ),
        (
            Message::Time {
                epoch: 7,
                target: NodeId(2),
                exchange: 9,
                time: Some(Duration::new(1, 2)),
            },
            format!("18 {seven} 00000002 0000000000000009 01 000000003b9aca02"),
        ),
        (
            Message::Offer {
                epoch: 7,
                offer: 13,
                path: path("/a"),
                base: None,
                now: Some(Version {
                    kind: Kind::Directory,
                    content: Digest([0xab; Digest::BYTES]),
                    attributes: Digest([0xab; Digest::BYTES]),
                }),
            },
            format!("10 {seven} 000000000000000d 00000002 2f61 00 02 {digest} {digest}"),
        ),
        verdict(Verdict::Taken, "01"),
        verdict(Verdict::Lost, "02"),
        verdict(Verdict::Later, "03"),
        verdict(Verdict::Refused, "04"),
        verdict(Verdict::WantsAttributes, "05"),
        verdict(Verdict::WantsContent { offset: 14 }, "06 000000000000000e"),
        verdict(Verdict::WantsChanges, "07"),
        (
            Message::SignBase {
                epoch: 7,
                offer: 13,
                seed: Seed(14),
                sections: vec![12],
            },
            format!("1b {seven} 000000000000000d 000000000000000e 000000000000000c"),
        ),
        (
            Message::PieceCopy {
                epoch: 7,
                offer: 13,
                offset: 12,
                from: 11,
                length: 14,
            },
            format!("1c {seven} 000000000000000d 000000000000000c 000000000000000b 000000000000000e"),
        ),
        (
            Message::PieceHole {
                epoch: 7,
                offer: 13,
                offset: 12,
                length: 14,
            },
            format!("1d {seven} 000000000000000d 000000000000000c 000000000000000e"),
        ),
        (
            Message::Contribution {
                epoch: 7,
                offer: 13,
                operation: Operation::Remove { path: path("/a") },
            },
            format!("12 {seven} 000000000000000d 06 00000002 2f61"),
        ),
        (
            Message::Piece {
                epoch: 7,
                offer: 13,
                offset: 14,
                bytes: b"xyz",
            },
            format!("13 {seven} 000000000000000d 000000000000000e 00000003 78797a"),
        ),
        stage(OfferStage::Begun, "01"),
        stage(OfferStage::Done, "02"),
        stage(OfferStage::Claimed, "03"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_message_keeps_its_bytes() {
    for (message, bytes) in every_message() {
        let expected = format!("424d4352 02 {bytes}").replace(' ', "");
        let encoded = message.encode();
        assert_eq!(hex(&encoded), expected, "{message:?}");
        assert_eq!(Message::decode(&encoded).as_ref(), Ok(&message));
    }
}

#[test]
fn a_message_cut_anywhere_or_with_something_behind_it_is_refused() {
    for (message, _) in every_message() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            let cut = Message::decode(&bytes[..length]);
            // A manifest has as many entries as there are bytes for: cut between two, it is a shorter one.
            let shorter = match &cut {
                Ok(Message::Manifest { entries, .. }) => entries.is_empty(),
                Ok(Message::Summary { ranges, .. }) => ranges.is_empty(),
                Ok(Message::Sign { sections, .. } | Message::SignBase { sections, .. }) => {
                    sections.is_empty()
                }
                Ok(Message::Signature { chunks, .. }) => chunks.is_empty(),
                Ok(Message::Detail { ranges, .. }) => ranges.is_empty(),
                _ => false,
            };
            assert!(cut.is_err() || shorter, "{message:?} cut to {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(Message::decode(&longer).is_err(), "{message:?} with a byte more");
    }
}

#[test]
fn a_message_of_another_version_is_refused_and_both_versions_are_named() {
    let mut bytes = Message::Promote { epoch: 1 }.encode();
    bytes[4] = 9;
    let error = Message::decode(&bytes).unwrap_err();
    assert_eq!(error, WireError::Version { theirs: 9 });
    assert!(error.to_string().contains("version 9") && error.to_string().contains("version 2"));
    bytes[0] = b'X';
    assert_eq!(Message::decode(&bytes), Err(WireError::NotOurs));
}

/// Version 1 was shipped: a member that still speaks it may be met, and must be told apart and not misread.
#[test]
fn a_message_of_version_1_is_refused_by_name() {
    let promote = b"BMCR\x01\x02\0\0\0\0\0\0\0\x07";
    let error = Message::decode(promote).unwrap_err();
    assert_eq!(
        error.to_string(),
        "decode a message: it has version 1, and this node speaks version 2"
    );
}

#[test]
fn a_length_beyond_the_message_is_refused_without_asking_for_memory() {
    let mut bytes = Message::Chunk {
        epoch: 1,
        transfer: 1,
        offset: 0,
        bytes: b"x",
    }
    .encode();
    let at = bytes.len() - 5;
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(Message::decode(&bytes), Err(WireError::Truncated));
}

#[test]
fn a_stretch_that_would_keep_the_receiver_busy_is_refused() {
    let (epoch, transfer, offset, from) = (1, 1, 0, 0);
    for beyond in [1, u64::MAX - COPY_BYTES] {
        let length = COPY_BYTES + beyond;
        let copy = Message::Copy {
            epoch,
            transfer,
            offset,
            from,
            length,
        };
        let offered_copy = Message::PieceCopy {
            epoch,
            offer: transfer,
            offset,
            from,
            length,
        };
        let length = STRETCH_BYTES + beyond;
        let hole = Message::Hole {
            epoch,
            transfer,
            offset,
            length,
        };
        let offered_hole = Message::PieceHole {
            epoch,
            offer: transfer,
            offset,
            length,
        };
        for message in [copy, hole, offered_copy, offered_hole] {
            let refused = Message::decode(&message.encode()).map(|_| ()).unwrap_err();
            assert!(matches!(refused, WireError::Value { .. }), "{refused}");
        }
    }
}

#[test]
fn a_path_that_leads_elsewhere_is_refused_wherever_it_stands() {
    for bad in ["/a/../etc/shadow", "etc/shadow", "/a//b", "/", "/a\0b"] {
        for operation in [1, 2, 3, 4, 5, 6] {
            let mut bytes = b"BMCR\x02\x06".to_vec();
            bytes.extend([0; 20]);
            bytes.push(operation);
            bytes.extend(u32::try_from(bad.len()).unwrap().to_be_bytes());
            bytes.extend(bad.as_bytes());
            bytes.extend([0; 128]);
            assert!(
                matches!(Message::decode(&bytes), Err(WireError::Path(_))),
                "operation {operation} with {bad:?}"
            );
        }
    }
}

fn range(after: Option<&str>, up_to: Option<&str>) -> Range {
    Range {
        after: after.map(path),
        up_to: up_to.map(path),
    }
}

#[test]
fn manifest_entries_that_do_not_ascend_or_leave_their_range_are_refused() {
    let entry = |text| ManifestEntry {
        path: path(text),
        kind: Kind::File,
        content: Digest::NONE,
        attributes: Digest::NONE,
    };
    for entries in [
        vec![entry("/b"), entry("/a")],
        vec![entry("/b"), entry("/b")],
        vec![entry("/0")],
        vec![entry("/a")],
        vec![entry("/d")],
    ] {
        let bytes = Message::Manifest {
            epoch: 1,
            session: 1,
            range: range(Some("/0"), Some("/c")),
            entries: entries.clone(),
        }
        .encode();
        let inside = entries == [entry("/a")];
        assert_eq!(Message::decode(&bytes).is_ok(), inside, "{entries:?}");
    }
}

#[test]
fn ranges_that_do_not_ascend_are_refused() {
    let summary = |ends: [&str; 2]| Message::Summary {
        epoch: 1,
        session: 1,
        last: false,
        ranges: ends
            .map(|end| SummaryRange {
                up_to: path(end),
                digest: Digest::NONE,
            })
            .to_vec(),
    };
    let detail = |ranges: [Range; 2]| Message::Detail {
        epoch: 1,
        target: NodeId(1),
        session: 1,
        ranges: ranges.to_vec(),
    };
    let (first, second) = (range(None, Some("/a")), range(Some("/a"), None));
    assert!(Message::decode(&summary(["/a", "/b"]).encode()).is_ok());
    assert!(Message::decode(&detail([first.clone(), second.clone()]).encode()).is_ok());
    for message in [
        summary(["/b", "/a"]),
        summary(["/a", "/a"]),
        detail([second.clone(), first.clone()]),
        detail([first.clone(), first]),
        detail([second, range(Some("/b"), None)]),
    ] {
        let bytes = message.encode();
        let refused = Message::decode(&bytes);
        assert_eq!(refused, Err(WireError::Order("ranges")), "{message:?}");
    }
    let backwards = detail([range(Some("/b"), Some("/a")), range(Some("/b"), None)]).encode();
    assert_eq!(
        Message::decode(&backwards),
        Err(WireError::Order("the ends of a range"))
    );
}

#[test]
fn no_change_of_any_byte_makes_decoding_panic() {
    for (message, _) in every_message() {
        let bytes = message.encode();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                // Whatever it says, it says it without a panic, and what it takes it gives back the same.
                if let Ok(taken) = Message::decode(&changed) {
                    assert_eq!(taken.encode(), changed);
                }
            }
        }
    }
}

/// `Promote { epoch: 7 }` and `Promote { epoch: 8 }`, each behind its length: 18 bytes as they are, then 13 as 18 bytes
/// before, then 5 as they are.
const BUNDLE: &str =
    "424d4352 02 19 00000024 f903 0000000e 424d4352 0202 0000000000000007 1200 50 0000000008";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bundle = Bundle::unpack(bytes).unwrap();
    bundle.messages().map(<[u8]>::to_vec).collect()
}

fn promotes() -> Vec<Vec<u8>> {
    [7, 8].map(|epoch| Message::Promote { epoch }.encode()).to_vec()
}

#[test]
fn a_bundle_of_another_program_is_unpacked() {
    let bytes = bytes_of(BUNDLE);
    assert!(Bundle::is_in(&bytes));
    assert_eq!(messages(&bytes), promotes());
}

#[test]
fn messages_come_out_of_a_bundle_as_they_were_put_in() {
    let bytes = Bundle::pack(promotes());
    assert!(Bundle::is_in(&bytes) && bytes.starts_with(&bytes_of("424d4352 02 19 00000024")));
    assert_eq!(messages(&bytes), promotes());
}

#[test]
fn a_message_travels_by_itself_where_packing_gains_nothing() {
    let content: Vec<u8> = (0..4096_u32)
        .flat_map(|number| Digest::of(&number.to_be_bytes()).0)
        .collect();
    let chunk = |bytes| {
        let (epoch, transfer, offset) = (1, 1, 0);
        Message::Chunk {
            epoch,
            transfer,
            offset,
            bytes,
        }
        .encode()
    };
    for bytes in [&content[..], &[7; 32]] {
        assert_eq!(Bundle::pack(vec![chunk(bytes)]), chunk(bytes));
    }
    let packed = Bundle::pack(vec![chunk(&[7; 4096])]);
    assert!(packed.len() < 100, "{} bytes", packed.len());
    assert_eq!(messages(&packed), [chunk(&[7; 4096])]);
}

#[test]
fn a_bundle_in_a_bundle_is_refused() {
    let inner = Bundle::pack(promotes());
    let refused = Message::decode(&inner);
    assert!(matches!(refused, Err(WireError::Value { .. })), "{refused:?}");
}

#[test]
fn a_damaged_bundle_is_refused() {
    let bytes = Bundle::pack(promotes());
    for length in 0..bytes.len() {
        assert!(Bundle::unpack(&bytes[..length]).is_err(), "cut to {length}");
    }
    assert_eq!(
        Bundle::unpack(&[&bytes, &[0_u8][..]].concat()),
        Err(WireError::Packed)
    );
}

#[test]
fn a_bundle_that_claims_to_hold_more_than_it_can_costs_no_memory() {
    for length in [0, 37, 512 * 1024 + 1, u32::MAX] {
        let mut bytes = Bundle::pack(promotes());
        bytes[6..10].copy_from_slice(&length.to_be_bytes());
        let refused = Bundle::unpack(&bytes).unwrap_err();
        let is_of_length = refused.to_string().contains("the length of a bundle");
        assert!(is_of_length || length == 37, "{length}: {refused}");
    }
}
