//! Loads the JSON lists of OpenBMC's phosphor-data-sync and answers which paths they cover.
//!
//! The format is the one of phosphor-data-sync's `config/schema/schema.json`: `Files` and `Directories`, each
//! entry with `Path`, `Description`, `SyncDirection` and `SyncType`, a directory optionally with `ExcludeList`
//! or `IncludeList`. This version carries out `Active2Passive` and `Immediate`. Every other key or value is
//! refused with its file and place, never skipped: a list that loads is a list that is carried out.
//!
//! All `*.json` files of a directory form one configuration. Paths are compared as names; nothing here looks
//! at the file system that is replicated, except that the lists themselves are read.
//!
//! What a replicator needs:
//! - [`SyncConfig::covers`]: is this path replicated?
//! - [`SyncConfig::rule_for`]: and how?
//! - [`SyncConfig::roots`]: where to start a scan and where to put watches;
//! - [`SyncConfig::may_contain`]: is it worth descending into this directory?

mod entry;
mod error;
mod json;
mod load;
mod parse;
mod path;
mod rule;

pub use entry::{Entry, Filter, Kind, SyncConfig};
pub use error::{ConfigError, Overlap, Place};
pub use rule::{Direction, Priority, Rule, Timing};
