//! The cluster's CIB: read, verify, change in one push.
//!
//! Verification is `crm_verify`: it validates against the RNG schema that the CIB names and then lets the
//! scheduler read the configuration, so no XML schema library is needed here. A change is pushed as
//! `crm_diff`'s patch: the CIB manager applies it as one step or not at all, and a change that somebody else
//! made to another part in the meantime is not undone, as replacing the whole configuration would.

use std::io::Write;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::fill::Filled;
use crate::merge::{MergeError, merge, same};
use crate::tool::{Output, Tool, ToolError};
use crate::xml::{Element, XmlError};

/// How often a push is tried when the CIB changed between reading and pushing. Each try reads it anew; a
/// cluster that changes its configuration more often than this in a few seconds is being edited.
const PUSH_TRIES: u32 = 3;

/// Why the CIB could not be read, verified or changed.
#[derive(Debug, thiserror::Error)]
pub enum CibError {
    /// A tool failed.
    #[error("{action}: {source}")]
    Tool {
        /// What was attempted.
        action: &'static str,
        /// What the tool said.
        source: ToolError,
    },
    /// What a tool printed is not XML.
    #[error("{action}: the answer is not XML: {source}")]
    Xml {
        /// What was attempted.
        action: &'static str,
        /// What is wrong with it.
        source: XmlError,
    },
    /// A file could not be written, or XML could not.
    #[error("{action}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The template does not fit.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// Pacemaker refuses the configuration.
    #[error("verify the configuration: Pacemaker refuses it: {message}")]
    Invalid {
        /// Pacemaker's words.
        message: String,
    },
}

/// Whether a template changed the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was pushed.
    Changed,
    /// The cluster already was as the template says; nothing was pushed.
    Unchanged,
}

/// A CIB: the running cluster's, or a file's.
#[derive(Debug, Clone, Default)]
pub struct Cib {
    file: Option<PathBuf>,
}

/// A configuration that is not applied yet.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The CIB as it was read.
    pub current: Element,
    /// The CIB as it would be.
    pub wanted: Element,
}

impl Candidate {
    /// Whether there is anything to push.
    #[must_use]
    pub fn changes(&self) -> bool {
        !same(&self.current, &self.wanted)
    }
}

impl Cib {
    /// The running cluster's.
    #[must_use]
    pub fn live() -> Self {
        Self::default()
    }

    /// That of a file, as Pacemaker's tools use it with `CIB_file`.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self { file: Some(path) }
    }

    /// One of Pacemaker's tools, set to this CIB.
    #[must_use]
    pub fn tool(&self, program: &str) -> Tool {
        let tool = Tool::new(program);
        match &self.file {
            Some(path) => tool.env("CIB_file", path),
            None => tool,
        }
    }

    /// Reads the whole CIB.
    ///
    /// # Errors
    /// [`CibError::Tool`] when there is no cluster to ask.
    pub fn query(&self) -> Result<Element, CibError> {
        query(&self.tool("cibadmin").arg("--query"))
    }

    /// Merges a filled template into the CIB as it is now, without changing it.
    ///
    /// # Errors
    /// [`CibError`].
    pub fn prepare(&self, filled: &Filled) -> Result<Candidate, CibError> {
        merge_into(self.query()?, filled)
    }

    /// Merges, verifies and, when that changes anything, pushes it in one step.
    ///
    /// # Errors
    /// [`CibError`]; the cluster is then as it was.
    pub fn apply(&self, filled: &Filled) -> Result<Applied, CibError> {
        let mut tries = 1;
        loop {
            let candidate = self.prepare(filled)?;
            if !candidate.changes() {
                return Ok(Applied::Unchanged);
            }
            verify(&candidate.wanted)?;
            match self.push(&candidate) {
                Ok(()) => return Ok(Applied::Changed),
                Err(_) if tries < PUSH_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn push(&self, candidate: &Candidate) -> Result<(), CibError> {
        let action = "push the configuration";
        let original = temporary(&candidate.current)?;
        let new = temporary(&candidate.wanted)?;
        // Without versions: with them, any status update in between would make the patch fail.
        let diff = Tool::new("crm_diff").args([
            "--no-version".to_owned(),
            format!("--original={}", original.path().display()),
            format!("--new={}", new.path().display()),
        ]);
        let output = diff
            .output()
            .map_err(|source| CibError::Tool { action, source })?;
        // crm_diff exits 1 when there are differences, like diff(1).
        if output.code != Some(1) {
            let source = diff.failed(&output);
            return Err(CibError::Tool { action, source });
        }
        self.tool("cibadmin")
            .args(["--patch", "--sync-call", "--xml-pipe"])
            .input(output.stdout)
            .run()
            .map(drop)
            .map_err(|source| CibError::Tool { action, source })
    }
}

/// A CIB with nothing in it, in the newest schema of the installed Pacemaker.
///
/// # Errors
/// [`CibError::Tool`] when Pacemaker's tools are not installed.
pub fn empty() -> Result<Element, CibError> {
    query(&Tool::new("cibadmin").arg("--empty"))
}

/// Merges a filled template into a CIB.
///
/// # Errors
/// [`CibError::Merge`].
pub fn merge_into(cib: Element, filled: &Filled) -> Result<Candidate, CibError> {
    let mut wanted = cib.clone();
    let configuration = wanted.child_or_new("configuration");
    *configuration = merge(configuration, filled)?;
    Ok(Candidate { current: cib, wanted })
}

/// Lets the installed Pacemaker check a CIB: its schema, and whether the scheduler understands it. Returns
/// what it only warns about: parts that are not the template's, or how the cluster is at the moment (a node
/// that cannot be fenced while there is no quorum, say), which are no reason to refuse a configuration.
///
/// # Errors
/// [`CibError::Invalid`] with Pacemaker's words.
pub fn verify(cib: &Element) -> Result<Vec<String>, CibError> {
    let action = "verify the configuration";
    // From a file: what it reads from a pipe it refuses without saying why. Twice verbose: once, Pacemaker
    // 2.1 says that there are warnings and not which.
    let file = temporary(cib)?;
    let tool = Tool::new("crm_verify").args([
        "--verbose".to_owned(),
        "--verbose".to_owned(),
        format!("--xml-file={}", file.path().display()),
    ]);
    let output = tool
        .output()
        .map_err(|source| CibError::Tool { action, source })?;
    judge(&output).map_err(|message| match message {
        Some(message) => CibError::Invalid { message },
        None => CibError::Tool {
            action,
            source: tool.failed(&output),
        },
    })
}

/// Tells warnings from errors. The exit status is the same for both, so `crm_verify`'s closing line has to:
/// "Warnings found …" (Pacemaker 2.1) or "… (with warnings)" (3.0).
fn judge(output: &Output) -> Result<Vec<String>, Option<String>> {
    let said = || output.stderr.lines().chain(output.stdout.lines());
    let complaints: Vec<String> = said().filter_map(complaint).collect();
    let only_warnings =
        || said().any(|line| line.contains("Warnings found") || line.contains("(with warnings)"));
    match output.code {
        Some(0) => Ok(complaints),
        _ if only_warnings() => Ok(complaints),
        _ if complaints.is_empty() => Err(None),
        _ => Err(Some(complaints.join("; "))),
    }
}

/// A line of `crm_verify` without file names, function names and severity; nothing for its closing line.
fn complaint(line: &str) -> Option<String> {
    if line.starts_with("crm_verify:") || line.starts_with("Configuration invalid") {
        return None;
    }
    // The schema's own words come from libxml2, which puts a space before the colon; Pacemaker 3.0 prints
    // them bare.
    let marks = ["validity error :", "error:", "warning:"];
    let marked = marks.iter().find_map(|mark| line.split_once(mark));
    let words = marked.map_or(line, |(_, words)| words).trim();
    (!words.is_empty()).then(|| words.to_owned())
}

fn query(tool: &Tool) -> Result<Element, CibError> {
    let action = "read the CIB";
    let document = tool.run().map_err(|source| CibError::Tool { action, source })?;
    Element::parse(&document).map_err(|source| CibError::Xml { action, source })
}

fn temporary(cib: &Element) -> Result<NamedTempFile, CibError> {
    let action = "write the configuration to a temporary file";
    let write = || {
        let mut file = NamedTempFile::new()?;
        file.write_all(cib.to_document()?.as_bytes())?;
        Ok(file)
    };
    write().map_err(|source| CibError::Io { action, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, stderr: &str) -> Output {
        Output {
            code: Some(code),
            stdout: String::new(),
            stderr: stderr.to_owned(),
        }
    }

    /// As Pacemaker 2.1.5 and 3.0.0 print it.
    const SCHEMA_2_1: &str = "\
/tmp/a.xml:161: element gadget: Relax-NG validity error : Did not expect element gadget there
(main) \terror: CIB did not pass schema validation
crm_verify: Errors found during check: config not valid
";
    const SCHEMA_3_0: &str = "\
Did not expect element gadget there

error: CIB did not pass schema validation
Configuration invalid (with errors)
";
    const UNFENCED_2_1: &str = "\
(schedule_fencing_and_shutdowns) \twarning: Node bmc0 is unclean but cannot be fenced
crm_verify: Warnings found during check: config may not be valid
";
    const UNFENCED_3_0: &str = "\
warning: Node bmc0 is unclean but cannot be fenced
Configuration invalid (with warnings)
";

    #[test]
    fn what_either_pacemaker_refuses_is_an_error_in_its_words() {
        for stderr in [SCHEMA_2_1, SCHEMA_3_0] {
            let message = judge(&said(78, stderr)).unwrap_err().unwrap();
            assert_eq!(
                message,
                "Did not expect element gadget there; CIB did not pass schema validation"
            );
        }
    }

    #[test]
    fn what_either_pacemaker_warns_about_is_no_error() {
        for stderr in [UNFENCED_2_1, UNFENCED_3_0] {
            let warnings = judge(&said(78, stderr)).unwrap();
            assert_eq!(warnings, ["Node bmc0 is unclean but cannot be fenced"]);
        }
    }

    #[test]
    fn a_failure_without_words_is_left_to_its_exit_status() {
        assert_eq!(judge(&said(1, "")), Err(None));
    }
}
