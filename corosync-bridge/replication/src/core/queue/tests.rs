//! The order in which an Active looks at what it was told of.

use std::rc::Rc;

use super::barrier::PUT_OFF;
use super::gone::Sight;
use super::*;
use crate::DiskTree;
use crate::core::active::Place;
use crate::coverage::{Coverage, Priority, Rule};
use crate::entry::{FileTime, Kind, Stamp};
use crate::tree::Tree;

type File = <DiskTree as Tree>::Source;

/// `/e` is essential and `/o` is not; or all has one priority.
#[derive(Debug)]
struct Configured {
    differ: bool,
}

impl Coverage for Configured {
    fn roots(&self) -> Vec<EntryPath> {
        vec![path("/e"), path("/o")]
    }

    fn covers(&self, _: &EntryPath) -> bool {
        true
    }

    fn rule(&self, at: &EntryPath) -> Rule {
        let is_essential = !self.differ || at.as_bytes().starts_with(b"/e");
        Rule {
            priority: if is_essential {
                Priority::Essential
            } else {
                Priority::Ordinary
            },
            ..Rule::default()
        }
    }
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a plain path")
}

fn queue(differ: bool) -> Queue<File> {
    let coverage: Rc<dyn Coverage> = Rc::new(Configured { differ });
    Queue::new(Priorities::new(&coverage))
}

fn shown(item: &Item<File>) -> String {
    match item {
        Item::Path(path) | Item::Tree(path) | Item::Names(path) => path.to_string(),
        Item::Gone(gone) => format!("gone {}", gone.path),
        Item::Barrier(barrier) => format!("barrier {}", barrier.id),
        Item::Links(_) | Item::AnyLink | Item::Scan(_) | Item::Whereabouts => "others".to_owned(),
    }
}

/// All that is popped from here on.
fn rest(queue: &mut Queue<File>) -> Vec<String> {
    std::iter::from_fn(|| queue.pop())
        .map(|item| shown(&item))
        .collect()
}

/// The same, with one word after the other until nothing waits for one.
fn all_words(queue: &mut Queue<File>) -> Vec<String> {
    let mut popped = Vec::new();
    while queue.is_behind() {
        queue.catch_up();
        popped.extend(rest(queue));
    }
    popped
}

#[test]
fn what_is_essential_goes_first() {
    let mut queue = queue(true);
    for at in ["/o/1", "/e/1", "/o/2", "/e/2"] {
        queue.push_path(path(at));
    }
    queue.push_tree(path("/e/tree"));
    assert_eq!(rest(&mut queue), ["/e/1", "/e/2", "/e/tree", "/o/1", "/o/2"]);
}

#[test]
fn where_all_has_one_priority_the_order_is_that_of_the_telling() {
    let mut queue = queue(false);
    queue.push_path(path("/o/1"));
    queue.push_roots(vec![path("/e"), path("/o")]);
    queue.push_path(path("/e/1"));
    assert_eq!(rest(&mut queue), ["/o/1", "others", "/e/1"]);
}

#[test]
fn a_barrier_waits_for_what_was_told_before_it_and_for_nothing_told_after_it() {
    let mut queue = queue(true);
    queue.push_path(path("/e/before"));
    queue.push_barrier(Barrier::new(1));
    queue.push_path(path("/e/after"));
    assert_eq!(rest(&mut queue), ["/e/before", "barrier 1", "/e/after"]);
}

#[test]
fn what_is_gone_waits_for_all_that_was_told_before_the_word() {
    let mut queue = queue(true);
    queue.push_gone(path("/e/gone"), Place::Gone, Replaced::default());
    queue.push_path(path("/o/before"));
    queue.push_path(path("/e/before"));
    queue.catch_up();
    queue.push_path(path("/o/after"));
    let popped = rest(&mut queue);
    assert_eq!(popped, ["/e/before", "/o/before", "gone /e/gone", "/o/after"]);
}

#[test]
fn what_was_found_gone_waits_for_what_waits_for_another_directory() {
    let mut queue = queue(false);
    for at in ["/o/d/1", "/o/2", "/o/d"] {
        queue.push_gone(path(at), Place::Gone, Replaced::default());
    }
    queue.catch_up();
    assert_eq!(rest(&mut queue), ["gone /o/d"]);
    queue.catch_up();
    assert_eq!(rest(&mut queue), ["gone /o/d/1", "gone /o/2"]);
}

/// A file of this inode number, last written at this second.
fn file(inode: u64, second: i64) -> Option<Sight> {
    let time = FileTime {
        seconds: second,
        nanoseconds: 0,
    };
    let stamp = Stamp {
        device: 1,
        inode,
        size: 1,
        mtime: time,
        ctime: time,
    };
    Some(Sight {
        kind: Kind::File,
        stamp,
    })
}

/// What is gone from its old path, and what it took the place of at its new one.
fn a_file_that_was_moved() -> [Replaced; 2] {
    let replaced = |announced, found| Replaced { announced, found };
    [replaced(file(1, 1), None), replaced(file(2, 1), file(1, 1))]
}

#[test]
fn what_was_moved_is_there_before_something_with_the_number_of_what_it_replaced_takes_its_place() {
    let mut queue = queue(false);
    let replaced = |announced, found| Replaced { announced, found };
    queue.push_gone(path("/o/log"), Place::Replaced, replaced(file(1, 1), file(2, 5)));
    queue.push_gone(
        path("/o/log.1"),
        Place::Replaced,
        replaced(file(2, 0), file(1, 1)),
    );
    assert_eq!(all_words(&mut queue), ["gone /o/log.1", "gone /o/log"]);
}

#[test]
fn what_was_moved_waits_once_more_where_something_else_has_its_new_path_by_now() {
    for (there, then) in [(1, &["gone /o/moved"][..]), (3, &[])] {
        let mut queue = queue(false);
        let [moved, over] = a_file_that_was_moved();
        queue.push_gone(path("/o/moved"), Place::Gone, moved);
        queue.push_gone(path("/o/over"), Place::Replaced, over);
        queue.catch_up();
        assert_eq!(queue.pop().as_ref().map(shown).as_deref(), Some("gone /o/over"));
        queue.miss_unless((1, there));
        assert_eq!(rest(&mut queue), then);
        queue.catch_up();
        assert_eq!(rest(&mut queue).len() + then.len(), 1);
    }
}

#[test]
fn what_was_moved_into_a_directory_made_anew_is_there_before_it_leaves_its_old_path() {
    let mut queue = queue(false);
    let [moved, over] = a_file_that_was_moved();
    // Each of the two directories waits for what waits for the other.
    queue.push_gone(path("/o/first/a"), Place::Gone, Replaced::default());
    queue.push_gone(path("/o/moved"), Place::Gone, moved);
    queue.push_gone(path("/o/second/x"), Place::Replaced, over);
    for at in ["/o/second", "/o/first"] {
        queue.push_gone(path(at), Place::Replaced, Replaced::default());
    }
    let popped = all_words(&mut queue);
    let place = |at: &str| popped.iter().position(|popped| popped == at);
    assert!(place("gone /o/second/x") < place("gone /o/moved"), "{popped:?}");
}

#[test]
fn what_left_a_directory_that_is_taken_away_is_at_its_new_path_before_that() {
    let mut queue = queue(false);
    let [moved, over] = a_file_that_was_moved();
    queue.push_gone(path("/o/d/file"), Place::Gone, moved);
    queue.push_gone(path("/o/d"), Place::Gone, Replaced::default());
    queue.push_gone(path("/o/z"), Place::Replaced, over);
    assert_eq!(
        all_words(&mut queue),
        ["gone /o/z", "gone /o/d", "gone /o/d/file"]
    );
}

#[test]
fn a_barrier_waits_some_times_for_what_is_in_a_directory_that_is_made_anew_all_the_time() {
    let mut queue = queue(false);
    queue.push_gone(path("/o/d/1"), Place::Replaced, Replaced::default());
    queue.push_barrier(Barrier::new(1));
    let mut is_reached = || {
        queue.push_gone(path("/o/d"), Place::Replaced, Replaced::default());
        queue.catch_up();
        rest(&mut queue).contains(&"barrier 1".to_owned())
    };
    let waited = (0..100).take_while(|_| !is_reached()).count();
    assert_eq!(waited, usize::from(PUT_OFF));
}

#[test]
fn a_barrier_waits_for_what_those_before_it_have_given_up() {
    let mut queue = queue(false);
    queue.push_gone(path("/o/d/1"), Place::Replaced, Replaced::default());
    queue.push_barrier(Barrier::new(1));
    for _ in 0..=PUT_OFF {
        queue.push_gone(path("/o/d"), Place::Replaced, Replaced::default());
        queue.catch_up();
        let popped = rest(&mut queue);
        assert!(!popped.contains(&"gone /o/d/1".to_owned()), "{popped:?}");
    }
    queue.push_barrier(Barrier::new(2));
    assert!(rest(&mut queue).is_empty(), "the barrier waits for a word");
    assert_eq!(all_words(&mut queue), ["gone /o/d/1", "barrier 2"]);
}

#[test]
fn what_is_not_essential_has_its_turn_between_what_is() {
    let mut queue = queue(true);
    queue.push_path(path("/o/1"));
    for turn in 0..=ESSENTIAL_FIRST {
        queue.push_path(path(&format!("/e/{turn}")));
        let popped = queue.pop().expect("an item");
        assert_eq!(shown(&popped) == "/o/1", turn == ESSENTIAL_FIRST);
    }
}

#[test]
fn names_have_their_turn_between_what_is_essential() {
    let mut queue = queue(true);
    queue.push_names(path("/o"));
    let popped = (0..=ESSENTIAL_FIRST).map(|turn| {
        queue.push_path(path(&format!("/e/{turn}")));
        queue.pop().expect("an item")
    });
    assert!(popped.map(|item| shown(&item)).any(|popped| popped == "/o"));
}

#[test]
fn what_a_barrier_waits_for_and_what_is_essential_go_in_turns() {
    let mut queue = queue(true);
    for number in 0..10 {
        queue.push_path(path(&format!("/o/{number}")));
    }
    queue.push_barrier(Barrier::new(1));
    let popped = (0..).map(|turn| {
        queue.push_path(path(&format!("/e/{turn}")));
        queue.pop().expect("an item")
    });
    let turns = popped
        .take_while(|item| !matches!(item, Item::Barrier(_)))
        .count();
    assert_eq!(turns, 20);
}

/// A program wrote to `/o/burst`, and something took the place of the file `replaced` at `/e/one`.
fn replaced_behind_a_burst(replaced: u64) -> Queue<File> {
    let mut queue = queue(true);
    queue.push_path(path("/o/burst"));
    let inodes = Replaced {
        announced: file(replaced, 1),
        found: file(100, 1),
    };
    queue.push_light_gone(path("/e/one"), inodes);
    queue.catch_up();
    queue
}

#[test]
fn what_took_the_place_of_an_essential_file_goes_first_where_that_is_nowhere_else() {
    let mut queue = replaced_behind_a_burst(1);
    assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
    queue.note_whereabouts(Whereabouts::Files(BTreeSet::from([(1, 2)])));
    assert_eq!(rest(&mut queue), ["gone /e/one", "/o/burst"]);
}

#[test]
fn what_took_the_place_of_an_essential_file_waits_where_that_may_have_been_moved() {
    for whereabouts in [Whereabouts::Files(BTreeSet::from([(1, 1)])), Whereabouts::Unknown] {
        let mut queue = replaced_behind_a_burst(1);
        queue.push_path(path("/o/after"));
        assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
        queue.note_whereabouts(whereabouts);
        assert_eq!(rest(&mut queue), ["/o/burst", "gone /e/one", "/o/after"]);
    }
}

#[test]
fn where_files_are_is_looked_up_anew_after_each_word() {
    let mut queue = replaced_behind_a_burst(1);
    assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
    queue.note_whereabouts(Whereabouts::Files(BTreeSet::new()));
    queue.catch_up();
    assert!(matches!(queue.pop(), Some(Item::Whereabouts)));
}

#[test]
fn what_belongs_to_the_head_stays_together_and_before_barriers() {
    let mut queue = queue(true);
    queue.push_path(path("/e/1"));
    queue.push_path(path("/o/1"));
    queue.push_barrier(Barrier::new(1));
    queue.push_front(vec![path("/o/d"), path("/e/d/1")]);
    queue.push_front(vec![path("/o/e"), path("/o/e/1")]);
    let popped = rest(&mut queue);
    assert_eq!(
        popped,
        ["/o/d", "/o/e", "/e/d/1", "/o/e/1", "/e/1", "/o/1", "barrier 1"]
    );
}
