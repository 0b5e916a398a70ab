//! All agents in one program: the name that it is called by picks the agent.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use ocf_agents::ocf::Environment;
use ocf_agents::{agents, fence};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let name = Path::new(&called)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    dispatch(&name, &arguments).unwrap_or_else(|| by_first_argument(&arguments))
}

/// Runs the agent of that name, if there is one.
fn dispatch(name: &str, arguments: &[String]) -> Option<ExitCode> {
    if name == fence::NAME {
        return Some(fence::run(arguments));
    }
    let agent = agents::ALL
        .into_iter()
        .find(|agent| agent.description.name == name)?;
    let action = arguments.first().map(String::as_str);
    Some((agent.run)(action, &Environment::of_process()).into())
}

/// Called by its own name: `ocf-agents AGENT ACTION`.
fn by_first_argument(arguments: &[String]) -> ExitCode {
    let wanted = arguments.first().map(String::as_str);
    match wanted {
        Some("-h" | "--help") => {
            print!("{}", usage());
            return ExitCode::SUCCESS;
        }
        Some("-V" | "--version") => {
            println!("ocf-agents {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let rest = arguments.get(1..).unwrap_or_default();
    wanted.and_then(|name| dispatch(name, rest)).unwrap_or_else(|| {
        let _ = std::io::stderr().write_all(usage().as_bytes());
        ocf_agents::ocf::ExitCode::Arguments.into()
    })
}

fn usage() -> String {
    let mut text =
        "usage: ocf-agents AGENT ACTION\n       ocf-agents fence_bmc [OPTION]...\n\nAGENT is one of:\n"
            .to_owned();
    for agent in agents::ALL {
        text.push_str(&format!(
            "  {:<10} {}\n",
            agent.description.name, agent.description.short
        ));
    }
    text.push_str("\nA link to this program that is named after an agent is that agent.\n");
    text
}
