//! What is known of the large contents that wait.

use super::*;
use crate::DiskTree;

type File = <DiskTree as Tree>::Source;

fn files(bulk: &Bulk<File>) -> Vec<Inode> {
    bulk.files().map(|(_, inode)| inode).collect()
}

#[test]
fn every_file_that_was_found_at_a_path_while_it_waits_counts_as_waiting_there() {
    let path = EntryPath::new(b"/s/large").expect("a plain path");
    let mut bulk = Bulk::<File>::new(Priorities::default());
    bulk.push_front(path.clone(), None);
    assert_eq!(files(&bulk), []);
    bulk.push(&path, Some((1, 1)));
    bulk.push_by_priority(&path, (1, 2), None);
    assert_eq!(files(&bulk), [(1, 1), (1, 2)]);
    bulk.push_front(path, Some((1, 3)));
    assert_eq!(files(&bulk), [(1, 1), (1, 2), (1, 3)]);
    assert_eq!(bulk.left().0, 1);
}
