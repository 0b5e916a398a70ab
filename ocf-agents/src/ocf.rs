//! The OCF Resource Agent API, version 1.1
//! (<https://github.com/ClusterLabs/OCF-spec/blob/main/ra/1.1/resource-agent-api.md>): parameters, actions, exit
//! statuses, metadata and logging. An [`Agent`] adds what its resource is.

mod action;
mod agent;
mod environment;
mod exit_code;
mod log;
pub mod metadata;
mod parameter;
mod promotion;
mod run_state;
pub mod xml;

pub use action::{Action, Role};
pub use agent::{Agent, Failure, Request, State, run};
pub use environment::Environment;
pub use exit_code::ExitCode;
pub use log::{EXIT_REASON_PREFIX, Level, Log};
pub use metadata::{Description, Offer};
pub use parameter::{BusName, BusPath, Declared, Parameter, ParameterError, UnitName, Value};
pub use promotion::{Score, ScoreError, ScoreKeeper};
pub use run_state::{RunState, RunStateError};
