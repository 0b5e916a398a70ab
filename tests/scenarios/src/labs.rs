//! The lab itself: what the other scenarios rely on.

use lab::{Lab, LabError, Layout, Node, Options, Result, Subnet};

use crate::stage::{On, Scenario, Stage, ensure};

/// Name of the lab that stands beside the scenarios' own.
pub(crate) const SECOND_LAB: &str = "scenarios-2";

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "two_labs_stand_side_by_side_and_a_crashed_one_is_cleared",
    on: On::RunningLab,
    script: side_by_side,
}];

fn side_by_side(stage: &Stage<'_>) -> Result<()> {
    let mut options = Options::named(SECOND_LAB)?;
    options.subnets = [Subnet([10, 78, 0]), Subnet([10, 78, 1])];
    let second = Lab::up(&options)?;
    for (lab, other) in [(stage.lab, &second), (&second, stage.lab)] {
        let own = lab.network().address(Node::Bmc1, lab::Link::First);
        let foreign = other.network().address(Node::Bmc1, lab::Link::First);
        let reaches = |address: std::net::Ipv4Addr| {
            let address = address.to_string();
            // The port of pcsd, which listens on every BMC.
            let question = format!("timeout 2 bash -c '</dev/tcp/{address}/2224'");
            Ok::<bool, LabError>(lab.exec(Node::Bmc0, &["sh", "-c", &question])?.success())
        };
        ensure(reaches(own)?, || {
            format!("bmc0 does not reach its own sibling at {own}")
        })?;
        ensure(!reaches(foreign)?, || {
            format!("bmc0 reaches a BMC of another lab at {foreign}")
        })?;
    }
    second.abandon()?;
    let again = Lab::up(&options)?;
    again.run(Node::Bmc1, &["true"])?;
    again.down()?;
    let left = [
        Layout::new(&options.name).run(),
        Layout::new(&options.name).disk(),
    ];
    ensure(left.iter().all(|path| !path.exists()), || {
        format!("the lab left something in {left:?}")
    })
}
