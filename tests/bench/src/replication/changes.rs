//! Changes while everything runs: one by one, many at once, twice in the same second, and of one page in a large file.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::contender::Contender;
use super::cost::{self, flush};
use super::remote::Remote;
use super::{Bench, Line};
use crate::stats::Summary;

/// How long nothing may arrive before what is missing counts as lost. The slowest contender needs a tenth of this for
/// a change.
const PATIENCE: Duration = Duration::from_secs(10);

/// Size of the large file, and where its page is changed.
const LARGE: usize = 64 << 20;

impl Bench<'_> {
    /// `count` changes of `size` bytes, each made when the one before has arrived.
    pub(super) fn changes(&self, contender: Contender, count: u32, size: usize) -> Result<Line> {
        let running = contender.start(self.tunnel, self.active)?;
        let mut stage = Stage::new(self, contender, size)?;
        let (times, cost) = cost::of(self.lab, self.idle, contender, || {
            let mut times = Vec::new();
            for number in 0..count.max(1) {
                times.push(stage.change(&number.to_string())?);
            }
            self.finish(contender)?;
            Ok(times)
        })?;
        drop(running);
        Ok(line(times, cost))
    }

    /// `count` new files as fast as they can be written: the time of all of them.
    pub(super) fn burst(&self, contender: Contender, count: u32) -> Result<Line> {
        let running = contender.start(self.tunnel, self.active)?;
        let mut stage = Stage::new(self, contender, 1 << 10)?;
        let ((time, lost), cost) = cost::of(self.lab, self.idle, contender, || {
            let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            names.iter().try_for_each(|name| stage.writer.write(name))?;
            let (_, start) = stage.writer.read()?;
            let mut missing: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let mut last = start;
            while !missing.is_empty() {
                let Some((seen, at)) = stage.watcher.read_within(PATIENCE)? else {
                    break;
                };
                if missing.remove(seen.as_str()) {
                    last = at;
                }
            }
            self.finish(contender)?;
            Ok((Duration::from_micros(last.saturating_sub(start)), missing.len()))
        })?;
        drop(running);
        Ok(Line {
            lost,
            ..line(vec![Some(time)], cost)
        })
    }

    /// `count` settings, each changed a second time, to a value of the same length, once the first has arrived: how many
    /// of those second changes never do.
    pub(super) fn rewrites(&self, contender: Contender, count: u32) -> Result<Line> {
        let running = contender.start(self.tunnel, self.active)?;
        let mut stage = Stage::new(self, contender, 1 << 10)?;
        let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let (lost, cost) = cost::of(self.lab, self.idle, contender, || {
            for name in &names {
                stage.change(name)?.context("the first change never arrived")?;
                stage.writer.write(name)?;
                stage.writer.read()?;
            }
            self.finish(contender)?;
            let mut lost = self.unlike(contender, &names)?;
            while lost > 0 && stage.watcher.read_within(PATIENCE)?.is_some() {
                lost = self.unlike(contender, &names)?;
            }
            Ok(lost)
        })?;
        drop(running);
        Ok(Line {
            time: None,
            cost,
            lost,
        })
    }

    /// How many of these files are not the same on both BMCs.
    fn unlike(&self, contender: Contender, names: &[String]) -> Result<usize> {
        let mut unlike = 0;
        for name in names {
            let path = format!("{}/{name}", contender.folder());
            let read = |node| self.lab.read_setting(node, &path);
            unlike += usize::from(read(self.active)? != read(self.active.sibling())?);
        }
        Ok(unlike)
    }

    /// One page of a large file is changed in place.
    pub(super) fn one_page(&self, contender: Contender) -> Result<Line> {
        let running = contender.start(self.tunnel, self.active)?;
        let mut stage = Stage::new(self, contender, LARGE)?;
        stage.change("large")?.context("the large file never arrived")?;
        self.finish(contender)?;
        let folder = contender.folder();
        let mut pages = Remote::start(self.lab, self.active, &["change-page", "--folder", folder])?;
        let (time, cost) = cost::of(self.lab, self.idle, contender, || {
            pages.write("large")?;
            let (_, closed) = pages.read()?;
            let time = stage.arrival("large", closed)?;
            self.finish(contender)?;
            Ok(time)
        })?;
        drop(running);
        Ok(line(vec![time], cost))
    }

    /// Whatever a contender does after a change is visible belongs to what it costs.
    fn finish(&self, contender: Contender) -> Result<()> {
        match contender {
            Contender::BmcHa => flush(self.lab, self.active),
            _ => Ok(()),
        }
    }
}

fn line(times: Vec<Option<Duration>>, cost: cost::Cost) -> Line {
    let lost = times.iter().filter(|time| time.is_none()).count();
    Line {
        time: Summary::of(times.into_iter().flatten().collect()),
        cost,
        lost,
    }
}

/// A writer on the Active and a watcher on the Passive.
struct Stage {
    writer: Remote,
    watcher: Remote,
}

impl Stage {
    fn new(bench: &Bench<'_>, contender: Contender, size: usize) -> Result<Self> {
        let (folder, size) = (contender.folder(), size.to_string());
        let writer = ["write-settings", "--folder", folder, "--size", &size];
        let writer = Remote::start(bench.lab, bench.active, &writer)?;
        let watcher = ["watch-settings", "--folder", folder];
        let mut watcher = Remote::start(bench.lab, bench.active.sibling(), &watcher)?;
        let (ready, _) = watcher.read()?;
        ensure!(ready == "ready", "the watcher said {ready:?}");
        Ok(Self { writer, watcher })
    }

    /// Writes a file and waits until it is on the other side; `None` when it never is.
    fn change(&mut self, name: &str) -> Result<Option<Duration>> {
        self.writer.write(name)?;
        let (_, closed) = self.writer.read()?;
        self.arrival(name, closed)
    }

    fn arrival(&mut self, name: &str, closed: u64) -> Result<Option<Duration>> {
        while let Some((seen, at)) = self.watcher.read_within(PATIENCE)? {
            if seen == name {
                return Ok(Some(Duration::from_micros(at.saturating_sub(closed))));
            }
        }
        Ok(None)
    }
}
