//! Quantities, each in a type of its own.

use std::fmt;

/// Revolutions per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rpm(pub u32);

impl fmt::Display for Rpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} RPM", self.0)
    }
}

/// A share of the full range, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// `None` above 100.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 100 { Some(Self(value)) } else { None }
    }

    /// This share of 255, the full scale of a hwmon `pwm` file
    /// (Linux `Documentation/hwmon/sysfs-interface.rst`), rounded up: a fan rather runs too fast.
    #[must_use]
    pub fn of_255(self) -> u8 {
        u8::try_from((u16::from(self.0) * 255).div_ceil(100)).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_covers_the_whole_pwm_range_and_rounds_up() {
        let duty = |value| Percent::new(value).unwrap().of_255();
        assert_eq!((duty(0), duty(1), duty(50), duty(100)), (0, 3, 128, 255));
    }

    #[test]
    fn there_is_nothing_above_a_hundred_percent() {
        assert_eq!(Percent::new(101), None);
    }
}
