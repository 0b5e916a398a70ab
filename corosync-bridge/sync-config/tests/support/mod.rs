//! Lists for the tests, and what becomes of them.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;

use bmc_sync_config::{ConfigError, Diagnostic, Mistake, SyncConfig};
use tempfile::TempDir;

/// A directory with these files in it.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

pub(crate) fn load(text: &str) -> Result<SyncConfig, ConfigError> {
    SyncConfig::load_dir(directory(&[("list.json", text)]).path())
}

/// All that is wrong with this list.
pub(crate) fn problems(text: &str) -> Vec<Diagnostic> {
    match load(text) {
        Err(ConfigError::Refused(refused)) => refused.problems,
        other => panic!("{text:.200}: {other:?}"),
    }
}

/// The only thing that is wrong with this list, as `KEY: MESSAGE`.
pub(crate) fn problem(text: &str) -> String {
    match problems(text).as_slice() {
        [one] => format!("{}: {}", one.place.within, one.message),
        several => panic!("{text}: {several:#?}"),
    }
}

/// An entry that lacks nothing, with more members, each after a comma.
pub(crate) fn entry(path: &str, more: &str) -> String {
    format!(
        r#"{{"Path":"{path}","Description":"test","SyncDirection":"Active2Passive","SyncType":"Immediate"{more}}}"#
    )
}

pub(crate) fn files(entries: &[String]) -> String {
    format!(r#"{{"Files":[{}]}}"#, entries.join(","))
}

pub(crate) fn directories(entries: &[String]) -> String {
    format!(r#"{{"Directories":[{}]}}"#, entries.join(","))
}

/// A list with the one directory `/d/` and these members.
pub(crate) fn directory_with(more: &str) -> String {
    directories(&[entry("/d/", more)])
}

/// A list with the one file `/f` and these members.
pub(crate) fn file_with(more: &str) -> String {
    files(&[entry("/f", more)])
}

fn periodic(members: &str) -> String {
    directory_with(members).replace("Immediate", "Periodic")
}

fn direction(word: &str, members: &str) -> String {
    directory_with(members).replace("Active2Passive", word)
}

/// Lists that are good, one for each thing that a list may say.
pub(crate) fn good() -> Vec<String> {
    vec![
        directory_with(""),
        file_with(""),
        format!(
            r#"{{"Files":[{}],"Directories":[{}]}}"#,
            entry("/f", ""),
            entry("/d/", "")
        ),
        direction("Passive2Active", ""),
        direction("Bidirectional", ""),
        direction("Passive2Active", r#","DestinationPath":"/e/""#),
        directory_with("").replace("Immediate", "AtJoin"),
        periodic(r#","Periodicity":"PT1M10S""#),
        periodic(r#","Periodicity":"P1DT2H""#),
        periodic(r#","Periodicity":"P2W""#),
        directory_with(r#","Priority":1"#),
        file_with(r#","Priority":2"#),
        directory_with(r#","DestinationPath":"/e/""#),
        file_with(r#","DestinationPath":"/e""#),
        file_with(r#","RetryAttempts":0,"RetryInterval":"PT1S""#),
        file_with(r#","RetryAttempts":3,"RetryInterval":"PT10M""#),
        directory_with(r#","ExcludeList":["/d/a/","/d/.b","/d/..c"]"#),
        directory_with(r#","IncludeList":["/d/a/","/d/b"]"#),
        directory_with(r#","ExceptionList":["/d/shadow"],"ExcludeList":["/d/a"]"#),
        file_with(r#","NotifySibling":{"Mode":"Systemd","Method":"Reload","NotifyServices":["a.service"]}"#),
        file_with(r#","NotifySibling":{"Mode":"Systemd","NotifyServices":["a@0.service","b.target"]}"#),
        file_with(r#","NotifySibling":{"Mode":"DBus","NotifyServices":["xyz.openbmc_project.Settings"]}"#),
        directory_with(
            r#","NotifySibling":{"Mode":"DBus","NotifyServices":["a.b"],"NotifyOnPaths":["/d/x"]}"#,
        ),
    ]
}

/// A list that is refused, for what kind of mistake, and as `KEY: MESSAGE`.
pub(crate) type Bad = (String, Mistake, &'static str);

/// Lists with one mistake that a JSON Schema can see.
pub(crate) fn bad_by_themselves() -> Vec<Bad> {
    use Mistake::{BadValue, Contradiction, MissingKey, UnknownKey};
    vec![
        ("{}".to_owned(), MissingKey, ": Files or Directories is missing"),
        ("7".to_owned(), BadValue, ": 7 is not accepted"),
        (
            r#"{"Files":[]}"#.to_owned(),
            BadValue,
            "Files: an array of 0 is not accepted",
        ),
        (
            r#"{"Files":{}}"#.to_owned(),
            BadValue,
            "Files: an object is not accepted",
        ),
        (
            r#"{"Files":["/f"]}"#.to_owned(),
            BadValue,
            r#"Files[0]: "/f" is not accepted"#,
        ),
        (
            file_with("").replace("Files", "Fils"),
            UnknownKey,
            r#": key "Fils" is not known here"#,
        ),
        (
            file_with(r#","ExcludeList":["/f/x"]"#),
            UnknownKey,
            r#"Files[0]: key "ExcludeList" is not known here"#,
        ),
        (
            file_with(r#","NotifySibling":{"Mode":"DBus","NotifyServices":["a.b"],"NotifyOnPaths":["/f"]}"#),
            UnknownKey,
            r#"Files[0].NotifySibling: key "NotifyOnPaths" is not known here"#,
        ),
        (
            directory_with("").replace(r#""Description":"test","#, ""),
            MissingKey,
            "Directories[0]: Description is missing",
        ),
        (
            directory_with("").replace(r#""test""#, "null"),
            BadValue,
            "Directories[0].Description: null is not accepted",
        ),
        (
            direction("Active2passive", ""),
            BadValue,
            r#"Directories[0].SyncDirection: "Active2passive" is not accepted"#,
        ),
        (
            directory_with("").replace("Immediate", "Deferred"),
            BadValue,
            r#"Directories[0].SyncType: "Deferred" is not accepted"#,
        ),
        (
            directories(&[entry("/d", "")]),
            BadValue,
            r#"Directories[0].Path: "/d" is not accepted"#,
        ),
        (
            files(&[entry("/f/", "")]),
            BadValue,
            r#"Files[0].Path: "/f/" is not accepted"#,
        ),
        (
            files(&[entry("f", "")]),
            BadValue,
            r#"Files[0].Path: "f" is not accepted"#,
        ),
        (
            files(&[entry("/a/../f", "")]),
            BadValue,
            r#"Files[0].Path: "/a/../f" is not accepted"#,
        ),
        (
            files(&[entry("/a/./f", "")]),
            BadValue,
            r#"Files[0].Path: "/a/./f" is not accepted"#,
        ),
        (
            files(&[entry("/a//f", "")]),
            BadValue,
            r#"Files[0].Path: "/a//f" is not accepted"#,
        ),
        (
            directories(&[entry("/", "")]),
            BadValue,
            r#"Directories[0].Path: "/" is not accepted"#,
        ),
        (
            file_with(r#","DestinationPath":"/e/""#),
            BadValue,
            r#"Files[0].DestinationPath: "/e/" is not accepted"#,
        ),
        (
            direction("Bidirectional", r#","DestinationPath":"/e/""#),
            Contradiction,
            r#"Directories[0]: DestinationPath cannot stand with SyncDirection "Bidirectional""#,
        ),
        (
            periodic(""),
            MissingKey,
            r#"Directories[0].SyncType: Periodicity is missing, which SyncType "Periodic" needs"#,
        ),
        (
            directory_with(r#","Periodicity":"PT1S""#),
            Contradiction,
            r#"Directories[0]: Periodicity cannot stand with SyncType "Immediate""#,
        ),
        (
            directory_with(r#","Periodicity":"PT1S""#).replace("Immediate", "AtJoin"),
            Contradiction,
            r#"Directories[0]: Periodicity cannot stand with SyncType "AtJoin""#,
        ),
        (
            periodic(r#","Periodicity":"PT0S""#),
            BadValue,
            r#"Directories[0].Periodicity: "PT0S" is not accepted"#,
        ),
        (
            periodic(r#","Periodicity":"PT1.5S""#),
            BadValue,
            r#"Directories[0].Periodicity: "PT1.5S" is not accepted"#,
        ),
        (
            periodic(r#","Periodicity":60"#),
            BadValue,
            "Directories[0].Periodicity: 60 is not accepted",
        ),
        (
            directory_with(r#","Priority":3"#),
            BadValue,
            "Directories[0].Priority: 3 is not accepted",
        ),
        (
            directory_with(r#","Priority":"1""#),
            BadValue,
            r#"Directories[0].Priority: "1" is not accepted"#,
        ),
        (
            directory_with(r#","RetryAttempts":3"#),
            MissingKey,
            "Directories[0]: RetryAttempts stands without RetryInterval",
        ),
        (
            directory_with(r#","RetryInterval":"PT3S""#),
            MissingKey,
            "Directories[0]: RetryInterval stands without RetryAttempts",
        ),
        (
            directory_with(r#","RetryAttempts":-1,"RetryInterval":"PT3S""#),
            BadValue,
            "Directories[0].RetryAttempts: -1 is not accepted",
        ),
        (
            directory_with(r#","ExcludeList":["/d/a"],"IncludeList":["/d/b"]"#),
            Contradiction,
            "Directories[0]: ExcludeList and IncludeList cannot stand together",
        ),
        (
            directory_with(r#","ExcludeList":["/d/a","/d/a"]"#),
            BadValue,
            r#"Directories[0].ExcludeList[1]: "/d/a" stands here twice"#,
        ),
        (
            direction("Passive2Active", r#","ExceptionList":["/d/a"]"#),
            Contradiction,
            r#"Directories[0]: ExceptionList cannot stand with SyncDirection "Passive2Active""#,
        ),
        (
            directory_with(r#","ExceptionList":["/d/a"],"DestinationPath":"/e/""#),
            Contradiction,
            "Directories[0]: ExceptionList and DestinationPath cannot stand together",
        ),
        (
            file_with(r#","NotifySibling":{"NotifyServices":["a.service"]}"#),
            MissingKey,
            "Files[0].NotifySibling: Mode is missing",
        ),
        (
            file_with(r#","NotifySibling":{"Mode":"Systemd","NotifyServices":[]}"#),
            BadValue,
            "Files[0].NotifySibling.NotifyServices: an array of 0 is not accepted",
        ),
        (
            file_with(r#","NotifySibling":{"Mode":"Systemd","NotifyServices":["a"]}"#),
            BadValue,
            r#"Files[0].NotifySibling.NotifyServices[0]: "a" is not accepted"#,
        ),
        (
            file_with(r#","NotifySibling":{"Mode":"DBus","NotifyServices":["a.b","a"]}"#),
            BadValue,
            r#"Files[0].NotifySibling.NotifyServices[1]: "a" is not accepted"#,
        ),
        (
            file_with(r#","NotifySibling":{"Mode":"DBus","Method":"Reload","NotifyServices":["a.b"]}"#),
            Contradiction,
            r#"Files[0].NotifySibling: Method cannot stand with Mode "DBus""#,
        ),
    ]
}

/// Lists with one mistake that only shows when values are compared with each other.
pub(crate) fn bad_together() -> Vec<Bad> {
    use Mistake::{BadValue, Contradiction, Overlap, RepeatedKey};
    vec![
        (
            directory_with(r#","Path":"/x/""#),
            RepeatedKey,
            r#"Directories[0]: key "Path" stands here twice"#,
        ),
        (
            periodic(r#","Periodicity":"P367D""#),
            BadValue,
            r#"Directories[0].Periodicity: "P367D" is not accepted"#,
        ),
        (
            directory_with(r#","ExcludeList":["/e/x"]"#),
            BadValue,
            "Directories[0].ExcludeList[0]: /e/x does not lie beneath /d/",
        ),
        (
            directory_with(r#","IncludeList":["/d/"]"#),
            BadValue,
            "Directories[0].IncludeList[0]: /d does not lie beneath /d/",
        ),
        (
            directory_with(r#","IncludeList":["/d/a","/d/a/b"]"#),
            BadValue,
            "Directories[0].IncludeList[1]: /d/a/b overlaps /d/a of the same list",
        ),
        (
            directory_with(r#","ExceptionList":["/e"]"#),
            BadValue,
            "Directories[0].ExceptionList[0]: /e does not lie beneath /d/",
        ),
        (
            directory_with(r#","ExceptionList":["/d/a/b"],"ExcludeList":["/d/a"]"#),
            Contradiction,
            "Directories[0].ExceptionList[0]: /d/a/b is not replicated, so no change of it travels",
        ),
        (
            directory_with(
                r#","IncludeList":["/d/a"],"NotifySibling":{"Mode":"DBus","NotifyServices":["a.b"],"NotifyOnPaths":["/d/b"]}"#,
            ),
            Contradiction,
            "Directories[0].NotifySibling.NotifyOnPaths[0]: /d/b is not replicated, so no change of it is ever told",
        ),
        (
            directory_with(r#","DestinationPath":"/d/""#),
            Contradiction,
            "Directories[0].DestinationPath: DestinationPath is the same as Path",
        ),
        (
            directory_with(r#","DestinationPath":"/d/copy/""#),
            Overlap,
            "Directories[0].DestinationPath: DestinationPath /d/copy overlaps Path /d",
        ),
        (
            directories(&[entry("/d/x/", r#","DestinationPath":"/d/""#)]),
            Overlap,
            "Directories[0].DestinationPath: DestinationPath /d overlaps Path /d/x",
        ),
        (
            directories(&[entry("/a/", r#","DestinationPath":"/b/""#), entry("/b/x/", "")]),
            Overlap,
            "Directories[1].Path: Path /b/x overlaps DestinationPath /b",
        ),
        (
            directories(&[
                entry("/a/", r#","DestinationPath":"/c/""#),
                entry("/b/", r#","DestinationPath":"/c/b/""#),
            ]),
            Overlap,
            "Directories[1].DestinationPath: DestinationPath /c/b overlaps DestinationPath /c",
        ),
        (
            directories(&[entry("/d/x/", ""), entry("/d/", "")]),
            Overlap,
            "Directories[1].Path: Path /d overlaps Path /d/x",
        ),
        (
            directories(&[entry("/d/", ""), entry("/d/", r#","Priority":1"#)]),
            Overlap,
            "Directories[1].Path: Path /d overlaps Path /d",
        ),
    ]
}
