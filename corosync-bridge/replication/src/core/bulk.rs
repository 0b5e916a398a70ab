//! Large contents on their way from the Active, one at a time.

use std::time::Duration;

use super::Core;
use super::active::unstable;
use crate::digest::Hasher;
use crate::scan::Hashing;
use crate::state::StateStore;
use crate::tree::{Source, Tree, TreeError};
use crate::wire::{CHUNK_BYTES, Message, Operation};
use crate::{EntryPath, NodeId};

/// A large file under way.
#[derive(Debug)]
pub(super) enum Job<F> {
    /// Whether its content changed is being found out.
    Hash(Hashing<F>),
    /// Its content is being sent.
    Send(Sending<F>),
}

/// A large content being sent.
#[derive(Debug)]
pub(super) struct Sending<F> {
    transfer: u64,
    path: EntryPath,
    target: Option<NodeId>,
    source: F,
    hasher: Hasher,
    offset: u64,
}

impl<F: Source> Job<F> {
    pub(super) fn path(&self) -> &EntryPath {
        match self {
            Self::Hash(hashing) => hashing.path(),
            Self::Send(sending) => &sending.path,
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        matches!(self, Self::Send(_))
    }

    /// Entries and bytes still to be sent.
    pub(super) fn left(&self) -> (u64, u64) {
        match self {
            Self::Hash(_) => (0, 0),
            Self::Send(sending) => {
                let size = sending.source.found().seen.stamp.size;
                (1, size.saturating_sub(sending.offset))
            }
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn start(&mut self, job: Job<T::Source>) {
        if let Some(active) = &mut self.active {
            active.job = Some(job);
        }
    }

    /// Begins to send a large content; to nobody, it is only digested.
    pub(super) fn send_large(
        &mut self,
        path: EntryPath,
        source: T::Source,
        target: Option<NodeId>,
        now: Duration,
    ) {
        if !self.peers.any_follows() {
            return self.start(Job::Hash(Hashing::new(path, source)));
        }
        let Some(active) = &mut self.active else { return };
        let transfer = active.next_id();
        let begin = Message::Begin {
            epoch: self.state.epoch,
            target,
            transfer,
            path: path.clone(),
        };
        self.push_stream(&begin, now);
        self.start(Job::Send(Sending {
            transfer,
            path,
            target,
            source,
            hasher: Hasher::new(),
            offset: 0,
        }));
    }

    pub(super) fn job_step(&mut self, now: Duration) {
        let job = self.active.as_mut().and_then(|active| active.job.take());
        let (path, outcome) = match job {
            None => return,
            Some(Job::Hash(hashing)) => (hashing.path().clone(), self.hash_step(hashing, now)),
            Some(Job::Send(sending)) => (sending.path.clone(), self.send_step(sending, now)),
        };
        if let Err(error) = outcome {
            self.cannot_read(vec![TreeError { path, ..error }], now);
        }
    }

    fn hash_step(&mut self, mut hashing: Hashing<T::Source>, now: Duration) -> Result<(), TreeError> {
        let Some(digest) = hashing.step()? else {
            self.start(Job::Hash(hashing));
            return Ok(());
        };
        let path = hashing.path().clone();
        if !hashing.is_stable()? {
            return Err(unstable(&path));
        }
        let known = hashing.found().known_with(digest);
        let same_content = self
            .index
            .get(&path)
            .is_some_and(|before| before.same_content(&known));
        if same_content || !self.peers.any_follows() {
            let found = hashing.found().clone();
            self.could_read(&path);
            self.announce_known(&path, &found, known, None, now);
        } else if let Some(source) = self.tree.open(&path)? {
            self.send_large(path, source, None, now);
        }
        Ok(())
    }

    fn send_step(&mut self, mut sending: Sending<T::Source>, now: Duration) -> Result<(), TreeError> {
        let epoch = self.state.epoch;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        if let Err(error) = sending.source.read(&mut bytes, CHUNK_BYTES) {
            self.abandon(&sending, now);
            return Err(error);
        }
        if !bytes.is_empty() {
            sending.hasher.update(&bytes);
            let chunk = Message::Chunk {
                epoch,
                transfer: sending.transfer,
                offset: sending.offset,
                bytes: &bytes,
            };
            self.push_stream(&chunk, now);
            sending.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.start(Job::Send(sending));
            return Ok(());
        }
        if sending.source.is_unchanged()? {
            self.finish_sending(&sending, now);
            return Ok(());
        }
        let error = unstable(&sending.path);
        self.abandon(&sending, now);
        Err(error)
    }

    fn finish_sending(&mut self, sending: &Sending<T::Source>, now: Duration) {
        let digest = sending.hasher.clone().finish();
        let found = sending.source.found().clone();
        let known = found.known_with(digest);
        let announced = self
            .index
            .get(&sending.path)
            .is_some_and(|before| before.same_as(&known));
        if sending.target.is_some() && !announced {
            // It changed since it was announced: everyone has to hear of it, not just one.
            return self.abandon(sending, now);
        }
        self.could_read(&sending.path);
        self.index.insert(sending.path.clone(), known);
        let operation = Operation::PutTransferred {
            path: sending.path.clone(),
            attributes: found.attributes,
            transfer: sending.transfer,
            size: sending.offset,
            digest,
        };
        self.send(sending.target, operation, now);
    }

    /// What was sent of it comes to nothing. One who lacks the content still lacks it.
    fn abandon(&mut self, sending: &Sending<T::Source>, now: Duration) {
        let abandon = Message::Abandon {
            epoch: self.state.epoch,
            transfer: sending.transfer,
        };
        self.push_stream(&abandon, now);
        if sending.target.is_some() {
            self.supply_later(&sending.path);
        }
    }
}
