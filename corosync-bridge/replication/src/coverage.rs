//! Which paths are replicated.

use std::path::Path;

use bmc_sync_config::SyncConfig;

pub use bmc_sync_config::{Direction, Priority, Retry, Rule, Timing};

use crate::EntryPath;

/// The configuration of this node, as far as the core needs it. What comes from another node is held to
/// the configuration of the node that receives it.
pub trait Coverage: std::fmt::Debug {
    /// The topmost covered paths: everything covered is one of them or beneath one. One may be missing on
    /// disk.
    fn roots(&self) -> Vec<EntryPath>;

    /// Whether `path` is replicated. Nothing is covered beneath an uncovered path that is itself beneath a root.
    fn covers(&self, path: &EntryPath) -> bool;

    /// How the covered `path` is replicated. What lies beneath a path is replicated as the path is, unless said
    /// otherwise here.
    fn rule(&self, path: &EntryPath) -> Rule;

    /// How often `path` is tried again when it cannot be applied; `None` where nothing is said about it.
    fn retry(&self, _path: &EntryPath) -> Option<Retry> {
        None
    }

    /// Where a node that receives the covered `path` keeps it, when that is not at `path`.
    fn destination(&self, _path: &EntryPath) -> Option<EntryPath> {
        None
    }

    /// The covered path whose destination `path` is.
    fn source(&self, _path: &EntryPath) -> Option<EntryPath> {
        None
    }

    /// Whether `path` goes when the covered `directory` goes, in which it is.
    fn goes_with(&self, path: &EntryPath, _directory: &EntryPath) -> bool {
        self.covers(path)
    }

    /// Whether all that there may be beneath the covered `directory` is replicated, and as it is itself: only then may
    /// it be moved as a whole. A configuration that cannot tell says no.
    fn is_uniform(&self, directory: &EntryPath) -> bool {
        let _ = directory;
        false
    }

    /// The entry of the lists, by its place among them, that wants services to be told when the covered `path` was
    /// applied here.
    fn listened_entry(&self, _path: &EntryPath) -> Option<usize> {
        None
    }

    /// The topmost covered paths whose changes on a Passive travel to the Active. None where all changes travel the
    /// other way.
    fn offered_roots(&self) -> Vec<EntryPath> {
        Vec::new()
    }
}

impl Coverage for SyncConfig {
    fn roots(&self) -> Vec<EntryPath> {
        // A root that the core cannot name (too long, or reserved) is covered by nothing and left alone.
        SyncConfig::roots(self)
            .filter_map(|path| EntryPath::from_path(path).ok())
            .collect()
    }

    fn covers(&self, path: &EntryPath) -> bool {
        SyncConfig::covers(self, path.as_path())
    }

    fn rule(&self, path: &EntryPath) -> Rule {
        self.rule_for(path.as_path()).unwrap_or_default()
    }

    fn retry(&self, path: &EntryPath) -> Option<Retry> {
        self.entry_for(path.as_path())?.retry
    }

    fn destination(&self, path: &EntryPath) -> Option<EntryPath> {
        let entry = self.entry_for(path.as_path())?;
        path.rebased(&named(&entry.path)?, &named(entry.destination.as_ref()?)?)
    }

    fn source(&self, path: &EntryPath) -> Option<EntryPath> {
        self.entries().iter().find_map(|entry| {
            let source = path.rebased(&named(entry.destination.as_ref()?)?, &named(&entry.path)?)?;
            entry.covers(source.as_path()).then_some(source)
        })
    }

    fn is_uniform(&self, directory: &EntryPath) -> bool {
        SyncConfig::is_uniform(self, directory.as_path())
    }

    fn listened_entry(&self, path: &EntryPath) -> Option<usize> {
        let path = path.as_path();
        let index = self.index_for(path)?;
        let notify = self.entries().get(index)?.notify.as_ref()?;
        notify.concerns(path).then_some(index)
    }

    fn offered_roots(&self) -> Vec<EntryPath> {
        SyncConfig::offered_roots(self)
            .filter_map(|path| EntryPath::from_path(path).ok())
            .collect()
    }
}

fn named(path: &Path) -> Option<EntryPath> {
    EntryPath::from_path(path).ok()
}
