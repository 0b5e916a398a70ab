//! Settings that are under way when something dies.

use std::time::{Duration, Instant};

use bmc_bridge_control::messages::Command;
use lab::{Lab, Node, Result, deadline};

use crate::stage::{On, Scenario, Stage, ensure, fail, wait_takeover};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_setting_a_certificate_and_a_network_file_arrive_on_the_passive",
        on: On::SettledLab,
        script: arrive,
    },
    Scenario {
        name: "the_inventory_of_the_active_is_kept_aside_on_the_passive",
        on: On::SettledLab,
        script: kept_aside,
    },
    Scenario {
        name: "an_acknowledged_setting_survives_a_power_cut_with_writes_in_flight",
        on: On::SettledLab,
        script: in_flight,
    },
    Scenario {
        name: "what_is_not_configured_is_not_replicated",
        on: On::SettledLab,
        script: not_configured,
    },
];

const SETTINGS: &str = "/var/lib/phosphor-settings-manager/settings";

fn arrive(stage: &Stage<'_>) -> Result<()> {
    let settings = [
        (format!("{SETTINGS}/host0/boot"), "Default\n"),
        (
            "/etc/ssl/certs/https/server.pem".to_owned(),
            "-----BEGIN CERTIFICATE-----\n",
        ),
        (
            "/etc/systemd/network/00-bmc-eth0.network".to_owned(),
            "[Network]\nDHCP=no\n",
        ),
    ];
    for (path, content) in &settings {
        stage.lab.write_setting(stage.active, path, content)?;
    }
    settings
        .iter()
        .try_for_each(|(path, content)| stage.lab.wait_setting(stage.passive(), path, content))
}

fn kept_aside(stage: &Stage<'_>) -> Result<()> {
    let path = "/var/lib/phosphor-inventory-manager/system/chassis/fan0";
    let kept = "/var/lib/phosphor-data-sync/bmc_data_bkp/system/chassis/fan0";
    let own = "as the Passive sees it\n";
    stage.lab.write_setting(stage.passive(), path, own)?;
    stage.lab.write_setting(stage.active, path, "present\n")?;
    stage.lab.wait_setting(stage.passive(), kept, "present\n")?;
    let seen = stage.lab.read_setting(stage.passive(), path)?;
    ensure(seen == own, || {
        format!("the Passive's own inventory became {seen:?}")
    })
}

/// How long settings are written before the power goes.
const WRITING: Duration = Duration::from_millis(700);
/// Lines of a setting: enough for several messages, so that half of one would show.
const LINES: usize = 20_000;

/// A setting whose every line is its number: a mix of two, or a half, shows.
fn numbered(number: u64) -> String {
    format!("{number}\n").repeat(LINES)
}

/// The number of a whole setting.
fn number_of(content: &str) -> Result<u64> {
    let first = content.lines().next().unwrap_or_default();
    match first.parse() {
        Ok(number) if content == numbered(number) => Ok(number),
        _ => fail(format!(
            "half-written: {} bytes that begin with {first:?}",
            content.len()
        )),
    }
}

fn in_flight(stage: &Stage<'_>) -> Result<()> {
    let path = format!("{SETTINGS}/in-flight");
    let acknowledged = write_until_the_power_goes(stage.lab, stage.active, &path)?;
    wait_takeover(stage.lab, stage.active)?;
    let survived = number_of(&stage.lab.read_setting(stage.passive(), &path)?)?;
    ensure(survived >= acknowledged, || {
        format!("setting {acknowledged} was acknowledged, but the survivor has {survived}")
    })?;
    stage.lab.settle()?;
    let returned = number_of(&stage.lab.read_setting(stage.active, &path)?)?;
    ensure(returned == survived, || {
        format!("the survivor has {survived}, the lost BMC came back with {returned}")
    })
}

/// Writes number after number, each flushed, and cuts the power in the middle of one. Returns the last number
/// whose flush was answered.
fn write_until_the_power_goes(lab: &Lab, active: Node, path: &str) -> Result<u64> {
    let bridge = lab.bridge(active)?;
    let mut acknowledged = 0;
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < WRITING {
        number += 1;
        lab.write_setting(active, path, &numbered(number))?;
        if bridge.run(Command::Flush, deadline::SETTING).is_ok() {
            acknowledged = number;
        }
    }
    ensure(acknowledged > 0, || {
        "nothing was acknowledged before the power cut".into()
    })?;
    lab.write_setting(active, path, &numbered(number + 1))?;
    lab.cut_power(active)?;
    Ok(acknowledged)
}

fn not_configured(stage: &Stage<'_>) -> Result<()> {
    let (outside, inside) = ("/var/lib/not-configured", format!("{SETTINGS}/configured"));
    stage.lab.write_setting(stage.active, outside, "stays here")?;
    stage.lab.write_setting(stage.active, &inside, "goes over")?;
    stage.lab.wait_setting(stage.passive(), &inside, "goes over")?;
    let leaked = stage.lab.inside(stage.passive(), outside)?.exists();
    ensure(!leaked, || {
        format!("{outside} was replicated, but nothing says that it is to be")
    })
}
