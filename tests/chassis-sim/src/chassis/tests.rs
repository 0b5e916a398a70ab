//! The strictness of the hardware, rule by rule.

use super::*;
use HardwareFile::{
    FanDuty, FenceLock, HostReset, MuxGrant, MuxSelect, PowerRequest, SiblingHeld, SiblingReset,
};

/// A chassis with both BMCs running and an empty log.
fn both_running() -> Chassis {
    let mut chassis = Chassis::new(Duration::ZERO, true);
    for slot in [0, 1] {
        chassis.switch_bmc_power(slot, true);
        chassis.os_started(slot, 100 + i32::from(slot));
    }
    chassis.take_events();
    chassis.take_effects();
    chassis
}

fn holds_mux(chassis: &Chassis, slot: Slot) -> bool {
    chassis.read(slot, MuxGrant).as_deref() == Ok("1")
}

fn claim(chassis: &mut Chassis, slot: Slot) {
    chassis.write(slot, MuxSelect, "1\n").unwrap();
}

/// BMC 0 fences BMC 1, up to the moment at which the world has to kill it.
fn pull_reset_of_1(chassis: &mut Chassis) {
    chassis.write(0, FenceLock, "1").unwrap();
    chassis.write(0, SiblingReset, "1").unwrap();
}

#[test]
fn a_write_to_fans_power_or_host_without_the_mux_is_refused_and_logged_as_such() {
    let mut chassis = both_running();
    for (file, value) in [(FanDuty(1), "255"), (PowerRequest, "off"), (HostReset, "1")] {
        assert_eq!(chassis.write(0, file, value), Err(Refusal::NoMux));
        let events = chassis.take_events();
        assert!(
            matches!(&events[..], [Event::Refused { bmc: 0, without_mux: true, file: logged, .. }] if *logged == file.path()),
            "{events:?}"
        );
    }
    assert!(chassis.state(0).host_power);
}

#[test]
fn reading_fans_without_the_mux_fails_and_is_no_violation() {
    let mut chassis = both_running();
    assert_eq!(chassis.read(0, FanDuty(1)), Err(Refusal::NoMux));
    assert_eq!(chassis.read(0, HardwareFile::Temperature), Err(Refusal::NoMux));
    assert_eq!(chassis.take_events(), []);
}

#[test]
fn a_second_claim_waits_until_the_mux_is_released() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    claim(&mut chassis, 1);
    assert!(holds_mux(&chassis, 0) && !holds_mux(&chassis, 1));
    assert_eq!(chassis.read(1, MuxSelect).as_deref(), Ok("1"));
    chassis.take_events();
    chassis.write(0, MuxSelect, "0").unwrap();
    assert_eq!(
        chassis.take_events(),
        [
            Event::MuxReleased {
                bmc: 0,
                by_reset: false
            },
            Event::MuxGranted { bmc: 1 }
        ]
    );
}

#[test]
fn a_claim_that_waits_can_be_withdrawn() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    claim(&mut chassis, 1);
    chassis.write(1, MuxSelect, "0").unwrap();
    chassis.write(0, MuxSelect, "0").unwrap();
    assert_eq!(chassis.state(0).mux_holder, None);
}

#[test]
fn claiming_twice_is_one_claim() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    chassis.take_events();
    claim(&mut chassis, 0);
    assert_eq!(chassis.take_events(), []);
}

#[test]
fn the_reset_line_moves_only_with_the_fencing_lock() {
    let mut chassis = both_running();
    assert_eq!(chassis.write(0, SiblingReset, "1"), Err(Refusal::NotLocked));
    assert!(!chassis.state(0).bmcs[1].in_reset);
    assert!(matches!(
        &chassis.take_events()[..],
        [Event::Refused {
            without_mux: false,
            ..
        }]
    ));
}

#[test]
fn the_fencing_lock_is_taken_by_one_bmc_at_a_time() {
    let mut chassis = both_running();
    chassis.write(0, FenceLock, "1").unwrap();
    assert_eq!(chassis.write(1, FenceLock, "1"), Err(Refusal::LockTaken));
    assert_eq!(
        chassis.write(0, FenceLock, "1"),
        Ok(()),
        "taking it twice is fine"
    );
    assert_eq!(
        chassis.write(1, FenceLock, "0"),
        Ok(()),
        "giving back what one does not have changes nothing"
    );
    assert_eq!(chassis.state(0).fence_lock, Some(0));
    chassis.write(0, FenceLock, "0").unwrap();
    assert_eq!(chassis.write(1, FenceLock, "1"), Ok(()));
}

#[test]
fn values_that_a_file_does_not_take_are_refused() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    chassis.write(0, FenceLock, "1").unwrap();
    for (file, value) in [
        (MuxSelect, "2"),
        (MuxSelect, ""),
        (FanDuty(1), "fast"),
        (FanDuty(1), "256"),
        (FanDuty(1), "-1"),
        (PowerRequest, "1"),
        (HostReset, "0"),
        (FenceLock, "yes"),
        (SiblingReset, "11"),
    ] {
        let refusal = chassis.write(0, file, value).unwrap_err();
        assert!(
            matches!(refusal, Refusal::BadValue { .. }),
            "{file:?} {value:?}: {refusal}"
        );
    }
    assert_eq!(chassis.write(0, MuxGrant, "1"), Err(Refusal::WrongAccess));
    assert_eq!(chassis.read(0, HostReset), Err(Refusal::WrongAccess));
}

#[test]
fn the_holder_drives_fans_and_host_power() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    chassis.take_events();
    chassis.write(0, FanDuty(3), "128\n").unwrap();
    chassis.write(0, PowerRequest, "off").unwrap();
    chassis.write(0, PowerRequest, "off").unwrap();
    chassis.write(0, HostReset, "1").unwrap();
    assert_eq!(
        chassis.take_events(),
        [
            Event::FanDuty {
                bmc: 0,
                fan: 3,
                duty: 128
            },
            Event::HostPower { bmc: 0, on: false },
            Event::HostReset { bmc: 0 }
        ]
    );
    assert_eq!(chassis.read(0, FanDuty(3)).as_deref(), Ok("128"));
    assert_eq!(chassis.read(1, HardwareFile::PowerGood).as_deref(), Ok("0"));
}

#[test]
fn fencing_is_proven_only_when_nothing_runs_and_then_hands_the_mux_over() {
    let mut chassis = both_running();
    claim(&mut chassis, 1);
    claim(&mut chassis, 0);
    pull_reset_of_1(&mut chassis);
    assert_eq!(chassis.take_effects(), [Effect::Kill(1)]);
    assert_eq!(chassis.read(0, SiblingHeld).as_deref(), Ok("0"));
    assert!(!holds_mux(&chassis, 0), "not before the proof");
    chassis.take_events();
    chassis.os_gone(1, false);
    assert_eq!(chassis.read(0, SiblingHeld).as_deref(), Ok("1"));
    assert_eq!(
        chassis.take_events(),
        [
            Event::BmcDown { bmc: 1 },
            Event::ResetHeld { bmc: 1 },
            Event::MuxReleased {
                bmc: 1,
                by_reset: true
            },
            Event::MuxGranted { bmc: 0 },
        ]
    );
    assert_eq!(chassis.take_effects(), [], "held: it does not boot");
    chassis.write(0, SiblingReset, "0").unwrap();
    assert_eq!(chassis.take_effects(), [Effect::Boot(1)]);
}

#[test]
fn what_starts_the_operating_system_again_in_place_is_no_proof() {
    let mut chassis = both_running();
    chassis.os_ended(1);
    pull_reset_of_1(&mut chassis);
    assert_eq!(chassis.take_effects(), [Effect::Kill(1)]);
    assert_eq!(chassis.read(0, SiblingHeld).as_deref(), Ok("0"));
}

#[test]
fn a_power_cut_does_not_free_the_mux_but_fencing_the_dead_bmc_does() {
    let mut chassis = both_running();
    claim(&mut chassis, 1);
    claim(&mut chassis, 0);
    chassis.switch_bmc_power(1, false);
    chassis.os_gone(1, false);
    assert!(!holds_mux(&chassis, 0));
    pull_reset_of_1(&mut chassis);
    assert!(holds_mux(&chassis, 0));
    chassis.write(0, SiblingReset, "0").unwrap();
    assert_eq!(
        chassis.take_effects(),
        [Effect::Kill(1)],
        "without power it does not boot"
    );
    chassis.switch_bmc_power(1, true);
    assert_eq!(chassis.take_effects(), [Effect::Boot(1)]);
}

#[test]
fn a_waiting_claim_ends_with_the_power() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    claim(&mut chassis, 1);
    chassis.switch_bmc_power(1, false);
    chassis.os_gone(1, false);
    chassis.write(0, MuxSelect, "0").unwrap();
    assert_eq!(chassis.state(0).mux_holder, None);
}

#[test]
fn a_bmc_without_power_or_in_reset_neither_reads_nor_writes() {
    let mut chassis = both_running();
    claim(&mut chassis, 1);
    pull_reset_of_1(&mut chassis);
    assert_eq!(chassis.read(1, MuxGrant), Err(Refusal::NotRunning));
    assert_eq!(chassis.write(1, FanDuty(1), "0"), Err(Refusal::NotRunning));
}

#[test]
fn a_bmc_that_loses_power_loses_the_fencing_lock_and_the_reset_line_it_pulls() {
    let mut chassis = both_running();
    pull_reset_of_1(&mut chassis);
    chassis.os_gone(1, false);
    chassis.take_effects();
    chassis.switch_bmc_power(0, false);
    let state = chassis.state(0);
    assert_eq!(state.fence_lock, None);
    assert!(!state.bmcs[1].in_reset);
    assert_eq!(chassis.take_effects(), [Effect::Boot(1), Effect::Kill(0)]);
}

#[test]
fn power_that_returns_while_the_old_system_still_dies_boots_once_it_is_gone() {
    let mut chassis = both_running();
    chassis.switch_bmc_power(0, false);
    chassis.switch_bmc_power(0, true);
    assert_eq!(chassis.take_effects(), [Effect::Kill(0)]);
    chassis.os_gone(0, false);
    assert_eq!(chassis.take_effects(), [Effect::Boot(0)]);
}

#[test]
fn a_system_that_shuts_itself_down_stays_down_and_one_that_reboots_comes_back() {
    let mut chassis = both_running();
    chassis.os_gone(0, false);
    assert_eq!(chassis.take_effects(), []);
    chassis.os_gone(1, true);
    assert_eq!(chassis.take_effects(), [Effect::Boot(1)]);
}

#[test]
fn a_seized_mux_goes_to_the_waiting_sibling_and_not_back_by_itself() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    claim(&mut chassis, 1);
    chassis.seize_mux().unwrap();
    assert!(holds_mux(&chassis, 1));
    chassis.seize_mux().unwrap();
    assert_eq!(chassis.state(0).mux_holder, None);
    assert!(chassis.seize_mux().is_err());
}

#[test]
fn overheating_is_logged_once_per_crossing() {
    let mut chassis = both_running();
    claim(&mut chassis, 0);
    let all_fans = |chassis: &mut Chassis, duty: &str| {
        (1..=4).for_each(|fan| chassis.write(0, FanDuty(fan), duty).unwrap());
    };
    let overheated = |chassis: &mut Chassis| {
        chassis
            .take_events()
            .iter()
            .filter(|event| matches!(event, Event::Overheated { .. }))
            .count()
    };
    all_fans(&mut chassis, "40");
    chassis.set_load(400).unwrap();
    chassis.advance(Duration::from_secs(300));
    assert_eq!(overheated(&mut chassis), 1);
    assert!(chassis.state(0).highest_millidegrees > CRITICAL_MILLIDEGREES);
    all_fans(&mut chassis, "255");
    chassis.advance(Duration::from_secs(900));
    assert_eq!(overheated(&mut chassis), 0);
    all_fans(&mut chassis, "40");
    chassis.advance(Duration::from_secs(1200));
    assert_eq!(overheated(&mut chassis), 1);
}

#[test]
fn a_load_beyond_what_fans_can_carry_is_refused() {
    assert!(both_running().set_load(401).is_err());
}
