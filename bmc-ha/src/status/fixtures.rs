//! A pair at rest: what its tools and its bridge said, for tests.

use bmc_bridge_control::{Connection, Member, Position, Role, Status, Switch, Sync};
use cib_templates::xml::Element;

use super::observed::Observed;
use crate::cluster::{Configuration, View};

/// The CIB of a pair whose Active is bmc0.
pub(crate) fn cib() -> Element {
    Element::parse(include_str!("../../tests/samples/at-rest.cib.xml")).unwrap()
}

/// Its state by `crm_mon`, with a controller.
pub(crate) fn view() -> View {
    let answer = Element::parse(include_str!("../../tests/samples/at-rest.crm_mon.xml")).unwrap();
    View {
        dc: Some("bmc0".to_owned()),
        quorate: true,
        ..View::from_monitor(&answer)
    }
}

/// The word of the bridge on bmc0.
pub(crate) fn bridge() -> Status {
    let position = Position {
        epoch: 3,
        sequence: 9,
    };
    Status {
        version: 1,
        node_id: 1,
        name: "bmc0".to_owned(),
        connection: Connection::Joined,
        quorate: true,
        role: Role::Active,
        position,
        sync: Sync::Source,
        essential: false,
        switch: Switch::On,
        members: vec![Member {
            node_id: 2,
            name: "bmc1".to_owned(),
            role: Role::Passive,
            position,
            sync: Sync::InSync,
            essential: false,
            acknowledged: Some(9),
            lag_ms: Some(0),
        }],
        entries: 12,
        transfer: None,
        problems: Vec::new(),
        conflicts: 0,
    }
}

/// Everything, as seen on `local`.
pub(crate) fn at_rest(local: &str) -> Observed {
    Observed {
        local: local.to_owned(),
        view: Ok(view()),
        configuration: Some(Configuration::from_cib(&cib())),
        cib: Some(cib()),
        controller: Some("S_IDLE".to_owned()),
        bridge: Ok(bridge()),
        mux: Ok(local == "bmc0"),
    }
}
