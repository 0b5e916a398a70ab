//! What the chassis is told at its start: a JSON file.
//!
//! ```json
//! {
//!   "log": "/run/lab/chassis.jsonl",
//!   "socket": "/run/lab/chassis.sock",
//!   "host_power": true,
//!   "bmcs": [
//!     { "name": "bmc0", "mount": "/run/lab/bmc0/chassis", "console": "/run/lab/bmc0/console.log",
//!       "boot": ["systemd-nspawn", "…"] },
//!     { "name": "bmc1", "mount": "/run/lab/bmc1/chassis", "console": "/run/lab/bmc1/console.log",
//!       "boot": ["systemd-nspawn", "…"] }
//!   ]
//! }
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The event log; overwritten at the start.
    pub log: PathBuf,
    /// The control socket. It appears last, when everything else is ready.
    pub socket: PathBuf,
    /// Whether the host has power at the start.
    pub host_power: bool,
    /// The BMCs, by slot.
    pub bmcs: [BmcConfig; 2],
}

/// One BMC.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BmcConfig {
    /// What people call it.
    pub name: String,
    /// Where its view of the hardware is mounted; made if missing.
    pub mount: PathBuf,
    /// What boots it: a program with arguments that makes a PID namespace of its own, its PID 1 being the BMC's. Killing
    /// that PID 1 is what cuts the power. Exit status 133 asks for a reboot, as `systemd-nspawn --keep-unit` does.
    pub boot: Vec<String>,
    /// Where its output goes; appended to.
    pub console: PathBuf,
}

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read chassis configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("parse chassis configuration {}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A BMC has no program to boot it.
    #[error("chassis configuration {}: bmcs: {name}: boot is empty", path.display())]
    EmptyBoot {
        /// The file.
        path: PathBuf,
        /// The BMC.
        name: String,
    },
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = serde_json::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        match config.bmcs.iter().find(|bmc| bmc.boot.is_empty()) {
            Some(bmc) => Err(ConfigError::EmptyBoot {
                path: path.to_owned(),
                name: bmc.name.clone(),
            }),
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(file.path()).map_err(|error| error.to_string())
    }

    fn text(boot: &str) -> String {
        let bmc = format!(r#"{{"name":"bmc0","mount":"/m","boot":{boot},"console":"/c"}}"#);
        format!(r#"{{"log":"/l","socket":"/s","host_power":true,"bmcs":[{bmc},{bmc}]}}"#)
    }

    #[test]
    fn a_whole_configuration_loads() {
        assert_eq!(load(&text(r#"["true"]"#)).unwrap().bmcs[1].boot, ["true"]);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let broken = text(r#"["true"]"#).replace("host_power", "hostpower");
        assert!(load(&broken).unwrap_err().contains("hostpower"));
    }

    #[test]
    fn a_bmc_that_nothing_boots_is_refused() {
        assert!(load(&text("[]")).unwrap_err().contains("bmc0: boot is empty"));
    }
}
