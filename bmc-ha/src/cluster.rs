//! What Pacemaker knows and can be asked to do, through its own tools.

pub(crate) mod configuration;
pub(crate) mod events;
pub(crate) mod request;
pub(crate) mod simulation;
pub(crate) mod view;

pub(crate) use configuration::Configuration;
pub(crate) use view::View;

use cib_templates::tool::{Tool, ToolError};
use cib_templates::xml::{Element, XmlError};

/// Why the cluster could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// A tool failed.
    #[error("{action}: {source}")]
    Tool {
        /// What was attempted.
        action: &'static str,
        /// What the tool said.
        source: ToolError,
    },
    /// A tool reported errors.
    #[error("{action}: {message}")]
    Reported {
        /// What was attempted.
        action: &'static str,
        /// What the tool said.
        message: String,
    },
    /// A tool's answer is not what its schema promises.
    #[error("{action}: the answer is not XML: {source}")]
    Xml {
        /// What was attempted.
        action: &'static str,
        /// What is wrong with it.
        source: XmlError,
    },
    /// A part of an answer is missing.
    #[error("{action}: the answer has no {part}")]
    Incomplete {
        /// What was attempted.
        action: &'static str,
        /// What is missing.
        part: &'static str,
    },
    /// XML could not be written, or a pipe not be read.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

/// Runs a tool whose answer is XML.
fn ask(action: &'static str, tool: &Tool) -> Result<Element, ClusterError> {
    let failed = |source| ClusterError::Tool { action, source };
    let output = tool.output().map_err(failed)?;
    let answer = Element::parse(&output.stdout);
    if output.code == Some(0) {
        return answer.map_err(|source| ClusterError::Xml { action, source });
    }
    match answer.as_ref().map(reported).unwrap_or_default() {
        message if message.is_empty() => Err(failed(tool.failed(&output))),
        message => Err(ClusterError::Reported { action, message }),
    }
}

/// The errors that a tool reports within its XML, in words.
fn reported(answer: &Element) -> String {
    let all = answer.descendants().into_iter();
    let errors = all.filter(|element| element.name == "error").map(|error| {
        let text = error.text.as_str();
        // The tool puts its name or the severity in front, this command says what was attempted instead.
        let prefixed = text.split_once(": ").filter(|(first, _)| !first.contains(' '));
        prefixed.map_or(text, |(_, rest)| rest)
    });
    errors.collect::<Vec<_>>().join("; ")
}

/// Reads the whole CIB.
pub(crate) fn query_cib() -> Result<Element, ClusterError> {
    ask("read the CIB", &Tool::new("cibadmin").arg("--query"))
}

/// Reads the state of nodes and resources.
pub(crate) fn query_view() -> Result<View, ClusterError> {
    let monitor = Tool::new("crm_mon").args(["--output-as=xml", "--inactive", "--fence-history=2"]);
    let answer = ask("read the cluster's state", &monitor)?;
    Ok(View::from_monitor(&answer))
}

/// Name of this node, as the cluster knows it; the host name when there is no cluster to ask.
pub(crate) fn local_name() -> String {
    let by_cluster = Tool::new("crm_node").arg("--name").run();
    let name = by_cluster.unwrap_or_default().trim().to_owned();
    if !name.is_empty() {
        return name;
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How long a controller may take to say what it is at. A dead one is waited for this long.
const CONTROLLER_TIMEOUT: &str = "--timeout=1s";

/// What the controller is at, such as `S_IDLE`.
pub(crate) fn controller_state(dc: &str) -> Result<String, ClusterError> {
    let action = "ask the controller what it is at";
    let admin =
        Tool::new("crmadmin").args(["--output-as=xml", CONTROLLER_TIMEOUT, &format!("--status={dc}")]);
    let answer = ask(action, &admin)?;
    let state = answer.descendants().into_iter().find_map(|element| {
        (element.name == "crmd")
            .then(|| element.attribute("state"))
            .flatten()
    });
    state.map(str::to_owned).ok_or(ClusterError::Incomplete {
        action,
        part: "state of the controller",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_reports_in_xml_is_told_in_its_words() {
        let answer = r#"<pacemaker-result><status code="102"><errors>
            <error>error: Could not connect to launcher: Connection refused</error>
            <error>crm_mon: Connection to cluster failed: Connection refused</error>
            </errors></status></pacemaker-result>"#;
        let tool = Tool::new("sh").args(["-c", "cat; exit 102"]).input(answer);
        let error = ask("read the cluster's state", &tool).unwrap_err().to_string();
        assert_eq!(
            error,
            "read the cluster's state: Could not connect to launcher: Connection refused; \
             Connection to cluster failed: Connection refused"
        );
    }

    #[test]
    fn a_tool_that_fails_without_a_word_of_xml_is_named() {
        let tool = Tool::new("sh").args(["-c", "echo no such device >&2; exit 6"]);
        let error = ask("read the CIB", &tool).unwrap_err().to_string();
        assert!(error.contains("exit status 6: no such device"), "{error}");
    }
}
