//! How a bad list is explained: to a person, in one line, and to a program.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use bmc_sync_config::{ConfigError, MOST_TOLD, Part, SyncConfig};
use support::{directories, directory, entry, problems};

fn plain(_: Part, text: &str) -> String {
    text.to_owned()
}

/// The explanation of everything that is wrong with these files, without the directory in which they happen to be.
fn explain(files: &[(&str, &str)]) -> String {
    let directory = directory(files);
    let Err(ConfigError::Refused(refused)) = SyncConfig::load_dir(directory.path()) else {
        panic!("refused")
    };
    let told: Vec<String> = refused
        .problems
        .iter()
        .map(|problem| problem.explain(plain))
        .collect();
    told.join("\n")
        .replace(&format!("{}/", directory.path().display()), "")
}

const SLIPS: &str = r#"{
    "Directories": [
        {
            "Path": "/var/lib/a/",
            "Description": "ü",
            "SyncDirecton": "Active2Passive",
            "SyncType": "immediate"
        }
    ]
}
"#;

#[test]
fn every_mistake_is_shown_with_its_line_and_what_would_be_right() {
    let expected = r#"error[unknown-key]: key "SyncDirecton" is not known here
 --> list.json:6:13 (Directories[0])
  |
6 |             "SyncDirecton": "Active2Passive",
  |             ^^^^^^^^^^^^^^
help: did you mean "SyncDirection"?
help: known here: Path, Description, SyncDirection, SyncType, Periodicity, Priority, DestinationPath, RetryAttempts, RetryInterval, NotifySibling, ExcludeList, IncludeList, ExceptionList

error[bad-value]: "immediate" is not accepted
 --> list.json:7:25 (Directories[0].SyncType)
  |
7 |             "SyncType": "immediate"
  |                         ^^^^^^^^^^^
help: it has to be one of Immediate, Periodic, AtJoin
help: did you mean "Immediate"?
"#;
    assert_eq!(explain(&[("list.json", SLIPS)]), expected);
}

#[test]
fn an_overlap_shows_both_places() {
    let first = "{\"Directories\": [\n\n\n\n\n\n\n\n\n".to_owned() + &entry("/d/", "") + "]}";
    let second = r#"{"Files": [{"Path": "/d/x", "Description": "é", "SyncDirection": "Active2Passive", "SyncType": "AtJoin"}]}"#;
    let shown = explain(&[("a.json", &first), ("b.json", second)]);
    let expected = r#"error[overlap]: Path /d/x overlaps Path /d
  --> b.json:1:21 (Files[0].Path)
   |
 1 | {"Files": [{"Path": "/d/x", "Description": "é", "SyncDirection": "Active2Passive", "SyncType": "AtJ…
   |                     ^^^^^^
note: Path stands here
  --> a.json:10:9 (Directories[0].Path)
   |
10 | {"Path":"/d/","Description":"test","SyncDirection":"Active2Passive","SyncType":"Immediate"}]}
   |         ^^^^^
help: a path belongs to one entry: remove one of them, or leave the path out by the ExcludeList of the other
"#;
    assert_eq!(shown, expected);
}

#[test]
fn a_syntax_error_is_shown_where_the_text_stops_making_sense() {
    let expected = r#"error[syntax]: a value should stand here
 --> list.json:2:15
  |
2 |   "Files": [1,]
  |               ^
help: no comma follows the last item or member
"#;
    assert_eq!(explain(&[("list.json", "{\n  \"Files\": [1,]\n}")]), expected);
}

#[test]
fn a_text_that_is_no_utf_8_is_shown_at_its_first_bad_byte() {
    let directory = directory(&[]);
    std::fs::write(directory.path().join("a.json"), b"{\n \"\xff\": 1}").unwrap();
    let message = SyncConfig::load_dir(directory.path()).unwrap_err().to_string();
    assert!(message.contains("a.json:2:3: this is not UTF-8"), "{message}");
}

#[test]
fn a_long_line_is_cut_around_the_mistake() {
    let list = directories(&[entry("/d/", ""), entry("/e/", r#","Speed":1"#), entry("/g/", "")]);
    let shown = problems(&list)[0].explain(plain);
    let lines: Vec<&str> = shown.lines().collect();
    let underlined = lines[4].find('^').unwrap();
    let shown_there: String = lines[3].chars().skip(underlined).take(7).collect();
    assert_eq!(shown_there, "\"Speed\"", "{shown}");
    assert!(lines[3].chars().count() < 110, "{shown}");
}

#[test]
fn control_characters_of_a_list_do_not_reach_the_terminal() {
    let list = directories(&[entry("/d/", r#","\u001b[31mKey":1"#)]);
    let shown = problems(&list)[0].explain(plain);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn one_line_names_place_mistake_and_remedy() {
    let list = directories(&[entry("/d/", r#","Priorty":1"#)]);
    let line = problems(&list)[0].to_string();
    let (_, told) = line.split_once("list.json:").unwrap();
    assert!(
        told.starts_with(
            r#"1:108 (Directories[0]): key "Priorty" is not known here; did you mean "Priority"?; known"#
        ),
        "{told}"
    );
}

#[test]
fn a_program_gets_the_same_as_json() {
    let list = directories(&[entry("/d/", ""), entry("/d/x/", "")]);
    let value = serde_json::to_value(&problems(&list)[0]).unwrap();
    assert_eq!(value["mistake"], "overlap");
    assert_eq!(value["key"], "Directories[1].Path");
    assert_eq!((&value["line"], &value["column"]), (&1.into(), &117.into()));
    assert_eq!(value["message"], "Path /d/x overlaps Path /d");
    assert_eq!(value["related"][0]["key"], "Directories[0].Path");
    assert!(value["file"].as_str().unwrap().ends_with("list.json"));
    assert_eq!(value["help"].as_array().unwrap().len(), 1);
}

#[test]
fn the_wrong_file_is_refused_in_no_time_and_few_words() {
    let members: Vec<String> = (0..40_000).map(|n| format!("\"package-{n}\":0")).collect();
    let told = problems(&format!("{{{}}}", members.join(",")));
    assert_eq!(told.len(), MOST_TOLD);
    let items: Vec<String> = (0..30_000)
        .map(|n| format!("\"/d/{n}\""))
        .chain(["7".to_owned()])
        .collect();
    let list = directories(&[entry("/d/", &format!(r#","ExcludeList":[{}]"#, items.join(",")))]);
    assert_eq!(problems(&list).len(), 1);
}
