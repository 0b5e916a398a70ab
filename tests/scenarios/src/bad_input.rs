//! Bad parameters and configuration, given to the programs as installed on a BMC: refused before anything is
//! touched, with a message that names what is wrong.

use lab::{Node, Output, Result};

use crate::stage::{On, Scenario, Stage, ensure};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "every_agent_refuses_bad_parameters_by_name",
        on: On::RunningLab,
        script: agents,
    },
    Scenario {
        name: "the_fence_agent_refuses_bad_parameters_by_name",
        on: On::RunningLab,
        script: fence_agent,
    },
    Scenario {
        name: "the_bridge_refuses_bad_configuration_by_name",
        on: On::RunningLab,
        script: bridge,
    },
    Scenario {
        name: "the_template_refuses_bad_values_by_name",
        on: On::RunningLab,
        script: template,
    },
];

/// OCF_ERR_CONFIGURED: the resource is wrong wherever it runs.
const CONFIGURED: i32 = 6;

/// An agent, a bad parameter, and its value.
const BAD_PARAMETERS: &[(&str, &str, &str)] = &[
    ("mux", "mux_backend", "telepathy"),
    ("mux", "mux_select_file", "relative/path"),
    ("mux", "claim_timeout", "soon"),
    ("settings", "unit", "not a unit"),
    ("settings", "socket", "relative.sock"),
    ("fan", "bus_name", "no dots"),
    ("fan", "tach_minimum", "-1"),
    ("fan", "duty_max_age", "forever"),
    ("fan", "fail_safe_duty", "101"),
    ("power", "object_path", "no/slash"),
    ("power", "power_good_file", "good"),
    ("target", "unit", "no-suffix"),
];

/// What makes a fan, power or mux agent complete, so that only the bad parameter is wrong.
const GOOD_PARAMETERS: &[&str] = &[
    "OCF_ROOT=/usr/lib/ocf",
    "OCF_RESKEY_mux_select_file=/run/chassis/mux/select",
    "OCF_RESKEY_mux_grant_file=/run/chassis/mux/grant",
    "OCF_RESKEY_tach_files=/run/chassis/fans/fan*_input",
    "OCF_RESKEY_duty_files=/run/chassis/fans/pwm*",
    "OCF_RESKEY_power_good_file=/run/chassis/power/good",
];

fn agents(stage: &Stage<'_>) -> Result<()> {
    for (agent, name, value) in BAD_PARAMETERS {
        let bad = format!("OCF_RESKEY_{name}={value}");
        let path = format!("/usr/lib/ocf/resource.d/openbmc/{agent}");
        for action in ["validate-all", "start"] {
            let mut argv = vec!["env"];
            argv.extend(GOOD_PARAMETERS);
            argv.extend([bad.as_str(), path.as_str(), action]);
            let output = stage.lab.exec(Node::Bmc0, &argv)?;
            let what = format!("{agent} {action} with {name}={value}");
            ensure(output.status.code() == Some(CONFIGURED), || {
                format!("{what}: {}", said(&output))
            })?;
            names(&output, &what, &[name])?;
        }
    }
    Ok(())
}

/// What makes the fence agent complete, so that only the bad option is wrong. The last of two equal options counts.
const GOOD_OPTIONS: &[&str] = &[
    "--reset-file=/run/chassis/sibling/reset",
    "--held-file=/run/chassis/sibling/held",
];

fn fence_agent(stage: &Stage<'_>) -> Result<()> {
    for (option, name) in [
        ("--reset-file=relative", "reset_file"),
        ("--power-timeout=never", "power_timeout"),
        ("--action=explode", "action"),
        ("--colour=red", "colour"),
    ] {
        let mut argv = vec!["fence_bmc"];
        argv.extend(GOOD_OPTIONS);
        argv.push(option);
        refused(&stage.lab.exec(Node::Bmc0, &argv)?, option, &[name])?;
    }
    Ok(())
}

/// A file for the bridge, and what a message about it has to name.
const BAD_CONFIGURATION: &[(&str, &[&str])] = &[
    (
        r#"{"Files": [{"Description": "x", "Path": "/etc/x", "SyncDirection": "Sideways", "SyncType": "Immediate"}]}"#,
        &["SyncDirection", "Sideways"],
    ),
    (
        r#"{"Files": [{"Description": "x", "Path": "etc/x", "SyncDirection": "Active2Passive", "SyncType": "Immediate"}]}"#,
        &["Path", "etc/x"],
    ),
    (
        r#"{"Files": [{"Description": "x", "Path": "/etc/x", "SyncDirection": "Active2Passive", "SyncType": "Immediate", "Colour": "red"}]}"#,
        &["Colour"],
    ),
    (r#"{"Folders": []}"#, &["Folders"]),
    ("not JSON", &["bad.json"]),
];

fn bridge(stage: &Stage<'_>) -> Result<()> {
    for (text, needles) in BAD_CONFIGURATION {
        let script =
            "d=$(mktemp -d) && cat >$d/bad.json <<'END' && corosync-bridge --check-config --config-dir $d";
        let script = format!("{script}\n{text}\nEND\n");
        let output = stage.lab.exec(Node::Bmc0, &["sh", "-c", &script])?;
        refused(&output, text, needles)?;
        names(&output, text, &["bad.json"])?;
    }
    Ok(())
}

/// A value for the template, and the parameter that a message about it has to name.
const BAD_VALUES: &[(&str, &str)] = &[
    ("policy=sometimes", "policy"),
    ("address=10.0.0.256", "address"),
    ("address_prefix=129", "address_prefix"),
    ("fan_fail_safe_duty=101", "fan_fail_safe_duty"),
    ("mux_select_file=relative", "mux_select_file"),
    ("fence_timeout=soon", "fence_timeout"),
    ("colour=red", "colour"),
];

/// What makes the template complete, so that only the bad value is wrong.
const GOOD_VALUES: &[&str] = &[
    "node0=bmc0",
    "node1=bmc1",
    "mux_select_file=/run/chassis/mux/select",
    "mux_grant_file=/run/chassis/mux/grant",
    "fan_tach_files=/run/chassis/fans/fan*_input",
    "fan_duty_files=/run/chassis/fans/pwm*",
    "power_good_file=/run/chassis/power/good",
    "fence_reset_file=/run/chassis/sibling/reset",
    "fence_held_file=/run/chassis/sibling/held",
    "fence_lock_file=/run/chassis/sibling/fence_lock",
];

fn template(stage: &Stage<'_>) -> Result<()> {
    for (bad, name) in BAD_VALUES {
        let mut argv = vec!["bmc-ha", "template", "verify", "redundant-bmc"];
        for value in GOOD_VALUES.iter().chain([bad]) {
            argv.extend(["--set", value]);
        }
        refused(&stage.lab.exec(Node::Bmc0, &argv)?, bad, &[name])?;
    }
    Ok(())
}

fn refused(output: &Output, what: &str, needles: &[&str]) -> Result<()> {
    ensure(!output.success(), || {
        format!("{what} was accepted: {}", said(output))
    })?;
    names(output, what, needles)
}

fn names(output: &Output, what: &str, needles: &[&str]) -> Result<()> {
    needles.iter().try_for_each(|needle| {
        ensure(output.stderr.contains(needle), || {
            format!("{what}: the message does not name {needle}: {}", said(output))
        })
    })
}

fn said(output: &Output) -> String {
    format!("{}: {}{}", output.status, output.stdout, output.stderr)
}
