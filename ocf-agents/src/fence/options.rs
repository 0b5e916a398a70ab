//! Options: declared once, read from the command line or from standard input.

use std::path::PathBuf;
use std::time::Duration;

use crate::hardware::file::FileResetLine;
use crate::ocf::{Declared, Environment, Parameter, ParameterError, Value};

use super::action::FenceAction;

/// An option, in both of its forms.
pub(super) struct FenceOption {
    /// Its name on standard input, its default and its help.
    pub(super) parameter: &'static dyn Declared,
    /// One letter on the command line.
    pub(super) short: Option<char>,
    /// What the value is called in help; `None` for a switch.
    pub(super) value: Option<&'static str>,
    /// Type in metadata.
    pub(super) content: &'static str,
    /// Another option that this one is the new or the old name of.
    pub(super) alias: Alias,
}

/// How two options are one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alias {
    /// They are not.
    None,
    /// Old name, still taken.
    Deprecated,
    /// New name of the given one.
    Obsoletes(&'static str),
}

const ACTION: Parameter<FenceAction> = Parameter::with_default("action", "reboot", "Fencing action", "");
const PLUG: Parameter<NodeName> = Parameter::optional(
    "plug",
    "Name of the sibling, the only BMC that this one can reset",
    "",
);
const PORT: Parameter<NodeName> = Parameter::optional("port", PLUG.short, "");
const RESET_FILE: Parameter<PathBuf> = Parameter::required(
    "reset_file",
    "File that pulls the sibling's reset line with 1 and lets it go with 0",
    "",
);
const HELD_FILE: Parameter<PathBuf> = Parameter::required(
    "held_file",
    "File that reads 1 once the sibling is proven to be held in reset",
    "",
);
const LOCK_FILE: Parameter<PathBuf> = Parameter::optional(
    "lock_file",
    "File that takes the chassis-wide fencing lock with 1 and gives it back with 0, if the hardware has one",
    "",
);
const POWER_TIMEOUT: Parameter<Duration> = Parameter::with_default(
    "power_timeout",
    "20",
    "Longest wait in seconds for the fencing lock, and for the proof after on or off",
    "",
);
const DELAY: Parameter<Delay> =
    Parameter::with_default("delay", "0", "Wait this many seconds before fencing", "");
const VERBOSE: Parameter<Switch> = Parameter::optional("verbose", "Tell on standard error what is done", "");
const DEBUG_FILE: Parameter<PathBuf> =
    Parameter::optional("debug_file", "Append what is done to this file", "");
const VERSION: Parameter<Switch> = Parameter::optional("version", "Print the version and exit", "");
const HELP: Parameter<Switch> = Parameter::optional("help", "Print help and exit", "");

/// Every option.
pub(super) const ALL: [FenceOption; 12] = [
    option(&ACTION, Some('o'), Some("action"), "string"),
    FenceOption {
        alias: Alias::Obsoletes("port"),
        ..option(&PLUG, Some('n'), Some("name"), "string")
    },
    FenceOption {
        alias: Alias::Deprecated,
        ..option(&PORT, Some('n'), Some("name"), "string")
    },
    option(&RESET_FILE, None, Some("file"), "string"),
    option(&HELD_FILE, None, Some("file"), "string"),
    option(&LOCK_FILE, None, Some("file"), "string"),
    option(&POWER_TIMEOUT, None, Some("seconds"), "second"),
    option(&DELAY, None, Some("seconds"), "second"),
    option(&VERBOSE, Some('v'), None, "boolean"),
    option(&DEBUG_FILE, Some('D'), Some("file"), "string"),
    option(&VERSION, Some('V'), None, "boolean"),
    option(&HELP, Some('h'), None, "boolean"),
];

const fn option(
    parameter: &'static dyn Declared,
    short: Option<char>,
    value: Option<&'static str>,
    content: &'static str,
) -> FenceOption {
    FenceOption {
        parameter,
        short,
        value,
        content,
        alias: Alias::None,
    }
}

impl FenceOption {
    /// Its long form, without the dashes.
    pub(super) fn long(&self) -> String {
        self.parameter.name().replace('_', "-")
    }
}

/// A command line that is not one of this agent's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("unknown option {0:?}; --help lists them")]
    Unknown(String),
    #[error("option {0} needs a value")]
    NoValue(String),
    #[error("option {0} takes no value")]
    NeedlessValue(String),
}

/// What a call is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Help,
    Version,
    Action,
}

/// The options of one call.
#[derive(Debug)]
pub(super) struct Options {
    /// Parameters are read from where an OCF agent has them.
    values: Environment,
}

impl Options {
    /// Reads `name=value` lines. Unknown names are passed over, as the fence agent API demands: Pacemaker sends
    /// `nodename`, and a newer one may send more.
    pub(super) fn from_lines(input: &str) -> Self {
        let lines = input
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        Self::from_pairs(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())))
    }

    /// Reads a command line: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-v`.
    pub(super) fn from_arguments(arguments: &[String]) -> Result<Self, UsageError> {
        let mut pairs = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (option, inline) = recognise(argument)?;
            let value = match (option.value, inline) {
                (None, None) => "1".to_owned(),
                (None, Some(_)) => return Err(UsageError::NeedlessValue(argument.clone())),
                (Some(_), Some(value)) => value,
                (Some(_), None) => rest
                    .next()
                    .cloned()
                    .ok_or_else(|| UsageError::NoValue(argument.clone()))?,
            };
            pairs.push((option.parameter.name().to_owned(), value));
        }
        Ok(Self::from_pairs(pairs))
    }

    fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let named =
            |(name, value): (String, String)| (format!("OCF_RESKEY_{}", name.replace('-', "_")), value);
        Self {
            values: pairs.into_iter().map(named).collect(),
        }
    }

    pub(super) fn request(&self) -> Request {
        let is_set = |switch: &Parameter<Switch>| matches!(switch.find(&self.values), Ok(Some(Switch(true))));
        if is_set(&HELP) {
            Request::Help
        } else if is_set(&VERSION) {
            Request::Version
        } else {
            Request::Action
        }
    }

    pub(super) fn action(&self) -> Result<FenceAction, ParameterError> {
        ACTION.get(&self.values)
    }

    /// Name of the sibling.
    pub(super) fn plug(&self) -> Result<Option<String>, ParameterError> {
        let plug = PLUG.find(&self.values)?.or(PORT.find(&self.values)?);
        Ok(plug.map(|NodeName(name)| name))
    }

    /// The reset line, with every option checked.
    pub(super) fn reset_line(&self) -> Result<FileResetLine, ParameterError> {
        ALL.iter()
            .try_for_each(|option| option.parameter.check(&self.values))?;
        Ok(FileResetLine {
            reset: RESET_FILE.get(&self.values)?,
            held: HELD_FILE.get(&self.values)?,
            lock: LOCK_FILE.find(&self.values)?,
        })
    }

    pub(super) fn power_timeout(&self) -> Result<Duration, ParameterError> {
        POWER_TIMEOUT.get(&self.values)
    }

    pub(super) fn delay(&self) -> Result<Duration, ParameterError> {
        DELAY.get(&self.values).map(|Delay(delay)| delay)
    }

    pub(super) fn verbose(&self) -> bool {
        matches!(VERBOSE.find(&self.values), Ok(Some(Switch(true))))
    }

    pub(super) fn debug_file(&self) -> Result<Option<PathBuf>, ParameterError> {
        DEBUG_FILE.find(&self.values)
    }
}

fn recognise(argument: &str) -> Result<(&'static FenceOption, Option<String>), UsageError> {
    const KNOWN: &[FenceOption] = &ALL;
    let unknown = || UsageError::Unknown(argument.to_owned());
    if let Some(long) = argument.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        let option = KNOWN
            .iter()
            .find(|option| option.long() == name.replace('_', "-"))
            .ok_or_else(unknown)?;
        return Ok((option, value));
    }
    let mut letters = argument.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    let option = KNOWN
        .iter()
        .find(|option| option.short == Some(letter))
        .ok_or_else(unknown)?;
    let value = letters.as_str();
    Ok((option, (!value.is_empty()).then(|| value.to_owned())))
}

/// Name of a cluster node.
#[derive(Debug)]
struct NodeName(String);

impl Value for NodeName {
    const EXPECTED: &'static str = "the name of a cluster node, without spaces or commas";

    fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty() && !text.contains(|c: char| c == ',' || c.is_whitespace());
        valid.then(|| Self(text.to_owned()))
    }
}

/// A time that may be zero.
#[derive(Debug)]
struct Delay(Duration);

impl Value for Delay {
    const EXPECTED: &'static str = "a time from zero to a day, such as 5";

    fn parse(text: &str) -> Option<Self> {
        if matches!(text, "0" | "0s") {
            return Some(Self(Duration::ZERO));
        }
        Duration::parse(text).map(Self)
    }
}

/// On or off, in the words of the fence agents.
#[derive(Debug)]
struct Switch(bool);

impl Value for Switch {
    const CONTENT_TYPE: &'static str = "boolean";
    const EXPECTED: &'static str = "1, yes, on or true, or 0, no, off or false";

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "on" | "true" => Some(Self(true)),
            "0" | "no" | "off" | "false" => Some(Self(false)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_arguments(line: &str) -> Result<Options, UsageError> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::from_arguments(&arguments)
    }

    #[test]
    fn both_forms_say_the_same() {
        let forms = [
            from_arguments("-o off -nbmc1 --reset-file /r --held-file=/h --lock_file /l --delay=3").unwrap(),
            Options::from_lines(
                "# from pacemaker\naction=off\nnodename=bmc1\nplug=bmc1\n\nreset_file=/r\nheld_file=/h\nlock_file=/l\n\
                 delay=3s\nsurprise=1\n",
            ),
        ];
        for options in forms {
            assert_eq!(options.action(), Ok(FenceAction::Off));
            assert_eq!(options.plug().unwrap().as_deref(), Some("bmc1"));
            assert_eq!(options.delay(), Ok(Duration::from_secs(3)));
            let line = options.reset_line().unwrap();
            let expected = (
                PathBuf::from("/r"),
                PathBuf::from("/h"),
                Some(PathBuf::from("/l")),
            );
            assert_eq!((line.reset, line.held, line.lock), expected);
        }
    }

    #[test]
    fn the_old_name_of_plug_is_taken() {
        let options = Options::from_lines("port=bmc1\n");
        assert_eq!(options.plug().unwrap().as_deref(), Some("bmc1"));
    }

    #[test]
    fn without_an_action_it_is_reboot() {
        assert_eq!(Options::from_lines("").action(), Ok(FenceAction::Reboot));
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        assert_eq!(
            from_arguments("--nope").unwrap_err(),
            UsageError::Unknown("--nope".into())
        );
        assert_eq!(
            from_arguments("off").unwrap_err(),
            UsageError::Unknown("off".into())
        );
        assert_eq!(
            from_arguments("-o").unwrap_err(),
            UsageError::NoValue("-o".into())
        );
        assert_eq!(
            from_arguments("--verbose=1").unwrap_err(),
            UsageError::NeedlessValue("--verbose=1".into())
        );
    }

    #[test]
    fn wrong_values_are_named() {
        let cases = [
            ("reset_file=/r", "parameter held_file is not set"),
            ("reset_file=r\nheld_file=/h", "parameter reset_file is \"r\""),
            (
                "reset_file=/r\nheld_file=/h\npower_timeout=0",
                "parameter power_timeout is \"0\"",
            ),
            (
                "reset_file=/r\nheld_file=/h\nplug=a b",
                "parameter plug is \"a b\"",
            ),
            (
                "reset_file=/r\nheld_file=/h\nverbose=loud",
                "parameter verbose is \"loud\"",
            ),
            (
                "reset_file=/r\nheld_file=/h\naction=explode",
                "parameter action is \"explode\"",
            ),
        ];
        for (lines, expected) in cases {
            let error = Options::from_lines(lines).reset_line().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{lines}: {error}");
        }
    }
}
