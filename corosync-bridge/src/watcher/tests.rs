//! The watcher on a real file system. Events of inotify are queued before the system call that caused them
//! returns, so nothing here has to wait.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A tree in which `settings/` and the file `etc/hostname` are replicated, except `settings/cache`.
struct World {
    directory: TempDir,
    watcher: Watcher,
    config: Rc<SyncConfig>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let root = directory.path().to_str().unwrap();
        let common = r#""Description":"test","SyncDirection":"Active2Passive","SyncType":"Immediate""#;
        let list = format!(
            r#"{{"Files":[{{"Path":"{root}/etc/hostname",{common}}}],
                "Directories":[{{"Path":"{root}/var/settings/",{common},"ExcludeList":["{root}/var/settings/cache"]}}]}}"#
        );
        let lists = directory.path().join("lists");
        fs::create_dir_all(&lists).unwrap();
        fs::write(lists.join("list.json"), list).unwrap();
        let config = Rc::new(SyncConfig::load_dir(&lists).unwrap());
        Self {
            watcher: Watcher::default(),
            config,
            directory,
            now: Instant::now(),
        }
    }

    /// The same, with the directories there and watched.
    fn watching() -> Self {
        let mut world = Self::new();
        fs::create_dir_all(world.path("var/settings")).unwrap();
        fs::create_dir_all(world.path("etc")).unwrap();
        world.watcher.start(&world.config, world.now);
        assert_eq!(world.watcher.problem(), None);
        world
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn write(&self, relative: &str) {
        fs::write(self.path(relative), b"content").unwrap();
    }

    /// The hints that are due, relative to the tree.
    fn hints(&mut self) -> Vec<String> {
        let hints = self.watcher.take(self.now);
        assert!(!hints.everything, "a rescan was not expected");
        self.relative(&hints)
    }

    /// The hinted paths; one that is hinted with everything beneath it ends in `/`.
    fn relative(&self, hints: &Hints) -> Vec<String> {
        let strip = |path: &PathBuf| {
            let relative = path.strip_prefix(self.directory.path()).unwrap();
            relative.to_str().unwrap().to_owned()
        };
        let changed = hints.changed.iter().map(strip);
        changed
            .chain(hints.trees.iter().map(|path| strip(path) + "/"))
            .collect()
    }
}

#[test]
fn a_written_file_is_hinted_when_it_is_closed() {
    let mut world = World::watching();
    let mut file = File::create(world.path("var/settings/a")).unwrap();
    file.write_all(b"half").unwrap();
    assert_eq!(world.hints(), [""; 0]);
    drop(file);
    assert_eq!(world.hints(), ["var/settings/a"]);
    assert_eq!(world.watcher.deadline(), None);
}

#[test]
fn a_file_that_stays_open_is_hinted_after_a_while_and_at_once_when_all_is_asked_for() {
    let mut world = World::watching();
    world.write("var/settings/log");
    world.hints();
    let mut file = OpenOptions::new()
        .append(true)
        .open(world.path("var/settings/log"))
        .unwrap();
    file.write_all(b"line").unwrap();
    assert_eq!(world.hints(), [""; 0]);
    assert_eq!(world.watcher.deadline(), Some(world.now + SETTLE));
    world.now += SETTLE;
    assert_eq!(world.hints(), ["var/settings/log"]);
    file.write_all(b"line").unwrap();
    let hints = world.watcher.take_all(world.now);
    assert_eq!(world.relative(&hints), ["var/settings/log"]);
    assert_eq!(world.watcher.deadline(), None);
}

#[test]
fn it_is_told_from_where_a_file_was_moved_away() {
    let mut world = World::watching();
    for name in ["old", "deleted"] {
        world.write(&format!("var/settings/{name}"));
    }
    world.hints();
    let old = world.path("var/settings/old");
    fs::rename(&old, world.path("var/settings/new")).unwrap();
    fs::remove_file(world.path("var/settings/deleted")).unwrap();
    let hints = world.watcher.take(world.now);
    assert_eq!(hints.left, BTreeSet::from([old]));
}

#[test]
fn deletes_renames_links_and_attributes_are_hinted_at_once() {
    let mut world = World::watching();
    for name in ["deleted", "old", "mode"] {
        world.write(&format!("var/settings/{name}"));
    }
    world.hints();
    fs::remove_file(world.path("var/settings/deleted")).unwrap();
    fs::rename(world.path("var/settings/old"), world.path("var/settings/new")).unwrap();
    fs::set_permissions(world.path("var/settings/mode"), Permissions::from_mode(0o600)).unwrap();
    symlink("target", world.path("var/settings/link")).unwrap();
    fs::hard_link(world.path("var/settings/new"), world.path("var/settings/second")).unwrap();
    assert_eq!(
        world.hints(),
        ["deleted", "link", "mode", "new", "old", "second"].map(|name| format!("var/settings/{name}"))
    );
}

#[test]
fn a_directory_that_was_filled_before_its_watch_stood_is_hinted_as_a_whole_and_watched() {
    let mut world = World::watching();
    fs::create_dir_all(world.path("var/settings/deep/deeper")).unwrap();
    world.write("var/settings/deep/deeper/early");
    assert_eq!(world.hints(), ["var/settings/deep/"]);
    world.write("var/settings/deep/deeper/late");
    assert_eq!(world.hints(), ["var/settings/deep/deeper/late"]);
}

#[test]
fn a_renamed_directory_is_watched_under_its_new_name_only() {
    let mut world = World::watching();
    fs::create_dir_all(world.path("var/settings/old/sub")).unwrap();
    world.hints();
    fs::rename(world.path("var/settings/old"), world.path("var/settings/new")).unwrap();
    assert_eq!(world.hints(), ["var/settings/new/", "var/settings/old/"]);
    world.write("var/settings/new/sub/file");
    assert_eq!(world.hints(), ["var/settings/new/sub/file"]);
    fs::rename(world.path("var/settings/new"), world.path("outside")).unwrap();
    assert_eq!(world.hints(), ["var/settings/new/"]);
    world.write("outside/sub/file");
    assert_eq!(world.hints(), [""; 0]);
}

#[test]
fn configured_paths_may_be_missing_and_come_and_go_with_what_leads_to_them() {
    let mut world = World::new();
    world.watcher.start(&world.config, world.now);
    fs::create_dir_all(world.path("var/settings")).unwrap();
    assert_eq!(world.hints(), ["var/settings/"]);
    world.write("var/settings/a");
    assert_eq!(world.hints(), ["var/settings/a"]);
    fs::rename(world.path("var"), world.path("gone")).unwrap();
    assert_eq!(world.hints(), ["var/settings/"]);
    fs::rename(world.path("gone"), world.path("var")).unwrap();
    assert_eq!(world.hints(), ["var/settings/"]);
    world.write("var/settings/b");
    assert_eq!(world.hints(), ["var/settings/b"]);
}

#[test]
fn a_configured_file_is_seen_when_written_and_when_replaced_and_its_neighbours_are_not() {
    let mut world = World::watching();
    world.write("etc/hostname");
    assert_eq!(world.hints(), ["etc/hostname"]);
    world.write("etc/next");
    assert_eq!(world.hints(), [""; 0]);
    fs::rename(world.path("etc/next"), world.path("etc/hostname")).unwrap();
    assert_eq!(world.hints(), ["etc/hostname"]);
}

#[test]
fn what_is_excluded_is_neither_watched_nor_hinted() {
    let mut world = World::watching();
    fs::create_dir(world.path("var/settings/cache")).unwrap();
    world.write("var/settings/cache/file");
    assert_eq!(world.hints(), [""; 0]);
}

#[test]
fn a_link_to_a_directory_is_not_followed() {
    let mut world = World::watching();
    fs::create_dir(world.path("outside")).unwrap();
    symlink(world.path("outside"), world.path("var/settings/link")).unwrap();
    assert_eq!(world.hints(), ["var/settings/link"]);
    world.write("outside/file");
    assert_eq!(world.hints(), [""; 0]);
}

#[test]
fn a_link_on_the_way_to_a_configured_path_is_not_followed() {
    let mut world = World::new();
    fs::create_dir_all(world.path("outside/settings")).unwrap();
    symlink(world.path("outside"), world.path("var")).unwrap();
    world.watcher.start(&world.config, world.now);
    world.write("outside/settings/file");
    assert_eq!(world.hints(), [""; 0]);
}

#[test]
fn messages_that_the_kernel_dropped_lead_to_a_rescan_and_watching_goes_on() {
    let mut world = World::watching();
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let files = ["a", "b"].map(|name| world.path("var/settings").join(name));
    for path in &files {
        File::create(path).unwrap();
    }
    // Two files by turns, because the kernel merges equal messages in a row.
    for turn in 0..=limit {
        fs::set_permissions(&files[turn % 2], Permissions::from_mode(0o600)).unwrap();
    }
    let hints = world.watcher.take(world.now);
    assert!(hints.everything);
    world.write("var/settings/later");
    assert_eq!(world.hints(), ["var/settings/later"]);
}

#[test]
fn a_stopped_watcher_sees_nothing_and_forgets_what_was_not_settled() {
    let mut world = World::watching();
    let mut file = File::create(world.path("var/settings/a")).unwrap();
    file.write_all(b"half").unwrap();
    world.hints();
    world.watcher.stop();
    assert!(world.watcher.fd().is_none());
    assert_eq!(world.watcher.take_all(world.now), Hints::default());
    assert_eq!(world.watcher.deadline(), None);
}

#[test]
fn what_arrives_under_a_temporary_name_is_told_once() {
    let mut world = World::watching();
    let temporary = format!("var/settings/{RESERVED_PREFIX}7");
    world.write(&temporary);
    assert_eq!(world.hints(), Vec::<String>::new());
    fs::rename(world.path(&temporary), world.path("var/settings/a")).unwrap();
    assert_eq!(world.hints(), ["var/settings/a"]);
}

#[test]
fn what_is_watched_can_become_less_and_more_and_what_stays_watched_is_looked_at_each_time() {
    let mut world = World::watching();
    let all = Rc::clone(&world.config);
    let root = world.path("etc/hostname");
    let less = Rc::new(all.only(|entry| entry.path == root));
    for config in [&less, &all] {
        world.watcher.start(config, world.now);
        assert_eq!(world.watcher.deadline(), Some(world.now));
        assert_eq!(world.hints(), ["etc/hostname/"]);
        world.write("etc/hostname");
        world.write("var/settings/a");
        let seen = if Rc::ptr_eq(config, &less) {
            vec!["etc/hostname"]
        } else {
            vec!["etc/hostname", "var/settings/a"]
        };
        assert_eq!(world.hints(), seen);
    }
    world.watcher.start(&all, world.now);
    assert_eq!(world.watcher.deadline(), None);
}

#[test]
fn where_the_limit_of_watches_is_reached_everything_is_compared_again_and_again_until_it_is_raised() {
    if std::env::var_os(FEW_WATCHES).is_none() {
        return in_a_world_of_few_watches();
    }
    let mut world = World::new();
    for number in 0..20 {
        fs::create_dir_all(world.path(&format!("var/settings/d{number}"))).unwrap();
    }
    world.watcher.start(&world.config, world.now);
    let problem = world.watcher.problem().unwrap().to_owned();
    let action = "the limit of inotify watches is reached (sysctl fs.inotify.max_user_watches); \
                  comparing everything every 10 s instead";
    assert!(problem.ends_with(action), "{problem}");
    assert!(world.watcher.take_all(world.now).everything);
    assert!(!world.watcher.take(world.now).everything);
    for _ in 0..2 {
        world.now += UNWATCHED_RESCAN;
        assert_eq!(world.watcher.deadline(), Some(world.now));
        assert!(world.watcher.take(world.now).everything);
        assert_eq!(world.watcher.problem(), Some(problem.as_str()));
    }
    fs::write(WATCHES, "1000").unwrap();
    world.now += UNWATCHED_RESCAN;
    assert!(world.watcher.take(world.now).everything);
    assert_eq!((world.watcher.problem(), world.watcher.deadline()), (None, None));
    world.write("var/settings/d19/file");
    assert_eq!(world.hints(), ["var/settings/d19/file"]);
}

/// The limit of a user name space; the machine's own stays as it is.
const WATCHES: &str = "/proc/sys/user/max_inotify_watches";

/// Says that this process is in a user name space with few watches.
const FEW_WATCHES: &str = "BMC_TEST_FEW_WATCHES";

/// Runs the test that calls this once more, where few watches are to be had.
fn in_a_world_of_few_watches() {
    let name = std::thread::current().name().unwrap().to_owned();
    let outcome = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c"])
        .arg(format!("echo 8 >{WATCHES} && exec \"$0\" --exact \"$1\""))
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FEW_WATCHES, "1")
        .output()
        .unwrap();
    assert!(outcome.status.success(), "{outcome:?}");
}

#[test]
fn directories_that_are_made_and_filled_at_once_are_never_missed() {
    let mut world = World::watching();
    for round in 0..50 {
        let top = format!("var/settings/round{round}");
        let (deep, file) = (format!("{top}/b/c"), format!("{top}/b/c/file"));
        std::thread::scope(|scope| {
            let at = |relative: &str| world.directory.path().join(relative);
            let (deep, file) = (at(&deep), at(&file));
            let writer = scope.spawn(move || {
                fs::create_dir_all(deep).unwrap();
                fs::write(file, b"content").unwrap();
            });
            let mut told = Vec::new();
            while !writer.is_finished() {
                told.push(world.watcher.take(world.now));
            }
            writer.join().unwrap();
            told.push(world.watcher.take(world.now));
            let covers_it = |hints: &Hints| {
                hints.changed.contains(&at(&format!("{top}/b/c/file")))
                    || hints
                        .trees
                        .iter()
                        .any(|tree| at(&top).starts_with(tree) || tree.starts_with(at(&top)))
            };
            assert!(told.iter().any(covers_it), "round {round}");
        });
        world.write(&format!("{top}/b/c/later"));
        assert_eq!(world.hints(), [format!("{top}/b/c/later")]);
    }
}

#[test]
fn a_directory_that_is_moved_in_with_content_is_hinted_as_a_whole_and_watched() {
    let mut world = World::watching();
    fs::create_dir_all(world.path("outside/deep")).unwrap();
    world.write("outside/deep/early");
    fs::rename(world.path("outside"), world.path("var/settings/inside")).unwrap();
    assert_eq!(world.hints(), ["var/settings/inside/"]);
    world.write("var/settings/inside/deep/late");
    assert_eq!(world.hints(), ["var/settings/inside/deep/late"]);
}

#[test]
fn a_root_that_is_deleted_and_made_again_is_watched_again() {
    let mut world = World::watching();
    for _ in 0..3 {
        fs::remove_dir_all(world.path("var/settings")).unwrap();
        assert!(world.hints().contains(&"var/settings/".to_owned()));
        fs::create_dir(world.path("var/settings")).unwrap();
        world.write("var/settings/first");
        assert!(world.hints().contains(&"var/settings/".to_owned()));
        world.write("var/settings/second");
        assert_eq!(world.hints(), ["var/settings/second"]);
    }
}

#[test]
fn a_link_on_the_way_that_becomes_a_directory_is_watched_from_then_on() {
    let mut world = World::new();
    fs::create_dir_all(world.path("outside/settings")).unwrap();
    symlink(world.path("outside"), world.path("var")).unwrap();
    world.watcher.start(&world.config, world.now);
    fs::remove_file(world.path("var")).unwrap();
    fs::rename(world.path("outside"), world.path("var")).unwrap();
    assert_eq!(world.hints(), ["var/settings/"]);
    world.write("var/settings/file");
    assert_eq!(world.hints(), ["var/settings/file"]);
}
