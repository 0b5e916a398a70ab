//! The agents speak Pacemaker's language: exit statuses, actions, roles and variables as in its own headers.

use ocf_agents::agents;
use ocf_agents::ocf::{Action, Environment, ExitCode, Role};
use pacemaker_abi::ocf_exitcode as pacemaker;

#[test]
fn exit_statuses_are_pacemakers() {
    let pairs = [
        (ExitCode::Success, pacemaker::PCMK_OCF_OK),
        (ExitCode::Generic, pacemaker::PCMK_OCF_UNKNOWN_ERROR),
        (ExitCode::Arguments, pacemaker::PCMK_OCF_INVALID_PARAM),
        (ExitCode::Unimplemented, pacemaker::PCMK_OCF_UNIMPLEMENT_FEATURE),
        (ExitCode::Permission, pacemaker::PCMK_OCF_INSUFFICIENT_PRIV),
        (ExitCode::NotInstalled, pacemaker::PCMK_OCF_NOT_INSTALLED),
        (ExitCode::Configured, pacemaker::PCMK_OCF_NOT_CONFIGURED),
        (ExitCode::NotRunning, pacemaker::PCMK_OCF_NOT_RUNNING),
        (ExitCode::RunningPromoted, pacemaker::PCMK_OCF_RUNNING_PROMOTED),
        (ExitCode::FailedPromoted, pacemaker::PCMK_OCF_FAILED_PROMOTED),
        (ExitCode::Degraded, pacemaker::PCMK_OCF_DEGRADED),
        (ExitCode::DegradedPromoted, pacemaker::PCMK_OCF_DEGRADED_PROMOTED),
    ];
    for (ours, theirs) in pairs {
        assert_eq!(u32::from(ours.value()), theirs, "{ours:?}");
    }
}

#[test]
fn actions_have_pacemakers_names() {
    let pairs = [
        (Action::Start, pacemaker_abi::CRMD_ACTION_START),
        (Action::Stop, pacemaker_abi::CRMD_ACTION_STOP),
        (Action::Monitor, pacemaker_abi::CRMD_ACTION_STATUS),
        (Action::Promote, pacemaker_abi::CRMD_ACTION_PROMOTE),
        (Action::Demote, pacemaker_abi::CRMD_ACTION_DEMOTE),
        (Action::MetaData, pacemaker_abi::CRMD_ACTION_METADATA),
    ];
    for (ours, theirs) in pairs {
        assert_eq!(Some(ours.name()), theirs.to_str().ok());
    }
}

#[test]
fn roles_have_pacemakers_names_and_the_metadata_uses_them() {
    let pairs = [
        (Role::Promoted, pacemaker_abi::RSC_ROLE_PROMOTED_S),
        (Role::Unpromoted, pacemaker_abi::RSC_ROLE_UNPROMOTED_S),
    ];
    let described: Vec<String> = agents::ALL
        .iter()
        .filter_map(|agent| agent.description.metadata().ok())
        .collect();
    for (ours, theirs) in pairs {
        assert_eq!(Some(ours.name()), theirs.to_str().ok());
        let role = format!("role=\"{}\"", theirs.to_string_lossy());
        let promotable = described
            .iter()
            .filter(|document| document.contains(&role))
            .count();
        assert_eq!(promotable, 2, "mux and settings have monitors with {role}");
    }
}

#[test]
fn meta_attributes_are_read_under_pacemakers_names() {
    let meta = |attribute: &std::ffi::CStr| {
        let (prefix, attribute) = (
            pacemaker_abi::CRM_META.to_string_lossy(),
            attribute.to_string_lossy(),
        );
        format!("OCF_RESKEY_{prefix}_{attribute}")
    };
    let (timeout, interval) = (
        meta(pacemaker_abi::XML_ATTR_TIMEOUT),
        meta(pacemaker_abi::XML_LRM_ATTR_INTERVAL),
    );
    let environment = Environment::from([(timeout.as_str(), "7000"), (interval.as_str(), "10000")]);
    assert_eq!(environment.timeout().as_secs(), 7);
    assert!(!environment.is_probe());
}

#[test]
fn reasons_carry_pacemakers_prefix() {
    assert_eq!(
        Some(ocf_agents::ocf::EXIT_REASON_PREFIX),
        pacemaker_abi::PCMK_OCF_REASON_PREFIX.to_str().ok()
    );
}
