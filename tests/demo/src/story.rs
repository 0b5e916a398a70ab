//! What happens, in order.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Lab, Mark, Node, Provision, Timeline, deadline};

use crate::screen::Screen;
use crate::settings::SETTINGS;
use crate::verdict;

/// The setting that is written right before the power cut.
const LAST_WORD: &str = "/var/lib/phosphor-settings-manager/settings/last-word";
/// The setting that is written while the lost BMC is away.
const MISSED: &str = "/var/lib/phosphor-settings-manager/settings/while-you-were-away";

/// A lab and the one who tells about it.
pub(crate) struct Story<'a> {
    lab: &'a Lab,
    screen: &'a mut Screen,
    token: Duration,
}

impl<'a> Story<'a> {
    pub(crate) fn new(lab: &'a Lab, screen: &'a mut Screen, token: Duration) -> Self {
        Self { lab, screen, token }
    }

    /// Tells all of it; true when every invariant held.
    pub(crate) fn tell(&mut self) -> Result<bool> {
        let active = self.provision()?;
        let mark = self.lab.chassis()?.mark("the story begins")?;
        self.show_state(active)?;
        self.lab.plant_outside(active)?;
        self.replicate(active)?;
        let active = self.switch_over(active)?;
        let survivor = self.lose_the_active(active)?;
        self.bring_it_back(survivor)?;
        self.judge(mark, survivor)
    }

    fn provision(&mut self) -> Result<Node> {
        self.screen.chapter("Provision both with pcs, apply the template");
        let provision = Provision {
            token: self.token,
            ..Provision::default()
        };
        self.screen.command(
            "bmc0",
            "bmc-ha provision --node bmc0=… --node bmc1=… --params redundant-bmc.json",
        );
        let mut command = self.lab.provision_command(&provision)?;
        let status = command.status()?;
        ensure!(status.success(), "bmc-ha provision failed: {status}");
        let active = self
            .screen
            .during("waiting for the first Active", || self.lab.settle())?;
        Ok(active)
    }

    fn show_state(&mut self, active: Node) -> Result<()> {
        self.screen.chapter("What an admin sees");
        self.show(active, &["pcs", "status", "--full"])?;
        self.show(active, &["bmc-ha", "status"])
    }

    fn replicate(&mut self, active: Node) -> Result<()> {
        let passive = active.sibling();
        self.screen.chapter(&format!(
            "Change settings on the Active ({active}), see them on the Passive ({passive})"
        ));
        for setting in &SETTINGS {
            self.lab.write_setting(active, setting.path, setting.content)?;
        }
        for setting in &SETTINGS {
            self.lab.wait_setting(passive, setting.path, setting.content)?;
            self.screen
                .kept(&format!("{} is on {passive}: {}", setting.what, setting.path));
        }
        self.show(passive, &["cat", SETTINGS[1].path])
    }

    fn switch_over(&mut self, active: Node) -> Result<Node> {
        let target = active.sibling();
        self.screen.chapter(&format!("A planned switchover to {target}"));
        self.show(active, &["bmc-ha", "failover", target.name()])?;
        self.lab.wait_active(target, deadline::FAILOVER)?;
        self.lab.wait_passive_in_sync(target, deadline::SETTLE)?;
        self.screen.kept(&format!(
            "{target} is the Active, {active} is the Passive and in sync"
        ));
        Ok(target)
    }

    fn lose_the_active(&mut self, active: Node) -> Result<Node> {
        let survivor = active.sibling();
        self.screen
            .chapter(&format!("Cut the power of the Active ({active}) without warning"));
        self.lab
            .write_setting(active, LAST_WORD, "acknowledged before the cut\n")?;
        self.flush(active)?;
        self.screen.kept("a last setting was acknowledged by the Passive");
        let mark = self.lab.chassis()?.mark("the Active loses its power")?;
        let prober = self.lab.probe_address()?;
        prober.wait_for(true, mark.at, deadline::FAILOVER)?;
        self.lab.cut_power(active)?;
        let lost = prober.wait_for(false, mark.at, deadline::FAILOVER)?;
        let answers = prober.wait_for(true, lost, deadline::FAILOVER)?;
        self.lab.wait_active(survivor, deadline::FAILOVER)?;
        let timeline = Timeline::of_failover(self.lab, mark, active, Some(answers))?;
        self.screen.output(&timeline.to_string());
        self.lab
            .wait_setting(survivor, LAST_WORD, "acknowledged before the cut\n")?;
        self.screen.kept("the acknowledged setting is there");
        self.show(survivor, &["bmc-ha", "status"])?;
        Ok(survivor)
    }

    fn bring_it_back(&mut self, survivor: Node) -> Result<()> {
        let lost = survivor.sibling();
        self.screen.chapter(&format!("The lost BMC ({lost}) comes back"));
        self.lab
            .write_setting(survivor, MISSED, "written while the other BMC was away\n")?;
        self.lab.power_on(lost)?;
        let active = self
            .screen
            .during("booting, joining, catching up", || self.lab.settle())?;
        ensure!(
            active == survivor,
            "{active} is the Active now, though {survivor} never failed"
        );
        self.lab
            .wait_setting(lost, MISSED, "written while the other BMC was away\n")?;
        self.screen.kept(&format!(
            "{lost} is the Passive and has what was written while it was away"
        ));
        self.show(survivor, &["pcs", "status"])?;
        self.show(survivor, &["bmc-ha", "status"])
    }

    fn judge(&mut self, mark: Mark, active: Node) -> Result<bool> {
        self.screen.chapter("The verdict, from the chassis's own log");
        verdict::print(self.lab, self.screen, mark, active)
    }

    fn flush(&self, active: Node) -> Result<()> {
        Ok(self
            .lab
            .bridge(active)?
            .run(bmc_bridge_control::Command::Flush, deadline::SETTING)?)
    }

    /// Runs a command on a BMC and shows it as an admin would see it: both streams, as they came.
    fn show(&self, node: Node, argv: &[&str]) -> Result<()> {
        self.screen.command(node.name(), &argv.join(" "));
        let both = ["sh", "-c", "exec \"$@\" 2>&1", "sh"];
        let output = self.lab.exec(node, &[&both, argv].concat())?;
        self.screen.output(&output.stdout);
        Ok(())
    }
}
