//! A Passive's own changes: found, offered to the Active, and handed over as it asks for them.
//!
//! Where changes travel both ways, one is what is on disk and was not agreed ([`Agreed`](crate::agreed)). It is offered
//! with what it was made from, and the Active settles it: there is one place in which two changes can meet. Where
//! only the Passive's changes count, everything is offered whenever an Active is found. What is offered is durable here,
//! so that what the Active has taken is never more than what this node has.
//!
//! Offers are remembered nowhere: after a restart, or when another Active is found, the disk is searched for them again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::departures::Departures;
use super::essential::Priorities;
use super::handing_over::Sending;
use super::owed::Owed;
use super::suspects::Suspects;
use super::{Core, Topic};
use crate::agreed::Version;
use crate::digest::Hasher;
use crate::entry::{Kind, Known};
use crate::scan::{self, Findings, Mode, Scan};
use crate::state::StateStore;
use crate::tree::{Inspection, Source, Tree, TreeError};
use crate::wire::{Message, OfferStage, Verdict};
use crate::{Direction, EntryPath, NodeId, Role, Switch};

/// Offers that wait for a verdict at once: enough to hide the round trip, few enough for the Active to hold.
pub(super) const OFFERED: usize = 256;

/// Names of which the Active was told that they are one file, and that are remembered: beyond that it is told again.
const LINKS_REMEMBERED: usize = 4096;

/// Pause before what was put off, or could not be read, is offered again.
const RETRY: Duration = Duration::from_secs(1);

/// What a Passive has to offer.
#[derive(Debug)]
pub(super) struct Offers<F> {
    /// An Active is there to take them.
    open: bool,
    /// How often everything was offered anew, and when that last began: a verdict about an offer of an earlier time is
    /// not about one of now, though both say the same.
    round: (u64, Option<Duration>),
    /// This node's copy of the paths that only a Passive changes is the one that counts.
    claims: bool,
    /// To be searched for changes.
    unsearched: VecDeque<EntryPath>,
    search: Option<(EntryPath, Scan<F>)>,
    /// May differ from what was agreed.
    pub(super) suspects: Suspects,
    /// What is gone, or a directory in whose place something else is.
    departures: Departures,
    /// Suspects that come before all others: what was in a directory that is gone, the deepest first.
    gone: VecDeque<EntryPath>,
    /// Offered, by name.
    pub(super) offered: BTreeMap<u64, Offered>,
    /// Where they are: an entry waits for the verdict before it is offered again.
    waiting: BTreeSet<EntryPath>,
    /// Entries whose offer lost: the Active's version comes, whatever was agreed before.
    lost: BTreeSet<EntryPath>,
    /// Directories among those, made here for what the Active has in them: nobody's version.
    remade: BTreeSet<EntryPath>,
    /// What the Active asked for last.
    pub(super) asked: VecDeque<(u64, Verdict)>,
    pub(super) sending: Option<Sending<F>>,
    /// Names of one file of which the Active was told, and what it held then.
    told_links: BTreeMap<(EntryPath, EntryPath), Version>,
    /// Made durable for an offer that was taken back, or not taken: what is there instead has to be, too.
    withdrawn: BTreeSet<EntryPath>,
    /// Suspects again at `retry_at`.
    later: BTreeSet<EntryPath>,
    /// To be searched again then.
    search_later: BTreeSet<EntryPath>,
    retry_at: Option<Duration>,
    /// Until then what was agreed cannot be kept.
    paused_until: Option<Duration>,
    /// Has its turn before the Active is told that everything was offered.
    owed: Owed,
    /// The Active was told that everything has been offered, as far as it could be looked at.
    done: bool,
    /// The Active was told that what only a Passive changes has been offered without exception.
    claimed: bool,
}

/// A change that was offered.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) path: EntryPath,
    base: Option<Version>,
    /// What it is now, or was when it was handed over.
    pub(super) now: Option<Version>,
}

/// What is offered next.
#[derive(Debug, Clone, Copy)]
enum Next<P> {
    /// What was in a directory that is gone.
    Gone(P),
    /// What may have been changed.
    Suspect(P),
    /// What is gone.
    Departure(P),
}

impl Next<&EntryPath> {
    fn cloned(self) -> Next<EntryPath> {
        match self {
            Self::Gone(path) => Next::Gone(path.clone()),
            Self::Suspect(path) => Next::Suspect(path.clone()),
            Self::Departure(path) => Next::Departure(path.clone()),
        }
    }
}

/// The next thing to do for the offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OfferStep {
    /// Hand over what the Active asked for.
    HandOver,
    /// Look for changes.
    Search,
    /// Offer one.
    Offer,
    /// Tell that there are no more.
    Finish,
}

impl<F: Source> Offers<F> {
    pub(super) fn new(priorities: Priorities) -> Self {
        Self {
            open: false,
            round: (0, None),
            claims: false,
            unsearched: VecDeque::new(),
            search: None,
            suspects: Suspects::new(priorities),
            departures: Departures::default(),
            gone: VecDeque::new(),
            offered: BTreeMap::new(),
            waiting: BTreeSet::new(),
            lost: BTreeSet::new(),
            remade: BTreeSet::new(),
            asked: VecDeque::new(),
            sending: None,
            told_links: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            later: BTreeSet::new(),
            search_later: BTreeSet::new(),
            retry_at: None,
            paused_until: None,
            owed: Owed::default(),
            done: false,
            claimed: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let silent_until = self.sending.as_ref().and_then(Sending::awaits);
        let times = [
            self.retry_at,
            self.paused_until,
            silent_until,
            self.departures.deadline(),
        ];
        times.into_iter().flatten().min()
    }

    pub(super) fn retry_due(&mut self, now: Duration) {
        self.paused_until.take_if(|until| *until <= now);
        self.departures.time_passes(now);
        if let Some(sending) = &mut self.sending {
            sending.silence_is_over(now);
        }
        if self.retry_at.take_if(|at| *at <= now).is_some() {
            if self.claims && !self.claimed {
                self.owed.again.extend(self.later.iter().cloned());
                self.owed.searches_again.extend(self.search_later.iter().cloned());
            }
            self.suspects.extend(std::mem::take(&mut self.later));
            self.unsearched.extend(std::mem::take(&mut self.search_later));
        }
    }

    /// Something could not be kept: nothing is kept before the pause is over.
    pub(super) fn pause(&mut self, now: Duration) {
        self.paused_until = Some(now + RETRY);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// Whether an offer of it lost, and the Active's version has not come yet.
    pub(super) fn has_lost(&self, path: &EntryPath) -> bool {
        self.lost.contains(path)
    }

    /// It is what the Active has.
    pub(super) fn is_settled(&mut self, path: &EntryPath) {
        self.lost.remove(path);
        self.remade.remove(path);
    }

    /// The directory is about to be made here, until the Active's version comes.
    pub(super) fn remakes(&mut self, directory: &EntryPath) {
        self.remade.insert(directory.clone());
    }

    /// Whether a directory there is only one that was made for what is in it.
    pub(super) fn is_remade(&self, path: &EntryPath) -> bool {
        self.remade.contains(path)
    }

    /// Once the Active's version has come there is nothing to offer any more.
    fn await_winner(&mut self, path: EntryPath, now: Duration) {
        self.forget_suspect(&path);
        self.put_off(path, now);
    }

    pub(super) fn put_off(&mut self, path: EntryPath, now: Duration) {
        self.owed.settle(&path);
        self.later.insert(path);
        self.retry_at.get_or_insert(now + RETRY);
    }

    /// Nothing is left that could not be looked at, or not be taken.
    fn can_claim(&self) -> bool {
        let nothing_later = self.later.is_empty() && self.search_later.is_empty();
        self.claims && nothing_later && self.owed.is_empty_again()
    }

    fn forget_suspect(&mut self, path: &EntryPath) {
        self.suspects.remove(path);
        self.departures.remove(path);
    }

    /// Whether the Active has to be told that two names are one file of this version. It is told once.
    pub(super) fn tells_link(&mut self, path: &EntryPath, name: &EntryPath, version: Version) -> bool {
        if self.told_links.len() >= LINKS_REMEMBERED {
            self.told_links.clear();
        }
        let names = (path.clone(), name.clone());
        self.told_links.insert(names, version) != Some(version)
    }

    /// Whether the Active may still be about to take something that came.
    fn brings_something(&self) -> bool {
        self.offered
            .values()
            .any(|offered| offered.now.is_some() && offered.now != offered.base)
    }

    /// It may have been changed here.
    pub(super) fn suspect(&mut self, path: &EntryPath) {
        // The Active's version of what has lost is on its way.
        let is_awaited = self.has_lost(path) && self.later.contains(path);
        if self.open && !is_awaited {
            self.suspects.insert(path.clone());
        }
    }

    /// Anything at or beneath it may have been changed here.
    pub(super) fn search(&mut self, path: EntryPath) {
        if self.open && !self.unsearched.contains(&path) {
            self.unsearched.push_back(path);
        }
    }

    /// The same; and the Active is not told before that everything was offered.
    fn owe_search(&mut self, path: &EntryPath) {
        self.owed.searches.insert(path.clone());
        self.search(path.clone());
    }

    /// It was looked at. What was offered is owed until the verdict.
    fn looked_at(&mut self, path: &EntryPath) {
        if !self.waiting.contains(path) && !self.gone.contains(path) && !self.departures.contains(path) {
            self.owed.settle(path);
        }
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// An Active is there: everything that was changed here is offered to it.
    pub(super) fn open_offers(&mut self) {
        self.close_offers();
        if self.role == Role::Active || self.source.is_none() || self.source == self.me {
            return;
        }
        self.offers.open = true;
        self.tell_stage(OfferStage::Begun);
        for root in self.roots_offered() {
            self.offers.owe_search(&root);
        }
        self.review_claim();
    }

    fn tell_stage(&mut self, stage: OfferStage) {
        let epoch = self.state.epoch;
        self.outbox.push(Message::Offering { epoch, stage }.encode());
    }

    pub(super) fn close_offers(&mut self) {
        self.schedule.end();
        self.problems.clear_offers();
        self.offers = Offers {
            round: (self.offers.round.0 + 1, None),
            ..Offers::new(self.essential.priorities().clone())
        };
    }

    /// Of several Passives the one with the lowest node id is the source of what only a Passive changes.
    fn claims(&self) -> bool {
        self.peers
            .iter()
            .all(|(node, _)| Some(node) == self.source || Some(node) > self.me)
    }

    /// Another Passive came or went, or an Active was found.
    pub(super) fn review_claim(&mut self) {
        let claims = self.offers.open && self.claims();
        let claimed_before = std::mem::replace(&mut self.offers.claims, claims);
        if claimed_before && !claims {
            // What is still in the way is told again when it is looked at again.
            self.problems.clear_offers();
            let coverage = &self.coverage;
            let stays = |path: &EntryPath| coverage.rule(path).direction != Direction::PassiveToActive;
            self.offers.owed.retain(stays);
            self.offers.suspects.retain(stays);
            self.offers.departures.retain(stays);
            self.offers.later.retain(stays);
            self.offers.search_later.retain(stays);
        }
        if !claims || claimed_before {
            return;
        }
        // What the Active has of them is unknown; it says when it is the same.
        self.offers.claimed = false;
        let coverage = Rc::clone(&self.coverage);
        let is_the_passives = |path: &EntryPath| coverage.rule(path).direction == Direction::PassiveToActive;
        self.agreed.forget(is_the_passives);
        for root in self.offered_roots.iter().filter(|root| is_the_passives(root)) {
            self.offers.owe_search(root);
        }
    }

    /// A hint about a path whose changes here travel.
    pub(super) fn suspect(&mut self, path: &EntryPath) {
        // A name that comes or goes changes the mtime of its directory.
        for path in [Some(path.clone()), path.parent()].into_iter().flatten() {
            if self.is_offered(&path) {
                self.offers.suspect(&path);
            }
        }
    }

    /// A hint about everything at or beneath `path`.
    pub(super) fn suspect_tree(&mut self, path: &EntryPath) {
        let within: Vec<EntryPath> = self
            .offered_roots
            .iter()
            .filter(|root| *root == path || root.is_beneath(path))
            .cloned()
            .collect();
        let inside = self.is_offered(path).then(|| path.clone());
        for path in within.into_iter().chain(inside) {
            self.offers.search(path);
        }
    }

    pub(super) fn suspect_everything(&mut self) {
        for root in self.roots_offered() {
            self.offers.search(root);
        }
    }

    fn roots_offered(&self) -> Vec<EntryPath> {
        let roots = self.offered_roots.iter().filter(|root| self.is_offered(root));
        roots.cloned().collect()
    }

    fn is_offered(&self, path: &EntryPath) -> bool {
        !self.offered_roots.is_empty()
            && match self.coverage.rule(path).direction {
                Direction::ActiveToPassive => false,
                Direction::PassiveToActive => self.offers.claims,
                Direction::Both => true,
            }
    }

    /// Whether a change here can be told as one: it cannot as long as nothing is known of what was agreed.
    fn can_offer(&self, path: &EntryPath) -> bool {
        if self.is_the_passives(path) {
            self.offers.claims
        } else {
            self.agreed.is_known()
        }
    }

    pub(super) fn next_offer_step(&self) -> Option<OfferStep> {
        let offers = &self.offers;
        if !offers.open || !self.outbox.has_room() || !self.source_takes() {
            return None;
        }
        if !offers.asked.is_empty() || offers.sending.as_ref().is_some_and(Sending::can_go_on) {
            return Some(OfferStep::HandOver);
        }
        let can_tell = !offers.done || (offers.can_claim() && !offers.claimed);
        if can_tell && offers.owed.is_empty() {
            return Some(OfferStep::Finish);
        }
        if offers.search.is_some() || !offers.unsearched.is_empty() {
            return Some(OfferStep::Search);
        }
        self.next_to_offer()
            .filter(|_| offers.offered.len() < OFFERED)
            .map(|_| OfferStep::Offer)
    }

    fn next_to_offer(&self) -> Option<Next<&EntryPath>> {
        let offers = &self.offers;
        let gone = offers.gone.front().map(Next::Gone);
        gone.or_else(|| offers.departures.overdue().map(Next::Departure))
            .or_else(|| self.next_suspect().map(Next::Suspect))
            .or_else(|| {
                let departure = offers.departures.next().map(Next::Departure);
                departure.filter(|_| !offers.brings_something())
            })
    }

    /// Whether changes travel at all, by the word of the Active.
    fn source_takes(&self) -> bool {
        self.switch_of_source().is_none_or(|switch| switch == Switch::On)
    }

    fn next_suspect(&self) -> Option<&EntryPath> {
        let offers = &self.offers;
        offers
            .suspects
            .next(|path| !offers.waiting.contains(path) && self.can_offer(path))
    }

    pub(super) fn offer_step(&mut self, step: OfferStep, now: Duration) {
        self.offers.round.1.get_or_insert(now);
        match step {
            OfferStep::HandOver => self.hand_over(now),
            OfferStep::Search => self.search_step(now),
            OfferStep::Offer => self.offer_next(now),
            OfferStep::Finish => {
                if !self.offers.done {
                    self.tell_all_links();
                    let offered = Rc::clone(&self.offered_roots);
                    let holds = |path: &EntryPath| offered.iter().any(|root| meet(root, path));
                    self.schedule.begin_where(now, holds);
                }
                self.offers.done = true;
                self.offers.claimed = self.offers.can_claim();
                self.tell_stage(match self.offers.claimed {
                    true => OfferStage::Claimed,
                    false => OfferStage::Done,
                });
            }
        }
    }

    /// Brings the index to what is on disk, then compares it with what was agreed.
    fn search_step(&mut self, now: Duration) {
        let next = match self.offers.search.take() {
            Some(under_way) => Some(under_way),
            None => {
                let path = self.offers.unsearched.pop_front();
                path.map(|path| (path.clone(), Scan::new(Mode::Learn, vec![path])))
            }
        };
        let Some((path, mut scan)) = next else { return };
        let mut findings = Findings::default();
        let complete = scan.step(&mut self.tree, &mut self.index, &*self.coverage, &mut findings);
        if complete {
            self.problems.clear(&Topic::Offer(path.clone()));
        }
        // What stopped being offered meanwhile is nobody's concern.
        for error in findings
            .failed
            .into_iter()
            .filter(|error| self.is_offered(&error.path))
            .collect::<Vec<_>>()
        {
            self.offers.search_later.insert(error.path.clone());
            self.cannot_offer(error, now);
        }
        if complete {
            self.compare_with_agreed(&path);
        } else {
            self.offers.search = Some((path, scan));
        }
    }

    fn compare_with_agreed(&mut self, top: &EntryPath) {
        let here = self.index.get(top).map(|known| (top, known));
        let beneath = self
            .index
            .after(Some(top))
            .take_while(|(path, _)| path.is_beneath(top));
        let changed = here
            .into_iter()
            .chain(beneath)
            .filter(|(path, known)| self.agreed.get(path) != Some(Version::from(*known)))
            .map(|(path, _)| path);
        let gone = std::iter::once(top)
            .chain(self.agreed.beneath(top))
            .filter(|path| self.agreed.get(path).is_some() && self.index.get(path).is_none());
        let suspects: Vec<EntryPath> = changed
            .chain(gone)
            .filter(|path| self.is_offered(path))
            .cloned()
            .collect();
        if self.offers.owed.searched(top) {
            let owed = suspects.iter().filter(|path| self.can_offer(path)).cloned();
            let owed: Vec<EntryPath> = owed.collect();
            self.offers.owed.entries.extend(owed);
        }
        self.offers.suspects.extend(suspects);
        self.ask_for_directory_above(top);
    }

    pub(super) fn cannot_offer(&mut self, error: TreeError, now: Duration) {
        self.problem(
            Topic::Offer(error.path.clone()),
            format!("offer a change: {error}"),
        );
        self.offers.put_off(error.path, now);
    }

    /// Looks at one suspect, and offers it where it is not what was agreed.
    fn offer_next(&mut self, now: Duration) {
        let (path, outcome) = match self.next_to_offer().map(Next::cloned) {
            None => return,
            Some(Next::Gone(path)) => {
                self.offers.gone.pop_front();
                let outcome = self.offer_if_changed(&path);
                (path, outcome)
            }
            Some(Next::Suspect(path)) => {
                self.offers.suspects.remove(&path);
                let outcome = match self.is_departure(&path) {
                    Ok(true) => {
                        self.offers.departures.put_off(path.clone(), now);
                        Ok(())
                    }
                    Ok(false) => self.offer_if_changed(&path),
                    Err(error) => Err(error),
                };
                (path, outcome)
            }
            Some(Next::Departure(path)) => {
                self.offers.departures.remove(&path);
                let outcome = self
                    .offer_what_was_in(&path)
                    .and_then(|()| self.offer_if_changed(&path));
                (path, outcome)
            }
        };
        match outcome {
            Ok(()) => self.offers.looked_at(&path),
            Err(error) => self.cannot_offer(TreeError { path, ..error }, now),
        }
    }

    /// Whether what was agreed is gone from `path`. Of what takes the place of something only a directory is of interest: what was
    /// in that is gone with it.
    fn is_departure(&mut self, path: &EntryPath) -> Result<bool, TreeError> {
        let Some(agreed) = self.agreed.get(path) else {
            return Ok(false);
        };
        let known = self.index.get(path).copied();
        let kind = match self.tree.inspect(path, known.as_ref().map(|known| &known.seen))? {
            Inspection::Absent => None,
            Inspection::Unchanged => known.map(|known| known.kind),
            Inspection::Present(found) => Some(found.body.kind()),
        };
        let is_directory = |kind: Kind| kind == Kind::Directory;
        Ok(kind.is_none_or(|kind| is_directory(agreed.kind) && !is_directory(kind)))
    }

    /// Where a directory is gone, what was in it comes first, the deepest first: the Active takes no directory away
    /// in which something is left.
    fn offer_what_was_in(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        if self.agreed.beneath(path).next().is_none() {
            return Ok(());
        }
        let known = self.look_at_own(path)?;
        if known.is_none_or(|known| known.kind != Kind::Directory) {
            let within: Vec<EntryPath> = self.agreed.beneath(path).cloned().collect();
            self.offers.gone.extend(within.into_iter().rev());
            self.offers.gone.push_back(path.clone());
        }
        Ok(())
    }

    /// Brings the index to what is at `path`. Where a directory came, went or is another one, what is in it, or was in the
    /// one before, is searched: nobody told of that.
    pub(super) fn look_at_own(&mut self, path: &EntryPath) -> Result<Option<Known>, TreeError> {
        let directory = |known: Option<Known>| {
            let known = known.filter(|known| known.kind == Kind::Directory);
            known.map(|known| (known.seen.stamp.device, known.seen.stamp.inode))
        };
        let before = self.index.get(path).copied();
        scan::look(path, &mut self.tree, &mut self.index)?;
        let known = self.index.get(path).copied();
        if directory(before) != directory(known) {
            self.offers.search(path.clone());
        }
        Ok(known)
    }

    fn offer_if_changed(&mut self, path: &EntryPath) -> Result<(), TreeError> {
        if self.offers.gone.contains(path) {
            return Ok(());
        }
        if self.offers.waiting.contains(path) {
            self.offers.suspect(path);
            return Ok(());
        }
        let before = self.index.get(path).copied();
        let known = self.look_at_own(path)?;
        self.suspect_other_names(path, before.as_ref(), known.as_ref());
        let now = known.as_ref().map(Version::from);
        let base = self.agreed.get(path);
        if now == base {
            if self.offers.withdrawn.contains(path) {
                self.tree.harden(std::slice::from_ref(path))?;
                self.offers.withdrawn.remove(path);
            }
            self.problems.clear(&Topic::Offer(path.clone()));
            self.tell_links(path);
            self.ask_for_directory_above(path);
            return Ok(());
        }
        self.tree.harden(std::slice::from_ref(path))?;
        let path = path.clone();
        self.offers.withdrawn.remove(&path);
        self.offer(Offered { path, base, now });
        Ok(())
    }

    /// The change at `path` has lost before it was offered. An offer that changes nothing asks for what the Active has.
    pub(super) fn lose(&mut self, path: &EntryPath) {
        if !self.offers.open {
            return;
        }
        self.offers.forget_suspect(path);
        self.offers.lost.insert(path.clone());
        if !self.offers.waiting.contains(path) {
            let version = self.agreed.get(path);
            self.offer(Offered {
                path: path.clone(),
                base: version,
                now: version,
            });
        }
    }

    /// Where the directory that `path` is in is the Active's, it has to be as the Active has it, whatever a program did to
    /// its mtime here. An offer that changes nothing asks for it.
    fn ask_for_directory_above(&mut self, path: &EntryPath) {
        if self.offers.waiting.contains(path) {
            return;
        }
        let is_the_actives = |above: &EntryPath| {
            self.coverage.covers(above) && self.coverage.rule(above).direction == Direction::ActiveToPassive
        };
        let above = path.parent().filter(is_the_actives);
        let Some((above, known)) = above.and_then(|above| {
            let known = *self.index.get(&above)?;
            Some((above, known))
        }) else {
            return;
        };
        // One that cannot be looked at is found by the next comparison.
        if let Ok(Inspection::Present(found)) = self.tree.inspect(&above, Some(&known.seen)) {
            if found.attributes.digest() != known.attributes {
                let version = self.agreed.get(path);
                self.offer(Offered {
                    path: path.clone(),
                    base: version,
                    now: version,
                });
            }
        }
    }

    fn offer(&mut self, offered: Offered) {
        let offer = name(self.offers.round, &offered);
        let message = Message::Offer {
            epoch: self.state.epoch,
            offer,
            path: offered.path.clone(),
            base: offered.base,
            now: offered.now,
        };
        self.outbox.push(message.encode());
        self.offers.waiting.insert(offered.path.clone());
        self.offers.offered.insert(offer, offered);
    }

    /// It is not any more what it was when it was offered: what it is now is offered in its place.
    pub(super) fn offer_anew(&mut self, offer: u64) -> Result<(), TreeError> {
        if let Some(offered) = self.offers.offered.get(&offer) {
            let path = offered.path.clone();
            // What was durable when it was offered must not come back.
            self.tree.harden(std::slice::from_ref(&path))?;
            self.offers.suspect(&path);
        }
        self.withdraw_offer(offer);
        Ok(())
    }

    /// An offer that changes nothing takes its place.
    pub(super) fn withdraw_offer(&mut self, offer: u64) {
        self.offers.sending.take_if(|sending| sending.is_of(offer));
        if let Some(offered) = self.offers.offered.remove(&offer) {
            self.offers.withdrawn.insert(offered.path.clone());
            self.offer(Offered {
                now: offered.base,
                ..offered
            });
        }
    }

    pub(super) fn verdict_delivered(&mut self, offer: u64, verdict: Verdict, now: Duration) {
        if matches!(
            verdict,
            Verdict::WantsAttributes | Verdict::WantsContent { .. } | Verdict::WantsChanges
        ) {
            if self.offers.offered.contains_key(&offer) {
                self.offers.asked.push_back((offer, verdict));
            }
            return;
        }
        self.offers.sending.take_if(|sending| sending.is_of(offer));
        let Some(offered) = self.offers.offered.remove(&offer) else {
            return;
        };
        self.offers.waiting.remove(&offered.path);
        self.offers.owed.settle(&offered.path);
        let is_withdrawn = offered.now == offered.base;
        if !is_withdrawn {
            self.problems.clear(&Topic::Offer(offered.path.clone()));
        }
        match verdict {
            Verdict::Taken => {
                if !is_withdrawn {
                    self.agreed.settle(&offered.path, offered.now);
                    self.ask_for_directory_above(&offered.path);
                } else if self.offers.has_lost(&offered.path) {
                    return self.offers.await_winner(offered.path, now);
                }
                self.offers.is_settled(&offered.path);
                self.tell_links(&offered.path);
                if self.index.get(&offered.path).map(Version::from) != self.agreed.get(&offered.path) {
                    // Found to be something else, with other things in it, when this was not agreed yet.
                    self.offers.search(offered.path);
                }
                self.problems.clear(&Topic::Refused(offered_to(self.source)));
            }
            Verdict::Refused => {
                let message = format!(
                    "offer {}: the Active is not configured to take it from this node",
                    offered.path
                );
                self.problem(Topic::Refused(offered_to(self.source)), message);
            }
            _ => {
                if verdict == Verdict::Lost {
                    self.offers.lost.insert(offered.path.clone());
                }
                if !is_withdrawn {
                    self.offers.withdrawn.insert(offered.path.clone());
                }
                self.offers.await_winner(offered.path, now);
            }
        }
    }
}

/// Named by what it says, and when: after a restart, or in another round, the same change is another offer.
fn name((round, begun): (u64, Option<Duration>), offered: &Offered) -> u64 {
    let mut hasher = Hasher::new();
    hasher.update(&round.to_be_bytes());
    hasher.update(&begun.unwrap_or_default().as_nanos().to_be_bytes());
    for version in [offered.base, offered.now] {
        match version {
            None => hasher.update(&[0]),
            Some(version) => {
                hasher.update(&[version.kind.number()]);
                hasher.update(&version.content.0);
                hasher.update(&version.attributes.0);
            }
        }
    }
    hasher.update(offered.path.as_bytes());
    let digest = hasher.finish();
    let first = digest.0.first_chunk();
    first.map_or(0, |first| u64::from_be_bytes(*first))
}

/// Whether one of them is in the other.
pub(super) fn meet(one: &EntryPath, other: &EntryPath) -> bool {
    one == other || one.is_beneath(other) || other.is_beneath(one)
}

fn offered_to(source: Option<NodeId>) -> NodeId {
    source.unwrap_or(NodeId(0))
}
