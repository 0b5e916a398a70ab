//! What runs inside a BMC, so that entering it is not part of what is measured.
//!
//! The driver starts these by `nsenter` and speaks JSON lines with them.

use std::fs::{self, File};
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use inotify::{Inotify, WatchMask};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

/// A command to be measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    /// What it is called in the table.
    pub(crate) name: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Its environment.
    pub(crate) env: Vec<(String, String)>,
    /// The exit code without which the measurement would be of something else.
    pub(crate) expect: i32,
}

/// What a command costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) name: String,
    pub(crate) wall_us: Vec<u64>,
    /// Processor time of one run, its children included.
    pub(crate) cpu_us: u64,
    /// Processes and threads started by one run, itself included.
    pub(crate) processes: u64,
}

/// Runs each case `count` times, in turns, so that what disturbs the machine disturbs all alike.
pub(crate) fn run_cases(count: u32) -> Result<()> {
    let cases: Vec<Case> = serde_json::from_reader(io::stdin().lock()).context("read the cases")?;
    let mut costs: Vec<Cost> = cases
        .iter()
        .map(|case| Cost {
            name: case.name.clone(),
            wall_us: Vec::new(),
            cpu_us: 0,
            processes: 0,
        })
        .collect();
    for _ in 0..count {
        for (case, cost) in cases.iter().zip(&mut costs) {
            // The first case, unmeasured: what ran before has left, and all start from the same caches.
            cases.first().map(run_once).transpose()?;
            let cpu = children_cpu_ns()?;
            let forks = forks()?;
            let wall = run_once(case)?;
            cost.wall_us.push(u64::try_from(wall.as_micros())?);
            cost.cpu_us += (children_cpu_ns()? - cpu) / 1000;
            cost.processes += forks_since(forks)?;
        }
    }
    for cost in &mut costs {
        cost.cpu_us /= u64::from(count);
        // Rounded: Pacemaker's own monitors fork now and then on the same machine.
        cost.processes = (cost.processes + u64::from(count) / 2) / u64::from(count);
    }
    serde_json::to_writer(io::stdout().lock(), &costs).context("print the costs")
}

fn run_once(case: &Case) -> Result<Duration> {
    let (program, arguments) = case.argv.split_first().context("a case without a program")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(case.env.iter().map(|(key, value)| (key, value)));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("run {program}"))?;
    let wall = start.elapsed();
    if status.code() != Some(case.expect) {
        bail!("{}: expected exit code {}, got {status}", case.name, case.expect);
    }
    Ok(wall)
}

/// Processor time of all children that ended, in nanoseconds. `/proc/self/stat` counts it in clock ticks of
/// 10 ms, which only a sum over many runs makes useful.
fn children_cpu_ns() -> Result<u64> {
    const NANOSECONDS_PER_TICK: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    // The name in parentheses may hold spaces; cutime and cstime are fields 16 and 17 (proc(5)).
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |field: usize| -> Result<u64> {
        Ok(fields
            .get(field - 3)
            .context("/proc/self/stat is short")?
            .parse()?)
    };
    Ok((ticks(16)? + ticks(17)?) * NANOSECONDS_PER_TICK)
}

/// Processes and threads started since the machine booted (`processes` in `/proc/stat`).
fn forks() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("processes "));
    Ok(line.context("/proc/stat has no processes line")?.trim().parse()?)
}

fn forks_since(before: u64) -> Result<u64> {
    Ok(forks()?.saturating_sub(before))
}

/// Writes `size` bytes into `folder` for every line on standard input and prints when each file was closed.
pub(crate) fn write_settings(folder: &Path, size: usize) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let name = line.context("read the next name")?;
        let mut content = format!("{number} ").into_bytes();
        content.resize(size, b'.');
        let path = folder.join(&name);
        let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        file.write_all(&content)?;
        drop(file);
        say(&name)?;
    }
    Ok(())
}

/// Prints when each file that has its final name in `folder` got it, until standard input ends.
pub(crate) fn watch_settings(folder: &Path) -> Result<()> {
    let mut inotify = Inotify::init().context("start inotify")?;
    inotify
        .watches()
        .add(folder, WatchMask::MOVED_TO)
        .with_context(|| format!("watch {}", folder.display()))?;
    say("ready")?;
    let mut buffer = [0; 4096];
    while readable_before_end_of_input(inotify.as_fd())? {
        for event in inotify.read_events(&mut buffer).context("read inotify events")? {
            if let Some(name) = event.name {
                say(&name.to_string_lossy())?;
            }
        }
    }
    Ok(())
}

/// Makes the files `first` to `end` of `size` bytes, a thousand in a folder.
pub(crate) fn fill(folder: &Path, first: u32, end: u32, size: usize) -> Result<()> {
    for number in first..end {
        let folder = folder.join((number / 1000).to_string());
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let mut content = format!("{number} ").into_bytes();
        content.resize(size, b'.');
        let path = folder.join(number.to_string());
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Changes one page in the middle of a file of `folder` for every name on standard input, and prints when it was
/// closed.
pub(crate) fn change_page(folder: &Path) -> Result<()> {
    const PAGE: [u8; 4096] = [b'!'; 4096];
    for name in io::stdin().lock().lines() {
        let name = name.context("read the next name")?;
        let path = folder.join(&name);
        let file = File::options().write(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        file.write_all_at(&PAGE, file.metadata()?.len() / 2)?;
        // Far from the time of the last change: within the same second, rsync would not send it at all.
        file.set_modified(SystemTime::now() + Duration::from_secs(60))?;
        drop(file);
        say(&name)?;
    }
    Ok(())
}

/// Does what the receiver of a small change does with its disk, `count` times, and prints how long each took.
pub(crate) fn write_durably(count: u32, size: usize) -> Result<()> {
    let folder = Path::new("/var/lib/bmc-ha-bench-durable");
    fs::create_dir_all(folder)?;
    let directory = File::open(folder)?;
    let (temporary, path) = (folder.join("temporary"), folder.join("file"));
    for _ in 0..count {
        let start = Instant::now();
        let mut file = File::create(&temporary)?;
        file.write_all(&vec![b'.'; size])?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        directory.sync_all()?;
        println!("durable {}", start.elapsed().as_micros());
    }
    Ok(fs::remove_dir_all(folder)?)
}

/// Runs a command for each event in `folder`, one after the other, with the changed path and `target` behind it: what
/// phosphor-data-sync does with rsync. Ends with its unit.
pub(crate) fn sync_each(folder: &Path, target: &str, argv: &[String]) -> Result<()> {
    let (program, arguments) = argv.split_first().context("no command")?;
    let mut inotify = Inotify::init().context("start inotify")?;
    let changes = WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM | WatchMask::DELETE;
    inotify
        .watches()
        .add(folder, changes)
        .with_context(|| format!("watch {}", folder.display()))?;
    let mut buffer = [0; 4096];
    loop {
        for event in inotify
            .read_events_blocking(&mut buffer)
            .context("read inotify events")?
        {
            if let Some(name) = event.name {
                let status = Command::new(program)
                    .args(arguments)
                    .arg(folder.join(name))
                    .arg(target)
                    .status();
                let status = status.with_context(|| format!("run {program}"))?;
                if !status.success() {
                    eprintln!("{program} for {}: {status}", name.to_string_lossy());
                }
            }
        }
    }
}

/// Runs a command to its end and prints how long it took.
pub(crate) fn time(argv: &[String]) -> Result<()> {
    let (program, arguments) = argv.split_first().context("no command")?;
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    let status = status.with_context(|| format!("run {program}"))?;
    let took = start.elapsed();
    if !status.success() {
        bail!("{program}: {status}");
    }
    println!("{}", took.as_micros());
    Ok(())
}

/// Waits until `source` has something to read; false when standard input ended first, because whoever started
/// this has gone.
pub(crate) fn readable_before_end_of_input(source: BorrowedFd<'_>) -> Result<bool> {
    let input = io::stdin();
    let mut ready = [
        PollFd::from_borrowed_fd(source, PollFlags::IN),
        PollFd::new(&input, PollFlags::IN),
    ];
    poll(&mut ready, None).context("wait for an event")?;
    let [source, input] = &ready;
    Ok(input.revents().is_empty() && !source.revents().is_empty())
}

/// Prints a name and the monotonic time, which both BMCs of a lab share.
pub(crate) fn say(name: &str) -> Result<()> {
    let now = lab::Moment::now();
    let mut out = io::stdout().lock();
    writeln!(out, "{name} {}", now.microseconds)?;
    out.flush().context("print a time")
}
