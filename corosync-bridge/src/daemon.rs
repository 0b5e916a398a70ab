//! The loop: waits until something happens, tells the replication core, and carries out what the core wants.
//!
//! One thread, and no clock that ticks: an idle bridge sleeps until a descriptor is readable. There is no
//! shutdown either. A bridge that is told to end ends like one that is killed, and the next one finds
//! everything on disk: the path that has to work is the only one there is.
//!
//! | module | what it is |
//! |---|---|
//! | `group` | between the core and Corosync |
//! | `joining` | clients that wait until the bridge is in the group |
//! | `requests` | between the core and the control socket |
//! | `wait` | sleeping until one of them has something |

mod group;
mod joining;
mod requests;
mod wait;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bmc_replication::{Core, DiskTree, Event, Notice, PlacedTree, Role, StateFile};
use bmc_sync_config::{Entry, SyncConfig, Timing};

use crate::control_server::ControlServer;
use crate::link::Link;
use crate::notifier::Notifier;
use crate::role_marker::RoleMarker;
use crate::watcher::{Hints, Watcher};
use crate::{log, narrate, readiness};

use joining::Joining;
use requests::Requests;

/// How long the core works before everybody else has a turn again; the step it is at then is finished. Longer keeps
/// clients and messages waiting, shorter spends more on asking who has something than on the work.
const TURN: Duration = Duration::from_millis(2);

/// The bridge.
pub(crate) struct Daemon {
    core: Core<PlacedTree<DiskTree>, StateFile>,
    link: Link,
    watcher: Watcher,
    watched: Watched,
    server: ControlServer,
    requests: Requests,
    joining: Joining,
    notifier: Notifier,
    marker: RoleMarker,
    role: Role,
    /// Members when the group last told.
    members: BTreeSet<u32>,
    /// A message that Corosync had no room for, and when to offer it again.
    unsent: Option<(Vec<u8>, Instant)>,
    /// The core counts time from here.
    started: Instant,
}

/// What is watched in each role: of the paths whose changes travel at once, those whose changes travel from here.
struct Watched {
    by_active: Rc<SyncConfig>,
    /// `None`: nothing is.
    by_passive: Option<Rc<SyncConfig>>,
}

impl Watched {
    fn new(config: &SyncConfig) -> Self {
        // Everything else is looked at when its time has come.
        let is_immediate = |entry: &Entry| entry.rule.timing == Timing::Immediate;
        let offers = |entry: &Entry| is_immediate(entry) && entry.offered_roots().next().is_some();
        let by_passive = config.only(offers);
        let has_any = by_passive.roots().next().is_some();
        Self {
            by_active: Rc::new(config.only(is_immediate)),
            by_passive: has_any.then(|| Rc::new(by_passive)),
        }
    }
}

impl Daemon {
    /// Puts the parts together. An Active from before a restart watches from here on.
    pub(crate) fn new(
        core: Core<PlacedTree<DiskTree>, StateFile>,
        config: &SyncConfig,
        group: &str,
        server: ControlServer,
        notifier: Notifier,
        marker: RoleMarker,
    ) -> Self {
        let started = Instant::now();
        let role = core.report(Duration::ZERO).role;
        let mut watcher = Watcher::default();
        let watched = Watched::new(config);
        match (role, &watched.by_passive) {
            (Role::Active, _) => watcher.start(&watched.by_active, started),
            (Role::Passive, Some(offered)) => watcher.start(offered, started),
            (Role::Passive, None) => {}
        }
        Self {
            core,
            link: Link::new(group, started),
            watcher,
            watched,
            server,
            requests: Requests::default(),
            joining: Joining::default(),
            notifier,
            marker,
            role,
            members: BTreeSet::new(),
            unsent: None,
            started,
        }
    }

    /// Runs until something fails that cannot be lived with.
    pub(crate) fn run(mut self) -> anyhow::Result<Infallible> {
        self.join();
        readiness::announce().map_err(|error| anyhow!("tell systemd that the bridge is ready: {error}"))?;
        loop {
            self.join();
            self.take_requests();
            self.take_hints();
            self.work();
            self.tell_outside();
            self.send();
            let ready = self.wait().map_err(|error| anyhow!("wait for events: {error}"))?;
            self.receive(&ready);
        }
    }

    /// Lets the core do what is due, and what there is to do for a while.
    fn work(&mut self) {
        let began = Instant::now();
        let now = self.core_now();
        if self.core.deadline().is_some_and(|deadline| deadline <= now) {
            self.core.handle(&Event::Tick, now);
        }
        loop {
            let now = self.core_now();
            // What was found travels while more is looked for, or made durable.
            if self.core.sends_first(now) {
                self.send();
            }
            self.core.work(now);
            if began.elapsed() >= TURN {
                return;
            }
            if !self.core.has_work(self.core_now()) {
                if !self.core.is_behind() {
                    return;
                }
                self.take_hints();
            }
        }
    }

    /// Tells the core which paths may have changed.
    fn take_hints(&mut self) {
        let hints = self.watcher.take(Instant::now());
        self.tell_hints(&hints);
        if self.core.is_behind() {
            self.tell(&Event::CaughtUp);
        }
    }

    fn tell_hints(&mut self, hints: &Hints) {
        if hints.everything {
            return self.tell(&Event::RescanAll);
        }
        for path in &hints.changed {
            self.tell(&match hints.left.contains(path) {
                true => Event::Left(path),
                false => Event::Changed(path),
            });
        }
        for path in &hints.trees {
            self.tell(&Event::Rescan(path));
        }
    }

    /// Passes on what the core has to say. Notices come first, so that a role is on record before a request for
    /// it is answered.
    fn tell_outside(&mut self) {
        for notice in self.core.take_notices() {
            narrate::core(&notice, self.requests.copy_before(), &self.link);
            if let Notice::RoleChanged { role, .. } = notice {
                self.change_role(role);
            }
        }
        for entry in self.core.take_applied() {
            self.notifier.notify(entry);
        }
        self.answer_requests();
        self.tell_progress();
        self.answer_joining();
        if self.role == Role::Passive && !self.requests.is_promoting() {
            match &self.watched.by_passive {
                Some(offered) => self.watcher.start(offered, Instant::now()),
                None => self.watcher.stop(),
            }
        }
    }

    fn change_role(&mut self, role: Role) {
        self.role = role;
        if let Err(error) = self.marker.record(role) {
            log::warning(error);
        }
    }

    /// Time as the core counts it.
    fn core_now(&self) -> Duration {
        self.started.elapsed()
    }

    fn tell(&mut self, event: &Event<'_>) {
        let now = self.core_now();
        self.core.handle(event, now);
    }
}
