//! `ocf:openbmc:settings`: drives the bridge that replicates the settings, and says how fresh this BMC's copy is.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bmc_bridge_control::{Client, ClientError, Command, Connection, Role, Status};
use bmc_system_bus::{Systemd, SystemdError, UnitState};

use crate::ocf::{
    self, Action, Agent, Description, Environment, Offer, Parameter, Request, Score, State, UnitName,
};

use super::{Failure, promotion_score};

/// `unit`.
pub const UNIT: Parameter<UnitName> = Parameter::with_default(
    "unit",
    "corosync-bridge.service",
    "The bridge's service",
    "Name of the systemd unit that replicates the settings.",
);

/// `socket`.
pub const SOCKET: Parameter<PathBuf> = Parameter::with_default(
    "socket",
    bmc_bridge_control::DEFAULT_SOCKET,
    "The bridge's control socket",
    "Absolute path of the Unix socket on which the bridge takes commands.",
);

/// Longest wait for a status. The bridge answers from memory, in less than a millisecond.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a monitor waits for a bridge that was killed: systemd restarts it and it joins the group again within
/// this time, so that Pacemaker need not do anything.
const RESTART_GRACE: Duration = Duration::from_secs(5);

/// How long a demotion waits for the sibling to acknowledge what was written last. A sibling in sync takes
/// milliseconds; for one that hangs, every second more is one without an Active.
const FLUSH_PATIENCE: Duration = Duration::from_secs(10);

/// The same for a source that is stopped, mostly because it could not be demoted.
const STEP_DOWN_PATIENCE: Duration = Duration::from_secs(5);

/// The agent.
#[derive(Debug)]
pub struct Settings {
    unit: UnitName,
    socket: PathBuf,
}

impl Agent for Settings {
    type Failure = Failure;

    const DESCRIPTION: &'static Description = &Description {
        name: "settings",
        short: "Replicates the settings of a pair of BMCs",
        long: "Starts and stops corosync-bridge over D-Bus, which replicates settings from the Active BMC to the \
               Passive one, and decides by commands to it which BMC is the source.\n\n\
               Use it as a promotable clone with two instances. The promoted instance is the source. The promotion \
               score tells how fresh this BMC's copy is, so that the BMC with the newest settings is promoted. A bridge \
               that was killed is restarted by systemd and not reported.",
        parameters: &[&UNIT, &SOCKET],
        offers: &[
            Offer::once(Action::Start, Duration::from_secs(60)),
            Offer::once(Action::Stop, Duration::from_secs(60)),
            Offer::monitor(
                Duration::from_secs(20),
                Duration::from_secs(10),
                Some(ocf::Role::Promoted),
            ),
            Offer::monitor(
                Duration::from_secs(20),
                Duration::from_secs(11),
                Some(ocf::Role::Unpromoted),
            ),
            Offer::once(Action::Promote, Duration::from_secs(30)),
            Offer::once(Action::Demote, Duration::from_secs(30)),
            Offer::once(Action::MetaData, Duration::from_secs(5)),
            Offer::once(Action::ValidateAll, Duration::from_secs(20)),
        ],
    };

    fn new(environment: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            unit: UNIT.get(environment)?,
            socket: SOCKET.get(environment)?,
        })
    }

    fn monitor(&self, request: &Request) -> Result<State, Failure> {
        let patience = request.within(RESTART_GRACE);
        let Some(status) = self.find_status(request, patience, is_usable)? else {
            return Ok(State::Stopped);
        };
        request.show_score(promotion_score(&status));
        match (status.role, status.connection) {
            (Role::Passive, _) => Ok(State::Running),
            (Role::Active, Connection::Joined) => Ok(State::Promoted),
            (Role::Active, Connection::Disconnected) => Err(Failure::ActiveAlone),
        }
    }

    fn start(&self, request: &Request) -> Result<(), Failure> {
        Systemd::connect(
            request.environment.bus_address(),
            "start",
            &self.unit,
            request.deadline,
        )?
        .start(&self.unit, request.deadline)?;
        let joined = |status: &Status| status.connection == Connection::Joined;
        let status = match self.find_status(request, request.deadline, joined)? {
            Some(status) if joined(&status) => status,
            Some(_) => return Err(unexpected("start", "outside the replication group", "in it")),
            None => return Err(unexpected("start", "stopped", "running")),
        };
        if status.role == Role::Active {
            request.warn("the bridge was the Active before it was promoted; demoting it");
            self.demote(request)?;
        }
        request.set_score(promotion_score(&self.status(request.deadline)?));
        request.info(&format!("joined the replication group at {:?}", status.position));
        Ok(())
    }

    // Neither promote nor demote sets the score: the monitor that Pacemaker runs right after either does, while the mux is
    // being claimed, and a failover does not wait for Pacemaker's tool.

    fn promote(&self, request: &Request) -> Result<(), Failure> {
        self.command(Command::Promote, request.deadline)?;
        let status = self.status(request.deadline)?;
        if status.role != Role::Active {
            return Err(unexpected("promote", "Passive", "Active"));
        }
        let (took, epoch) = (request.started.elapsed().as_millis(), status.position.epoch);
        request.info(&format!(
            "is the source in epoch {epoch}, {took} ms after promote began"
        ));
        Ok(())
    }

    fn demote(&self, request: &Request) -> Result<(), Failure> {
        match self.command(Command::Demote, request.within(FLUSH_PATIENCE)) {
            Err(ClientError::Connect { .. }) if !self.is_running(request)? => {
                request.warn("the bridge is not running, so it is not the source");
                return Ok(());
            }
            other => other?,
        }
        let status = self.status(request.deadline)?;
        if status.role != Role::Passive {
            return Err(unexpected("demote", "Active", "Passive"));
        }
        request.info(&format!("stopped being the source at {:?}", status.position));
        Ok(())
    }

    fn stop(&self, request: &Request) -> Result<(), Failure> {
        self.step_down(request);
        match Systemd::connect(
            request.environment.bus_address(),
            "stop",
            &self.unit,
            request.deadline,
        ) {
            Err(error) if error.is_bus_absent() => request.warn(&format!("nothing to stop: {error}")),
            connected => connected?.stop(&self.unit, request.deadline)?,
        }
        request.set_score(Score::None);
        Ok(())
    }

    fn check_machine(&self, request: &Request) -> Result<(), Failure> {
        let mut systemd = Systemd::connect(
            request.environment.bus_address(),
            "examine",
            &self.unit,
            request.deadline,
        )?;
        if systemd.is_installed(&self.unit, request.deadline)? {
            return Ok(());
        }
        Err(Failure::NotInstalled {
            missing: format!("unit {}", self.unit),
        })
    }
}

impl Settings {
    fn status(&self, deadline: Instant) -> Result<Status, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        Client::connect(&self.socket)?.status(left.min(STATUS_TIMEOUT))
    }

    fn command(&self, command: Command, deadline: Instant) -> Result<(), ClientError> {
        let mut client = Client::connect(&self.socket)?;
        client.run(command, deadline.saturating_duration_since(Instant::now()))
    }

    /// Demotes a source before it is stopped, in half of the time at most: what comes after the flush matters more.
    fn step_down(&self, request: &Request) {
        let limit = request.within(STEP_DOWN_PATIENCE.min(request.left() / 2));
        let demoted = match self.status(limit) {
            Ok(status) if status.role == Role::Active => self.command(Command::Demote, limit),
            _ => Ok(()),
        };
        if let Err(error) = demoted {
            request.warn(&format!("stopping a source that could not step down: {error}"));
        }
    }

    /// The status once it is `good`, or what it is at `patience`. `None` when the bridge is not running.
    fn find_status(
        &self,
        request: &Request,
        patience: Instant,
        good: impl Fn(&Status) -> bool,
    ) -> Result<Option<Status>, Failure> {
        let mut watch = None;
        loop {
            let answer = self.status(request.deadline);
            let is_late = Instant::now() >= patience;
            match answer {
                Ok(status) if is_late || good(&status) => return Ok(Some(status)),
                Ok(status) => match self.command(Command::WaitJoined, patience) {
                    // A bridge that restarts meanwhile breaks the connection.
                    Ok(()) | Err(ClientError::Exchange { .. } | ClientError::Connect { .. }) => {}
                    Err(_) => return Ok(Some(status)),
                },
                // A bridge that restarts breaks the connection; one that was stopped is no longer there. When systemd
                // cannot tell, the bridge's own answer is the one to report.
                Err(error @ (ClientError::Connect { .. } | ClientError::Exchange { .. })) => {
                    if !self.is_running(request).unwrap_or(true) {
                        return Ok(None);
                    }
                    if is_late || !self.wait_for_news(&mut watch, request, patience) {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until systemd has something to say of the bridge's unit: that it was started again, mostly. The first time it
    /// returns at once, because what was said before was not heard. `false` when systemd cannot be heard.
    fn wait_for_news(&self, watch: &mut Option<Systemd>, request: &Request, patience: Instant) -> bool {
        match watch {
            Some(systemd) => systemd.pause(patience).is_ok(),
            None => {
                let systemd = Systemd::connect(
                    request.environment.bus_address(),
                    "watch",
                    &self.unit,
                    request.deadline,
                );
                *watch = systemd
                    .and_then(|mut systemd| systemd.watch(&self.unit, request.deadline).map(|()| systemd))
                    .ok();
                watch.is_some()
            }
        }
    }

    /// Whether the bridge runs or systemd is about to start it again.
    fn is_running(&self, request: &Request) -> Result<bool, SystemdError> {
        let mut systemd = match Systemd::connect(
            request.environment.bus_address(),
            "examine",
            &self.unit,
            request.deadline,
        ) {
            Err(error) if error.is_bus_absent() => return Ok(false),
            other => other?,
        };
        let state = systemd.state(&self.unit, request.deadline)?;
        Ok(!matches!(state, UnitState::Inactive | UnitState::Failed))
    }
}

/// A status that a monitor need not wait to become better.
fn is_usable(status: &Status) -> bool {
    status.connection == Connection::Joined || status.role == Role::Passive
}

fn unexpected(action: &'static str, actual: &str, wanted: &'static str) -> Failure {
    Failure::BridgeState {
        action,
        actual: actual.to_owned(),
        wanted,
    }
}
