//! `fence_bmc`: holds the sibling BMC in reset through a hardware line, and proves it.
//!
//! It follows the fence agent API
//! (<https://github.com/ClusterLabs/fence-agents/blob/main/doc/FenceAgentAPI.md>): options on the command line, or
//! `name=value` lines on standard input; exit status 0 for success (`status`: on), 1 for failure, 2 for `status`: off.

mod action;
mod metadata;
mod options;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::hardware::file::FileResetLine;
use crate::hardware::{HardwareError, ResetLine};
use crate::ocf::ParameterError;

use action::FenceAction;
use options::{Options, UsageError};

/// Name of the agent.
pub const NAME: &str = "fence_bmc";

/// Exit status of `status` when the sibling is held in reset.
const OFF: u8 = 2;

/// Why the sibling was not fenced.
#[derive(Debug, thiserror::Error)]
enum FenceError {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error(transparent)]
    Hardware(#[from] HardwareError),
    #[error("{action} {plug}: that is this BMC; it can reset its sibling only")]
    Itself { action: &'static str, plug: String },
    #[error("read options from standard input: {0}")]
    Input(std::io::Error),
    #[error("write to standard output: {0}")]
    Output(std::io::Error),
    #[error("open debug_file {}: {source}", path.display())]
    DebugFile { path: PathBuf, source: std::io::Error },
}

/// Runs the agent with its command line, without the program's name.
pub fn run(arguments: &[String]) -> ExitCode {
    match read_options(arguments).and_then(|options| perform(&options)) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_options(arguments: &[String]) -> Result<Options, FenceError> {
    if !arguments.is_empty() {
        return Ok(Options::from_arguments(arguments)?);
    }
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .map_err(FenceError::Input)?;
    Ok(Options::from_lines(&input))
}

fn perform(options: &Options) -> Result<ExitCode, FenceError> {
    let action = match options.request() {
        options::Request::Help => return print(&metadata::usage()),
        options::Request::Version => return print(&format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))),
        options::Request::Action => options.action()?,
    };
    match action {
        FenceAction::Metadata => print(&metadata::document().map_err(FenceError::Output)?),
        FenceAction::List => print(
            &options
                .plug()?
                .map_or("N/A\n".to_owned(), |plug| format!("{plug},\n")),
        ),
        FenceAction::ValidateAll => options
            .reset_line()
            .map(|_| ExitCode::SUCCESS)
            .map_err(FenceError::from),
        _ => {
            let fence = Fence {
                line: options.reset_line()?,
                options,
                log: Trace::new(options)?,
            };
            fence.perform(action)
        }
    }
}

fn print(text: &str) -> Result<ExitCode, FenceError> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(FenceError::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// One call that touches the hardware.
struct Fence<'a> {
    line: FileResetLine,
    options: &'a Options,
    log: Trace,
}

impl Fence<'_> {
    fn perform(mut self, action: FenceAction) -> Result<ExitCode, FenceError> {
        match action {
            FenceAction::Monitor => self.line.check()?,
            FenceAction::Status => return self.status(),
            FenceAction::ListStatus => return self.list_status(),
            FenceAction::Off => self.reset(action, &[true])?,
            FenceAction::On => self.reset(action, &[false])?,
            FenceAction::Reboot => self.reset(action, &[true, false])?,
            FenceAction::Metadata | FenceAction::List | FenceAction::ValidateAll => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Off is proven off: a line that is pulled without the proof may still have somebody running behind it.
    fn is_on(&self) -> Result<bool, HardwareError> {
        let (asserted, held) = (self.line.is_asserted()?, self.line.is_held()?);
        Ok(!(asserted && held))
    }

    fn status(&self) -> Result<ExitCode, FenceError> {
        let on = self.is_on()?;
        print(if on { "Status: ON\n" } else { "Status: OFF\n" })?;
        Ok(if on {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(OFF)
        })
    }

    fn list_status(&self) -> Result<ExitCode, FenceError> {
        let on = if self.is_on()? { "on" } else { "off" };
        print(
            &self
                .options
                .plug()?
                .map_or("N/A\n".to_owned(), |plug| format!("{plug},,{on}\n")),
        )
    }

    /// Moves the line through `steps` and waits for the proof of each, under the chassis-wide lock. The lock is given
    /// back afterwards: a BMC that is held in reset cannot shoot, and one that was let go must be able to.
    fn reset(&mut self, action: FenceAction, steps: &[bool]) -> Result<(), FenceError> {
        self.refuse_itself(action)?;
        std::thread::sleep(self.options.delay()?);
        let timeout = self.options.power_timeout()?;
        self.line.lock(Instant::now() + timeout)?;
        self.log.write("has the fencing lock");
        let moved: Result<(), HardwareError> = steps.iter().try_for_each(|asserted| {
            self.line.set(*asserted)?;
            self.line.wait_held(*asserted, Instant::now() + timeout)?;
            self.log.write(if *asserted {
                "the sibling is held in reset"
            } else {
                "the sibling was let go"
            });
            Ok(())
        });
        if moved.is_err() {
            self.let_go();
        }
        // What was proven stays proven, with or without the lock.
        if let Err(error) = self.line.unlock() {
            self.log
                .write(&format!("could not give the fencing lock back: {error}"));
        }
        moved.map_err(FenceError::from)
    }

    /// Without the proof, another way of fencing comes next; a line that stays pulled could reset the sibling in the
    /// middle of that.
    fn let_go(&mut self) {
        if let Err(error) = self.line.set(false) {
            self.log.write(&format!("could not let the line go: {error}"));
        }
    }

    fn refuse_itself(&self, action: FenceAction) -> Result<(), FenceError> {
        let this = rustix::system::uname();
        match self.options.plug()? {
            Some(plug) if plug.as_bytes() == this.nodename().to_bytes() => Err(FenceError::Itself {
                action: action.name(),
                plug,
            }),
            _ => Ok(()),
        }
    }
}

/// What the agent did, for people: to standard error with `verbose`, and to `debug_file`.
struct Trace {
    verbose: bool,
    file: Option<std::fs::File>,
}

impl Trace {
    fn new(options: &Options) -> Result<Self, FenceError> {
        let open = |path: PathBuf| {
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.map_err(|source| FenceError::DebugFile { path, source })
        };
        Ok(Self {
            verbose: options.verbose(),
            file: options.debug_file()?.map(open).transpose()?,
        })
    }

    fn write(&mut self, message: &str) {
        if self.verbose {
            let _ = writeln!(std::io::stderr(), "{NAME}: {message}");
        }
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "{NAME}[{}]: {message}", std::process::id());
        }
    }
}
