//! `bmc-ha sync schema`: the JSON Schema of the lists.

use bmc_sync_config::json_schema;

use crate::exit::Exit;
use crate::terminal::print_json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  bmc-ha sync schema > /usr/share/bmc-ha/data-sync.schema.json";

/// Prints it.
pub(crate) fn run() -> anyhow::Result<Exit> {
    print_json(&json_schema())?;
    Ok(Exit::Done)
}
