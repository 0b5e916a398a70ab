//! The lists that phosphor-data-sync publishes load as they are.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::path::Path;
use std::time::Duration;

use bmc_sync_config::{Direction, Method, Mode, SyncConfig, Timing};

const COMMON: &str = include_str!("published/common.json");
const OPEN_POWER: &str = include_str!("published/open-power.json");

#[test]
fn the_published_lists_load_together_and_mean_what_they_say() {
    let lists = support::directory(&[("common.json", COMMON), ("open-power.json", OPEN_POWER)]);
    let config = SyncConfig::load_dir(lists.path()).unwrap();
    let timing = |path: &str| config.rule_for(Path::new(path)).map(|rule| rule.timing);
    let each_minute = Some(Timing::Periodic(Duration::from_secs(60)));
    assert_eq!(timing("/var/log/obmc-console1.log"), each_minute);
    assert_eq!(timing("/var/lib/phosphor-post-code-manager/host0/1"), each_minute);
    assert_eq!(
        timing("/var/lib/phosphor-led-manager/savedGroups"),
        Some(Timing::Immediate)
    );
    assert_eq!(
        timing("/var/lib/phosphor-software-manager/hostfw/running/GUARD"),
        Some(Timing::Immediate)
    );
    assert_eq!(
        timing("/var/lib/network/hypervisor/eth0"),
        Some(Timing::Immediate)
    );
    for left_out in [
        "/var/lib/phosphor-state-manager/POHCounter",
        "/var/lib/phosphor-fan-presence/control/x",
        "/var/lib/phosphor-software-manager/hostfw/running/NVRAM",
    ] {
        assert_eq!(timing(left_out), None, "{left_out}");
    }
}

#[test]
fn what_newer_published_lists_use_loads_and_means_what_it_says() {
    let lists = support::directory(&[("newer.json", include_str!("published/newer.json"))]);
    let config = SyncConfig::load_dir(lists.path()).unwrap();
    let entry = |path: &str| config.entry_for(Path::new(path)).unwrap();
    let inventory = entry("/var/lib/phosphor-inventory-manager/xyz");
    assert_eq!(
        inventory.destination_of(Path::new("/var/lib/phosphor-inventory-manager/xyz")),
        Some("/var/lib/phosphor-data-sync/bmc_data_bkp/xyz".into())
    );
    let services = entry("/var/lib/service-config-manager/ssh");
    assert_eq!(services.rule.direction, Direction::Both);
    assert_eq!(
        services.notify.as_ref().unwrap().mode,
        Mode::Systemd(Method::Reload)
    );
}
