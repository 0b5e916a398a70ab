//! How a lab is started.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::network::Subnet;
use crate::record::ProcessId;

/// What a lab can be asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// Name of the lab: labs of different names stand side by side.
    pub name: String,
    /// Folder with the built programs.
    pub bin_dir: PathBuf,
    /// Subnets of the two links. They stay inside the lab's own namespaces.
    pub subnets: [Subnet; 2],
}

impl Options {
    /// Subnets when nothing else is said.
    pub const SUBNETS: [Subnet; 2] = [Subnet([10, 77, 0]), Subnet([10, 77, 1])];

    /// A lab called `name` of the programs that were built together with the running one.
    ///
    /// # Errors
    /// When the running program cannot be found.
    pub fn named(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            bin_dir: own_bin_dir()?,
            subnets: Self::SUBNETS,
        })
    }

    /// Refuses a name that would not do as a file, namespace and control group name.
    pub(crate) fn check(&self) -> Result<()> {
        let fits = (1..=32).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits {
            return Ok(());
        }
        Err(LabError::State(format!(
            "{:?} is no name for a lab: use 1 to 32 of a-z, 0-9 and -",
            self.name
        )))
    }
}

/// Folder of the running program; tests run from `deps` beneath it.
fn own_bin_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(LabError::io("find", "the running program"))?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// What a started lab keeps on disk, so that other processes can use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) options: Options,
    /// The process that takes the lab down at its end; none when the lab is to stay.
    pub(crate) owner: Option<ProcessId>,
}

impl Started {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(LabError::io("read", path))?;
        serde_json::from_slice(&text).map_err(|error| LabError::Malformed {
            of: path.display().to_string(),
            detail: error.to_string(),
        })
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| LabError::Malformed {
            of: path.display().to_string(),
            detail: error.to_string(),
        })?;
        fs::write(path, text).map_err(LabError::io("write", path))
    }
}
