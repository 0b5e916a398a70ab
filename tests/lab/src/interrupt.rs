//! Ctrl-C leaves nothing behind.

use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Lab;
use crate::error::{LabError, Result};

/// Added to a signal's number, it is the exit status of a program that the signal ended (bash(1), EXIT STATUS).
const ENDED_BY_SIGNAL: i32 = 128;

/// From now on an interrupt (SIGINT, SIGTERM, SIGHUP) takes down the labs called `names` and ends the program.
///
/// # Errors
/// When the signals cannot be caught.
pub fn clear_when_interrupted(names: &[&str]) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(LabError::io("catch", "signals"))?;
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("\ninterrupted: taking down {}", names.join(", "));
            for name in &names {
                if let Err(error) = Lab::clear(name) {
                    eprintln!("{name}: {error}; take it down with: lab down --name {name}");
                }
            }
            end(ENDED_BY_SIGNAL + signal);
        }
    });
    Ok(())
}

#[expect(clippy::exit, reason = "the main thread is waiting for a lab that is gone")]
fn end(status: i32) -> ! {
    process::exit(status)
}
