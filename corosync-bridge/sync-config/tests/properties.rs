//! What holds of every configuration that loads, and of every one that does not: tried on lists that a seeded
//! generator writes over a few names, and on every path of these names.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::path::{Path, PathBuf};

use bmc_sync_config::{ConfigError, Entry, Kind, Mistake, SyncConfig};
use support::{directories, directory, entry, load};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Every path of up to four of the names.
fn universe() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/")];
    let mut done = 0;
    for _ in 0..4 {
        let end = paths.len();
        for index in done..end {
            paths.extend(NAMES.map(|name| paths[index].join(name)));
        }
        done = end;
    }
    paths.remove(0);
    paths
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// A path of one or two names beneath `above`.
    fn path(&mut self, above: &str) -> String {
        let first = NAMES[self.below(3)];
        match self.below(2) {
            0 => format!("{above}/{first}"),
            _ => format!("{above}/{first}/{}", NAMES[self.below(3)]),
        }
    }

    fn list(&mut self) -> String {
        let entries: Vec<String> = (0..=self.below(3)).map(|_| self.entry()).collect();
        directories(&entries)
    }

    fn entry(&mut self) -> String {
        let path = self.path("");
        let mut more = match self.below(3) {
            0 => String::new(),
            filter => {
                let key = ["ExcludeList", "IncludeList"][filter - 1];
                format!(r#","{key}":["{}"]"#, self.path(&path))
            }
        };
        if self.below(2) == 0 {
            more.push_str(&format!(r#","DestinationPath":"{}/""#, self.path("")));
        }
        entry(&format!("{path}/"), &more)
    }
}

/// How often an entry reads or keeps something at `path`.
fn uses(entries: &[Entry], path: &Path) -> usize {
    let uses = |entry: &Entry| usize::from(entry.covers(path)) + usize::from(entry.source_of(path).is_some());
    entries.iter().map(uses).sum()
}

#[test]
fn a_configuration_loads_exactly_when_no_path_is_used_twice_and_then_answers_alike() {
    let universe = universe();
    let mut dice = Dice(1);
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let text = dice.list();
        match load(&text) {
            Ok(config) => {
                loaded += 1;
                check(&config, &universe, &text);
            }
            Err(ConfigError::Refused(why)) => {
                refused += 1;
                // Either an entry is in its own way, or all are good by themselves and some path is used twice.
                let same = |mistake| mistake == Mistake::Overlap || mistake == Mistake::Contradiction;
                assert!(why.problems.iter().all(|problem| same(problem.mistake)), "{text}");
                let entries = each_alone(&text);
                let twice = universe.iter().any(|path| uses(&entries, path) > 1);
                assert!(twice || entries.len() < count(&text), "{text}: {why}");
            }
            Err(error) => panic!("{text}: {error}"),
        }
    }
    assert!(
        loaded > 300 && refused > 300,
        "{loaded} loaded, {refused} were refused"
    );
}

fn written(text: &str) -> Vec<serde_json::Value> {
    let list: serde_json::Value = serde_json::from_str(text).unwrap();
    list["Directories"].as_array().unwrap().clone()
}

fn count(text: &str) -> usize {
    written(text).len()
}

/// The entries of a list, each loaded by itself, as far as that can be done.
fn each_alone(text: &str) -> Vec<Entry> {
    let alone = |entry: &serde_json::Value| {
        let config = load(&directories(&[entry.to_string()])).ok()?;
        config.entries().first().cloned()
    };
    written(text).iter().filter_map(alone).collect()
}

fn check(config: &SyncConfig, universe: &[PathBuf], text: &str) {
    for path in universe {
        assert!(uses(config.entries(), path) <= 1, "{}: {text}", path.display());
        let covering = config.entries().iter().find(|entry| entry.covers(path));
        assert_eq!(config.entry_for(path), covering, "{}: {text}", path.display());
        let Some(entry) = covering else { continue };
        assert!(config.roots().any(|root| path.starts_with(root)));
        assert!(path.ancestors().all(|above| config.may_contain(above)));
        assert_eq!(entry.kind, Kind::Directory);
        if let Some(destination) = entry.destination_of(path) {
            assert_eq!(entry.source_of(&destination).as_ref(), Some(path));
        }
    }
}

#[test]
fn the_order_of_files_makes_no_difference_to_what_is_covered() {
    let universe = universe();
    let mut dice = Dice(7);
    for _ in 0..150 {
        let (one, other) = (dice.list(), dice.list());
        let [first, second] = [(&one, &other), (&other, &one)].map(|(a, b)| {
            let lists = directory(&[("a.json", a), ("b.json", b)]);
            SyncConfig::load_dir(lists.path()).ok()
        });
        assert_eq!(first.is_some(), second.is_some(), "{one} {other}");
        if let (Some(first), Some(second)) = (first, second) {
            let alike = |path: &PathBuf| first.rule_for(path) == second.rule_for(path);
            assert!(universe.iter().all(alike), "{one} {other}");
        }
    }
}
