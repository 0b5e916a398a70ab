//! Comparing the disk with the index, one bounded step at a time.

use crate::EntryPath;
use crate::coverage::Coverage;
use crate::digest::{Digest, Hasher};
use crate::entry::{Body, Found, Kind, Known, Seen};
use crate::index::Index;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::INLINE_BYTES;

/// Looks in one step: a few milliseconds at most, so that messages are never kept waiting.
const STEP_LOOKS: usize = 256;

/// What an entry that is not as it was costs, in looks: it is opened, and read where it is small.
const CHANGED_LOOKS: usize = 4;

/// Entries of a directory that are looked at together: enough to share the cost of opening it, few enough that it is no loss
/// when the step ends among them and the rest is looked at again.
const TOGETHER: usize = 64;

/// Content digested in one step, in bytes: about 10 ms on a BMC's processor.
const STEP_BYTES: usize = 256 * 1024;

/// Readings of a file that changes while it is read, before it is given up.
const LOOKS: usize = 3;

/// What a scan does with a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The index learns it.
    Learn,
    /// It is told, and the index stays. What lies within but travels at other times is left for a scan of its own.
    Tell,
}

/// What a step of a scan came upon.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Paths that differ from the index ([`Mode::Tell`] only), a directory before what is in it and what is gone after
    /// everything else.
    pub(crate) differing: Vec<EntryPath>,
    /// What could not be looked at.
    pub(crate) failed: Vec<TreeError>,
}

/// What is looked at, and what is known of it.
#[derive(Debug)]
struct Entry {
    path: EntryPath,
    known: Option<Known>,
}

/// A scan under way.
#[derive(Debug)]
pub(crate) struct Scan<F> {
    mode: Mode,
    /// What is still to be looked at, the next one last.
    pending: Vec<EntryPath>,
    hashing: Option<Hashing<F>>,
    /// What is not where it was ([`Mode::Tell`] only). Told last: it may yet be found where it was moved to.
    gone: Vec<EntryPath>,
}

impl<F: Source> Scan<F> {
    pub(crate) fn new(mode: Mode, mut roots: Vec<EntryPath>) -> Self {
        roots.sort_by(|a, b| b.cmp(a));
        Self {
            mode,
            pending: roots,
            hashing: None,
            gone: Vec::new(),
        }
    }

    /// Takes one bounded step. Returns whether the scan is done.
    pub(crate) fn step<T: Tree<Source = F>>(
        &mut self,
        tree: &mut T,
        index: &mut Index,
        coverage: &dyn Coverage,
        findings: &mut Findings,
    ) -> bool {
        if let Some(hashing) = self.hashing.take() {
            self.hash(hashing, tree, index, findings);
            return self.finish(index, findings);
        }
        let mut looks = 0;
        while looks < STEP_LOOKS && self.hashing.is_none() {
            let next = self.next(index);
            let Some(first) = next.first() else { break };
            if self.has_to_be_read(first) {
                looks += CHANGED_LOOKS;
                if let Err(error) = self.read(first, tree, index, coverage, findings) {
                    findings.failed.push(error);
                }
                continue;
            }
            let looked = look_at(&next, tree);
            let mut next = next.into_iter();
            for (known, looked) in next.by_ref().zip(looked) {
                looks += match looked {
                    Ok(Inspection::Unchanged) => 1,
                    _ => CHANGED_LOOKS,
                };
                let taken_in =
                    looked.and_then(|now| self.take_in(&known, now, tree, index, coverage, findings));
                if let Err(error) = taken_in {
                    findings.failed.push(error);
                }
                if looks >= STEP_LOOKS || self.hashing.is_some() {
                    break;
                }
            }
            self.pending.extend(next.rev().map(|entry| entry.path));
        }
        self.finish(index, findings)
    }

    /// What is looked at next: an entry, or several of one directory that are known, and in which nothing can be.
    fn next(&mut self, index: &Index) -> Vec<Entry> {
        let mut next: Vec<Entry> = Vec::new();
        while let Some(path) = self.pending.pop() {
            let known = match self.mode {
                Mode::Learn => index.known_or_recalled(&path).copied(),
                Mode::Tell => index.get(&path).copied(),
            };
            let is_leaf = known.is_some_and(|known| known.kind != Kind::Directory);
            let goes_along = |first: &Entry| is_leaf && path.is_beside(&first.path);
            if !next.first().is_none_or(goes_along) {
                self.pending.push(path);
                break;
            }
            let entry = Entry { path, known };
            let has_to_be_read = self.has_to_be_read(&entry);
            if has_to_be_read && !next.is_empty() {
                self.pending.push(entry.path);
                break;
            }
            next.push(entry);
            if !is_leaf || has_to_be_read || next.len() == TOGETHER {
                break;
            }
        }
        next
    }

    /// Whether it is a file whose last look settled nothing: whatever it shows, it may hold something else.
    fn has_to_be_read(&self, entry: &Entry) -> bool {
        let is_open = |seen: Seen| !seen.settled && !seen.stamp.shows_writes();
        let is_unsettled = |known: Known| known.kind == Kind::File && is_open(known.seen);
        self.mode == Mode::Learn && entry.known.is_some_and(is_unsettled)
    }

    /// Reads what is known as a file.
    fn read<T: Tree<Source = F>>(
        &mut self,
        entry: &Entry,
        tree: &mut T,
        index: &mut Index,
        coverage: &dyn Coverage,
        findings: &mut Findings,
    ) -> Result<(), TreeError> {
        match tree.open(&entry.path)? {
            Some(source) => self.learn_content(&entry.path, source, tree, index),
            None => {
                let now = tree.inspect(&entry.path, None)?;
                self.take_in(entry, now, tree, index, coverage, findings)
            }
        }
    }

    /// Whether nothing is left to be looked at.
    fn finish(&mut self, index: &mut Index, findings: &mut Findings) -> bool {
        let is_done = self.pending.is_empty() && self.hashing.is_none();
        if is_done {
            findings.differing.append(&mut self.gone);
        }
        if is_done && self.mode == Mode::Learn {
            index.forget_recalled();
        }
        is_done
    }

    fn take_in<T: Tree<Source = F>>(
        &mut self,
        Entry { path, known }: &Entry,
        now: Inspection,
        tree: &mut T,
        index: &mut Index,
        coverage: &dyn Coverage,
        findings: &mut Findings,
    ) -> Result<(), TreeError> {
        match now {
            Inspection::Absent => self.absent(path, index),
            Inspection::Unchanged => {
                if self.mode == Mode::Learn {
                    index.confirm(path);
                }
                if known.is_some_and(|known| known.kind == Kind::Directory) {
                    self.descend(path, tree, index, coverage, findings)?;
                }
            }
            Inspection::Present(found) if found.body == Body::File => match self.mode {
                Mode::Tell => findings.differing.push(path.clone()),
                Mode::Learn => match known.filter(|known| holds_the_same(known, &found)) {
                    Some(known) => index.find(path.clone(), found.known_with(known.content)),
                    None => self.learn_file(path, tree, index)?,
                },
            },
            Inspection::Present(found) => {
                let now = found.known_with(Digest::NONE);
                match self.mode {
                    Mode::Tell if !known.is_some_and(|known| known.same_as(&now)) => {
                        findings.differing.push(path.clone());
                    }
                    Mode::Tell => {}
                    Mode::Learn => index.find(path.clone(), now),
                }
                if found.body == Body::Directory {
                    self.descend(path, tree, index, coverage, findings)?;
                }
            }
        }
        Ok(())
    }

    fn absent(&mut self, path: &EntryPath, index: &mut Index) {
        match self.mode {
            Mode::Learn => index.miss(path),
            Mode::Tell if index.holds(path) => self.gone.push(path.clone()),
            Mode::Tell => {}
        }
    }

    fn descend<T: Tree<Source = F>>(
        &mut self,
        directory: &EntryPath,
        tree: &mut T,
        index: &mut Index,
        coverage: &dyn Coverage,
        findings: &mut Findings,
    ) -> Result<(), TreeError> {
        let names = tree.list(directory)?;
        let mode = self.mode;
        let timing = coverage.rule(directory).timing;
        let is_uniform = coverage.is_uniform(directory);
        let belongs =
            |child: &EntryPath| is_uniform || mode == Mode::Learn || coverage.rule(child).timing == timing;
        let covers = |child: &EntryPath| is_uniform || coverage.covers(child);
        let gone: Vec<EntryPath> = index
            .children(directory)
            .filter(|child| {
                names
                    .binary_search_by(|name| name.as_slice().cmp(child.name()))
                    .is_err()
            })
            .filter(|child| belongs(child))
            .cloned()
            .collect();
        for child in &gone {
            self.absent(child, index);
        }
        for name in names.iter().rev() {
            match directory.join(name) {
                Ok(child) if covers(&child) && belongs(&child) => self.pending.push(child),
                Ok(_) => {}
                Err(error) => findings.failed.push(TreeError {
                    action: "name an entry of",
                    path: directory.clone(),
                    source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
                }),
            }
        }
        Ok(())
    }

    fn learn_file<T: Tree<Source = F>>(
        &mut self,
        path: &EntryPath,
        tree: &mut T,
        index: &mut Index,
    ) -> Result<(), TreeError> {
        match tree.open(path)? {
            Some(source) => self.learn_content(path, source, tree, index),
            None => {
                index.miss(path);
                Ok(())
            }
        }
    }

    fn learn_content<T: Tree<Source = F>>(
        &mut self,
        path: &EntryPath,
        source: F,
        tree: &mut T,
        index: &mut Index,
    ) -> Result<(), TreeError> {
        self.hashing = Some(Hashing::new(path.clone(), source));
        // Small files are the rule: done at once instead of in a step of their own.
        if let Some(mut hashing) = self.hashing.take_if(|hashing| hashing.is_small()) {
            match hashing.step()? {
                Some(digest) => self.pending.extend(hashing.learn(digest, tree, index)?),
                None => self.hashing = Some(hashing),
            }
        }
        Ok(())
    }

    fn hash<T: Tree<Source = F>>(
        &mut self,
        mut hashing: Hashing<F>,
        tree: &mut T,
        index: &mut Index,
        findings: &mut Findings,
    ) {
        match hashing.step() {
            Ok(None) => self.hashing = Some(hashing),
            Ok(Some(digest)) => match hashing.learn(digest, tree, index) {
                Ok(again) => self.pending.extend(again),
                Err(error) => findings.failed.push(error),
            },
            Err(error) => findings.failed.push(error),
        }
    }
}

/// Whether what was found holds what is known, whatever became of its attributes.
fn holds_the_same(known: &Known, found: &Found) -> bool {
    known.kind == Kind::File && known.seen.stamp == found.seen.stamp && known.seen.stamp.shows_writes()
}

/// Looks at what is next.
fn look_at<T: Tree>(next: &[Entry], tree: &mut T) -> Vec<Result<Inspection, TreeError>> {
    match next {
        [Entry { path, known }] => vec![tree.inspect(path, known.as_ref().map(|known| &known.seen))],
        several => {
            let known = several
                .iter()
                .filter_map(|entry| Some((&entry.path, &entry.known.as_ref()?.seen)));
            tree.inspect_known(&known.collect::<Vec<_>>())
        }
    }
}

/// Brings what the index knows of `path` itself to what is on disk.
pub(crate) fn look<T: Tree>(path: &EntryPath, tree: &mut T, index: &mut Index) -> Result<(), TreeError> {
    for _ in 0..LOOKS {
        let known = index.get(path).copied();
        match tree.inspect(path, known.as_ref().map(|known| &known.seen))? {
            Inspection::Unchanged => return Ok(()),
            Inspection::Absent => {
                index.miss(path);
                return Ok(());
            }
            Inspection::Present(found) if found.body == Body::File => {
                let Some(source) = tree.open(path)? else { continue };
                let mut hashing = Hashing::new(path.clone(), source);
                let digest = loop {
                    if let Some(digest) = hashing.step()? {
                        break digest;
                    }
                };
                if hashing.is_stable()? && hashing.learn(digest, tree, index)?.is_none() {
                    return Ok(());
                }
            }
            Inspection::Present(found) => {
                index.find(path.clone(), found.known_with(Digest::NONE));
                return Ok(());
            }
        }
    }
    Err(TreeError {
        action: "read",
        path: path.clone(),
        source: std::io::Error::other("it changes while it is read"),
    })
}

/// A file being digested, in steps.
#[derive(Debug)]
pub(crate) struct Hashing<F> {
    path: EntryPath,
    source: F,
    hasher: Hasher,
}

impl<F: Source> Hashing<F> {
    pub(crate) fn new(path: EntryPath, source: F) -> Self {
        Self {
            path,
            source,
            hasher: Hasher::new(),
        }
    }

    pub(crate) fn path(&self) -> &EntryPath {
        &self.path
    }

    pub(crate) fn found(&self) -> &Found {
        self.source.found()
    }

    fn is_small(&self) -> bool {
        usize::try_from(self.found().seen.stamp.size).is_ok_and(|size| size <= INLINE_BYTES)
    }

    /// Digests a bounded piece; the digest once the whole file was read.
    pub(crate) fn step(&mut self) -> Result<Option<Digest>, TreeError> {
        let mut left = STEP_BYTES;
        let mut buffer = Vec::new();
        while left > 0 {
            let hole = self.source.skip_hole(STEP_BYTES as u64)?;
            if hole > 0 {
                self.hasher.update_zeros(hole);
                left = left.saturating_sub(usize::try_from(hole).unwrap_or(left));
                continue;
            }
            buffer.clear();
            self.source.read(&mut buffer, INLINE_BYTES)?;
            if buffer.is_empty() {
                return Ok(Some(self.hasher.clone().finish()));
            }
            self.hasher.update(&buffer);
            left = left.saturating_sub(buffer.len());
        }
        Ok(None)
    }

    /// Whether what was digested is one state of the file.
    pub(crate) fn is_stable(&self) -> Result<bool, TreeError> {
        self.source.is_unchanged()
    }

    /// Puts the outcome into the index. A file that changed meanwhile is remembered as never settled, so that
    /// the next look reads it again; one that was replaced meanwhile is given back to be looked at again.
    fn learn<T: Tree>(
        self,
        digest: Digest,
        tree: &mut T,
        index: &mut Index,
    ) -> Result<Option<EntryPath>, TreeError> {
        let mut known = self.source.found().known_with(digest);
        let opened = Seen {
            settled: true,
            ..known.seen
        };
        match tree.inspect(&self.path, Some(&opened))? {
            Inspection::Unchanged => {}
            Inspection::Present(now) if now.seen.stamp.is_same_inode(&opened.stamp) => {
                known.seen.settled = false;
            }
            Inspection::Present(_) => return Ok(Some(self.path)),
            Inspection::Absent => {
                index.miss(&self.path);
                return Ok(None);
            }
        }
        index.find(self.path, known);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::rc::Rc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::DiskTree;
    use crate::coverage::Rule;

    /// What a file holds, and what is thought that it holds.
    const HOLDS: &[u8] = b"content";
    const THOUGHT: Digest = Digest([7; Digest::BYTES]);

    #[derive(Debug)]
    struct Everything;

    impl Coverage for Everything {
        fn roots(&self) -> Vec<EntryPath> {
            vec![EntryPath::new(b"/s").unwrap()]
        }

        fn covers(&self, _: &EntryPath) -> bool {
            true
        }

        fn rule(&self, _: &EntryPath) -> Rule {
            Rule::default()
        }
    }

    /// What is known after a search of a file that was modified at `modified`, and was seen before its last change had
    /// settled.
    fn learnt_of(modified: SystemTime) -> (Digest, Known) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("s")).unwrap();
        let at = root.path().join("s/file");
        fs::write(&at, HOLDS).unwrap();
        File::options()
            .write(true)
            .open(&at)
            .unwrap()
            .set_modified(modified)
            .unwrap();
        let mut tree = DiskTree::new(root.path(), Rc::new(Everything)).unwrap();
        let path = EntryPath::new(b"/s/file").unwrap();
        let Inspection::Present(mut found) = tree.inspect(&path, None).unwrap() else {
            panic!("it is not there");
        };
        found.seen.settled = false;
        found.attributes.mode = 0;
        let mut index = Index::default();
        index.insert(path.clone(), found.known_with(THOUGHT));
        let mut scan = Scan::new(Mode::Learn, Everything.roots());
        let mut findings = Findings::default();
        while !scan.step(&mut tree, &mut index, &Everything, &mut findings) {}
        assert!(findings.failed.is_empty());
        let known = *index.get(&path).unwrap();
        (found.attributes.digest(), known)
    }

    #[test]
    fn an_unsettled_file_that_was_modified_long_before_is_looked_at_and_not_read() {
        let (attributes, known) = learnt_of(SystemTime::now() - Duration::from_secs(3600));
        assert_eq!(known.content, THOUGHT);
        assert_ne!(known.attributes, attributes);
    }

    #[test]
    fn an_unsettled_file_that_may_have_been_written_in_the_same_moment_is_read() {
        let (_, known) = learnt_of(SystemTime::now());
        assert_eq!(known.content, Digest::of(HOLDS));
    }
}
