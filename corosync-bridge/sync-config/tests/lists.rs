//! Which paths a list covers, and how lists come from files.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::path::Path;

use bmc_sync_config::{ConfigError, Kind, SyncConfig, Timing};
use support::{directories, directory, entry, files, load};

fn covers(config: &SyncConfig, path: &str) -> bool {
    config.covers(Path::new(path))
}

#[test]
fn files_and_directories_of_all_lists_are_merged_in_the_order_of_names() {
    let directory = directory(&[
        ("20-b.json", &files(&[entry("/etc/hostname", "")])),
        ("10-a.json", &directories(&[entry("/var/lib/a/", "")])),
        ("README", "not a list"),
        (".#10-a.json", "an editor's lock"),
        ("10-a.json~", "an editor's copy"),
    ]);
    let config = SyncConfig::load_dir(directory.path()).unwrap();
    let paths: Vec<_> = config
        .entries()
        .iter()
        .map(|entry| (entry.path.to_str().unwrap(), entry.kind))
        .collect();
    assert_eq!(
        paths,
        [("/var/lib/a", Kind::Directory), ("/etc/hostname", Kind::File)]
    );
    let place = &config.entries()[0].place;
    assert_eq!(
        (place.line, place.column, place.within.as_str()),
        (1, 17, "Directories[0]")
    );
}

#[test]
fn a_part_of_a_configuration_covers_what_its_entries_cover() {
    let at_join = entry("/var/log/", "").replace("Immediate", "AtJoin");
    let config = load(&directories(&[entry("/var/lib/a/", ""), at_join])).unwrap();
    let part = config.only(|entry| entry.rule.timing == Timing::Immediate);
    assert!(covers(&part, "/var/lib/a/x") && !covers(&part, "/var/log/x"));
    assert!(!part.may_contain(Path::new("/var/log")));
}

#[test]
fn a_directory_covers_itself_and_everything_beneath_it_hidden_names_too() {
    let config = load(&directories(&[entry("/var/lib/a/", "")])).unwrap();
    for path in ["/var/lib/a", "/var/lib/a/x", "/var/lib/a/.hidden/y"] {
        assert!(covers(&config, path), "{path}");
    }
    for path in [
        "/var/lib/ab",
        "/var/lib",
        "/",
        "/var/lib/a/../b",
        "/var/lib/a/",
        "var/lib/a",
        "",
    ] {
        assert!(!covers(&config, path), "{path}");
    }
}

#[test]
fn a_file_covers_only_itself() {
    let config = load(&files(&[entry("/etc/hostname", "")])).unwrap();
    assert!(covers(&config, "/etc/hostname"));
    assert!(!covers(&config, "/etc/hostname/x"));
    assert!(!covers(&config, "/etc"));
    assert!(config.may_contain(Path::new("/etc")));
    assert!(!config.may_contain(Path::new("/etc/hostname")));
}

#[test]
fn an_excluded_path_is_left_out_with_everything_beneath_it() {
    let list = r#","ExcludeList":["/d/cache/","/d/one"]"#;
    let config = load(&directories(&[entry("/d/", list)])).unwrap();
    assert!(covers(&config, "/d") && covers(&config, "/d/two") && covers(&config, "/d/caches"));
    for path in ["/d/cache", "/d/cache/x", "/d/one"] {
        assert!(!covers(&config, path), "{path}");
    }
    assert!(!config.may_contain(Path::new("/d/cache")));
}

#[test]
fn an_include_list_leaves_only_what_it_names() {
    let list = r#","IncludeList":["/d/deep/settings/","/d/one"]"#;
    let config = load(&directories(&[entry("/d/", list)])).unwrap();
    assert!(covers(&config, "/d/one") && covers(&config, "/d/deep/settings/x"));
    for path in ["/d", "/d/two", "/d/deep", "/d/deep/other"] {
        assert!(!covers(&config, path), "{path}");
    }
    let roots: Vec<_> = config.roots().collect();
    assert_eq!(roots, [Path::new("/d/deep/settings"), Path::new("/d/one")]);
    assert!(config.may_contain(Path::new("/d/deep")));
    assert!(!config.may_contain(Path::new("/d/two")));
}

#[test]
fn an_entry_may_stand_where_another_excludes_it() {
    let config = load(&directories(&[
        entry("/d/", r#","ExcludeList":["/d/x/"]"#),
        entry("/d/x/", ""),
        entry("/d/x2/", r#","IncludeList":["/d/x2/a"]"#),
    ]));
    assert!(config.is_err(), "/d/ covers /d/x2/a");
    let config = load(&directories(&[
        entry("/d/", r#","ExcludeList":["/d/x/"]"#),
        entry("/d/x/", ""),
    ]))
    .unwrap();
    assert_eq!(
        config.entry_for(Path::new("/d/x/y")).unwrap().path,
        Path::new("/d/x")
    );
}

#[test]
fn a_directory_without_lists_and_an_oversized_list_are_refused() {
    let empty = directory(&[]);
    let message = SyncConfig::load_dir(empty.path()).unwrap_err().to_string();
    assert!(message.ends_with("it holds no *.json file"), "{message}");
    let message = SyncConfig::load_dir(&empty.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(message.contains("No such file"), "{message}");
    let message = load(&" ".repeat(1024 * 1024 + 1)).unwrap_err().to_string();
    assert!(
        message.ends_with("list.json: larger than 1048576 bytes"),
        "{message}"
    );
}

#[test]
fn files_and_directories_are_loaded_as_one_configuration_and_all_that_is_wrong_is_told() {
    let lists = directory(&[("a.json", &directories(&[entry("/d/", "")]))]);
    let more = directory(&[
        ("b.txt", &files(&[entry("/d/x", "")])),
        ("c.txt", "{"),
        (
            "d.txt",
            &files(&[entry("/f/", r#","Speed":1"#), entry("/d/y", "")]),
        ),
    ]);
    let paths: Vec<_> = ["b.txt", "c.txt", "d.txt"]
        .map(|name| more.path().join(name))
        .into();
    let all = [&[lists.path().to_owned()], paths.as_slice()].concat();
    let Err(ConfigError::Refused(refused)) = SyncConfig::load(&all, &[]) else {
        panic!("refused")
    };
    let told: Vec<_> = refused
        .problems
        .iter()
        .map(|problem| (problem.place.file.as_path(), problem.mistake.to_string()))
        .collect();
    let expected = [
        (1, "syntax"),
        (2, "bad-value"),
        (2, "unknown-key"),
        (0, "overlap"),
        (2, "overlap"),
    ]
    .map(|(file, mistake)| (paths[file].as_path(), mistake.to_owned()));
    assert_eq!(told, expected);
}

#[test]
fn an_entry_that_touches_what_the_bridge_keeps_is_refused() {
    let kept = [Path::new("/var/lib/bmc-ha")];
    let told = |list: &str| match SyncConfig::load(&[directory(&[("a.json", list)]).path().to_owned()], &kept)
    {
        Err(ConfigError::Refused(refused)) => Some(refused.problems[0].message.clone()),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    };
    let at = |path: &str, more: &str| told(&directories(&[entry(path, more)]));
    let state = "overlaps /var/lib/bmc-ha, where the bridge keeps its own state";
    assert_eq!(at("/var/lib/", ""), Some(format!("Path /var/lib {state}")));
    assert_eq!(
        at("/var/lib/bmc-ha/x/", ""),
        Some(format!("Path /var/lib/bmc-ha/x {state}"))
    );
    let moved = at("/d/", r#","DestinationPath":"/var/lib/bmc-ha/""#);
    assert_eq!(moved, Some(format!("DestinationPath /var/lib/bmc-ha {state}")));
    assert_eq!(at("/var/lib/", r#","ExcludeList":["/var/lib/bmc-ha/"]"#), None);
}

#[test]
fn a_directory_is_uniform_when_nothing_in_it_is_left_out_or_replicated_otherwise() {
    let config = load(&directories(&[
        entry("/a/", r#","ExcludeList":["/a/d/own"]"#),
        entry("/b/", r#","IncludeList":["/b/in"]"#),
        entry("/c/", r#","ExceptionList":["/c/d/passwd"]"#),
        entry("/d/", r#","DestinationPath":"/e/""#),
    ]))
    .unwrap();
    let is_uniform = |path: &str| config.is_uniform(Path::new(path));
    for path in ["/a/x", "/a/d/x", "/b/in", "/b/in/x", "/c/x", "/c/d/passwd"] {
        assert!(is_uniform(path), "{path}");
    }
    for path in ["/a", "/a/d", "/a/d/own", "/b", "/c", "/c/d", "/d/x", "/elsewhere"] {
        assert!(!is_uniform(path), "{path}");
    }
}
