//! Loads the JSON lists of OpenBMC's phosphor-data-sync and answers which paths they cover, and how.
//!
//! The format is the one of phosphor-data-sync's `config/schema/schema.json` with three additions: `Priority`,
//! `SyncType` `AtJoin`, and `ExceptionList`. Everything else is refused with its file, line and column, never
//! skipped: a list that loads is a list that is carried out. All mistakes are told at once, each with what would be
//! right ([`Diagnostic`]).
//!
//! All `*.json` files of a directory form one configuration. Paths are compared as names; nothing here looks
//! at the file system that is replicated, except that the lists themselves are read.
//!
//! What a replicator needs:
//! - [`SyncConfig::covers`]: is this path replicated?
//! - [`SyncConfig::rule_for`]: and how?
//! - [`SyncConfig::entry_for`]: through which entry, which says where it goes, when to try again and whom to tell;
//! - [`SyncConfig::roots`]: where to start a scan and where to put watches;
//! - [`SyncConfig::may_contain`]: is it worth descending into this directory?
//!
//! From text to entries: [`json`] reads the text, [`check`] holds it against the table of [`keys`], [`parse`] makes
//! entries of it, [`overlap`] compares those of all files, and [`config`] puts them together.

mod check;
mod config;
mod diagnostic;
mod duration;
mod entry;
mod error;
mod json;
mod keys;
mod load;
mod nearest;
mod notify;
mod overlap;
mod parse;
mod path;
mod rule;
mod schema;
mod service;
mod source;

pub use config::SyncConfig;
pub use diagnostic::{Diagnostic, MOST_TOLD, Mistake, Part, Related};
pub use entry::{Entry, Filter, Kind};
pub use error::{ConfigError, Refused};
pub use notify::{Method, Mode, Notify, Retry};
pub use path::RESERVED_PREFIX;
pub use rule::{Direction, Priority, Rule, Timing};
pub use schema::json_schema;
pub use source::Place;
