//! From a document that has its shape to entries that make sense.

use std::path::{Path, PathBuf};

use crate::check::{Fields, Node};
use crate::diagnostic::{Diagnostic, Mistake};
use crate::entry::{Entry, Filter, Kind};
use crate::keys;
use crate::notify::{Method, Mode, Notify, Retry};
use crate::rule::{Direction, Priority, Rule, Timing};
use crate::source::At;

/// An entry, and where the paths that other entries may overlap stand.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) entry: Entry,
    pub(crate) path_at: At,
    pub(crate) destination_at: Option<At>,
}

/// The entries of `document`; all that is wrong with them goes to `problems`.
pub(crate) fn drafts(document: &Fields, problems: &mut Vec<Diagnostic>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (key, kind) in [(keys::FILES, Kind::File), (keys::DIRECTORIES, Kind::Directory)] {
        for node in document.items(key) {
            let mut reader = Reader { problems: Vec::new() };
            let draft = reader.draft(node, kind);
            if reader.problems.is_empty() {
                drafts.extend(draft);
            }
            problems.append(&mut reader.problems);
        }
    }
    drafts
}

/// Reads one entry. The shape is checked before, so that what is missing here is optional, or reported.
struct Reader {
    problems: Vec<Diagnostic>,
}

impl Reader {
    fn draft(&mut self, node: &Node, kind: Kind) -> Option<Draft> {
        let fields = node.object()?;
        let path_node = fields.get(keys::PATH)?;
        let path = path_node.path()?.to_owned();
        let destination = fields.path(keys::DESTINATION_PATH).map(Path::to_owned);
        let destination_at = fields.get(keys::DESTINATION_PATH).map(|node| node.at.clone());
        if let Some(at) = destination_at
            .as_ref()
            .filter(|_| destination.as_ref() == Some(&path))
        {
            let message = "DestinationPath is the same as Path";
            let problem = Diagnostic::new(Mistake::Contradiction, at, message);
            self.problems
                .push(problem.help("leave it out: without it, both BMCs use Path"));
        }
        let entry = Entry {
            filter: self.filter(fields, &path),
            rule: rule(fields)?,
            exceptions: self.beneath(fields.items(keys::EXCEPTION_LIST), &path),
            destination,
            retry: retry(fields),
            notify: self.notify(fields, &path),
            description: fields.text(keys::DESCRIPTION)?.to_owned(),
            place: node.at.place(),
            path,
            kind,
        };
        self.check_covered(
            &entry,
            fields.items(keys::EXCEPTION_LIST),
            "no change of it travels",
        );
        if let Some(notify) = fields.object(keys::NOTIFY_SIBLING) {
            let listed = notify.items(keys::NOTIFY_ON_PATHS);
            self.check_covered(&entry, listed, "no change of it is ever told");
        }
        Some(Draft {
            entry,
            path_at: path_node.at.clone(),
            destination_at,
        })
    }

    fn filter(&mut self, fields: &Fields, path: &Path) -> Filter {
        match (fields.items(keys::EXCLUDE_LIST), fields.items(keys::INCLUDE_LIST)) {
            ([], []) => Filter::All,
            (excluded, []) => Filter::Exclude(self.beneath(excluded, path)),
            (_, included) => Filter::Include(self.beneath(included, path)),
        }
    }

    fn notify(&mut self, fields: &Fields, path: &Path) -> Option<Notify> {
        let notify = fields.object(keys::NOTIFY_SIBLING)?;
        let method = match notify.text(keys::METHOD) {
            Some(keys::RELOAD) => Method::Reload,
            // phosphor-data-sync restarts when Method is missing, too.
            _ => Method::Restart,
        };
        let services = notify.items(keys::NOTIFY_SERVICES);
        Some(Notify {
            mode: match notify.text(keys::MODE)? {
                keys::SYSTEMD => Mode::Systemd(method),
                _ => Mode::DBus,
            },
            services: services
                .iter()
                .filter_map(|node| node.text().map(str::to_owned))
                .collect(),
            on_paths: self.beneath(notify.items(keys::NOTIFY_ON_PATHS), path),
        })
    }

    /// The listed paths, each of which has to lie beneath `directory` and none beneath another.
    fn beneath(&mut self, nodes: &[Node], directory: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = Vec::new();
        for node in nodes {
            let Some(path) = node.path() else { continue };
            let within = |one: &Path, other: &Path| one.starts_with(other);
            if path == directory || !within(path, directory) {
                let message = format!("{} does not lie beneath {}/", path.display(), directory.display());
                let problem = Diagnostic::new(Mistake::BadValue, &node.at, message);
                self.problems
                    .push(problem.help("a listed path is absolute and lies in the directory of its entry"));
            } else if let Some(other) = paths
                .iter()
                .find(|other| within(path, other) || within(other, path))
            {
                let message = format!("{} overlaps {} of the same list", path.display(), other.display());
                let problem = Diagnostic::new(Mistake::BadValue, &node.at, message);
                self.problems
                    .push(problem.help("a listed path stands for everything beneath it, too; keep one"));
            } else {
                paths.push(path.to_owned());
            }
        }
        paths
    }

    /// What an entry says about a path that it leaves out has no effect: not what its author meant.
    fn check_covered(&mut self, entry: &Entry, nodes: &[Node], so: &str) {
        for node in nodes {
            let Some(path) = node.path().filter(|path| path.starts_with(&entry.path)) else {
                continue;
            };
            if !entry.covers(path) {
                let message = format!("{} is not replicated, so {so}", path.display());
                let problem = Diagnostic::new(Mistake::Contradiction, &node.at, message);
                self.problems
                    .push(problem.help("ExcludeList or IncludeList of this entry leaves it out"));
            }
        }
    }
}

fn rule(fields: &Fields) -> Option<Rule> {
    let word = fields.text(keys::SYNC_DIRECTION)?;
    let direction = |(name, direction): &(&str, Direction)| (*name == word).then_some(*direction);
    Some(Rule {
        direction: keys::DIRECTIONS.iter().find_map(direction)?,
        timing: match fields.text(keys::SYNC_TYPE)? {
            keys::PERIODIC => Timing::Periodic(fields.duration(keys::PERIODICITY)?),
            keys::AT_JOIN => Timing::AtJoin,
            _ => Timing::Immediate,
        },
        priority: match fields.whole(keys::PRIORITY) {
            Some(1) => Priority::Essential,
            _ => Priority::Ordinary,
        },
    })
}

fn retry(fields: &Fields) -> Option<Retry> {
    Some(Retry {
        attempts: fields.whole(keys::RETRY_ATTEMPTS)?,
        interval: fields.duration(keys::RETRY_INTERVAL)?,
    })
}
