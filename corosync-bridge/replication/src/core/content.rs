//! A large content on its way, from whichever side: what it is cut into, what its receiver tells of the version that it has,
//! how it is sent, and how it is put together again.

mod assembly;
mod outgoing;
mod piece;
mod reading;
mod signing;
mod told;

pub(super) use assembly::Assembly;
pub(super) use outgoing::{Ahead, Outgoing, WhenRead};
pub(super) use piece::Piece;
pub(super) use reading::{Own, Read, Reading};
pub(super) use signing::{Part, Signing};
pub(super) use told::Told;
