//! The other members, and how far each has come.

use std::collections::BTreeMap;
use std::time::Duration;

use super::active::Active;
use super::lacking::{Lacking, Tries};
use super::{Core, MemberReport};
use crate::coverage::Retry;
use crate::state::StateStore;
use crate::tree::{Source, Tree};
use crate::wire::{COPY_BYTES, Hello, Message};
use crate::{NodeId, Role, Sync};

/// Bytes of changes that a Passive may be behind before the Active waits for it. Keeps Corosync's queues short,
/// so that membership messages are never stuck behind settings.
pub(super) const WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// Bytes of the stream that a Passive may be behind before large contents wait for it. A setting that is changed while
/// they travel queues behind no more than this: a few milliseconds of a BMC's network. Less would leave the network idle
/// while acknowledgements come back.
pub(super) const BULK_WINDOW_BYTES: u64 = 512 * 1024;

/// Bytes of the stream that a Passive may be behind before it is sent more of the small contents that it lacks. Its disk is at
/// one half while the other comes.
const SUPPLY_WINDOW_BYTES: u64 = 1024 * 1024;

/// Bytes that a Passive takes in at most before it tells the Active so although nothing was applied.
pub(super) const PACE_BYTES: u64 = BULK_WINDOW_BYTES / 4;

/// Bytes that a Passive copies from what it has count as one that travels: it tells of each of the longest pieces, and four of
/// them are on their way. It copies them between whatever else comes, so they hold nothing up.
const COPIED_PER_BYTE: u64 = COPY_BYTES / PACE_BYTES;

/// What a message of so many bytes counts in the stream, or among the pieces of an offered content.
pub(super) fn weight(message: &Message<'_>, bytes: usize) -> u64 {
    let copied = match message {
        Message::Copy { length, .. }
        | Message::PieceCopy { length, .. }
        | Message::PieceHole { length, .. } => length / COPIED_PER_BYTE,
        _ => 0,
    };
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(copied)
}

/// A Passive that owes acknowledgements and says nothing for so long is not waited for any more; it is compared
/// again when it speaks. Longer than any fsync on slow flash, shorter than a person's patience.
const STALL: Duration = Duration::from_secs(30);

/// How a Passive follows the Active.
#[derive(Debug, Clone, Copy)]
pub(super) enum Follow {
    /// It does not; to be compared from this time on.
    Not { retry_at: Duration },
    /// It does.
    Since {
        /// Bytes that had been sent when its comparison began.
        baseline: u64,
        /// Bytes that it has taken in since.
        received: u64,
        /// Last sequence that it has durably.
        acknowledged: u64,
        /// Sequence that closed its comparison: acknowledged, it is in sync.
        closed_at: Option<u64>,
        /// When it last got on.
        progress_at: Duration,
    },
}

/// Another member.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// What it said of itself last.
    pub(super) hello: Option<Hello>,
    /// It speaks another version and cannot be replicated to.
    pub(super) incompatible: bool,
    pub(super) follow: Follow,
    /// Its last comparison.
    pub(super) session: u64,
    /// Comparisons since it was in sync last.
    tries: Tries,
    /// Why it is not in sync, as long as it is not being compared again.
    pub(super) lacking: Option<Lacking>,
    /// It has offered what it changed while it followed nobody, and can be compared.
    pub(super) has_offered: bool,
    /// Entries and bytes sent in its comparison.
    pub(super) sent: (u64, u64),
}

impl Peer {
    fn new() -> Self {
        Self {
            hello: None,
            incompatible: false,
            follow: Follow::Not {
                retry_at: Duration::ZERO,
            },
            session: 0,
            tries: Tries::default(),
            lacking: None,
            has_offered: false,
            sent: (0, 0),
        }
    }

    pub(super) fn follows(&self) -> bool {
        matches!(self.follow, Follow::Since { .. })
    }

    pub(super) fn is_in_sync(&self) -> bool {
        self.lacking.is_none()
            && matches!(self.follow, Follow::Since { acknowledged, closed_at: Some(at), .. } if acknowledged >= at)
    }

    /// It has everything up to `sequence`, or is none that could.
    pub(super) fn has(&self, sequence: u64) -> bool {
        let acknowledged =
            matches!(self.follow, Follow::Since { acknowledged, .. } if acknowledged >= sequence);
        self.incompatible || (acknowledged && self.is_in_sync())
    }

    /// Forgets how far it had come; it is compared again after a pause.
    pub(super) fn drop_behind(&mut self, now: Duration) {
        let (pause, _) = self.tries.fail(None);
        self.follow = Follow::Not {
            retry_at: now + pause,
        };
    }

    /// It cannot apply something, and goes on with the rest until it is compared again.
    pub(super) fn lack(&mut self, reason: String, retry: Option<Retry>, now: Duration) -> (Duration, bool) {
        let (pause, exhausted) = self.tries.fail(retry);
        let retry_at = now + pause;
        self.lacking = Some(Lacking { reason, retry_at });
        (pause, exhausted)
    }

    /// It acknowledges nothing any more until it is compared again.
    pub(super) fn leave_behind(&mut self) {
        if let Some(lacking) = &self.lacking {
            self.follow = Follow::Not {
                retry_at: lacking.retry_at,
            };
        }
    }

    /// A comparison begins.
    pub(super) fn begin(&mut self, session: u64) {
        self.session = session;
        self.lacking = None;
        self.sent = (0, 0);
    }

    /// When it is to be compared; not as long as it follows and lacks nothing.
    fn compare_at(&self) -> Option<Duration> {
        match (&self.lacking, self.follow) {
            (_, Follow::Not { retry_at }) => Some(retry_at),
            (Some(lacking), Follow::Since { .. }) => Some(lacking.retry_at),
            (None, Follow::Since { .. }) => None,
        }
    }

    /// Due comparisons wait for the one before theirs, not for a time.
    pub(super) fn note_due(&mut self, now: Duration) {
        let follow = match &mut self.follow {
            Follow::Not { retry_at } => Some(retry_at),
            Follow::Since { .. } => None,
        };
        let lacking = self.lacking.as_mut().map(|lacking| &mut lacking.retry_at);
        for retry_at in follow.into_iter().chain(lacking) {
            if *retry_at <= now {
                *retry_at = Duration::ZERO;
            }
        }
    }

    /// It is to be compared at once.
    pub(super) fn compare_again(&mut self) {
        self.follow = Follow::Not {
            retry_at: Duration::ZERO,
        };
        self.tries = Tries::default();
        self.lacking = None;
    }

    pub(super) fn came_in_sync(&mut self) {
        self.tries = Tries::default();
    }

    /// Something is about to be sent: silence counts from now where nothing was owed before.
    pub(super) fn will_owe(&mut self, sent_bytes: u64, sequence: u64, now: Duration) {
        if let Follow::Since {
            baseline,
            received,
            acknowledged,
            progress_at,
            ..
        } = &mut self.follow
        {
            if *acknowledged + 1 >= sequence && sent_bytes < *baseline + *received + PACE_BYTES {
                *progress_at = now;
            }
        }
    }

    fn stalls_at(&self, sent_bytes: u64, sequence: u64) -> Option<Duration> {
        match self.follow {
            Follow::Since {
                baseline,
                received,
                acknowledged,
                progress_at,
                ..
            } if acknowledged < sequence
                || sent_bytes.saturating_sub(baseline + received) >= BULK_WINDOW_BYTES =>
            {
                Some(progress_at + STALL)
            }
            _ => None,
        }
    }
}

/// All other members.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<NodeId, Peer>);

impl Peers {
    /// Takes over the membership. Returns whether there are new ones, and who left.
    pub(super) fn update(&mut self, me: NodeId, members: &[NodeId]) -> (bool, Vec<NodeId>) {
        let left: Vec<NodeId> = self
            .0
            .keys()
            .filter(|node| !members.contains(node))
            .copied()
            .collect();
        self.0.retain(|node, _| members.contains(node));
        let before = self.0.len();
        for &node in members.iter().filter(|&&node| node != me) {
            self.0.entry(node).or_insert_with(Peer::new);
        }
        (self.0.len() > before, left)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Peer> {
        self.0.get(&node)
    }

    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut Peer> {
        self.0.get_mut(&node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.0.iter().map(|(&node, peer)| (node, peer))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Peer)> {
        self.0.iter_mut().map(|(&node, peer)| (node, peer))
    }

    pub(super) fn all_introduced(&self) -> bool {
        self.0
            .values()
            .all(|peer| peer.hello.is_some() || peer.incompatible)
    }

    pub(super) fn any_follows(&self) -> bool {
        self.0
            .values()
            .any(|peer| matches!(peer.follow, Follow::Since { .. }))
    }

    /// Whether every follower is near enough for more to be sent.
    pub(super) fn window_is_open(&self, sent_bytes: u64) -> bool {
        self.furthest_behind(sent_bytes) < WINDOW_BYTES
    }

    /// Whether every follower is near enough for a piece of a large content.
    pub(super) fn bulk_window_is_open(&self, sent_bytes: u64) -> bool {
        self.furthest_behind(sent_bytes) < BULK_WINDOW_BYTES
    }

    /// Whether every follower is near enough for more of what one lacks.
    pub(super) fn supply_window_is_open(&self, sent_bytes: u64) -> bool {
        self.furthest_behind(sent_bytes) < SUPPLY_WINDOW_BYTES
    }

    /// Whether `node`, or else every follower, has told that it has taken in what had been sent at `sent_bytes`, or does not
    /// follow any more.
    pub(super) fn have_taken(&self, node: Option<NodeId>, sent_bytes: u64) -> bool {
        let mut asked = self.iter().filter(|(id, _)| node.is_none_or(|node| node == *id));
        asked.all(|(_, peer)| match peer.follow {
            Follow::Since {
                baseline, received, ..
            } => sent_bytes <= baseline + received,
            Follow::Not { .. } => true,
        })
    }

    /// Bytes that the slowest follower has not taken in.
    fn furthest_behind(&self, sent_bytes: u64) -> u64 {
        let behind = self.0.values().filter_map(|peer| match peer.follow {
            Follow::Since {
                baseline, received, ..
            } => Some(sent_bytes.saturating_sub(baseline + received)),
            Follow::Not { .. } => None,
        });
        behind.max().unwrap_or(0)
    }

    /// A member that cannot apply something, and why.
    pub(super) fn lacking(&self) -> Option<(NodeId, &str)> {
        self.0
            .iter()
            .find_map(|(&node, peer)| Some((node, peer.lacking.as_ref()?.reason.as_str())))
    }

    /// The sequence that every follower has.
    pub(super) fn acknowledged_by_all(&self) -> Option<u64> {
        self.0
            .values()
            .filter_map(|peer| match peer.follow {
                Follow::Since { acknowledged, .. } => Some(acknowledged),
                Follow::Not { .. } => None,
            })
            .min()
    }

    pub(super) fn follows(&self, node: NodeId) -> bool {
        self.get(node)
            .is_some_and(|peer| matches!(peer.follow, Follow::Since { .. }))
    }

    /// The one member that follows, where there is only one.
    pub(super) fn only_follower(&self) -> Option<NodeId> {
        let mut follow = self.0.keys().copied().filter(|node| self.follows(*node));
        follow.next().filter(|_| follow.next().is_none())
    }

    /// A Passive that can be compared now.
    pub(super) fn to_compare(&self, now: Duration) -> Option<NodeId> {
        self.0
            .iter()
            .find(|(_, peer)| {
                peer.hello.is_some_and(|hello| hello.role == Role::Passive)
                    && !peer.incompatible
                    && peer.has_offered
                    && peer.compare_at().is_some_and(|at| at <= now)
            })
            .map(|(&node, _)| node)
    }

    pub(super) fn report<F: Source>(&self, active: Option<&Active<F>>, now: Duration) -> Vec<MemberReport> {
        self.0
            .iter()
            .filter_map(|(&node, peer)| Some((node, peer, peer.hello?)))
            .map(|(node, peer, hello)| {
                let acknowledged = match peer.follow {
                    Follow::Since { acknowledged, .. } if active.is_some() => Some(acknowledged),
                    _ => None,
                };
                MemberReport {
                    node,
                    role: hello.role,
                    position: hello.position,
                    sync: hello.sync,
                    essential: hello.essential,
                    acknowledged,
                    lag: acknowledged
                        .zip(active)
                        .map(|(acknowledged, active)| active.age_of_oldest_after(acknowledged, now)),
                }
            })
            .collect()
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// An acknowledgement, by which everyone follows everyone's position and the Active is paced.
    pub(super) fn acknowledged(&mut self, from: NodeId, sequence: u64, received: u64, now: Duration) {
        let epoch = self.state.epoch;
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        if let Some(hello) = peer.hello.as_mut().filter(|hello| hello.sync == Sync::InSync) {
            hello.position = hello.position.max(crate::Position { epoch, sequence });
        }
        let Some(active) = &mut self.active else { return };
        let was_in_sync = peer.is_in_sync();
        match &mut peer.follow {
            // Nobody can have what was never sent.
            Follow::Since { .. } if sequence > active.sequence => return,
            Follow::Since {
                received: taken,
                acknowledged,
                progress_at,
                ..
            } => {
                *taken = received.max(*taken);
                *acknowledged = sequence.max(*acknowledged);
                *progress_at = now;
            }
            Follow::Not { .. } => return,
        }
        // One who lacks something, or is being compared, acknowledges what came after it all the same.
        if peer.is_in_sync() {
            active.acknowledged = active.acknowledged.max(sequence);
        }
        if peer.is_in_sync() && !was_in_sync {
            peer.came_in_sync();
            active.agree_on_all = true;
            let (entries, bytes) = peer.sent;
            self.notices.push(super::Notice::CompareFinished {
                node: from,
                entries,
                bytes,
            });
            self.problems.clear(&super::Topic::Peer(from));
        }
        active.forget_acknowledged(self.peers.acknowledged_by_all());
    }

    /// When something about a peer has to be looked at again.
    pub(super) fn peers_deadline(&self) -> Option<Duration> {
        let active = self.active.as_ref()?;
        let retries = self.peers.iter().filter_map(|(_, peer)| {
            let known = peer.hello.is_some();
            peer.compare_at().filter(|at| known && !at.is_zero())
        });
        let retries = retries.filter(|_| active.session.is_none());
        let stalls = self
            .peers
            .iter()
            .filter_map(|(_, peer)| peer.stalls_at(active.sent_bytes, active.sequence));
        retries.chain(stalls).min()
    }

    /// Stops waiting for peers that have stopped answering.
    pub(super) fn drop_stalled(&mut self, now: Duration) {
        let Some(active) = &self.active else { return };
        let (sent, sequence) = (active.sent_bytes, active.sequence);
        let stalled: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.stalls_at(sent, sequence).is_some_and(|at| at <= now))
            .map(|(node, _)| node)
            .collect();
        for node in stalled {
            self.peer_failed(node, now);
            let message = format!(
                "replicate to {node}: no acknowledgement for {} s",
                STALL.as_secs()
            );
            self.problem(super::Topic::Peer(node), message);
        }
    }

    /// A peer cannot go on; it is compared again later.
    pub(super) fn peer_failed(&mut self, node: NodeId, now: Duration) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.drop_behind(now);
        }
        self.stop_sending_to(node);
    }

    /// A peer takes in nothing any more.
    pub(super) fn stop_sending_to(&mut self, node: NodeId) {
        let Some(active) = &mut self.active else { return };
        active.session.take_if(|session| session.target == node);
        if let Some(peer) = self.peers.get_mut(node) {
            peer.leave_behind();
        }
        active.forget_acknowledged(self.peers.acknowledged_by_all());
    }
}
