//! `ocf:openbmc:mux`: holds the switch that lets one BMC at a time reach the chassis.
//!
//! Promoted is what the hardware says: this BMC has the grant. Running and unpromoted is a remembered role, since the
//! hardware has no word for it; it is forgotten at a reboot.

use std::path::PathBuf;
use std::time::Duration;

use crate::hardware::{self, HardwareError, file::FileMux};
use crate::ocf::{
    Action, Agent, Description, Environment, Offer, Parameter, Request, Role, RunState, Score, State,
};

use super::Failure;
use super::mux_gate::{MUX_BACKEND, MUX_COMMAND, MUX_GRANT_FILE, check_mux, mux};

/// `mux_select_file`.
pub const MUX_SELECT_FILE: Parameter<PathBuf> = Parameter::optional(
    "mux_select_file",
    "File that claims and releases the mux",
    "With mux_backend=file, required: absolute path of the file that claims the mux when 1 is written to it, and \
     releases it when 0 is.",
);

/// `claim_timeout`.
pub const CLAIM_TIMEOUT: Parameter<Duration> = Parameter::with_default(
    "claim_timeout",
    "5s",
    "Longest wait for the mux after it was claimed",
    "How long a promotion waits for the mux after claiming it. A claim that is not granted by then is withdrawn and the \
     promotion fails. Should be below the timeout of the promote action.",
);

/// Score of a BMC whose mux can be read. Which BMC is better is for the settings agent to say.
const READABLE: Score = Score::Promotable(10);

/// Longest wait for the hardware to show that the mux was released.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent.
#[derive(Debug)]
pub struct Mux {
    mux: Box<dyn hardware::Mux>,
    claim_timeout: Duration,
    role: RunState,
}

impl Agent for Mux {
    type Failure = Failure;

    const DESCRIPTION: &'static Description = &Description {
        name: "mux",
        short: "Holds the hardware mux of a pair of BMCs",
        long: "Claims and releases the hardware mux, the switch that lets one of two BMCs at a time reach the chassis: \
               fans, power supplies, sensors.\n\n\
               Use it as a promotable clone with two instances. The promoted instance holds the mux. Its monitor fails \
               as soon as the mux is lost; the monitor of the unpromoted instance proves that the mux can be read. \
               Promotion claims the mux and waits until the hardware grants it; demotion and stop release it and wait \
               until the hardware shows that.",
        parameters: &[
            &MUX_BACKEND,
            &MUX_SELECT_FILE,
            &MUX_GRANT_FILE,
            &MUX_COMMAND,
            &CLAIM_TIMEOUT,
        ],
        offers: &[
            Offer::once(Action::Start, Duration::from_secs(20)),
            Offer::once(Action::Stop, Duration::from_secs(20)),
            Offer::monitor(
                Duration::from_secs(20),
                Duration::from_secs(10),
                Some(Role::Promoted),
            ),
            Offer::monitor(
                Duration::from_secs(20),
                Duration::from_secs(11),
                Some(Role::Unpromoted),
            ),
            Offer::once(Action::Promote, Duration::from_secs(20)),
            Offer::once(Action::Demote, Duration::from_secs(20)),
            Offer::once(Action::MetaData, Duration::from_secs(5)),
            Offer::once(Action::ValidateAll, Duration::from_secs(20)),
        ],
    };

    fn new(environment: &Environment) -> Result<Self, Failure> {
        let mux = mux(environment, |grant| {
            Ok(FileMux::new(
                MUX_SELECT_FILE.get_because(environment, "mux_backend is file")?,
                grant,
            ))
        })?;
        Ok(Self {
            mux,
            claim_timeout: CLAIM_TIMEOUT.get(environment)?,
            role: RunState::new("mux", "role", environment),
        })
    }

    fn monitor(&self, request: &Request) -> Result<State, Failure> {
        let role = self.role.read()?;
        let promoted = role.as_deref() == Some(Role::Promoted.name());
        let state = match (self.mux.is_held(), &role) {
            (Ok(true), _) => State::Promoted,
            (Ok(false), None) => State::Stopped,
            (Ok(false), Some(_)) if promoted => return Err(Failure::MuxLost),
            (Ok(false), Some(_)) => State::Running,
            (Err(error), None) if error.is_absent() => State::Stopped,
            (Err(error), _) => return Err(self.unreadable(request, error, promoted)),
        };
        if state != State::Stopped {
            request.show_score(READABLE);
        }
        Ok(state)
    }

    fn start(&self, request: &Request) -> Result<(), Failure> {
        let held = self.mux.is_held()?;
        if held && self.role.read()?.as_deref() == Some(Role::Promoted.name()) {
            return Ok(());
        }
        if held {
            request.warn("this BMC held the mux before it was promoted; releasing it");
            self.mux.release(request.within(RELEASE_TIMEOUT))?;
        }
        self.role.write(Role::Unpromoted.name())?;
        request.set_score(READABLE);
        Ok(())
    }

    fn promote(&self, request: &Request) -> Result<(), Failure> {
        if self.role.read()?.is_none() && !self.mux.is_held()? {
            return Err(Failure::NotStarted { agent: "mux" });
        }
        self.mux.claim(request.within(self.claim_timeout))?;
        self.role.write(Role::Promoted.name())?;
        request.info(&format!(
            "holds the mux {} ms after promote began",
            request.started.elapsed().as_millis()
        ));
        Ok(())
    }

    fn demote(&self, request: &Request) -> Result<(), Failure> {
        let runs = self.role.read()?.is_some() || self.mux.is_held()?;
        self.mux.release(request.within(RELEASE_TIMEOUT))?;
        if runs {
            self.role.write(Role::Unpromoted.name())?;
        }
        request.info(&format!(
            "released the mux {} ms after demote began",
            request.started.elapsed().as_millis()
        ));
        Ok(())
    }

    fn stop(&self, request: &Request) -> Result<(), Failure> {
        match self.mux.release(request.within(RELEASE_TIMEOUT)) {
            Err(error) if error.is_absent() && self.role.read()?.is_none() => {
                request.warn(&format!("nothing to stop: {error}"));
            }
            other => other?,
        }
        request.set_score(Score::None);
        self.role.forget()?;
        Ok(())
    }

    fn check_machine(&self, _request: &Request) -> Result<(), Failure> {
        check_mux(self.mux.as_ref())
    }
}

impl Mux {
    fn unreadable(&self, request: &Request, error: HardwareError, promoted: bool) -> Failure {
        request.show_score(Score::None);
        if promoted {
            Failure::MuxUnreadable(error)
        } else {
            error.into()
        }
    }
}
