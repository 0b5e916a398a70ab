//! What an agent remembers between calls, and forgets at a reboot: one short line per file.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::Environment;

/// A remembered line that cannot be read, written or forgotten.
#[derive(Debug, thiserror::Error)]
#[error("{action} state {}: {source}", path.display())]
pub struct RunStateError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl RunStateError {
    /// Whether this user may not do that.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

/// One line in a file of the agents' run directory, as `ocf:pacemaker:Stateful` keeps its role.
#[derive(Debug)]
pub struct RunState {
    path: PathBuf,
}

impl RunState {
    /// The line called `what` of this resource.
    #[must_use]
    pub fn new(agent: &str, what: &str, environment: &Environment) -> Self {
        // Pacemaker's names cannot hold a slash; by hand, one must not lead out of the directory.
        let instance = environment.instance().replace('/', "_");
        Self {
            path: environment
                .run_directory()
                .join(format!("openbmc-{agent}-{instance}.{what}")),
        }
    }

    /// The line, or `None` when nothing is remembered.
    ///
    /// # Errors
    /// [`RunStateError`] when there is something that cannot be read.
    pub fn read(&self) -> Result<Option<String>, RunStateError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", error)),
        }
    }

    /// Remembers a line: by a rename, so that a call that is killed leaves the old line or the new one.
    ///
    /// # Errors
    /// [`RunStateError`].
    pub fn write(&self, line: &str) -> Result<(), RunStateError> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        let made = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&temporary, format!("{line}\n")))
            .and_then(|()| fs::rename(&temporary, &self.path))
            .map_err(|error| self.failed("write", error))
    }

    /// Forgets the line. Nothing to forget is fine.
    ///
    /// # Errors
    /// [`RunStateError`].
    pub fn forget(&self) -> Result<(), RunStateError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> RunStateError {
        RunStateError {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("not/yet/there");
        let environment = Environment::from([
            ("HA_RSCTMP", run.to_str().unwrap()),
            ("OCF_RESOURCE_INSTANCE", "../../mux:0"),
        ]);
        let state = RunState::new("mux", "role", &environment);
        assert_eq!(state.read().unwrap(), None);
        state.write("Promoted").unwrap();
        assert_eq!(state.read().unwrap().as_deref(), Some("Promoted"));
        let names: Vec<_> = fs::read_dir(&run)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["openbmc-mux-.._.._mux.role"]);
        state.forget().unwrap();
        state.forget().unwrap();
        assert_eq!(state.read().unwrap(), None);
    }
}
