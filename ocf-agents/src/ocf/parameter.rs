//! Parameters, each declared once: the declaration parses, validates and documents it.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use super::Environment;
use crate::hardware::file::PathPattern;
use crate::hardware::{Percent, Rpm};

/// A parameter of an agent.
#[derive(Debug)]
pub struct Parameter<T> {
    /// Its name.
    pub name: &'static str,
    /// Used when it is not set.
    pub default: Option<&'static str>,
    /// Whether a resource without it is misconfigured whatever the other parameters say.
    pub required: bool,
    /// One line for lists.
    pub short: &'static str,
    /// Help.
    pub long: &'static str,
    /// What values it takes.
    pub kind: std::marker::PhantomData<T>,
}

/// A type that a parameter can have.
pub trait Value: Sized {
    /// Its name in metadata: one that both `ra-api-1.dtd` and `metadata.rng` know.
    const CONTENT_TYPE: &'static str = "string";
    /// What a right value looks like, to follow "expected".
    const EXPECTED: &'static str;

    /// `None` when `text` is not such a value.
    fn parse(text: &str) -> Option<Self>;
}

/// A parameter that is missing or wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not set, and needed.
    #[error("parameter {name} is not set: expected {expected}")]
    Missing {
        /// The parameter.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Not set, and needed because of another.
    #[error("parameter {name} is not set and {because}: expected {expected}")]
    MissingBecause {
        /// The parameter.
        name: &'static str,
        /// Why it is needed.
        because: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Set to something that it cannot be.
    #[error("parameter {name} is {value:?}: expected {expected}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl<T: Value> Parameter<T> {
    /// A parameter with a default.
    #[must_use]
    pub const fn with_default(
        name: &'static str,
        default: &'static str,
        short: &'static str,
        long: &'static str,
    ) -> Self {
        Self {
            name,
            default: Some(default),
            required: false,
            short,
            long,
            kind: std::marker::PhantomData,
        }
    }

    /// A parameter that every resource must set.
    #[must_use]
    pub const fn required(name: &'static str, short: &'static str, long: &'static str) -> Self {
        Self {
            name,
            default: None,
            required: true,
            short,
            long,
            kind: std::marker::PhantomData,
        }
    }

    /// A parameter that may be absent, or is needed only in company.
    #[must_use]
    pub const fn optional(name: &'static str, short: &'static str, long: &'static str) -> Self {
        Self {
            name,
            default: None,
            required: false,
            short,
            long,
            kind: std::marker::PhantomData,
        }
    }

    /// The value, or the default.
    ///
    /// # Errors
    /// [`ParameterError`] when there is neither or it is wrong.
    pub fn get(&self, environment: &Environment) -> Result<T, ParameterError> {
        self.find(environment)?.ok_or(ParameterError::Missing {
            name: self.name,
            expected: T::EXPECTED,
        })
    }

    /// The value of a parameter that `because` makes necessary.
    ///
    /// # Errors
    /// [`ParameterError`] when there is none or it is wrong.
    pub fn get_because(&self, environment: &Environment, because: &'static str) -> Result<T, ParameterError> {
        self.find(environment)?.ok_or(ParameterError::MissingBecause {
            name: self.name,
            because,
            expected: T::EXPECTED,
        })
    }

    /// The value or the default, if there is either.
    ///
    /// # Errors
    /// [`ParameterError::Invalid`].
    pub fn find(&self, environment: &Environment) -> Result<Option<T>, ParameterError> {
        let Some(text) = environment.parameter(self.name).or(self.default) else {
            return Ok(None);
        };
        match T::parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(ParameterError::Invalid {
                name: self.name,
                value: text.to_owned(),
                expected: T::EXPECTED,
            }),
        }
    }
}

/// A [`Parameter`] of any type, for what treats all of an agent's parameters alike.
pub trait Declared: Sync {
    /// [`Parameter::name`].
    fn name(&self) -> &'static str;
    /// [`Parameter::default`].
    fn default(&self) -> Option<&'static str>;
    /// [`Parameter::required`].
    fn required(&self) -> bool;
    /// [`Parameter::short`].
    fn short(&self) -> &'static str;
    /// [`Parameter::long`].
    fn long(&self) -> &'static str;
    /// [`Value::CONTENT_TYPE`].
    fn content_type(&self) -> &'static str;
    /// Whether the parameter is right in this environment.
    ///
    /// # Errors
    /// [`ParameterError`] when it is not.
    fn check(&self, environment: &Environment) -> Result<(), ParameterError>;
}

impl<T: Value + Sync> Declared for Parameter<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default(&self) -> Option<&'static str> {
        self.default
    }

    fn required(&self) -> bool {
        self.required
    }

    fn short(&self) -> &'static str {
        self.short
    }

    fn long(&self) -> &'static str {
        self.long
    }

    fn content_type(&self) -> &'static str {
        T::CONTENT_TYPE
    }

    fn check(&self, environment: &Environment) -> Result<(), ParameterError> {
        if self.required {
            self.get(environment).map(drop)
        } else {
            self.find(environment).map(drop)
        }
    }
}

/// An absolute path.
impl Value for PathBuf {
    const EXPECTED: &'static str = "an absolute path";

    fn parse(text: &str) -> Option<Self> {
        let clean = text.starts_with('/') && !text.contains('\0') && !text.ends_with('/');
        clean.then(|| text.into())
    }
}

impl Value for PathPattern {
    const EXPECTED: &'static str = "an absolute path, with * or ? in the file name only";

    fn parse(text: &str) -> Option<Self> {
        Self::new(text)
    }
}

/// A time as Pacemaker writes it: a number with `ms`, `s`, `sec`, `m`, `min` or `h`, or bare for seconds.
impl Value for Duration {
    const EXPECTED: &'static str = "a time above zero and up to a day, such as 5s or 500ms";

    fn parse(text: &str) -> Option<Self> {
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let milliseconds = number.checked_mul(match unit {
            "ms" | "msec" => 1,
            "" | "s" | "sec" => 1000,
            "m" | "min" => 60_000,
            "h" | "hr" => 3_600_000,
            _ => return None,
        })?;
        let time = Self::from_millis(milliseconds);
        (!time.is_zero() && time <= LONGEST).then_some(time)
    }
}

impl Value for Percent {
    const CONTENT_TYPE: &'static str = "integer";
    const EXPECTED: &'static str = "a percentage from 0 to 100";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::new)
    }
}

impl Value for Rpm {
    const CONTENT_TYPE: &'static str = "integer";
    const EXPECTED: &'static str = "a speed in RPM from 0 to 100000";

    fn parse(text: &str) -> Option<Self> {
        const FASTEST: u32 = 100_000;
        text.parse().ok().filter(|rpm| *rpm <= FASTEST).map(Self)
    }
}

/// Name of a systemd service or target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName(pub String);

impl Deref for UnitName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Value for UnitName {
    const EXPECTED: &'static str = "the name of a systemd service or target, such as example.service";

    /// Characters and length as in systemd.unit(5).
    fn parse(text: &str) -> Option<Self> {
        const LONGEST: usize = 255;
        let stem = text
            .strip_suffix(".service")
            .or_else(|| text.strip_suffix(".target"))?;
        let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        (!stem.is_empty() && text.len() <= LONGEST && stem.chars().all(valid)).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for UnitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Well-known name of a service on D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusName(pub String);

impl Deref for BusName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Value for BusName {
    const EXPECTED: &'static str = "a well-known D-Bus name, such as org.example.Service";

    fn parse(text: &str) -> Option<Self> {
        let valid = !text.starts_with(':') && rustbus::params::validate_busname(text).is_ok();
        valid.then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for BusName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Path of an object on D-Bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusPath(pub String);

impl Deref for BusPath {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Value for BusPath {
    const EXPECTED: &'static str = "a D-Bus object path, such as /org/example/object0";

    fn parse(text: &str) -> Option<Self> {
        rustbus::params::validate_object_path(text)
            .is_ok()
            .then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Parameter<Duration> = Parameter::with_default("wait", "5s", "", "");
    const FILE: Parameter<PathBuf> = Parameter::required("file", "", "");

    #[test]
    fn times_are_read_as_pacemaker_writes_them() {
        let cases = [
            ("20", 20_000),
            ("20s", 20_000),
            ("250ms", 250),
            ("2min", 120_000),
            ("1h", 3_600_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                Duration::parse(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "-1",
            "1.5s",
            "0",
            "0ms",
            "5 s",
            "5x",
            "25h",
            "99999999999999999999",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_number_of_seconds_up_to_a_day_is_a_time_and_nothing_above() {
        for seconds in (1..=86_400u64).step_by(97) {
            assert_eq!(
                Duration::parse(&format!("{seconds}")),
                Some(Duration::from_secs(seconds))
            );
            assert_eq!(
                Duration::parse(&format!("{seconds}s")),
                Duration::parse(&format!("{}ms", seconds * 1000))
            );
        }
        assert_eq!(Duration::parse("86401"), None);
    }

    #[test]
    fn unit_names_are_those_of_systemd() {
        for name in [
            "phosphor-fan-control@0.service",
            "obmc-bmc-active.target",
            "a\\x2db.service",
        ] {
            assert!(UnitName::parse(name).is_some(), "{name}");
        }
        for name in [
            "",
            "fan",
            ".service",
            "a b.service",
            "../x.service",
            "fan.timer",
            "a/b.target",
        ] {
            assert_eq!(UnitName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn names_on_the_bus_are_those_of_the_specification() {
        assert!(BusName::parse("xyz.openbmc_project.State.Chassis0").is_some());
        for name in ["", "chassis", ":1.5", "a..b", "xyz.open bmc"] {
            assert_eq!(BusName::parse(name), None, "{name}");
        }
        assert!(BusPath::parse("/xyz/openbmc_project/state/chassis0").is_some());
        for path in ["", "xyz", "/xyz/", "/xyz//a", "/a-b"] {
            assert_eq!(BusPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn percentages_and_speeds_have_bounds() {
        assert!(Percent::parse("100").is_some() && Rpm::parse("100000").is_some());
        for text in ["", "-1", "101", "256", "fast", "1e2", "100000000000"] {
            assert_eq!(Percent::parse(text), None, "{text}");
        }
        assert_eq!(Rpm::parse("100001"), None);
    }

    #[test]
    fn paths_are_absolute_and_name_a_file() {
        assert!(PathBuf::parse("/run/chassis/mux/grant").is_some());
        for text in ["", "grant", "./grant", "/run/", "/"] {
            assert_eq!(PathBuf::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_set_has_its_default() {
        assert_eq!(WAIT.get(&Environment::default()), Ok(Duration::from_secs(5)));
    }

    #[test]
    fn a_wrong_parameter_is_named_with_its_value_and_what_would_be_right() {
        let error = WAIT
            .get(&Environment::from([("OCF_RESKEY_wait", "soon")]))
            .unwrap_err();
        let expected =
            r#"parameter wait is "soon": expected a time above zero and up to a day, such as 5s or 500ms"#;
        assert_eq!(error.to_string(), expected);
        let error = FILE.check(&Environment::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter file is not set: expected an absolute path"
        );
    }
}
