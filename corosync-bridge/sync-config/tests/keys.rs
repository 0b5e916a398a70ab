//! What each key of a list means, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::path::Path;
use std::time::Duration;

use bmc_sync_config::{Direction, Entry, Method, Mode, Notify, Priority, Retry, Rule, Timing};
use support::{bad_by_themselves, bad_together, directory_with, file_with, good, load, problem, problems};

fn only_entry(text: &str) -> Entry {
    load(text).unwrap().entries()[0].clone()
}

#[test]
fn each_mistake_is_told_by_its_place_and_in_words() {
    for (text, mistake, told) in bad_by_themselves().into_iter().chain(bad_together()) {
        assert_eq!(problem(&text), told, "{text}");
        assert_eq!(problems(&text)[0].mistake, mistake, "{text}");
    }
}

#[test]
fn what_a_list_may_say_is_accepted() {
    for text in good() {
        assert!(load(&text).is_ok(), "{text}: {:?}", load(&text));
    }
}

#[test]
fn direction_timing_and_priority_make_the_rule() {
    let rule = |text: &str| only_entry(text).rule;
    assert_eq!(rule(&directory_with("")), Rule::default());
    let list = directory_with(r#","Priority":1,"Periodicity":"PT1M""#)
        .replace("Active2Passive", "Passive2Active")
        .replace("Immediate", "Periodic");
    let wanted = Rule {
        direction: Direction::PassiveToActive,
        timing: Timing::Periodic(Duration::from_secs(60)),
        priority: Priority::Essential,
    };
    assert_eq!(rule(&list), wanted);
    assert_eq!(only_entry(&list).periodic(), Some(Duration::from_secs(60)));
    let list = directory_with(r#","Priority":2"#)
        .replace("Active2Passive", "Bidirectional")
        .replace("Immediate", "AtJoin");
    let wanted = Rule {
        direction: Direction::Both,
        timing: Timing::AtJoin,
        priority: Priority::Ordinary,
    };
    assert_eq!(rule(&list), wanted);
    assert_eq!(only_entry(&list).periodic(), None);
}

#[test]
fn what_an_exception_list_names_travels_both_ways() {
    let config = load(&directory_with(
        r#","Priority":1,"ExceptionList":["/d/shadow","/d/keys/"]"#,
    ))
    .unwrap();
    let direction = |path: &str| config.rule_for(Path::new(path)).map(|rule| rule.direction);
    for path in ["/d/shadow", "/d/keys", "/d/keys/a/b"] {
        assert_eq!(direction(path), Some(Direction::Both), "{path}");
    }
    for path in ["/d", "/d/shadows", "/d/other"] {
        assert_eq!(direction(path), Some(Direction::ActiveToPassive), "{path}");
    }
    assert_eq!(direction("/e"), None);
    let rule = config.rule_for(Path::new("/d/shadow")).unwrap();
    assert_eq!(rule.priority, Priority::Essential, "the rest of the rule stays");
}

#[test]
fn a_destination_renames_the_path_and_everything_beneath_it() {
    let entry = only_entry(&directory_with(
        r#","DestinationPath":"/backup/d/","ExcludeList":["/d/x"]"#,
    ));
    for (source, destination) in [("/d", "/backup/d"), ("/d/a/b", "/backup/d/a/b")] {
        let (source, destination) = (Path::new(source), Path::new(destination));
        assert_eq!(
            entry.destination_of(source).unwrap().as_os_str(),
            destination.as_os_str()
        );
        assert_eq!(
            entry.source_of(destination).unwrap().as_os_str(),
            source.as_os_str()
        );
    }
    assert_eq!(entry.source_of(Path::new("/backup/d/x/y")), None, "excluded");
    assert_eq!(entry.source_of(Path::new("/d/a")), None);
    assert_eq!(
        only_entry(&directory_with("")).destination_of(Path::new("/d/a")),
        None
    );
    let file = only_entry(&file_with(r#","DestinationPath":"/b/g""#));
    assert_eq!(file.destination_of(Path::new("/f")).unwrap(), Path::new("/b/g"));
}

#[test]
fn a_destination_may_lie_where_another_entry_or_its_own_leaves_it_out() {
    let own = directory_with(r#","DestinationPath":"/d/copy/","ExcludeList":["/d/copy/"]"#);
    let config = load(&own).unwrap();
    assert!(
        !config.covers(Path::new("/d/copy/x")),
        "written there, but not read"
    );
}

#[test]
fn retries_and_notifications_are_as_written() {
    let entry = only_entry(&directory_with(
        r#","RetryAttempts":3,"RetryInterval":"PT1M10S","NotifySibling":{"Mode":"Systemd","Method":"Reload","NotifyServices":["b.service","a.service"],"NotifyOnPaths":["/d/x/"]}"#,
    ));
    let retry = Retry {
        attempts: 3,
        interval: Duration::from_secs(70),
    };
    assert_eq!(entry.retry, Some(retry));
    let notify = Notify {
        mode: Mode::Systemd(Method::Reload),
        services: vec!["b.service".to_owned(), "a.service".to_owned()],
        on_paths: vec!["/d/x".into()],
    };
    assert!(notify.concerns(Path::new("/d/x/y")) && !notify.concerns(Path::new("/d/y")));
    assert_eq!(entry.notify, Some(notify));
}

#[test]
fn without_a_method_systemd_restarts_and_without_paths_every_change_is_told() {
    let notify = |members: &str| {
        let list = file_with(&format!(r#","NotifySibling":{{{members}}}"#));
        only_entry(&list).notify.unwrap()
    };
    let systemd = notify(r#""Mode":"Systemd","NotifyServices":["a.service"]"#);
    assert_eq!(systemd.mode, Mode::Systemd(Method::Restart));
    assert!(systemd.concerns(Path::new("/f")));
    let bus = notify(r#""Mode":"DBus","NotifyServices":["a.b"]"#);
    assert_eq!(bus.mode, Mode::DBus);
    assert_eq!(only_entry(&file_with("")).notify, None);
    assert_eq!(only_entry(&file_with("")).retry, None);
}
