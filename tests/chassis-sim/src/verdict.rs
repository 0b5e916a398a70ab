//! `chassis-sim verdict`: judges an event log.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::invariants::{self, Verdict};
use crate::messages::Record;

/// Options of `verdict`.
#[derive(Debug, Parser)]
pub struct Options {
    /// The event log
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// First record that counts
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
}

/// Prints the verdict.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let log = read_log(&options.log)?;
    let verdicts = invariants::verdict(&log, options.from);
    for verdict in &verdicts {
        println!("{verdict}");
    }
    Ok(if verdicts.iter().all(Verdict::held) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Reads an event log. A last line without its end, of a chassis that was killed, is left out.
pub fn read_log(path: &Path) -> anyhow::Result<Vec<Record>> {
    let mut file = BufReader::new(File::open(path).with_context(|| format!("open log {}", path.display()))?);
    let mut records = Vec::new();
    let mut line = String::new();
    while file
        .read_line(&mut line)
        .with_context(|| format!("read log {}", path.display()))?
        > 0
    {
        if !line.ends_with('\n') {
            break;
        }
        let record = serde_json::from_str(&line)
            .with_context(|| format!("parse line {} of log {}", records.len() + 1, path.display()))?;
        records.push(record);
        line.clear();
    }
    Ok(records)
}
