//! A whole folder at once, as when a BMC comes back.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use super::contender::{Contender, clear};
use super::cost::{self, SLICE};
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
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "from empty",
            Self::Equal => "when nothing differs",
        })
    }
}

impl Bench<'_> {
    /// A full synchronisation of `files` small files.
    pub(super) fn full_sync(&self, contender: Contender, files: u32, copy: Copy) -> Result<Line> {
        clear(self.lab, self.active, contender)?;
        if contender == Contender::BmcHa {
            self.standby(true)?;
        }
        self.fill(contender, files)?;
        if copy == Copy::Equal {
            self.sync_once(contender)?;
            if contender == Contender::BmcHa {
                self.standby(true)?;
            }
        }
        let (time, cost) = cost::of(self.lab, self.idle, contender, || self.sync_once(contender))?;
        clear(self.lab, self.active, contender)?;
        Ok(Line {
            time: Summary::of(vec![time]),
            cost,
            lost: 0,
        })
    }

    fn sync_once(&self, contender: Contender) -> Result<Duration> {
        match contender {
            Contender::BmcHa => self.join(),
            _ => self.rsync(contender),
        }
    }

    /// The Passive comes back: from the Active's question until it knows that everything is there.
    fn join(&self) -> Result<Duration> {
        let mut journal = self.lab.follow(self.active)?;
        let from = lab::Moment::now();
        self.standby(false)?;
        let mut wait = |what: &str| {
            journal.wait_for(what, DEADLINE, |entry| {
                entry.at >= from && entry.who == "corosync-bridge" && entry.message.starts_with(what)
            })
        };
        let (started, finished) = (wait("sync started")?, wait("sync finished")?);
        self.lab.wait_passive_in_sync(self.active, DEADLINE)?;
        Ok(finished.at.since(started.at))
    }

    fn standby(&self, standby: bool) -> Result<()> {
        let word = if standby { "standby" } else { "unstandby" };
        let passive = self.active.sibling().to_string();
        self.lab
            .run(self.active, &["pcs", "node", word, &passive, "--wait=60"])?;
        Ok(())
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

    fn fill(&self, contender: Contender, files: u32) -> Result<()> {
        fill(self.lab, self.active, contender.folder(), 0, files)
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
