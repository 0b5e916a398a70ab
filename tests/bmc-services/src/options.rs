//! What both services are told at their start.

use std::path::PathBuf;

use clap::Args;

/// Options of both services.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The folder that shows the chassis's hardware
    #[arg(long, value_name = "FOLDER", default_value = "/run/chassis")]
    pub hardware: PathBuf,
    /// The socket of the message bus to serve on
    #[arg(long, value_name = "SOCKET", default_value = "/run/dbus/system_bus_socket")]
    pub bus: PathBuf,
}
