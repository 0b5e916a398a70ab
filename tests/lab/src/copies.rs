//! Compares the settings of both BMCs, byte by byte and with their metadata.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::Lab;
use crate::error::{LabError, Result};
use crate::node::Node;

/// The folders that the lab's list replicates (`data-sync.d/openbmc.json`).
pub const REPLICATED: [&str; 3] = [
    "/var/lib/phosphor-settings-manager/settings",
    "/etc/ssl/certs/https",
    "/etc/systemd/network",
];

/// All that has to be the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copy {
    mode: u32,
    owner: (u32, u32),
    /// Seconds and nanoseconds; none for a directory, whose time changes with every entry.
    modified: Option<(i64, i64)>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File(Vec<u8>),
    Link(PathBuf),
    Directory,
}

impl Lab {
    /// Every path at which the replicated settings of the two BMCs are not the same, in words; none when they are
    /// equal. Both BMCs have to run.
    ///
    /// # Errors
    /// When a BMC does not run or a setting cannot be read.
    pub fn differences(&self) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        for folder in REPLICATED {
            let [left, right] = [self.copies(Node::Bmc0, folder)?, self.copies(Node::Bmc1, folder)?];
            for path in left
                .keys()
                .chain(right.keys().filter(|path| !left.contains_key(*path)))
            {
                let place = Path::new(folder).join(path);
                match (left.get(path), right.get(path)) {
                    (Some(a), Some(b)) if a == b => {}
                    (Some(a), Some(b)) => differences.push(format!("{}: {}", place.display(), a.unlike(b))),
                    (Some(_), None) => differences.push(format!("{}: only on bmc0", place.display())),
                    (None, _) => differences.push(format!("{}: only on bmc1", place.display())),
                }
            }
        }
        Ok(differences)
    }

    /// Fails unless the replicated settings of both BMCs are the same, byte by byte and with their metadata.
    ///
    /// # Errors
    /// [`LabError::State`] with every difference.
    pub fn assert_equal_settings(&self) -> Result<()> {
        let differences = self.differences()?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(LabError::State(format!(
            "the settings differ:\n{}",
            differences.join("\n")
        )))
    }

    fn copies(&self, node: Node, folder: &str) -> Result<BTreeMap<PathBuf, Copy>> {
        let root = self.inside(node, folder)?;
        let mut copies = BTreeMap::new();
        if root.exists() {
            collect(&root, &root, &mut copies)?;
        }
        Ok(copies)
    }
}

impl Copy {
    fn read(path: &Path) -> Result<Self> {
        let failed = |error| LabError::io("read", path)(error);
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let content = if metadata.is_symlink() {
            Content::Link(fs::read_link(path).map_err(failed)?)
        } else if metadata.is_dir() {
            Content::Directory
        } else {
            Content::File(fs::read(path).map_err(failed)?)
        };
        let time = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (content != Content::Directory).then_some(time),
            content,
        })
    }

    fn unlike(&self, other: &Self) -> String {
        if self.content != other.content {
            return "another content".into();
        }
        let shown = |copy: &Self| {
            format!(
                "mode {:o}, owner {:?}, modified {:?}",
                copy.mode, copy.owner, copy.modified
            )
        };
        format!("{} against {}", shown(self), shown(other))
    }
}

fn collect(root: &Path, folder: &Path, copies: &mut BTreeMap<PathBuf, Copy>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(LabError::io("list", folder))? {
        let path = entry.map_err(LabError::io("list", folder))?.path();
        let copy = Copy::read(&path)?;
        let is_folder = copy.content == Content::Directory;
        copies.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), copy);
        if is_folder {
            collect(root, &path, copies)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_another_mode_is_another_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("setting");
        fs::write(&path, "on").unwrap();
        let before = Copy::read(&path).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        fs::set_permissions(&path, permissions).unwrap();
        let after = Copy::read(&path).unwrap();
        assert_ne!(before, after);
        assert!(
            before.unlike(&after).contains("mode"),
            "{}",
            before.unlike(&after)
        );
    }
}
