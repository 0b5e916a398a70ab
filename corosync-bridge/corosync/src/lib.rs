//! Corosync's client libraries, made safe.
//!
//! | module | what it is |
//! |---|---|
//! | [`sys`] | the bindings that bindgen makes from the installed headers |
//! | [`error`] | `cs_error_t` as an enum |
//! | [`cpg`] | membership and messages of one process group |
//! | [`cmap`] | the names of the nodes |
//! | [`quorum`] | whether this partition has quorum |
//!
//! A connection is a value: dropping it closes it. What callbacks deliver lands in an inbox that belongs to
//! that value and is reached through the library's context pointer. Nothing is global.

pub mod cmap;
pub mod cpg;
pub mod error;
pub mod quorum;
mod sys;

pub use cpg::{Cpg, CpgEvent, Reason, SendOutcome};
pub use error::{CallError, CsError};
pub use quorum::Quorum;
