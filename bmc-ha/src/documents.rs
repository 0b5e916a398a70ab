//! Manual pages and completions, made from the command line's own definition.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;

/// Section of the manual for commands of the administrator.
const SECTION: &str = "8";

/// Why a manual page could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write manual page {}: {source}", path.display())]
pub(crate) struct ManError {
    path: PathBuf,
    source: io::Error,
}

/// Prints a completion script.
pub(crate) fn completion(shell: Shell) -> Exit {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut io::stdout());
    Exit::Done
}

/// Writes a manual page for the command and each subcommand.
pub(crate) fn man(folder: &Path) -> Result<Exit, ManError> {
    fs::create_dir_all(folder).map_err(|source| ManError {
        path: folder.to_owned(),
        source,
    })?;
    // Building gives each subcommand its full name, such as bmc-ha-template-apply.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write(&command, folder)?;
    Ok(Exit::Done)
}

fn write(command: &clap::Command, folder: &Path) -> Result<(), ManError> {
    let page = clap_mangen::Man::new(command.clone()).section(SECTION);
    let path = folder.join(page.get_filename());
    File::create(&path)
        .and_then(|mut file| page.render(&mut file))
        .map_err(|source| ManError { path, source })?;
    command
        .get_subcommands()
        .try_for_each(|child| write(child, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_gets_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        for page in ["bmc-ha.8", "bmc-ha-failover.8", "bmc-ha-template-apply.8"] {
            let text = fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(
                text.contains(".SH NAME") && text.contains("Examples"),
                "{page}: {text}"
            );
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = man(Path::new("/proc/no/such")).unwrap_err().to_string();
        assert!(error.contains("/proc/no/such"), "{error}");
    }
}
