//! Lengths of time as ISO 8601 writes them: `PT60S`, `PT1M10S`, `P1DT2H`.

use std::time::Duration;

/// Longest time that a list may ask for: what is longer is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(366 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// What is accepted, for messages.
pub(crate) const EXPECTED: &str =
    "a length of time is written as in ISO 8601, in whole numbers: PT30S, PT1M10S, PT2H, P1D, P1DT12H";

/// The same as a regular expression for JSON Schema.
pub(crate) const PATTERN: &str =
    r"^P([0-9]+W|([0-9]+D)?(T([0-9]+H([0-9]+M)?([0-9]+S)?|[0-9]+M([0-9]+S)?|[0-9]+S))?)$";
/// What has to be in it as well: some time at all.
pub(crate) const SOME_PATTERN: &str = "[1-9]";

/// Units of a date and their seconds, in the order in which they stand. Years and months have no fixed length.
const OF_DATE: [(char, u64); 1] = [('D', DAY)];
/// A week stands alone.
const OF_WEEK: [(char, u64); 1] = [('W', 7 * DAY)];
/// Units of a time of day.
const OF_TIME: [(char, u64); 3] = [('H', 60 * 60), ('M', 60), ('S', 1)];

/// Reads a length of time; the error says what is accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let parts = text.strip_prefix('P').ok_or(EXPECTED)?;
    let seconds = match parts.split_once('T') {
        Some((_, "")) => return Err(EXPECTED),
        Some((date, time)) => total(date, &OF_DATE)?
            .checked_add(total(time, &OF_TIME)?)
            .ok_or(TOO_LONG)?,
        None if parts.ends_with('W') => total(parts, &OF_WEEK)?,
        None if parts.contains(['Y', 'M']) => {
            return Err(
                "years and months differ in length: write days, as in P30D; minutes follow a T, as in PT5M",
            );
        }
        None => total(parts, &OF_DATE)?,
    };
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err("a length of time has to be longer than nothing"),
        length if length > LONGEST => Err(TOO_LONG),
        length => Ok(length),
    }
}

const TOO_LONG: &str = "a length of time can be at most P366D";

/// The sum of numbers with these units, each at most once and in this order.
fn total(mut text: &str, units: &[(char, u64)]) -> Result<u64, &'static str> {
    let mut sum: u64 = 0;
    for (unit, seconds) in units {
        let Some((number, rest)) = text.split_once(*unit) else {
            continue;
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(EXPECTED);
        }
        let number: u64 = number.parse().map_err(|_| TOO_LONG)?;
        let part = number.checked_mul(*seconds).ok_or(TOO_LONG)?;
        sum = sum.checked_add(part).ok_or(TOO_LONG)?;
        text = rest;
    }
    if text.is_empty() { Ok(sum) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_each_unit_add_up() {
        for (text, seconds) in [
            ("PT60S", 60),
            ("PT1M10S", 70),
            ("PT1H", 3600),
            ("P1D", DAY),
            ("P1DT2H", DAY + 7200),
            ("P1W", 7 * DAY),
            ("PT0H90S", 90),
            ("P366D", 366 * DAY),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_or_none_worth_waiting_for_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "60",
            "60S",
            "T60S",
            "PT60",
            "PTS",
            "pt60s",
            "PT1.5S",
            "PT1,5S",
            "PT-1S",
            "P-1D",
            "PT1S1M",
            "PT1M1M",
            "PT 1S",
            "P1Y",
            "P1M",
            "P1W1D",
            "P1WT1H",
            "P1H",
            "PT1D",
            "PT0S",
            "P0D",
            "P0DT0S",
            "P367D",
            "PT99999999999999999999S",
            "P18446744073709551615D",
            "P1D\n",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
