//! The real disk: what it carries, and that nothing leads it out of what is configured.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bmc_replication::entry::{Attributes, Body, FileTime, Found, Xattr};
use bmc_replication::tree::{Complete, Inspection, Source, Stage, TreeError};
use bmc_replication::{Coverage, DiskTree, EntryPath, Rule, Tree};

/// `/s` is replicated but for `/s/private`, and the file `/etc/one`.
#[derive(Debug)]
struct Configured;

impl Coverage for Configured {
    fn roots(&self) -> Vec<EntryPath> {
        vec![path("/s"), path("/etc/one")]
    }

    fn covers(&self, entry: &EntryPath) -> bool {
        let private = *entry == path("/s/private") || entry.is_beneath(&path("/s/private"));
        *entry == path("/etc/one") || ((*entry == path("/s") || entry.is_beneath(&path("/s"))) && !private)
    }

    fn rule(&self, _: &EntryPath) -> Rule {
        Rule::default()
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

struct World {
    directory: tempfile::TempDir,
    tree: DiskTree,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("s")).unwrap();
        let tree = DiskTree::new(directory.path(), Rc::new(Configured)).unwrap();
        Self { directory, tree }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn put(&mut self, to: &str, content: &[u8], attributes: &Attributes) -> Result<(), TreeError> {
        let path = path(to);
        let mut stage = self.tree.stage(&path)?;
        stage.write(content)?;
        let complete = Complete {
            stage,
            path,
            attributes: attributes.clone(),
        };
        for outcome in self.tree.place(vec![complete]) {
            outcome?;
        }
        self.tree.sync()
    }

    fn found(&mut self, at: &str) -> Option<Found> {
        match self.tree.inspect(&path(at), None).unwrap() {
            Inspection::Present(found) => Some(found),
            Inspection::Absent | Inspection::Unchanged => None,
        }
    }

    /// Everything in a directory, with what it is: to see that nothing changed.
    fn listing(&self, beneath: &str) -> Vec<String> {
        let mut lines = Vec::new();
        list(&self.at(beneath), &mut lines);
        lines.sort();
        lines
    }
}

fn list(directory: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = fs::read(&path).unwrap_or_default();
        lines.push(format!("{path:?} {:o} {content:?}", metadata.mode()));
        if metadata.is_dir() {
            list(&path, lines);
        }
    }
}

fn attributes() -> Attributes {
    Attributes {
        mode: 0o640,
        uid: 12,
        gid: 34,
        mtime: FileTime {
            seconds: 1_000_000_000,
            nanoseconds: 123_456_789,
        },
        xattrs: vec![Xattr {
            name: b"user.origin".to_vec(),
            value: b"active".to_vec(),
        }],
    }
}

#[test]
fn a_placed_file_has_content_owner_mode_mtime_and_extended_attributes() {
    let mut world = World::new();
    world.put("/s/a", b"content", &attributes()).unwrap();
    assert_eq!(fs::read(world.at("/s/a")).unwrap(), b"content");
    let metadata = fs::metadata(world.at("/s/a")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (12, 34));
    assert_eq!(metadata.mode() & 0o7777, 0o640);
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec()),
        (1_000_000_000, 123_456_789)
    );
    let found = world.found("/s/a").unwrap();
    assert_eq!((found.body, found.attributes), (Body::File, attributes()));
    assert_eq!(world.listing("/s").len(), 1, "a temporary file was left");
}

#[test]
fn set_id_bits_survive_the_change_of_owner() {
    let mut world = World::new();
    let wanted = Attributes {
        mode: 0o4755,
        ..attributes()
    };
    world.put("/s/a", b"", &wanted).unwrap();
    assert_eq!(world.found("/s/a").unwrap().attributes.mode, 0o4755);
}

#[test]
fn attributes_alone_can_change_and_extended_ones_go_too() {
    let mut world = World::new();
    world.put("/s/a", b"content", &attributes()).unwrap();
    let inode = fs::metadata(world.at("/s/a")).unwrap().ino();
    let wanted = Attributes {
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: FileTime {
            seconds: 5,
            nanoseconds: 6,
        },
        xattrs: vec![],
    };
    let names = [path("/s/a")];
    world.tree.set_attributes(&names[0], &wanted, &names).unwrap();
    world.tree.sync().unwrap();
    assert_eq!(world.found("/s/a").unwrap().attributes, wanted);
    assert_eq!(fs::metadata(world.at("/s/a")).unwrap().ino(), inode);
    assert_eq!(fs::read(world.at("/s/a")).unwrap(), b"content");
}

#[test]
fn links_are_kept_as_links_and_never_followed() {
    let mut world = World::new();
    let wanted = Attributes {
        mode: 0,
        xattrs: vec![],
        ..attributes()
    };
    world
        .tree
        .make_link(&path("/s/l"), b"../../etc/shadow", &wanted)
        .unwrap();
    let found = world.found("/s/l").unwrap();
    assert_eq!(found.body, Body::Link(b"../../etc/shadow".to_vec()));
    assert_eq!(found.attributes, wanted);
    world
        .tree
        .make_link(&path("/s/l"), b"elsewhere", &wanted)
        .unwrap();
    assert_eq!(fs::read_link(world.at("/s/l")).unwrap(), Path::new("elsewhere"));
    assert!(world.tree.open(&path("/s/l")).unwrap().is_none());
}

#[test]
fn an_empty_directory_carries_its_attributes_and_keeps_what_is_in_it() {
    let mut world = World::new();
    let wanted = Attributes {
        mode: 0o2750,
        ..attributes()
    };
    world.tree.make_directory(&path("/s/d"), &wanted).unwrap();
    assert_eq!(world.found("/s/d").unwrap().attributes, wanted);
    world.put("/s/d/x", b"1", &attributes()).unwrap();
    let other = Attributes {
        mode: 0o700,
        ..wanted
    };
    world.tree.make_directory(&path("/s/d"), &other).unwrap();
    assert_eq!(world.found("/s/d").unwrap().attributes, other);
    assert_eq!(fs::read(world.at("/s/d/x")).unwrap(), b"1");
}

#[test]
fn a_directory_has_the_mtime_that_was_set_once_what_changed_in_it_is_durable() {
    let mut world = World::new();
    let plain = attributes();
    world.tree.make_directory(&path("/s/d"), &plain).unwrap();
    type Change = fn(&mut World) -> Result<(), TreeError>;
    let changes: [(&str, Change); 6] = [
        ("a new file", |world| world.put("/s/d/x", b"1", &attributes())),
        ("another content", |world| {
            world.put("/s/d/x", b"2", &attributes())
        }),
        ("a new directory", |world| {
            world
                .tree
                .make_directory(&path("/s/d/e"), &attributes())
                .map(drop)
        }),
        ("a new link", |world| {
            let plain = Attributes {
                xattrs: vec![],
                ..attributes()
            };
            world.tree.make_link(&path("/s/d/l"), b"t", &plain).map(drop)
        }),
        ("a removal", |world| world.tree.remove(&path("/s/d/x"))),
        ("a stage that was dropped", |world| {
            world.tree.stage(&path("/s/d/y")).map(drop)
        }),
    ];
    for (what, change) in changes {
        change(&mut world).unwrap();
        world.tree.sync().unwrap();
        assert_eq!(world.found("/s/d").unwrap().attributes, plain, "after {what}");
    }
    // A new mtime set in the middle counts, and not the one before.
    let later = Attributes {
        mtime: FileTime {
            seconds: 2_000_000_000,
            nanoseconds: 1,
        },
        ..plain
    };
    let stage = world.tree.stage(&path("/s/d/x")).unwrap();
    world.tree.make_directory(&path("/s/d"), &later).unwrap();
    drop(stage);
    world.tree.sync().unwrap();
    assert_eq!(world.found("/s/d").unwrap().attributes, later);
}

#[test]
fn names_that_are_not_text_are_names() {
    let mut world = World::new();
    let odd = EntryPath::new(b"/s/\xff\xfe \n").unwrap();
    let mut stage = world.tree.stage(&odd).unwrap();
    stage.write(b"odd").unwrap();
    let placed = world.tree.place(vec![Complete {
        stage,
        path: odd.clone(),
        attributes: attributes(),
    }]);
    assert!(placed[0].is_ok());
    assert_eq!(world.tree.list(&path("/s")).unwrap(), [b"\xff\xfe \n".to_vec()]);
    world.tree.remove(&odd).unwrap();
    assert_eq!(world.tree.list(&path("/s")).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn any_kind_takes_the_place_of_any_other() {
    let mut world = World::new();
    let plain = Attributes {
        xattrs: vec![],
        ..attributes()
    };
    let kinds = ["file", "directory", "link"];
    for before in kinds {
        for after in kinds {
            for kind in [before, after] {
                match kind {
                    "file" => world.put("/s/x", b"file", &plain).unwrap(),
                    "directory" => {
                        world.tree.make_directory(&path("/s/x"), &plain).unwrap();
                        fs::write(world.at("/s/x/inside"), "1").unwrap();
                    }
                    _ => drop(world.tree.make_link(&path("/s/x"), b"t", &plain).unwrap()),
                }
            }
            let body = world.found("/s/x").unwrap().body;
            let found = match body {
                Body::File => "file",
                Body::Directory => "directory",
                Body::Link(_) => "link",
            };
            assert_eq!(found, after, "{after} in the place of {before}");
            world.tree.remove(&path("/s/x")).unwrap();
            assert!(world.listing("/s").is_empty());
        }
    }
}

#[test]
fn removing_a_directory_leaves_what_is_excluded_in_it() {
    let mut world = World::new();
    fs::create_dir_all(world.at("/s/private/deep")).unwrap();
    fs::write(world.at("/s/private/deep/key"), "secret").unwrap();
    fs::create_dir_all(world.at("/s/d/e")).unwrap();
    fs::write(world.at("/s/d/e/x"), "1").unwrap();
    world.tree.remove(&path("/s")).unwrap();
    world.tree.sync().unwrap();
    assert!(!world.at("/s/d").exists());
    assert_eq!(fs::read(world.at("/s/private/deep/key")).unwrap(), b"secret");
    world.tree.remove(&path("/s/never-there")).unwrap();
}

#[test]
fn a_missing_directory_on_the_way_to_a_configured_file_is_made() {
    let mut world = World::new();
    world.put("/etc/one", b"1", &attributes()).unwrap();
    assert_eq!(fs::read(world.at("/etc/one")).unwrap(), b"1");
    let made = fs::metadata(world.at("/etc")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o755);
}

#[test]
fn nothing_is_read_or_written_through_a_symbolic_link() {
    let mut world = World::new();
    fs::create_dir(world.at("/outside")).unwrap();
    fs::write(world.at("/outside/x"), "theirs").unwrap();
    symlink(world.at("/outside"), world.at("/s/d")).unwrap();
    symlink("../outside", world.at("/s/e")).unwrap();
    let before = world.listing("/outside");
    for directory in ["/s/d", "/s/e"] {
        let inside = path(&format!("{directory}/x"));
        assert_eq!(world.tree.inspect(&inside, None).unwrap(), Inspection::Absent);
        assert!(world.tree.open(&inside).unwrap().is_none());
        assert!(world.tree.list(&path(directory)).unwrap().is_empty());
        assert!(world.tree.stage(&inside).is_err());
        assert!(world.tree.make_directory(&inside, &attributes()).is_err());
        assert!(world.tree.make_link(&inside, b"t", &attributes()).is_err());
        assert!(world.tree.set_attributes(&inside, &attributes(), &[]).is_err());
        assert!(
            world
                .tree
                .set_attributes(&path(directory), &attributes(), &[])
                .is_err()
        );
        world.tree.remove(&inside).unwrap();
        world.tree.remove(&path(directory)).unwrap();
    }
    assert_eq!(world.listing("/outside"), before);
    assert!(world.listing("/s").is_empty());
}

#[test]
fn a_directory_swapped_for_a_link_after_staging_leads_nowhere() {
    let mut world = World::new();
    fs::create_dir(world.at("/outside")).unwrap();
    fs::create_dir(world.at("/s/d")).unwrap();
    let mut stage = world.tree.stage(&path("/s/d/x")).unwrap();
    stage.write(b"new").unwrap();
    fs::rename(world.at("/s/d"), world.at("/s/moved")).unwrap();
    symlink(world.at("/outside"), world.at("/s/d")).unwrap();
    let outcome = world.tree.place(vec![Complete {
        stage,
        path: path("/s/d/x"),
        attributes: attributes(),
    }]);
    drop(outcome);
    assert!(world.listing("/outside").is_empty());
}

#[test]
fn a_link_on_the_way_to_a_configured_path_is_an_error_and_not_an_absence() {
    let mut world = World::new();
    fs::create_dir(world.at("/real")).unwrap();
    symlink("real", world.at("/etc")).unwrap();
    let one = path("/etc/one");
    let read = world.tree.inspect(&one, None).unwrap_err().to_string();
    let written = world
        .put("/etc/one", b"1", &attributes())
        .unwrap_err()
        .to_string();
    for (action, told) in [("look at", read), ("make the directory of", written)] {
        assert_eq!(
            told,
            format!(
                "{action} /etc/one: /etc is a symbolic link, and none is followed on the way to what is replicated; \
                 put a directory there, or configure the path that it leads to"
            )
        );
    }
    assert!(world.listing("/real").is_empty());
}

#[test]
fn a_pipe_is_no_setting_and_is_never_opened() {
    let mut world = World::new();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, world.at("/s/pipe"), mode).unwrap();
    assert_eq!(
        world.tree.inspect(&path("/s/pipe"), None).unwrap(),
        Inspection::Absent
    );
    assert!(world.tree.open(&path("/s/pipe")).unwrap().is_none());
    world.put("/s/pipe", b"a file now", &attributes()).unwrap();
    assert_eq!(fs::read(world.at("/s/pipe")).unwrap(), b"a file now");
}

#[test]
fn a_fresh_change_settles_nothing_and_an_old_one_is_known_again() {
    let mut world = World::new();
    fs::write(world.at("/s/a"), "1").unwrap();
    let fresh = world.found("/s/a").unwrap().seen;
    assert!(!fresh.settled);
    assert!(matches!(
        world.tree.inspect(&path("/s/a"), Some(&fresh)).unwrap(),
        Inspection::Present(_)
    ));
    let settled = bmc_replication::entry::Seen {
        settled: true,
        ..fresh
    };
    assert_eq!(
        world.tree.inspect(&path("/s/a"), Some(&settled)).unwrap(),
        Inspection::Unchanged
    );
    fs::set_permissions(world.at("/s/a"), fs::Permissions::from_mode(0o600)).unwrap();
    let changed = world.tree.inspect(&path("/s/a"), Some(&settled)).unwrap();
    // Within one tick of the file system's clock the stamp may be the same: that is what `settled` is for.
    let same_tick = world.found("/s/a").unwrap().seen.stamp == settled.stamp;
    assert!(same_tick || changed != Inspection::Unchanged);
}

#[test]
fn known_entries_of_a_directory_are_looked_at_together_and_each_tells_what_it_is() {
    let mut world = World::new();
    let names = [
        "/s/d/file",
        "/s/d/link",
        "/s/d/changed",
        "/s/d/gone",
        "/s/d/fresh",
        "/s/d/now-a-link",
    ];
    fs::create_dir(world.at("/s/d")).unwrap();
    for name in names {
        fs::write(world.at(name), "content").unwrap();
    }
    fs::remove_file(world.at("/s/d/link")).unwrap();
    symlink("/elsewhere", world.at("/s/d/link")).unwrap();
    let mut known = names.map(|name| (path(name), world.found(name).unwrap().seen));
    known.iter_mut().for_each(|(_, seen)| seen.settled = true);
    known[4].1.settled = false;
    fs::write(world.at("/s/d/changed"), "another one").unwrap();
    fs::remove_file(world.at("/s/d/gone")).unwrap();
    fs::remove_file(world.at("/s/d/now-a-link")).unwrap();
    symlink("file", world.at("/s/d/now-a-link")).unwrap();

    let entries: Vec<_> = known.iter().map(|(path, seen)| (path, seen)).collect();
    let looked = world.tree.inspect_known(&entries);
    let looked: Vec<Option<Body>> = looked
        .into_iter()
        .map(|look| match look.unwrap() {
            Inspection::Unchanged => Some(Body::Directory),
            Inspection::Present(found) => Some(found.body),
            Inspection::Absent => None,
        })
        .collect();
    let unchanged = Some(Body::Directory);
    let now_a_link = Some(Body::Link(b"file".to_vec()));
    let file = Some(Body::File);
    assert_eq!(
        looked,
        [unchanged.clone(), unchanged, file.clone(), None, file, now_a_link]
    );
}

#[test]
fn known_entries_are_not_looked_for_behind_a_link_in_place_of_their_directory() {
    let mut world = World::new();
    fs::create_dir(world.at("/s/d")).unwrap();
    fs::write(world.at("/s/d/file"), "content").unwrap();
    let mut seen = world.found("/s/d/file").unwrap().seen;
    seen.settled = true;
    fs::rename(world.at("/s/d"), world.at("/outside")).unwrap();
    symlink("../outside", world.at("/s/d")).unwrap();
    // The same file, by the same stamp, but not beneath the root.
    let looked = world.tree.inspect_known(&[(&path("/s/d/file"), &seen)]);
    assert_eq!(
        looked.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        [Inspection::Absent]
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let mut world = World::new();
    fs::write(world.at("/s/a"), "before").unwrap();
    let mut source = world.tree.open(&path("/s/a")).unwrap().unwrap();
    let mut bytes = Vec::new();
    source.read(&mut bytes, 3).unwrap();
    assert_eq!(bytes, b"bef");
    assert!(source.is_unchanged().unwrap());
    fs::write(world.at("/s/a"), "a longer one").unwrap();
    assert!(!source.is_unchanged().unwrap());
}

#[test]
fn left_overs_of_a_crash_are_removed_at_the_next_start_and_never_shown() {
    let mut world = World::new();
    fs::create_dir_all(world.at("/s/d")).unwrap();
    fs::create_dir_all(world.at("/s/private")).unwrap();
    fs::create_dir_all(world.at("/etc")).unwrap();
    for left in ["/s/d", "/s", "/etc"] {
        let name = format!("{left}/.bmc-ha-replication.7");
        fs::write(world.at(&name), "half").unwrap();
    }
    assert_eq!(world.tree.list(&path("/s/d")).unwrap(), Vec::<Vec<u8>>::new());
    let world = World {
        tree: DiskTree::new(world.directory.path(), Rc::new(Configured)).unwrap(),
        directory: world.directory,
    };
    for left in ["/s/d", "/s", "/etc"] {
        let left_over = world.at(left).join(".bmc-ha-replication.7");
        assert!(!left_over.exists(), "{left_over:?}");
    }
}

#[test]
fn a_stage_that_is_dropped_leaves_nothing() {
    let mut world = World::new();
    let mut stage = world.tree.stage(&path("/s/a")).unwrap();
    stage.write(b"never").unwrap();
    assert_eq!(world.listing("/s").len(), 1);
    drop(stage);
    assert!(world.listing("/s").is_empty());
}

#[test]
fn many_files_are_placed_together() {
    let mut world = World::new();
    let batch = (0..100)
        .map(|number| {
            let path = path(&format!("/s/file{number:03}"));
            let mut stage = world.tree.stage(&path).unwrap();
            stage.write(number.to_string().as_bytes()).unwrap();
            Complete {
                stage,
                path,
                attributes: attributes(),
            }
        })
        .collect();
    assert!(world.tree.place(batch).iter().all(Result::is_ok));
    world.tree.sync().unwrap();
    assert_eq!(world.tree.list(&path("/s")).unwrap().len(), 100);
    assert_eq!(fs::read(world.at("/s/file042")).unwrap(), b"42");
    world.tree.harden_all().unwrap();
    world
        .tree
        .harden(&[path("/s/file001"), path("/s/gone/deeper")])
        .unwrap();
}

#[test]
fn what_is_staged_after_its_directory_was_moved_goes_into_the_new_one() {
    let mut world = World::new();
    let complete = |tree: &mut DiskTree, at: &str| Complete {
        stage: tree.stage(&path(at)).unwrap(),
        path: path(at),
        attributes: attributes(),
    };
    let first = complete(&mut world.tree, "/s/d/first");
    world.tree.rename(&path("/s/d"), &path("/s/moved")).unwrap();
    let second = complete(&mut world.tree, "/s/d/second");
    for batch in [vec![second], vec![first]] {
        assert!(world.tree.place(batch).iter().all(Result::is_ok));
    }
    world.tree.sync().unwrap();
    let names = |at: &str| world.listing(at).len();
    assert!(world.at("/s/d/second").exists() && world.at("/s/moved/first").exists());
    assert_eq!((names("/s/d"), names("/s/moved")), (1, 1));
}
