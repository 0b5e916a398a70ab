//! What the resource manager hands to an agent: environment variables, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Assumed for an action when the resource manager names no timeout, as when a person runs the agent by hand.
/// Pacemaker's own default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The environment of one call.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process. What is not UTF-8 is kept with replacement characters, so that it can be
    /// shown in the message that refuses it.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    /// A variable. Set but empty counts as not set, as for `${NAME:=default}` in agents written for the shell.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Address of the system bus, where it is not the usual one.
    #[must_use]
    pub fn bus_address(&self) -> Option<&str> {
        self.variable("DBUS_SYSTEM_BUS_ADDRESS")
    }

    /// A parameter of the resource.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.variable(&format!("OCF_RESKEY_{name}"))
    }

    /// Name of the resource, without the number that Pacemaker adds to the instances of a unique clone.
    #[must_use]
    pub fn instance(&self) -> &str {
        let name = self.variable("OCF_RESOURCE_INSTANCE").unwrap_or("default");
        match name.rsplit_once(':') {
            Some((base, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => base,
            _ => name,
        }
    }

    /// How long the resource manager waits for this action.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        let milliseconds = self
            .parameter("CRM_meta_timeout")
            .and_then(|value| value.parse().ok());
        milliseconds.map_or(DEFAULT_TIMEOUT, Duration::from_millis)
    }

    /// Whether a `monitor` is a probe: asked once, to find out what runs. Without an interval it is one.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.parameter("CRM_meta_interval")
            .is_none_or(|value| value == "0")
    }

    /// `OCF_CHECK_LEVEL`: how thorough a check should be.
    #[must_use]
    pub fn check_level(&self) -> u32 {
        let level = self
            .variable("OCF_CHECK_LEVEL")
            .or_else(|| self.parameter("OCF_CHECK_LEVEL"));
        level.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Where agents keep what must not survive a reboot. `HA_RSCTMP`, as for the agents that Pacemaker ships.
    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.variable("HA_RSCTMP")
            .unwrap_or("/run/resource-agents")
            .into()
    }

    /// Where Pacemaker's tools are: `HA_SBIN_DIR`, as for the agents that Pacemaker ships.
    #[must_use]
    pub fn tool(&self, name: &str) -> PathBuf {
        PathBuf::from(self.variable("HA_SBIN_DIR").unwrap_or("/usr/sbin")).join(name)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }
}

impl<'a, const N: usize> From<[(&'a str, &'a str); N]> for Environment {
    fn from(variables: [(&'a str, &'a str); N]) -> Self {
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_clone_instance_is_not_part_of_the_name() {
        for (given, expected) in [("mux:1", "mux"), ("mux", "mux"), ("a:b", "a:b"), ("a:b:2", "a:b")] {
            assert_eq!(
                Environment::from([("OCF_RESOURCE_INSTANCE", given)]).instance(),
                expected
            );
        }
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        assert_eq!(
            Environment::from([("OCF_RESKEY_unit", "")]).parameter("unit"),
            None
        );
    }

    #[test]
    fn a_monitor_without_an_interval_is_a_probe() {
        let with_interval = |value| Environment::from([("OCF_RESKEY_CRM_meta_interval", value)]).is_probe();
        assert!(Environment::default().is_probe());
        assert!(with_interval("0"));
        assert!(!with_interval("10000"));
    }

    #[test]
    fn the_timeout_comes_in_milliseconds() {
        let environment = Environment::from([("OCF_RESKEY_CRM_meta_timeout", "1500")]);
        assert_eq!(environment.timeout(), Duration::from_millis(1500));
        assert_eq!(Environment::default().timeout(), DEFAULT_TIMEOUT);
    }
}
