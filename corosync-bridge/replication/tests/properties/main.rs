//! What holds for any message and any bytes: thrown with seeded dice, some hundred thousand times.
//!
//! `BMC_PROPERTY_SEED=N` throws the case of that seed alone; `BMC_PROPERTY_COUNT=N` throws that many.
//! `scripts/fuzz` looks for the same with an engine that sees which code an input reaches.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    reason = "test code; the numbers are small"
)]

mod hostile;
mod memory;
mod messages;
#[path = "../simulation/random.rs"]
mod random;

use std::collections::BTreeSet;
use std::ops::Range;

use bmc_replication::state::Record;
use bmc_replication::wire::{Bundle, Message};
use bmc_replication::{NodeId, Position, State};

use messages::{KINDS, kind_of, some_message};
use random::Dice;

/// Cases in an ordinary test run: less than a second.
const CASES: u64 = 100_000;

/// Memory that decoding may take for each byte of a message. The most goes to extended attributes with names of two
/// bytes and no value: 10 bytes on the wire, two empty vectors in memory, and a list of them that has just doubled.
const MEMORY_PER_BYTE: usize = 16;

/// What a byte of a bundle can stand for.
const UNPACKED_PER_BYTE: usize = 255;

/// Memory that decoding may take besides: what an error says.
const MEMORY_BESIDES: usize = 1024;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: not a number"))
    })
}

fn seeds() -> Range<u64> {
    let first = number("BMC_PROPERTY_SEED");
    let count = number("BMC_PROPERTY_COUNT").unwrap_or(if first.is_some() { 1 } else { CASES });
    let first = first.unwrap_or(0);
    first..first + count
}

#[test]
fn every_message_comes_back_as_it_was_sent() {
    let mut kinds = BTreeSet::new();
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let content = messages::some_bytes(&mut dice, 300);
        let message = some_message(&mut dice, &content);
        kinds.insert(kind_of(&message));
        let bytes = message.encode();
        assert_eq!(
            Message::decode(&bytes).as_ref(),
            Ok(&message),
            "BMC_PROPERTY_SEED={seed}"
        );
    }
    if seeds().count() > 1000 {
        let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !kinds.contains(kind)).collect();
        assert!(missing.is_empty(), "never thrown: {missing:?}");
    }
}

#[test]
fn whatever_comes_is_refused_or_taken_as_it_is_and_costs_no_more_than_it_holds() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let bytes = some_input(&mut dice);
        let mut same = true;
        let peak = memory::peak_of(|| match Message::decode(&bytes) {
            Ok(message) => same = memory::uncounted(|| message.encode() == bytes),
            Err(error) => same = memory::uncounted(|| !error.to_string().is_empty()),
        });
        assert!(
            same,
            "BMC_PROPERTY_SEED={seed}: {bytes:02x?} was taken for something else"
        );
        let limit = bytes.len() * MEMORY_PER_BYTE + MEMORY_BESIDES;
        assert!(
            peak <= limit,
            "BMC_PROPERTY_SEED={seed}: {} bytes cost {peak} bytes of memory, more than {limit}",
            bytes.len()
        );
    }
}

#[test]
fn messages_come_back_from_a_bundle_and_a_damaged_one_costs_no_more_than_it_can_hold() {
    for seed in seeds().step_by(10) {
        let mut dice = Dice::new(seed);
        let some = |dice: &mut Dice| {
            let content = messages::some_bytes(dice, 300);
            some_message(dice, &content).encode()
        };
        let together: Vec<Vec<u8>> = (0..2 + dice.below(20)).map(|_| some(&mut dice)).collect();
        let bytes = Bundle::pack(together.clone());
        let bundle =
            Bundle::unpack(&bytes).unwrap_or_else(|error| panic!("BMC_PROPERTY_SEED={seed}: {error}"));
        let unpacked: Vec<&[u8]> = bundle.messages().collect();
        assert_eq!(unpacked, together, "BMC_PROPERTY_SEED={seed}");
        let damaged = damage(&mut dice, bytes);
        let peak = memory::peak_of(|| drop(Bundle::unpack(&damaged)));
        let limit = damaged.len() * UNPACKED_PER_BYTE + MEMORY_BESIDES;
        assert!(
            peak <= limit,
            "BMC_PROPERTY_SEED={seed}: {} bytes cost {peak} bytes of memory, more than {limit}",
            damaged.len()
        );
    }
}

#[test]
fn the_costliest_message_stays_within_the_bound_on_memory() {
    let xattrs = (0..=u16::MAX).map(|number| bmc_replication::entry::Xattr {
        name: number.to_be_bytes().to_vec(),
        value: Vec::new(),
    });
    let mut dice = Dice::new(0);
    let attributes = bmc_replication::entry::Attributes {
        xattrs: xattrs.collect(),
        ..messages::some_attributes(&mut dice)
    };
    let bytes = Message::Operation {
        epoch: 1,
        sequence: 1,
        target: None,
        operation: bmc_replication::wire::Operation::Directory {
            path: messages::some_path(&mut dice),
            attributes,
        },
    }
    .encode();
    let peak = memory::peak_of(|| drop(Message::decode(&bytes)));
    assert!(
        peak > bytes.len(),
        "{peak} bytes were counted: the counting allocator counts nothing"
    );
    assert!(
        peak <= bytes.len() * MEMORY_PER_BYTE,
        "{peak} for {}",
        bytes.len()
    );
}

#[test]
fn every_state_comes_back_as_it_was_kept_and_any_damage_is_noticed() {
    for seed in seeds() {
        let mut dice = Dice::new(seed);
        let state = State {
            epoch: dice.next(),
            owner: NodeId(dice.next() as u32),
            position: Position {
                epoch: dice.next(),
                sequence: dice.next(),
            },
            disabled: dice.one_in(2),
        };
        let record = Record {
            saves: dice.next(),
            state,
        };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record), "BMC_PROPERTY_SEED={seed}");
        let damaged = damage(&mut dice, bytes.clone());
        if damaged != bytes {
            assert_eq!(
                Record::decode(&damaged),
                None,
                "BMC_PROPERTY_SEED={seed}: {damaged:02x?}"
            );
        }
    }
}

/// Bytes of no meaning, or a message that was damaged on its way.
fn some_input(dice: &mut Dice) -> Vec<u8> {
    let content = messages::some_bytes(dice, 300);
    match dice.below(10) {
        0 => content,
        1 => [&b"BMCR"[..], &[bmc_replication::wire::VERSION], &content].concat(),
        _ => {
            let bytes = some_message(dice, &content).encode();
            damage(dice, bytes)
        }
    }
}

/// A few bits flipped, a piece cut out, doubled, or a length made huge.
fn damage(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        let end = (at + dice.below(9)).min(bytes.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes[at..end].fill(0xff),
            _ if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            _ => {}
        }
    }
    bytes
}
