//! The promotion score: which instance of a promotable clone Pacemaker should promote.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Environment, RunState};
use crate::hardware::HardwareError;
use crate::hardware::command::output_by;

/// Longest that Pacemaker's tool may take. It answers in some 20 ms; when its daemon hangs, the action that the score
/// belongs to matters more.
const TOOL_TIMEOUT: Duration = Duration::from_secs(5);

/// A promotion score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// The instance can be promoted; the highest wins.
    Promotable(u32),
    /// The instance must not be promoted.
    None,
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Promotable(score) => write!(f, "{score}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// A promotion score that could not be set.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// Pacemaker's tool did not run or end.
    #[error("set promotion score {score}: {source}")]
    Tool {
        /// The score.
        score: Score,
        /// Why.
        source: HardwareError,
    },
    /// Pacemaker's tool failed.
    #[error("set promotion score {score}: {status}: {output}")]
    Refused {
        /// The score.
        score: Score,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        output: String,
    },
    /// The score is set and could not be remembered.
    #[error("remember promotion score {score}: {source}")]
    Memory {
        /// The score.
        score: Score,
        /// Why.
        source: super::RunStateError,
    },
}

/// Sets the score by Pacemaker's tool, only when it changed.
#[derive(Debug)]
pub struct ScoreKeeper<'a> {
    environment: &'a Environment,
    memory: RunState,
}

impl<'a> ScoreKeeper<'a> {
    /// The score of this resource on this node.
    #[must_use]
    pub fn new(agent: &str, environment: &'a Environment) -> Self {
        Self {
            environment,
            memory: RunState::new(agent, "score", environment),
        }
    }

    /// Sets `score` unless it is the one last set.
    ///
    /// # Errors
    /// [`ScoreError`]; the next call tries again.
    pub fn keep(&self, score: Score) -> Result<(), ScoreError> {
        // A memory that cannot be read is no reason not to set the score.
        if self.memory.read().ok().flatten() == Some(Self::entry(score)) {
            return Ok(());
        }
        self.set(score)
    }

    /// Sets `score` whatever was set before. For a probe or a start: Pacemaker forgets the scores of a node that
    /// leaves the cluster, and this machine may have stayed up.
    ///
    /// # Errors
    /// [`ScoreError`].
    pub fn set(&self, score: Score) -> Result<(), ScoreError> {
        let _ = self.memory.forget();
        let program = self.environment.tool("crm_attribute");
        let mut command = Command::new(&program);
        command.arg(format!("--promotion={}", self.environment.instance()));
        match score {
            Score::Promotable(value) => command.arg(format!("--update={value}")),
            Score::None => command.arg("--delete"),
        };
        let name = program.display().to_string();
        let output = output_by(&mut command, &name, Instant::now() + TOOL_TIMEOUT)
            .map_err(|source| ScoreError::Tool { score, source })?;
        if !output.status.success() {
            return Err(ScoreError::Refused {
                score,
                status: output.status,
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        self.memory
            .write(&Self::entry(score))
            .map_err(|source| ScoreError::Memory { score, source })
    }

    /// What is remembered: the score, and under which executor. A new executor means that Pacemaker was restarted
    /// and has forgotten the score.
    fn entry(score: Score) -> String {
        let executor = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
        format!("{score} {executor}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::install;
    use std::fs;
    use std::path::Path;

    fn world(folder: &Path, tool: &str) -> Environment {
        let log = folder.join("log");
        install(
            &folder.join("crm_attribute"),
            &format!("echo \"$*\" >>{}\n{tool}", log.display()),
        );
        let path = folder.to_str().unwrap();
        Environment::from([
            ("HA_RSCTMP", path),
            ("HA_SBIN_DIR", path),
            ("OCF_RESOURCE_INSTANCE", "settings:1"),
        ])
    }

    fn calls(folder: &Path) -> Vec<String> {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_tool_runs_only_when_the_score_changed() {
        let folder = tempfile::tempdir().unwrap();
        let environment = world(folder.path(), "");
        for score in [
            Score::Promotable(500),
            Score::Promotable(500),
            Score::None,
            Score::None,
        ] {
            ScoreKeeper::new("settings", &environment).keep(score).unwrap();
        }
        let expected = [
            "--promotion=settings --update=500",
            "--promotion=settings --delete",
        ];
        assert_eq!(calls(folder.path()), expected);
    }

    #[test]
    fn a_probe_sets_the_score_again() {
        let folder = tempfile::tempdir().unwrap();
        let environment = world(folder.path(), "");
        let keeper = ScoreKeeper::new("settings", &environment);
        keeper.set(Score::Promotable(10)).unwrap();
        keeper.set(Score::Promotable(10)).unwrap();
        assert_eq!(calls(folder.path()).len(), 2);
    }

    #[test]
    fn a_score_that_could_not_be_set_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let environment = world(folder.path(), "echo no cluster >&2; exit 102");
        let keeper = ScoreKeeper::new("settings", &environment);
        let error = keeper.keep(Score::Promotable(10)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "set promotion score 10: exit status: 102: no cluster"
        );
        keeper.keep(Score::Promotable(10)).unwrap_err();
        assert_eq!(calls(folder.path()).len(), 2);
    }
}
