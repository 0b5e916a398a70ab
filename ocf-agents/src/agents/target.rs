//! `ocf:openbmc:target`: the systemd target of everything else that runs on the Active only.

use std::time::Duration;

use crate::ocf::{Action, Agent, Description, Environment, Offer, Parameter, Request, State, UnitName};

use super::Failure;
use super::active_service::ActiveService;
use super::mux_gate::{MUX_BACKEND, MUX_COMMAND, MUX_GRANT_FILE, readable_mux};

/// `unit`.
pub const UNIT: Parameter<UnitName> = Parameter::with_default(
    "unit",
    "obmc-bmc-active.target",
    "The target of the services that run on the Active only",
    "Name of the systemd unit that pulls in every service that may run on the Active BMC only. Those services should \
     be PartOf= it, so that they stop with it.",
);

/// The agent.
#[derive(Debug)]
pub struct Target {
    service: ActiveService,
}

impl Agent for Target {
    type Failure = Failure;

    const DESCRIPTION: &'static Description = &Description {
        name: "target",
        short: "Reaches a systemd target on the BMC that holds the mux",
        long: "Starts and stops a systemd target over D-Bus, on the BMC that holds the hardware mux and on no \
               other.\n\n\
               The monitor checks that the target is active.",
        parameters: &[&UNIT, &MUX_BACKEND, &MUX_GRANT_FILE, &MUX_COMMAND],
        offers: &[
            Offer::once(Action::Start, Duration::from_secs(60)),
            Offer::once(Action::Stop, Duration::from_secs(60)),
            Offer::monitor(Duration::from_secs(20), Duration::from_secs(10), None),
            Offer::once(Action::MetaData, Duration::from_secs(5)),
            Offer::once(Action::ValidateAll, Duration::from_secs(20)),
        ],
    };

    fn new(environment: &Environment) -> Result<Self, Failure> {
        Ok(Self {
            service: ActiveService {
                unit: UNIT.get(environment)?,
                mux: readable_mux(environment)?,
            },
        })
    }

    fn monitor(&self, request: &Request) -> Result<State, Failure> {
        self.service.monitor(request, |_, _| Ok(None))
    }

    fn start(&self, request: &Request) -> Result<(), Failure> {
        self.service.start(request, |_, _| Ok(None))
    }

    fn stop(&self, request: &Request) -> Result<(), Failure> {
        self.service.stop(request, request.deadline)
    }

    fn check_machine(&self, request: &Request) -> Result<(), Failure> {
        self.service.check_machine(request)
    }
}
