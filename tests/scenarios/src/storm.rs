//! Programs write all the time while the bridge, Corosync or a whole BMC dies. Afterwards both copies are the same, and
//! everything that was acknowledged is there.

mod writer;

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bmc_bridge_control::messages::Command;
use lab::{Lab, LabError, Node, Result};

use crate::stage::{On, Scenario, Stage, ensure, fail};
use writer::{Dice, Writer};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "whoever_dies_during_a_storm_of_writes_both_copies_are_the_same_afterwards",
    on: On::SettledLab,
    script: storm,
}];

/// Where the storm is.
const FOLDER: &str = "/var/lib/phosphor-settings-manager/settings/storm";
/// The setting that is flushed again and again.
const ACKNOWLEDGED: &str = "/var/lib/phosphor-settings-manager/settings/acknowledged";

/// Rounds in an ordinary run: each kind of death once. `BMC_STORM_ROUNDS` asks for more.
const ROUNDS: u64 = 3;
/// Flushes before something dies: at most so many, unless the storm takes longer to rise.
const FLUSHES: usize = 6;
/// Operations before something dies, at least: fewer are no storm.
const OPERATIONS: u64 = 300;
/// How long a flush may take while everybody is alive.
const FLUSH_DEADLINE: Duration = Duration::from_secs(60);

/// What may die, on either BMC.
const DEATHS: [Death; 3] = [
    Death::Unit("corosync-bridge.service"),
    Death::Unit("corosync.service"),
    Death::Power,
];

#[derive(Debug, Clone, Copy)]
enum Death {
    /// The main process of this unit gets SIGKILL.
    Unit(&'static str),
    /// The whole BMC.
    Power,
}

impl Death {
    fn comes_to(self, lab: &Lab, node: Node) -> Result<()> {
        match self {
            Self::Unit(unit) => lab.kill9(node, unit),
            Self::Power => lab.cut_power(node),
        }
    }
}

fn number(name: &str) -> Result<Option<u64>> {
    env::var(name)
        .ok()
        .map(|text| {
            text.parse()
                .map_err(|_| LabError::State(format!("{name}={text}: not a number")))
        })
        .transpose()
}

fn storm(stage: &Stage<'_>) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = number("BMC_STORM_SEED")?.unwrap_or(now.as_secs());
    let rounds = number("BMC_STORM_ROUNDS")?.unwrap_or(ROUNDS);
    eprintln!("    BMC_STORM_SEED={seed} BMC_STORM_ROUNDS={rounds}");
    let mut dice = Dice::new(seed);
    let mut acknowledged = 0;
    for round in 0..rounds {
        let kind = usize::try_from(round).unwrap_or_default() % DEATHS.len();
        let death = DEATHS[kind];
        let told =
            |error: LabError| LabError::State(format!("seed {seed}, round {round}, {death:?}: {error}"));
        one_round(stage.lab, &mut dice, death, &mut acknowledged).map_err(told)?;
    }
    let active = stage.lab.settle()?;
    stage.lab.run(active, &["rm", "-r", FOLDER, ACKNOWLEDGED])?;
    stage.lab.bridge(active)?.run(Command::Flush, FLUSH_DEADLINE)
}

fn one_round(lab: &Lab, dice: &mut Dice, death: Death, acknowledged: &mut u64) -> Result<()> {
    let active = lab.settle()?;
    lab.run(active, &["mkdir", "-p", FOLDER])?;
    let victim = if dice.below(2) == 0 {
        active
    } else {
        active.sibling()
    };
    let (flushes, pause) = (1 + dice.below(FLUSHES), dice.below(3));
    let mut writer = Writer::new(lab.inside(active, FOLDER)?, dice.next());
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let writes = scope.spawn(|| {
            // It ends as well when its BMC does.
            while !stop.load(Ordering::Relaxed) && writer.write_something() {
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let rises = || written.load(Ordering::Relaxed) < OPERATIONS && !writes.is_finished();
        let outcome = (0..)
            .take_while(|flush| *flush < flushes || rises())
            .try_for_each(|_| flushed(lab, active, acknowledged))
            .and_then(|()| {
                // Now and then one is under way.
                let under_way = (pause > 0).then(|| {
                    let unfinished = *acknowledged + 1;
                    lab.write_setting(active, ACKNOWLEDGED, &unfinished.to_string())
                });
                under_way.transpose()?;
                death.comes_to(lab, victim)
            });
        stop.store(true, Ordering::Relaxed);
        outcome
    })?;
    let written = written.into_inner();
    eprintln!("    {death:?} of {victim}, Active was {active}: {written} operations, {acknowledged} flushes");
    ensure(written >= OPERATIONS, || {
        format!("only {written} operations are no storm")
    })?;

    let active = lab.settle()?;
    let found: u64 = lab
        .read_setting(active, ACKNOWLEDGED)?
        .parse()
        .map_err(|error| LabError::State(format!("{ACKNOWLEDGED}: {error}")))?;
    if found < *acknowledged {
        return fail(format!(
            "flush {acknowledged} was answered, and {active} has {found}"
        ));
    }
    lab.bridge(active)?.run(Command::Flush, FLUSH_DEADLINE)?;
    lab.assert_equal_settings()
}

/// Writes the next number, and has it on both BMCs when this returns.
fn flushed(lab: &Lab, active: Node, acknowledged: &mut u64) -> Result<()> {
    let next = *acknowledged + 1;
    lab.write_setting(active, ACKNOWLEDGED, &next.to_string())?;
    lab.bridge(active)?.run(Command::Flush, FLUSH_DEADLINE)?;
    *acknowledged = next;
    Ok(())
}
