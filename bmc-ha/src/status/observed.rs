//! Everything that is asked before anything is judged. Each question may fail by itself: what answers is
//! shown, and what does not is a problem of its own.

use std::fs;
use std::path::Path;

use bmc_bridge_control::Status;
use cib_templates::xml::Element;

use crate::cluster::{self, Configuration, View};
use crate::{bridge, mux};

/// Pacemaker's copy of the configuration on disk, read when Pacemaker does not answer.
const CIB_ON_DISK: &str = "/var/lib/pacemaker/cib/cib.xml";

/// What was seen on this BMC. An error is a sentence.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    /// This BMC.
    pub(crate) local: String,
    /// The cluster's state.
    pub(crate) view: Result<View, String>,
    /// The CIB, when Pacemaker answers.
    pub(crate) cib: Option<Element>,
    /// The configuration; from disk when Pacemaker does not answer.
    pub(crate) configuration: Option<Configuration>,
    /// What the controller is at.
    pub(crate) controller: Option<String>,
    /// The bridge's word.
    pub(crate) bridge: Result<Status, String>,
    /// Whether this BMC holds the mux.
    pub(crate) mux: Result<bool, String>,
}

impl Observed {
    /// Asks everybody.
    pub(crate) fn now() -> Self {
        let view = cluster::query_view().map_err(|error| error.to_string());
        let cib = view.is_ok().then(|| cluster::query_cib().ok()).flatten();
        let configuration = cib
            .as_ref()
            .map(Configuration::from_cib)
            .or_else(configuration_on_disk);
        let settings = configuration.as_ref().and_then(|all| all.settings.as_ref());
        let mux = configuration.as_ref().and_then(|all| all.mux.as_ref());
        let dc = view.as_ref().ok().and_then(|view| view.dc.as_deref());
        // The hardware right after the cluster, so that both words are of the same moment.
        let mux = mux::held_here(mux).map_err(|error| error.to_string());
        Self {
            local: cluster::local_name(),
            bridge: bridge::status(settings).map_err(|error| error.to_string()),
            controller: dc.and_then(|dc| cluster::controller_state(dc).ok()),
            mux,
            view,
            cib,
            configuration,
        }
    }
}

impl Observed {
    /// The configuration alone; from disk when Pacemaker does not answer.
    pub(crate) fn configuration() -> Option<Configuration> {
        let running = cluster::query_cib().ok();
        running
            .as_ref()
            .map(Configuration::from_cib)
            .or_else(configuration_on_disk)
    }
}

fn configuration_on_disk() -> Option<Configuration> {
    let document = fs::read_to_string(Path::new(CIB_ON_DISK)).ok()?;
    let cib = Element::parse(&document).ok()?;
    Some(Configuration::from_cib(&cib))
}
