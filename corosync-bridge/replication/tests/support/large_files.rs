//! Large contents, and how programs change them.

/// Bytes without a pattern.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

type Change = fn(&mut Vec<u8>);

/// What is done to a content of 16 MiB.
pub(crate) const CHANGES: [(&str, Change); 5] = [
    ("a page", |content| content[5_000_000..5_004_096].fill(1)),
    ("an insertion", |content| {
        content.splice(5_000_000..5_000_000, *b"put in");
    }),
    ("a removal", |content| {
        content.drain(5_000_000..5_000_100);
    }),
    ("an end", |content| content.extend(b"appended")),
    ("a loss", |content| content.truncate(9_000_000)),
];
