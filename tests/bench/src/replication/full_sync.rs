//! A whole folder at once, as when a BMC comes back.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use bmc_bridge_control::Command;

use super::contender::{Contender, clear, put_away};
use super::cost::{self, SLICE, flush};
use super::{Bench, Line, tunnel};
use crate::stats::Summary;
use crate::{OWN_NAME, programs};

/// Size of each file in bytes, and files in each folder.
const SIZE: u32 = 2048;

/// How long it may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// What the Passive has before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    Empty,
    Equal,
    /// The same, and nobody has looked at it since it was written: bmc-ha opens once more what it saw in the moment of its change.
    Fresh,
}

impl Copy {
    pub(super) const ALL: [Self; 3] = [Self::Empty, Self::Equal, Self::Fresh];
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "from empty",
            Self::Equal => "when nothing differs",
            Self::Fresh => "the same for the first time",
        })
    }
}

impl Bench<'_> {
    /// A full synchronisation of `files` small files.
    pub(super) fn full_sync(&self, contender: Contender, files: u32, copy: Copy) -> Result<Line> {
        clear(self.lab, self.active, contender)?;
        fill(self.lab, self.active, contender.folder(), 0, files)?;
        match (contender, copy) {
            (Contender::BmcHa, _) => {
                flush(self.lab, self.active)?;
                if copy != Copy::Fresh {
                    self.bridge()?;
                }
                if copy == Copy::Empty {
                    // Behind the bridge's back: a Passive watches nothing.
                    put_away(self.lab, self.active.sibling(), contender.folder())?;
                }
            }
            (_, Copy::Equal | Copy::Fresh) => self.rsync(contender).map(drop)?,
            (_, Copy::Empty) => {}
        }
        let (time, cost) = cost::of(self.lab, self.idle, contender, || match contender {
            Contender::BmcHa => self.bridge(),
            _ => self.rsync(contender),
        })?;
        clear(self.lab, self.active, contender)?;
        Ok(Line {
            time: Summary::of(vec![time]),
            cost,
            lost: 0,
        })
    }

    /// What a join does: from the Active's question until it knows that everything is there, durably.
    fn bridge(&self) -> Result<Duration> {
        let mut journal = self.lab.follow(self.active)?;
        let from = lab::Moment::now();
        self.lab.bridge(self.active)?.run(Command::FullSync, DEADLINE)?;
        let mut wait = |what: &str| {
            journal.wait_for(what, DEADLINE, |entry| {
                entry.at >= from && entry.who == "corosync-bridge" && entry.message.starts_with(what)
            })
        };
        let (started, finished) = (wait("sync started")?, wait("sync finished")?);
        Ok(finished.at.since(started.at))
    }

    /// One rsync of the whole folder, from start to end.
    fn rsync(&self, contender: Contender) -> Result<Duration> {
        let (program, slice) = (programs::path(OWN_NAME), format!("--slice={SLICE}"));
        let argv = contender.rsync();
        let mut whole = vec![
            "systemd-run",
            "--quiet",
            "--collect",
            "--pipe",
            "--wait",
            &slice,
            "--",
        ];
        whole.extend([program.as_str(), "inside", "time", "--"]);
        whole.extend(argv.iter().map(String::as_str));
        whole.extend([contender.folder(), tunnel::TARGET]);
        let printed = self.lab.run(self.active, &whole)?;
        Ok(Duration::from_micros(printed.trim().parse()?))
    }
}

/// Makes the files with these numbers on a BMC.
pub(super) fn fill(lab: &lab::Lab, node: lab::Node, folder: &str, first: u32, end: u32) -> Result<()> {
    let [first, end, size] = [first, end, SIZE].map(|number| number.to_string());
    let (program, range) = (programs::path(OWN_NAME), ["--first", &first, "--end", &end]);
    let mut argv = vec![
        program.as_str(),
        "inside",
        "fill",
        "--folder",
        folder,
        "--size",
        &size,
    ];
    argv.extend(range);
    Ok(lab.run(node, &argv).map(drop)?)
}
