//! An agent, and how a call of one runs.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{
    Action, Description, Environment, ExitCode, Level, Log, ParameterError, Score, ScoreError, ScoreKeeper,
};

/// Check level of `validate-all` from which this machine is examined too (OCF Resource Agent API 1.1,
/// "validate-all").
const CHECK_MACHINE: u32 = 10;

/// What a resource is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Cleanly stopped.
    Stopped,
    /// Running; of a promotable resource, unpromoted.
    Running,
    /// Running and promoted.
    Promoted,
}

impl From<State> for ExitCode {
    fn from(state: State) -> Self {
        match state {
            State::Stopped => Self::NotRunning,
            State::Running => Self::Success,
            State::Promoted => Self::RunningPromoted,
        }
    }
}

/// Why an action failed.
pub trait Failure: std::error::Error {
    /// What to exit with.
    fn exit_code(&self) -> ExitCode;
}

/// One call of an agent.
#[derive(Debug)]
pub struct Request<'a> {
    /// Name of the agent.
    pub agent: &'static str,
    /// What the resource manager handed over.
    pub environment: &'a Environment,
    /// Where messages go.
    pub log: &'a Log,
    /// When the call began.
    pub started: Instant,
    /// When it has to be over: somewhat before the resource manager gives up on it, so that the reason is still
    /// told.
    pub deadline: Instant,
}

impl Request<'_> {
    /// Time left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The deadline, or `limit` from now when that is earlier.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Instant {
        self.deadline.min(Instant::now() + limit)
    }

    /// Sets the promotion score as a monitor does: a probe sets it whatever was set before, see [`ScoreKeeper::set`].
    pub fn show_score(&self, score: Score) {
        if self.environment.is_probe() {
            self.set_score(score);
        } else {
            self.warn_of(ScoreKeeper::new(self.agent, self.environment).keep(score));
        }
    }

    /// Sets the promotion score whatever was set before. A score that cannot be set does not fail an action: without a
    /// cluster there is none, and with one the next monitor tries again.
    pub fn set_score(&self, score: Score) {
        self.warn_of(ScoreKeeper::new(self.agent, self.environment).set(score));
    }

    fn warn_of(&self, result: Result<(), ScoreError>) {
        if let Err(error) = result {
            self.warn(&error.to_string());
        }
    }

    /// Logs an event.
    pub fn info(&self, message: &str) {
        self.log.write(Level::Info, message);
    }

    /// Logs something that is wrong and does not fail the action.
    pub fn warn(&self, message: &str) {
        self.log.write(Level::Warning, message);
    }
}

/// A resource agent.
pub trait Agent: Sized {
    /// Why its actions fail.
    type Failure: Failure + From<ParameterError>;
    /// Name, parameters, actions.
    const DESCRIPTION: &'static Description;

    /// Reads the parameters.
    ///
    /// # Errors
    /// When parameters do not fit each other. Each by itself has been checked.
    fn new(environment: &Environment) -> Result<Self, Self::Failure>;

    /// Tells the state.
    ///
    /// # Errors
    /// When the resource has failed.
    fn monitor(&self, request: &Request) -> Result<State, Self::Failure>;

    /// Brings the resource up. Starting what runs succeeds.
    ///
    /// # Errors
    /// When it did not come up.
    fn start(&self, request: &Request) -> Result<(), Self::Failure>;

    /// Brings the resource down. Stopping what is stopped succeeds.
    ///
    /// # Errors
    /// When it is not certainly down: Pacemaker then fences this node.
    fn stop(&self, request: &Request) -> Result<(), Self::Failure>;

    /// Promotes; of resources that offer it only.
    ///
    /// # Errors
    /// When it is not promoted.
    fn promote(&self, _request: &Request) -> Result<(), Self::Failure> {
        Ok(())
    }

    /// Demotes; of resources that offer it only.
    ///
    /// # Errors
    /// When it is not certainly demoted.
    fn demote(&self, _request: &Request) -> Result<(), Self::Failure> {
        Ok(())
    }

    /// Checks that this machine has what the resource needs.
    ///
    /// # Errors
    /// When it has not.
    fn check_machine(&self, request: &Request) -> Result<(), Self::Failure>;
}

/// Runs one action of an agent, named as on its command line.
pub fn run<A: Agent>(action: Option<&str>, environment: &Environment) -> ExitCode {
    let Some(name) = action else {
        return complain(&A::DESCRIPTION.usage(), ExitCode::Arguments);
    };
    match Action::from_name(name).filter(|action| A::DESCRIPTION.offers(*action)) {
        None => complain(&A::DESCRIPTION.usage(), ExitCode::Unimplemented),
        Some(Action::MetaData) => match A::DESCRIPTION.metadata() {
            Ok(document) => print(&document),
            Err(error) => complain(&format!("write metadata: {error}\n"), ExitCode::Generic),
        },
        Some(Action::Usage) => print(&A::DESCRIPTION.usage()),
        Some(action) => perform::<A>(action, environment),
    }
}

fn perform<A: Agent>(action: Action, environment: &Environment) -> ExitCode {
    let log = Log::new(A::DESCRIPTION.name, environment);
    let started = Instant::now();
    let request = Request {
        agent: A::DESCRIPTION.name,
        environment,
        log: &log,
        started,
        deadline: started + usable(environment.timeout()),
    };
    match attempt::<A>(action, &request) {
        Ok(code) => code,
        Err(failure) => {
            log.exit_reason(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn attempt<A: Agent>(action: Action, request: &Request) -> Result<ExitCode, A::Failure> {
    A::DESCRIPTION.check_parameters(request.environment)?;
    let agent = A::new(request.environment)?;
    let done = match action {
        Action::Monitor => return agent.monitor(request).map(ExitCode::from),
        Action::Start => agent.start(request),
        Action::Stop => agent.stop(request),
        Action::Promote => agent.promote(request),
        Action::Demote => agent.demote(request),
        Action::ValidateAll if request.environment.check_level() < CHECK_MACHINE => Ok(()),
        Action::ValidateAll => agent.check_machine(request),
        Action::MetaData | Action::Usage => Ok(()),
    };
    done.map(|()| ExitCode::Success)
}

/// The part of Pacemaker's timeout that an action may use: a tenth, but at least 200 ms and at most 2 s, is left for
/// what is already under way at the deadline and for telling the reason.
fn usable(timeout: Duration) -> Duration {
    let margin = (timeout / 10).clamp(Duration::from_millis(200), Duration::from_secs(2));
    timeout.saturating_sub(margin)
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::Success,
        Err(_) => ExitCode::Generic,
    }
}

fn complain(text: &str, code: ExitCode) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_before_the_resource_managers_timeout() {
        for (timeout, usable_ms) in [(100, 0), (1000, 800), (10_000, 9_000), (90_000, 88_000)] {
            assert_eq!(
                usable(Duration::from_millis(timeout)),
                Duration::from_millis(usable_ms)
            );
        }
    }
}
