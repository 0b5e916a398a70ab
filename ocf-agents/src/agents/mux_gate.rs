//! The parameters by which every agent finds the mux.

use std::path::PathBuf;

use crate::hardware::command::CommandMux;
use crate::hardware::file::FileMux;
use crate::hardware::{HardwareError, Mux};
use crate::ocf::{Environment, Parameter, ParameterError, Value};

use super::Failure;

/// `mux_backend`.
pub const MUX_BACKEND: Parameter<MuxBackend> = Parameter::with_default(
    "mux_backend",
    "file",
    "How the mux is reached: file or command",
    "How this board's mux is reached. \"file\": files with sysfs semantics, see mux_grant_file. \"command\": a program, \
     see mux_command.",
);

/// `mux_grant_file`.
pub const MUX_GRANT_FILE: Parameter<PathBuf> = Parameter::optional(
    "mux_grant_file",
    "File that reads 1 while this BMC holds the mux",
    "With mux_backend=file, required: absolute path of the file that reads 1 while this BMC holds the mux, else 0.",
);

/// `mux_command`.
pub const MUX_COMMAND: Parameter<PathBuf> = Parameter::optional(
    "mux_command",
    "Program that claims, releases and reads the mux",
    "With mux_backend=command, required: absolute path of a program that is run with one word. \"claim\" and \"release\" \
     move the mux, \"state\" prints \"held\" or \"free\". Exit status 0 is success.",
);

/// How a board's mux is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MuxBackend {
    /// By files.
    File,
    /// By a program.
    Command,
}

impl Value for MuxBackend {
    const EXPECTED: &'static str = "file or command";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "file" => Some(Self::File),
            "command" => Some(Self::Command),
            _ => None,
        }
    }
}

/// A view of the mux for agents that look at it and never move it.
///
/// # Errors
/// [`ParameterError`].
pub fn readable_mux(environment: &Environment) -> Result<Box<dyn Mux>, ParameterError> {
    mux(environment, |grant| Ok(FileMux::read_only(grant)))
}

/// The mux, with the file backend made from the grant file by `with_grant`.
///
/// # Errors
/// [`ParameterError`].
pub fn mux(
    environment: &Environment,
    with_grant: impl FnOnce(PathBuf) -> Result<FileMux, ParameterError>,
) -> Result<Box<dyn Mux>, ParameterError> {
    match MUX_BACKEND.get(environment)? {
        MuxBackend::File => {
            let grant = MUX_GRANT_FILE.get_because(environment, "mux_backend is file")?;
            Ok(Box::new(with_grant(grant)?))
        }
        MuxBackend::Command => {
            let program = MUX_COMMAND.get_because(environment, "mux_backend is command")?;
            Ok(Box::new(CommandMux { program }))
        }
    }
}

/// Checks that the mux is there and can be read.
///
/// # Errors
/// [`Failure::NotInstalled`] or [`Failure::Hardware`].
pub fn check_mux(mux: &dyn Mux) -> Result<(), Failure> {
    mux.is_held().map(drop).map_err(not_installed)
}

/// Tells hardware that is not there from hardware that fails.
pub fn not_installed(error: HardwareError) -> Failure {
    if error.is_absent() {
        return Failure::NotInstalled {
            missing: error.to_string(),
        };
    }
    error.into()
}
