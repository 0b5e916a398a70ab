//! The Passive's side: applying what the Active sends.

use std::collections::BTreeSet;

use super::aside::Way;
use super::content::Signing;
use super::incoming::Incoming;
use super::peers::PACE_BYTES;
use super::telling::Telling;
use super::{Core, Notice, Step, Topic};
use crate::digest::Digest;
use crate::entry::{Attributes, Body, Found, Kind, Known, Seen};
use crate::state::{StateError, StateStore};
use crate::tree::{Complete, Stage, Tree, TreeError};
use crate::undurable::Undurable;
use crate::wire::{Message, Operation};
use crate::{EntryPath, NodeId, Position, Role, Sync};

/// Why a change was not applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error("refuse {path}: it is not configured to be replicated on this node")]
    NotCovered { path: EntryPath },
    #[error("apply {path}: its content did not arrive whole")]
    Content { path: EntryPath },
    #[error("tell the Active of this copy: it asks for more than it was told of")]
    Detail,
    #[error("apply {path}: the content here is another one")]
    OtherContent { path: EntryPath },
    #[error("rename {path}: it is not there")]
    Missing { path: EntryPath },
    #[error("refuse {path}: only its changes on a Passive count, as this node is configured")]
    OnlyFromPassives { path: EntryPath },
    #[error("refuse to rename {path}: changes of this node travel from there")]
    NotMoved { path: EntryPath },
    #[error("rename {path}: it, or something in it, was changed here")]
    ChangedHere { path: EntryPath },
    #[error("link to {path}: it was changed here")]
    LinkChangedHere { path: EntryPath },
    #[error("refuse to link {path}: changes of this node travel from there")]
    NotLinked { path: EntryPath },
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("keep aside what is replaced: {0}")]
    Aside(#[from] StateError),
}

impl ApplyError {
    /// The entry that was not applied, where it is one.
    pub(super) fn entry(&self) -> Option<&EntryPath> {
        match self {
            Self::NotCovered { path }
            | Self::Content { path }
            | Self::OtherContent { path }
            | Self::OnlyFromPassives { path }
            | Self::NotMoved { path }
            | Self::ChangedHere { path }
            | Self::LinkChangedHere { path }
            | Self::NotLinked { path }
            | Self::Missing { path } => Some(path),
            Self::Tree(error) => Some(&error.path),
            Self::Detail | Self::Aside(_) => None,
        }
    }
}

/// What a Passive has.
#[derive(Debug)]
pub(super) struct Follower<T: Tree> {
    pub(super) following: Option<Following>,
    pub(super) telling: Option<Telling<T::Source>>,
    /// Contents that are complete and not yet in their place, in order.
    batch: Vec<(Complete<T::Stage>, Digest)>,
    /// Contents before those, that the disk is at.
    sealed: Option<Sealed<T::Sealing>>,
    pub(super) incoming: Option<Incoming<T::Stage, T::Source>>,
    /// What this version of a file is made of, and then what is copied from.
    pub(super) signing: Option<Signing<T::Source>>,
    /// Whose turn is next.
    turn: Turn,
}

impl<T: Tree> Default for Follower<T> {
    fn default() -> Self {
        Self {
            following: None,
            telling: None,
            batch: Vec::new(),
            sealed: None,
            incoming: None,
            signing: None,
            turn: Turn::default(),
        }
    }
}

impl<T: Tree> Follower<T> {
    /// Whether a content is complete and not in its place.
    fn has_unplaced(&self) -> bool {
        self.sealed.is_some() || !self.batch.is_empty()
    }

    /// Keeps the turns: a step is about to be taken.
    pub(super) fn took(&mut self, step: Step) {
        self.turn = match step {
            Step::Commit | Step::Agree => Turn::Telling,
            Step::Telling | Step::HardenTold | Step::Signing | Step::Incoming => Turn::Offers,
            Step::Offer(_) => Turn::Commit,
            _ => return,
        };
    }
}

/// Contents that are being made durable while more is taken in.
#[derive(Debug)]
struct Sealed<S> {
    sealing: S,
    about: Vec<About>,
    /// What had been taken in when the disk began.
    taken: Taken,
}

/// What becomes known of a content once it has its place.
#[derive(Debug)]
struct About {
    path: EntryPath,
    attributes: Attributes,
    digest: Digest,
}

/// How much of the stream: the last sequence, and bytes since the comparison began.
type Taken = (u64, u64);

/// In turns: neither changes without end of the Active, nor of this node, keep the others waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    /// To make durable what was taken in.
    #[default]
    Commit,
    /// To tell what the Active asked, or to go on with the content that it sends.
    Telling,
    /// To go on with the own changes.
    Offers,
}

/// An Active is being followed.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) session: u64,
    /// Last sequence taken in.
    sequence: u64,
    /// Bytes that came since the comparison began.
    received: u64,
    /// What was acknowledged.
    told: Taken,
    /// It was told to copy so much at once that the Active waits until all is taken in.
    pub(super) is_awaited: bool,
    /// The Active has said that everything of priority 1 was sent.
    essential_closed: bool,
    /// The Active has said that everything was sent.
    closed: bool,
    /// Some entry is not as the Active has it.
    pub(super) lacks: bool,
    /// One of priority 1 is not.
    pub(super) lacks_essential: bool,
    /// What this copy holds is not known: nothing is acknowledged any more.
    pub(super) tainted: bool,
}

impl<T: Tree, S: StateStore> Core<T, S> {
    pub(super) fn next_follower_step(&self) -> Option<Step> {
        let following = self.follower.following.as_ref();
        let telling = self.follower.telling.as_ref().filter(|_| following.is_some());
        let telling = telling
            .filter(|telling| telling.has_work() && self.outbox.has_room())
            .map(|telling| match telling.owes_hardening() {
                true => Step::HardenTold,
                false => Step::Telling,
            });
        let signing = self.follower.signing.as_ref().filter(|_| following.is_some());
        let signing = signing.filter(|signing| signing.has_work() && self.outbox.has_room());
        let incoming = self.follower.incoming.as_ref().filter(|_| following.is_some());
        let incoming = incoming.filter(|incoming| incoming.has_work());
        let telling = telling
            .or(signing.map(|_| Step::Signing))
            .or(incoming.map(|_| Step::Incoming));
        let commit = following
            .filter(|following| self.owes_commit(following))
            .map(|_| Step::Commit);
        let commit = commit.or_else(|| {
            let owes_agreement = self.agreed.is_unsaved() && !self.offers.is_paused();
            owes_agreement.then_some(Step::Agree)
        });
        let offer = self.next_offer_step().map(Step::Offer);
        match self.follower.turn {
            Turn::Commit => commit.or(telling).or(offer),
            Turn::Telling => telling.or(offer).or(commit),
            Turn::Offers => offer.or(commit).or(telling),
        }
    }

    fn owes_commit(&self, following: &Following) -> bool {
        let (sequence, received) = following.told;
        let taken = self.taken_in(following);
        let is_through = following.is_awaited && taken == following.received;
        let paces = taken >= received + PACE_BYTES || (is_through && taken > received);
        !following.tainted && (following.sequence > sequence || paces) || self.follower.has_unplaced()
    }

    /// Bytes of the stream that are taken in: not what still has to be put together.
    fn taken_in(&self, following: &Following) -> u64 {
        let owed = self.follower.incoming.as_ref().map_or(0, Incoming::owed);
        following.received.saturating_sub(owed)
    }

    /// Follows nobody any more. What is complete is committed; local programs may change anything from here on.
    pub(super) fn stop_following(&mut self) {
        self.commit();
        self.follower = Follower::default();
        self.tree.release();
    }

    /// The Active asks for this copy to be compared; from here on everything it sends counts.
    pub(super) fn compare_delivered(&mut self, session: u64, sequence: u64) {
        if self.role == Role::Active {
            return;
        }
        self.commit();
        self.follower.incoming = None;
        self.follower.signing = None;
        self.tree.release();
        let missed_nothing = self
            .follower
            .following
            .as_ref()
            .is_some_and(|following| !following.tainted);
        if !missed_nothing {
            self.miss_essential();
        }
        self.follower.following = Some(Following {
            session,
            sequence,
            received: 0,
            told: (sequence, 0),
            is_awaited: false,
            essential_closed: false,
            closed: false,
            lacks: false,
            lacks_essential: false,
            tainted: false,
        });
        self.begin_telling(session);
        self.sync = Sync::Syncing;
        self.announce = true;
    }

    pub(super) fn operation_delivered(
        &mut self,
        sequence: u64,
        target: Option<NodeId>,
        operation: Operation<'_>,
        length: u64,
    ) {
        if let Some(hello) = self
            .source
            .and_then(|source| self.peers.get_mut(source))
            .and_then(|peer| peer.hello.as_mut())
        {
            hello.position = Position {
                epoch: self.state.epoch,
                sequence,
            };
        }
        let Some(following) = &mut self.follower.following else {
            return;
        };
        if sequence != following.sequence + 1 {
            let message = format!(
                "follow the Active: change {sequence} came after change {}",
                following.sequence
            );
            self.lose_track(message);
            self.stop_following();
            return;
        }
        following.sequence = sequence;
        following.received += length;
        if target.is_some_and(|target| Some(target) != self.me) {
            return;
        }
        if let Err(error) = self.apply(operation, target.is_some()) {
            self.taint(&error);
        }
    }

    /// Applies a change, or what this node was `found_lacking` by a comparison.
    fn apply(&mut self, operation: Operation<'_>, found_lacking: bool) -> Result<(), ApplyError> {
        if self.make_way(&operation, found_lacking)? == Way::Done {
            return Ok(());
        }
        match operation {
            Operation::Put {
                path,
                attributes,
                content,
            } => {
                self.check(&path)?;
                let mut stage = self.tree.stage(&path)?;
                stage.write(content)?;
                self.queue(
                    Complete {
                        stage,
                        path,
                        attributes,
                    },
                    Digest::of(content),
                );
                Ok(())
            }
            Operation::PutTransferred {
                path,
                attributes,
                transfer,
                size,
                digest,
            } => {
                self.check(&path)?;
                let incoming = self.follower.incoming.take();
                let stage = match incoming {
                    Some(incoming) => incoming.complete(transfer, &path, size, digest)?,
                    None => None,
                };
                let Some(stage) = stage else {
                    return Err(ApplyError::Content { path });
                };
                self.queue(
                    Complete {
                        stage,
                        path,
                        attributes,
                    },
                    digest,
                );
                Ok(())
            }
            Operation::Directory { path, attributes } => {
                self.check_and_place(&path)?;
                let before = self.index.get(&path).map(|known| known.seen.stamp);
                let seen = self.tree.make_directory(&path, &attributes)?;
                let is_new = !before.is_some_and(|before| before.is_same_inode(&seen.stamp));
                if is_new && self.agreed.beneath(&path).next().is_some() {
                    // Somebody removed it here, with all that was in it, and nothing will tell of that any more.
                    self.suspect_tree(&path);
                }
                self.learn(path, Body::Directory, attributes, seen, Digest::NONE);
                Ok(())
            }
            Operation::Link {
                path,
                attributes,
                target,
            } => {
                self.check_and_place(&path)?;
                let seen = self.tree.make_link(&path, target, &attributes)?;
                self.learn(path, Body::Link(target.to_vec()), attributes, seen, Digest::NONE);
                Ok(())
            }
            Operation::Attributes {
                path,
                attributes,
                content,
            } => {
                self.check_and_place(&path)?;
                let is_file = |known: &&Known| known.kind == Kind::File && known.content == content;
                let Some(before) = self.index.get(&path).filter(is_file).copied() else {
                    return self.without_content(path);
                };
                if !self.is_as_known(&path)? {
                    // Somebody has written it here since: that would count as known from then on, as what it is not. A comparison
                    // under way has seen it before.
                    return Err(ApplyError::OtherContent { path });
                }
                let names = self.names_that_follow(&path);
                let seen = self.tree.set_attributes(&path, &attributes, &names)?;
                let known = Known {
                    attributes: attributes.digest(),
                    seen,
                    ..before
                };
                for name in names {
                    self.note_applied(&name);
                    if name != path {
                        // Where changes travel both ways it is a file of its own for others.
                        self.suspect(&name);
                    }
                    self.index.insert(name, known);
                }
                self.agree_here(&path);
                Ok(())
            }
            Operation::Remove { path } => {
                self.check_and_place(&path)?;
                self.tree.remove(&path)?;
                self.note_gone_or_come(&path);
                self.index.remove(&path);
                self.agree_here(&path);
                Ok(())
            }
            Operation::EssentialInSync { session } => {
                if let Some(following) = &mut self.follower.following {
                    following.essential_closed |= following.session == session;
                }
                Ok(())
            }
            Operation::HardLink { path, to, content } => self.apply_hard_link(&path, to, content),
            Operation::Rename { from, to } => self.apply_rename(&from, &to),
            Operation::InSync { session } => {
                if let Some(following) = &mut self.follower.following {
                    following.closed |= following.session == session;
                }
                Ok(())
            }
        }
    }

    fn apply_hard_link(
        &mut self,
        path: &EntryPath,
        to: EntryPath,
        content: Digest,
    ) -> Result<(), ApplyError> {
        self.check(&to)?;
        self.check_and_place(path)?;
        let is_file = |known: &&Known| known.kind == Kind::File && known.content == content;
        let Some(known) = self.index.get(&to).filter(is_file).copied() else {
            return self.without_content(to);
        };
        if !self.is_as_known(&to)? {
            return self.without_content(to);
        }
        let seen = self.tree.make_hard_link(path, &to)?;
        let known = Known {
            linked: true,
            seen,
            ..known
        };
        self.index.insert(to, known);
        self.index.insert(path.clone(), known);
        self.share_with_names(known);
        self.agree_here(path);
        Ok(())
    }

    /// What is known of a file is known of all its names.
    fn share_with_names(&mut self, known: Known) {
        let names: Vec<EntryPath> = self.index.names(&known.seen.stamp).cloned().collect();
        for name in names {
            self.note_applied(&name);
            self.index.insert(name, known);
        }
    }

    fn apply_rename(&mut self, from: &EntryPath, to: &EntryPath) -> Result<(), ApplyError> {
        self.check(to)?;
        self.check_and_place(from)?;
        let Some(known) = self.index.get(from).copied() else {
            return Err(ApplyError::Missing { path: from.clone() });
        };
        if known.kind == Kind::Directory {
            // What this node keeps to itself stays where it is.
            for path in [from, to] {
                if !self.coverage.is_uniform(path) {
                    return Err(ApplyError::NotCovered { path: path.clone() });
                }
            }
        }
        if known.kind == Kind::File && !self.is_as_known(from)? {
            return self.without_content(from.clone());
        }
        let seen = self.tree.rename(from, to)?;
        self.note_gone_or_come(from);
        let left: Vec<EntryPath> = self.index.beneath(from).chain([from]).cloned().collect();
        self.index.rename(from, to);
        self.note_gone_or_come(to);
        self.index.insert(to.clone(), Known { seen, ..known });
        if self.is_two_way(to) {
            for path in left {
                self.agree_here(&path);
                if let Some(path) = path.rebased(from, to) {
                    self.agree_here(&path);
                }
            }
        }
        Ok(())
    }

    /// While the comparison is under way a content that differs is going to be sent, with its attributes and names.
    fn without_content(&self, path: EntryPath) -> Result<(), ApplyError> {
        // A change of this node may have come after what the comparison saw.
        let is_compared = !self.is_two_way(&path);
        match &self.follower.following {
            Some(following) if is_compared && !following.closed => Ok(()),
            _ => Err(ApplyError::OtherContent { path }),
        }
    }

    /// Counts a message of the stream. Returns whether this node follows it.
    pub(super) fn takes_in(&mut self, length: u64) -> bool {
        let Some(following) = &mut self.follower.following else {
            return false;
        };
        following.received += length;
        true
    }

    pub(super) fn check(&self, path: &EntryPath) -> Result<(), ApplyError> {
        if self.coverage.covers(path) {
            Ok(())
        } else {
            Err(ApplyError::NotCovered { path: path.clone() })
        }
    }

    /// Changes that are not batched come after everything that is.
    pub(super) fn check_and_place(&mut self, path: &EntryPath) -> Result<(), ApplyError> {
        self.check(path)?;
        self.place();
        Ok(())
    }

    fn queue(&mut self, complete: Complete<T::Stage>, digest: Digest) {
        let at_once = self.is_two_way(&complete.path);
        self.follower.batch.push((complete, digest));
        if at_once {
            // What is there now was looked at: the sooner it is replaced, the less can change in between.
            self.place();
        } else if self.follower.batch.len() >= T::TOGETHER {
            self.turn_over();
        }
    }

    /// Gives the disk what was gathered, and goes on taking in more the while. What the disk had before that gets its place,
    /// and is acknowledged.
    fn turn_over(&mut self) {
        let is_due = |following: &Following| {
            let in_sync = following.closed && self.sync != Sync::InSync;
            let has_essential = following.essential_closed && !self.essential_is_in_sync();
            in_sync || has_essential
        };
        if self.follower.following.as_ref().is_none_or(is_due) {
            // What is said of the copy then is said of all that was taken in.
            return self.commit();
        }
        let taken = self.place_sealed();
        self.seal();
        if let Some(taken) = taken {
            self.acknowledge(taken);
        }
    }

    /// Gives every content that is complete its place.
    pub(super) fn place(&mut self) {
        self.place_sealed();
        self.seal();
        self.place_sealed();
    }

    /// Has the disk begin with what was gathered.
    fn seal(&mut self) {
        let (batch, about): (Vec<_>, Vec<_>) = std::mem::take(&mut self.follower.batch)
            .into_iter()
            .map(|(complete, digest)| {
                let about = About {
                    path: complete.path.clone(),
                    attributes: complete.attributes.clone(),
                    digest,
                };
                (complete, about)
            })
            .unzip();
        if batch.is_empty() {
            return;
        }
        let following = self.follower.following.as_ref();
        let taken = following.map_or((0, 0), |following| (following.sequence, self.taken_in(following)));
        self.follower.sealed = Some(Sealed {
            sealing: self.tree.seal(batch),
            about,
            taken,
        });
    }

    /// Waits for what the disk is at, and gives it its place. Returns what had been taken in when the disk began.
    fn place_sealed(&mut self) -> Option<Taken> {
        let Sealed {
            sealing,
            about,
            taken,
        } = self.follower.sealed.take()?;
        let placed = self.tree.place_sealed(sealing);
        for (about, outcome) in about.into_iter().zip(placed) {
            match outcome {
                Ok(seen) => self.learn(about.path, Body::File, about.attributes, seen, about.digest),
                Err(error) => self.taint(&error.into()),
            }
        }
        Some(taken)
    }

    fn learn(&mut self, path: EntryPath, body: Body, attributes: Attributes, seen: Seen, content: Digest) {
        let known = Found {
            body,
            attributes,
            linked: false,
            seen,
        }
        .known_with(content);
        self.note_applied(&path);
        let here = path.clone();
        self.index.insert(path, known);
        self.agree_here(&here);
    }

    /// Makes everything taken in durable, remembers the position, and acknowledges.
    pub(super) fn commit(&mut self) {
        self.place();
        let Some(following) = &self.follower.following else {
            return;
        };
        self.acknowledge((following.sequence, self.taken_in(following)));
    }

    /// Makes what was taken in by `now` durable, all of which has its place.
    fn acknowledge(&mut self, now: Taken) {
        let Some(following) = &self.follower.following else {
            return;
        };
        if following.tainted || following.told == now {
            return;
        }
        if following.told.0 < now.0 {
            if let Err(error) = self.tree.sync() {
                return self.lose_track(error.to_string());
            }
            if !self.save_agreed() {
                return self.lose_track("what was agreed cannot be kept".to_owned());
            }
        }
        if !self.keep_position(now.0) {
            return;
        }
        if let Some(following) = &mut self.follower.following {
            following.told = now;
            following.is_awaited &= following.received > now.1;
        }
        if self.sync == Sync::InSync {
            self.applied.release();
        }
        self.outbox.push(
            Message::Ack {
                epoch: self.state.epoch,
                sequence: now.0,
                received: now.1,
            }
            .encode(),
        );
    }

    /// Makes durable what others have written here.
    pub(super) fn harden_found(&mut self) -> Result<(), TreeError> {
        match &self.index.undurable {
            Undurable::Everything => self.tree.harden_all()?,
            Undurable::Paths(paths) if paths.is_empty() => {}
            Undurable::Paths(paths) => self.tree.harden(&paths.iter().cloned().collect::<Vec<_>>())?,
        }
        self.index.undurable.clear();
        Ok(())
    }

    /// A copy that is in sync is as new as the last change that is durable.
    fn keep_position(&mut self, sequence: u64) -> bool {
        let Some(following) = &self.follower.following else {
            return true;
        };
        let closed = following.closed && !following.lacks;
        let has_essential =
            following.essential_closed && !following.lacks_essential && !self.essential_is_in_sync();
        if has_essential || (closed && self.sync != Sync::InSync) {
            // What was equal already may not have been written by this core.
            if let Err(error) = self.harden_found() {
                self.lose_track(error.to_string());
                return false;
            }
            if closed && !self.agreed.is_known() {
                self.agree_on_index(&BTreeSet::new());
                if !self.save_agreed() {
                    self.lose_track("what was agreed cannot be kept".to_owned());
                    return false;
                }
            }
        }
        if has_essential {
            self.hold_essential();
        }
        if !closed {
            return true;
        }
        let position = Position {
            epoch: self.state.epoch,
            sequence,
        };
        if self.state.position != position {
            let before = std::mem::replace(&mut self.state.position, position);
            if let Err(error) = self.store.save(&self.state) {
                self.state.position = before;
                self.lose_track(error.to_string());
                return false;
            }
        }
        if self.sync != Sync::InSync {
            self.sync = Sync::InSync;
            self.announce = true;
            self.hold_essential();
            self.problems.clear(&Topic::Copy);
            self.problems.clear(&Topic::State);
            self.notices.push(Notice::InSync { position });
        }
        true
    }
}
