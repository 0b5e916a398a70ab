//! Medians and how they are printed.

use std::time::Duration;

/// The median of some times, and the time that 99 of 100 stay below.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

impl Summary {
    /// Of at least one time.
    pub(crate) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |hundredths: usize| {
            times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)))
        };
        Some(Self {
            median: *at(50)?,
            p99: *at(99)?,
        })
    }
}

/// A duration in milliseconds with three digits that matter.
pub(crate) fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1000.0;
    match value {
        v if v < 10.0 => format!("{v:.2} ms"),
        v if v < 100.0 => format!("{v:.1} ms"),
        v => format!("{v:.0} ms"),
    }
}

/// How many times `value` is of `reference`.
pub(crate) fn ratio(value: Duration, reference: Duration) -> String {
    format!("{:.2}x", value.as_secs_f64() / reference.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_of_times_is_the_middle_one() {
        let times = [5, 1, 3].map(Duration::from_millis).to_vec();
        assert_eq!(
            Summary::of(times).map(|summary| summary.median),
            Some(Duration::from_millis(3))
        );
    }

    #[test]
    fn no_times_have_no_median() {
        assert!(Summary::of(Vec::new()).is_none());
    }

    #[test]
    fn times_are_printed_with_three_digits() {
        assert_eq!(milliseconds(Duration::from_micros(1234)), "1.23 ms");
        assert_eq!(milliseconds(Duration::from_micros(23_456)), "23.5 ms");
        assert_eq!(milliseconds(Duration::from_millis(1234)), "1234 ms");
    }
}
