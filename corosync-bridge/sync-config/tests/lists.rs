//! What a list may say, what is refused and how, and which paths a list covers.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::path::Path;

use bmc_sync_config::{ConfigError, Kind, SyncConfig};
use tempfile::TempDir;

/// A directory with these files in it.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn load(text: &str) -> Result<SyncConfig, ConfigError> {
    SyncConfig::load_dir(directory(&[("list.json", text)]).path())
}

/// The message for this list, without the directory in which it happens to be.
fn refusal(text: &str) -> String {
    let directory = directory(&[("list.json", text)]);
    let message = SyncConfig::load_dir(directory.path()).unwrap_err().to_string();
    message.replace(&format!("{}/", directory.path().display()), "")
}

fn entry(path: &str, more: &str) -> String {
    format!(
        r#"{{"Path":"{path}","Description":"test","SyncDirection":"Active2Passive","SyncType":"Immediate"{more}}}"#
    )
}

fn directories(entries: &[String]) -> String {
    format!(r#"{{"Directories":[{}]}}"#, entries.join(","))
}

fn covers(config: &SyncConfig, path: &str) -> bool {
    config.covers(Path::new(path))
}

#[test]
fn files_and_directories_of_all_lists_are_merged_in_the_order_of_names() {
    let directory = directory(&[
        (
            "20-b.json",
            &format!(r#"{{"Files":[{}]}}"#, entry("/etc/hostname", "")),
        ),
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
    assert_eq!(config.entries()[0].place.within, "Directories[0]");
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
    let config = load(&format!(r#"{{"Files":[{}]}}"#, entry("/etc/hostname", ""))).unwrap();
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
fn every_key_and_value_that_is_not_carried_out_is_refused_with_its_place() {
    let good = entry("/d/", "");
    let cases = [
        (
            directories(&[good.clone(), entry("/e/", r#","DestinationPath":"/f/""#)]),
            r#"list.json: Directories[1]: key "DestinationPath" is not accepted; accepted: Path, Description, SyncDirection, SyncType, ExcludeList, IncludeList"#,
        ),
        (
            format!(r#"{{"Files":[{}]}}"#, entry("/f", r#","ExcludeList":["/f/x"]"#)),
            r#"list.json: Files[0]: key "ExcludeList" is not accepted; accepted: Path, Description, SyncDirection, SyncType"#,
        ),
        (
            directories(&[good.replace("Immediate", "Periodic")]),
            r#"list.json: Directories[0].SyncType: "Periodic" is not accepted: this version carries out "Immediate" only"#,
        ),
        (
            directories(&[good.replace("Active2Passive", "Bidirectional")]),
            r#"list.json: Directories[0].SyncDirection: "Bidirectional" is not accepted: this version carries out "Active2Passive" only"#,
        ),
        (
            r#"{"Retries":3}"#.to_owned(),
            r#"list.json: key "Retries" is not accepted; accepted: Files, Directories"#,
        ),
        ("{}".to_owned(), "list.json: Files or Directories is missing"),
        (
            r#"{"Files":[]}"#.to_owned(),
            "list.json: Files: an array of 0 is not accepted: it has to be an array with at least one item",
        ),
        (
            "7".to_owned(),
            "list.json: 7 is not accepted: it has to be an object",
        ),
        (
            directories(&[good.replace(r#""Description":"test","#, "")]),
            "list.json: Directories[0]: Description is missing",
        ),
        (
            directories(&[good.replace(r#""test""#, "null")]),
            "list.json: Directories[0].Description: null is not accepted: it has to be a string",
        ),
        (
            directories(&[entry("/d", "")]),
            r#"list.json: Directories[0].Path: "/d" is not accepted: the path of a directory has to end in /"#,
        ),
        (
            format!(r#"{{"Files":[{}]}}"#, entry("/f/", "")),
            r#"list.json: Files[0].Path: "/f/" is not accepted: the path of a file cannot end in /"#,
        ),
        (
            directories(&[entry("/d/../e/", "")]),
            r#"list.json: Directories[0].Path: "/d/../e/" is not accepted: a path has to be normalised, without . or .. in it"#,
        ),
        (
            directories(&[entry("/d/", r#","ExcludeList":["/e/x"]"#)]),
            r#"list.json: Directories[0].ExcludeList[0]: "/e/x" is not accepted: a listed path has to lie beneath /d/"#,
        ),
        (
            directories(&[entry("/d/", r#","IncludeList":["/d/"]"#)]),
            r#"list.json: Directories[0].IncludeList[0]: "/d/" is not accepted: a listed path has to lie beneath /d/"#,
        ),
        (
            directories(&[entry("/d/", r#","IncludeList":["/d/a","/d/a/b"]"#)]),
            r#"list.json: Directories[0].IncludeList[1]: "/d/a/b" is not accepted: it overlaps /d/a of the same list"#,
        ),
        (
            directories(&[entry("/d/", r#","ExcludeList":["/d/a"],"IncludeList":["/d/b"]"#)]),
            "list.json: Directories[0]: ExcludeList and IncludeList cannot stand together; keep one",
        ),
        (
            directories(&[good.replace(r#""SyncType""#, r#""Path":"/x/","SyncType""#)]),
            r#"list.json: Directories[0]: key "Path" stands here twice"#,
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(&text), message);
    }
}

#[test]
fn a_syntax_error_names_line_and_column() {
    assert_eq!(
        refusal("{\n  \"Files\": [,]\n}"),
        "parse configuration file list.json: expected value at line 2 column 13"
    );
}

#[test]
fn a_list_after_the_end_of_the_document_is_refused() {
    let text = format!("{0}{0}", directories(&[entry("/d/", "")]));
    assert!(refusal(&text).contains("trailing characters"));
}

#[test]
fn entries_that_cover_the_same_path_are_refused_with_both_places() {
    let directory = directory(&[
        ("a.json", &directories(&[entry("/c/", ""), entry("/d/", "")])),
        ("b.json", &format!(r#"{{"Files":[{}]}}"#, entry("/d/x/y", ""))),
    ]);
    let message = SyncConfig::load_dir(directory.path()).unwrap_err().to_string();
    let at = directory.path().display();
    assert_eq!(
        message,
        format!("{at}/b.json: Files[0]: /d/x/y overlaps /d of {at}/a.json: Directories[1]")
    );
    assert!(load(&directories(&[entry("/d/x/", ""), entry("/d/", "")])).is_err());
    assert!(load(&directories(&[entry("/d/", ""), entry("/d/", "")])).is_err());
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
    assert_eq!(
        refusal(&" ".repeat(1024 * 1024 + 1)),
        "read configuration file list.json: larger than 1048576 bytes"
    );
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow_the_stack() {
    assert!(refusal(&"[".repeat(100_000)).contains("recursion limit"));
}
