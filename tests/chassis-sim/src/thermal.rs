//! Heat and fans: the temperature follows the host's load, the fans' speed and the air outside.
//!
//! One lump of metal: it takes up the host's heat and gives it to the air, the faster the fans turn. The numbers are
//! chosen for three properties that the tests below hold it to: fans at full duty always suffice; fans left at an idle
//! duty under raised load reach the critical temperature within a minute; a proportional controller keeps it well below.

use std::time::Duration;

/// Length of one step of integration. The result must not depend on how often somebody looks, so steps are fixed; a
/// tenth of a second is far below the time constants of fan and metal.
pub const STEP: Duration = Duration::from_millis(100);
/// Temperature of the air outside.
const AMBIENT_CELSIUS: f64 = 25.0;
/// Above this the host is damaged.
pub const CRITICAL_MILLIDEGREES: i64 = 90_000;
/// Heat that the metal takes up per degree. With the cooling at idle duty it gives a time constant of 80 s.
const CAPACITY_JOULE_PER_KELVIN: f64 = 235.0;
/// Cooling when no fan turns.
const STILL_AIR_WATT_PER_KELVIN: f64 = 0.6;
/// Cooling that four fans add at full speed.
const FULL_FANS_WATT_PER_KELVIN: f64 = 7.8;
/// Speed of a fan at full duty.
const FULL_SPEED_RPM: f64 = 12_000.0;
/// How slowly a fan follows its duty.
const FAN_TIME_CONSTANT_SECONDS: f64 = 1.5;
/// Load of the host when nothing else was asked for.
const DEFAULT_LOAD_WATTS: u32 = 120;
/// The most load that can be asked for: what the fans at full duty can carry away.
pub const MAX_LOAD_WATTS: u32 = 400;
/// How much the load swings around what was asked for, and how fast: a host is never quite steady.
const WAVE_SHARE: f64 = 0.1;
const WAVE_PERIOD_SECONDS: f64 = 30.0;
/// Duty at power-on, before anybody drives: a fan controller's own fail-safe.
const POWER_ON_DUTY: u8 = u8::MAX;

/// The thermal state, advanced in fixed steps.
#[derive(Debug, Clone)]
pub struct Thermal {
    /// How far the model has been advanced.
    at: Duration,
    load_watts: u32,
    duty: [u8; 4],
    rpm: [f64; 4],
    celsius: f64,
}

impl Thermal {
    /// A chassis at rest at this moment: fans at full speed, metal warm as its default load makes it.
    pub fn new(at: Duration) -> Self {
        let cooling = STILL_AIR_WATT_PER_KELVIN + FULL_FANS_WATT_PER_KELVIN;
        Self {
            at,
            load_watts: DEFAULT_LOAD_WATTS,
            duty: [POWER_ON_DUTY; 4],
            rpm: [FULL_SPEED_RPM; 4],
            celsius: AMBIENT_CELSIUS + f64::from(DEFAULT_LOAD_WATTS) / cooling,
        }
    }

    /// Takes one step if `now` lies beyond it; answers whether it did.
    pub fn step(&mut self, now: Duration, host_on: bool) -> bool {
        let next = self.at + STEP;
        if next > now {
            return false;
        }
        let seconds = STEP.as_secs_f64();
        for (rpm, duty) in self.rpm.iter_mut().zip(self.duty) {
            let wanted = FULL_SPEED_RPM * f64::from(duty) / f64::from(u8::MAX);
            *rpm += (wanted - *rpm) * seconds / FAN_TIME_CONSTANT_SECONDS;
        }
        let heat = if host_on { self.heat_watts() } else { 0.0 };
        let carried_away = self.cooling_watt_per_kelvin() * (self.celsius - AMBIENT_CELSIUS);
        self.celsius += (heat - carried_away) * seconds / CAPACITY_JOULE_PER_KELVIN;
        self.at = next;
        true
    }

    /// What the host gives off now.
    fn heat_watts(&self) -> f64 {
        let phase = self.at.as_secs_f64() / WAVE_PERIOD_SECONDS * std::f64::consts::TAU;
        f64::from(self.load_watts) * (1.0 + WAVE_SHARE * phase.sin())
    }

    fn cooling_watt_per_kelvin(&self) -> f64 {
        let share = self.rpm.iter().sum::<f64>() / (4.0 * FULL_SPEED_RPM);
        STILL_AIR_WATT_PER_KELVIN + FULL_FANS_WATT_PER_KELVIN * share
    }

    /// Sets the host's load.
    pub fn set_load(&mut self, watts: u32) {
        self.load_watts = watts;
    }

    /// Sets the duty of a fan, counted from 0.
    pub fn set_duty(&mut self, fan: usize, duty: u8) {
        if let Some(slot) = self.duty.get_mut(fan) {
            *slot = duty;
        }
    }

    /// Duties of the fans.
    pub fn duty(&self) -> [u8; 4] {
        self.duty
    }

    /// Speeds of the fans, as whole turns.
    pub fn rpm(&self) -> [u32; 4] {
        self.rpm.map(whole_turns)
    }

    /// Temperature in thousandths of a degree.
    pub fn millidegrees(&self) -> i64 {
        thousandths(self.celsius)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the model keeps the temperature within a few hundred degrees"
)]
fn thousandths(celsius: f64) -> i64 {
    (celsius * 1000.0).round() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a speed lies between 0 and FULL_SPEED_RPM"
)]
fn whole_turns(rpm: f64) -> u32 {
    rpm.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_DUTY: u8 = 76;
    const RAISED_LOAD_WATTS: u32 = 300;

    fn run(thermal: &mut Thermal, seconds: u64, mut control: impl FnMut(&mut Thermal)) -> i64 {
        let end = thermal.at + Duration::from_secs(seconds);
        let mut highest = thermal.millidegrees();
        while thermal.step(end, true) {
            highest = highest.max(thermal.millidegrees());
            control(thermal);
        }
        highest
    }

    fn all_duties(thermal: &mut Thermal, duty: u8) {
        (0..4).for_each(|fan| thermal.set_duty(fan, duty));
    }

    #[test]
    fn full_duty_carries_away_the_greatest_load() {
        let mut thermal = Thermal::new(Duration::ZERO);
        thermal.set_load(MAX_LOAD_WATTS);
        let highest = run(&mut thermal, 1200, |_| {});
        assert!(highest < CRITICAL_MILLIDEGREES - 5_000, "{highest}");
    }

    #[test]
    fn an_idle_duty_left_alone_under_raised_load_reaches_critical_within_a_minute() {
        let mut thermal = Thermal::new(Duration::ZERO);
        all_duties(&mut thermal, IDLE_DUTY);
        let settled = run(&mut thermal, 600, |_| {});
        assert!(settled < 75_000, "idle duty carries the default load: {settled}");
        thermal.set_load(RAISED_LOAD_WATTS);
        let after_20_s = run(&mut thermal, 20, |_| {});
        assert!(after_20_s < CRITICAL_MILLIDEGREES, "{after_20_s}");
        let after_60_s = run(&mut thermal, 40, |_| {});
        assert!(after_60_s > CRITICAL_MILLIDEGREES, "{after_60_s}");
    }

    #[test]
    fn a_proportional_controller_keeps_it_well_below_critical() {
        let mut thermal = Thermal::new(Duration::ZERO);
        thermal.set_load(RAISED_LOAD_WATTS);
        let highest = run(&mut thermal, 1200, |thermal| {
            let above = (thermal.millidegrees() - 55_000).clamp(0, 20_000);
            let duty = 76 + above * (255 - 76) / 20_000;
            all_duties(thermal, u8::try_from(duty).unwrap());
        });
        assert!(highest < CRITICAL_MILLIDEGREES - 10_000, "{highest}");
    }

    #[test]
    fn fans_follow_their_duty_with_inertia() {
        let mut thermal = Thermal::new(Duration::ZERO);
        all_duties(&mut thermal, 0);
        run(&mut thermal, 1, |_| {});
        assert!(
            thermal.rpm()[0] > 3_000,
            "still turning after a second: {}",
            thermal.rpm()[0]
        );
        run(&mut thermal, 15, |_| {});
        assert!(
            thermal.rpm()[0] < 10,
            "stopped after fifteen: {}",
            thermal.rpm()[0]
        );
    }

    #[test]
    fn the_same_times_give_the_same_temperature_however_often_one_looks() {
        let mut often = Thermal::new(Duration::ZERO);
        let mut once = often.clone();
        for tick in 0..1000 {
            while often.step(Duration::from_millis(tick * 37), true) {}
        }
        while once.step(Duration::from_millis(999 * 37), true) {}
        assert_eq!(often.celsius.to_bits(), once.celsius.to_bits());
    }
}
