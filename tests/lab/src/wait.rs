//! Waiting for what has no event to wait on: the only place of the lab that sleeps between two looks, but for the
//! [`crate::Prober`], whose looks are the measurement.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};

/// Between two looks. Short against every deadline, long against the cost of a look (a fork in a container).
const INTERVAL: Duration = Duration::from_millis(100);

/// What a look found.
pub(crate) enum Look<T> {
    /// What was waited for.
    Found(T),
    /// Not yet; this is what it looks like now, for the message when the deadline passes.
    NotYet(String),
}

/// Looks until `look` finds what it looks for. A look that fails counts as not yet: a BMC that is booting
/// answers nothing.
///
/// # Errors
/// [`LabError::Deadline`] with the last look's description.
pub(crate) fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<Look<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let seen = match look() {
            Ok(Look::Found(found)) => return Ok(found),
            Ok(Look::NotYet(seen)) => seen,
            Err(error) => error.to_string(),
        };
        if start.elapsed() >= within {
            return Err(LabError::Deadline {
                what: what.to_owned(),
                within,
                seen,
            });
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_finds_ends_the_waiting() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(60), || {
            looks += 1;
            Ok(if looks == 3 {
                Look::Found(looks)
            } else {
                Look::NotYet(looks.to_string())
            })
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn a_passed_deadline_says_what_did_not_come_and_what_was_there_instead() {
        let error =
            until::<()>("the moon", Duration::ZERO, || Ok(Look::NotYet("a lamp".into()))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the moon did not come within 0 s; last seen: a lamp"
        );
    }
}
