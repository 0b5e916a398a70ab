//! What replication takes besides time: processor time of the processes that do it, and bytes on the wire.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bmc_bridge_control::Command;
use lab::{Lab, Link, Moment, Node};

use super::contender::Contender;

/// The slice of everything that the peers of bmc-ha run.
pub(super) const SLICE: &str = "peer.slice";

/// Groups of processes that bmc-ha's replication runs in.
const OURS: [&str; 2] = [
    "system.slice/corosync.service",
    "system.slice/corosync-bridge.service",
];

/// How long an idle cluster is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// How long a flush of everything may take.
const FLUSH_DEADLINE: Duration = Duration::from_secs(600);

/// What something took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Processor time on both BMCs.
    pub(super) cpu: Duration,
    /// Bytes that both BMCs sent.
    pub(super) bytes: u64,
}

/// What a cluster at rest takes in a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    ours: Cost,
}

impl Idle {
    pub(super) fn of(lab: &Lab) -> Result<Self> {
        let start = Reading::now(lab, Contender::BmcHa)?;
        // Not waiting for anything: this is the span that is measured.
        std::thread::sleep(IDLE);
        let ours = Reading::now(lab, Contender::BmcHa)?.since(&start);
        Ok(Self { ours })
    }

    /// What an idle cluster takes in `span`. The peers have no processes that do anything when nothing happens.
    fn during(self, span: Duration, contender: Contender) -> Cost {
        let share = span.as_secs_f64() / IDLE.as_secs_f64();
        let bytes = u128::from(self.ours.bytes) * span.as_micros() / IDLE.as_micros();
        Cost {
            cpu: match contender {
                Contender::BmcHa => self.ours.cpu.mul_f64(share),
                _ => Duration::ZERO,
            },
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        }
    }
}

/// Runs `work` and says what it took, less what an idle cluster takes.
pub(super) fn of<T>(
    lab: &Lab,
    idle: Idle,
    contender: Contender,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Cost)> {
    let start = Reading::now(lab, contender)?;
    let result = work()?;
    let end = Reading::now(lab, contender)?;
    let (all, idle) = (end.since(&start), idle.during(end.at.since(start.at), contender));
    let cost = Cost {
        cpu: all.cpu.saturating_sub(idle.cpu),
        bytes: all.bytes.saturating_sub(idle.bytes),
    };
    Ok((result, cost))
}

/// Waits until the Passive has acknowledged everything.
pub(super) fn flush(lab: &Lab, active: Node) -> Result<()> {
    Ok(lab.bridge(active)?.run(Command::Flush, FLUSH_DEADLINE)?)
}

/// Counters at one moment.
struct Reading {
    at: Moment,
    cpu: Vec<Duration>,
    bytes: u64,
}

impl Reading {
    fn now(lab: &Lab, contender: Contender) -> Result<Self> {
        let groups: &[&str] = match contender {
            Contender::BmcHa => &OURS,
            _ => &[SLICE],
        };
        let (mut cpu, mut bytes) = (Vec::new(), 0);
        for node in Node::BOTH {
            for group in groups {
                cpu.push(cpu_of(lab, node, group)?);
            }
            bytes += sent_by(lab, node)?;
        }
        let at = Moment::now();
        Ok(Self { at, cpu, bytes })
    }

    fn since(&self, start: &Self) -> Cost {
        let spent = |(end, start): (&Duration, &Duration)| {
            // A unit that was started anew counts from zero.
            end.checked_sub(*start).unwrap_or(*end)
        };
        Cost {
            cpu: self.cpu.iter().zip(&start.cpu).map(spent).sum(),
            bytes: self.bytes.saturating_sub(start.bytes),
        }
    }
}

/// Processor time of a control group (`cpu.stat`, cgroups(7)); none while it does not exist.
fn cpu_of(lab: &Lab, node: Node, group: &str) -> Result<Duration> {
    let path = lab.inside(node, &format!("/sys/fs/cgroup/{group}/cpu.stat"))?;
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(Duration::ZERO);
    };
    let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let used = used.with_context(|| format!("{} has no usage_usec", path.display()))?;
    Ok(Duration::from_micros(used.trim().parse()?))
}

/// Bytes that a BMC sent on its links since they are there.
fn sent_by(lab: &Lab, node: Node) -> Result<u64> {
    /// Place of the bytes sent behind the name and its colon (`/proc/net/dev`, proc(5)).
    const SENT: usize = 8;
    let text =
        fs::read_to_string(format!("/proc/{}/net/dev", lab.pid(node)?)).context("read /proc/net/dev")?;
    let mut bytes = 0;
    for link in Link::BOTH {
        let name = format!("{}:", link.interface());
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&name));
        let sent = line.and_then(|line| line.split_whitespace().nth(SENT));
        bytes += sent
            .with_context(|| format!("{name} is not in /proc/net/dev"))?
            .parse::<u64>()?;
    }
    Ok(bytes)
}
