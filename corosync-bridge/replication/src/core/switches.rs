//! Whether changes travel at all: pause, resume, disable and enable.
//!
//! The Active is told, and tells everyone in its `Hello`. What changes while nothing travels is not kept as a list,
//! which would grow without bound, but as the fact that something did: everything is looked at again before
//! anything travels.
//!
//! A member shows the switch as it has kept it: who asked for it is answered once it would survive. A member whose disk
//! does not take it stays as it was, and tries again.
//!
//! A demotion sends what there is, whatever the switch says: the next Active would overwrite what was held back, and
//! nobody would know.

use std::time::Duration;

use super::active::RETRY;
use super::requests::{Refusal, Request};
use super::schedule::Occasion;
use super::{Core, Topic};
use crate::state::StateStore;
use crate::tree::Tree;
use crate::{NodeId, Role, Switch};

/// The switch as this node knows it.
#[derive(Debug, Default)]
pub(super) struct Switches {
    pub(super) position: Switch,
    /// Something changed that was not looked at.
    missed: bool,
    /// When to try again to keep what the Active has said.
    retry_at: Option<Duration>,
}

impl Switches {
    /// As it was left when the bridge ended. A pause ends with the bridge.
    pub(super) fn after_restart(disabled: bool) -> Self {
        Self {
            position: if disabled { Switch::Disabled } else { Switch::On },
            missed: false,
            retry_at: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.retry_at
    }

    pub(super) fn miss(&mut self) {
        self.missed = true;
    }

    /// Whose pause it was is the Active no more. Returns whether there was one.
    pub(super) fn end_pause(&mut self) -> bool {
        let paused = self.position == Switch::Paused;
        if paused {
            self.position = Switch::On;
        }
        paused
    }
}

impl<T: Tree, S: StateStore> Core<T, S> {
    /// Whether this Active looks at nothing and sends nothing.
    pub(super) fn holds_back(&self) -> bool {
        self.switches.position != Switch::On && !self.requests.wants_demotion()
    }

    pub(super) fn refused_by_switch(&self, request: Request) -> Option<Refusal> {
        let switch = self.switches.position;
        (switch != Switch::On).then_some(Refusal::SwitchedOff { request, switch })
    }

    /// Carries out a request that is about the switch, on the Active.
    pub(super) fn throw_switch(&mut self, request: Request) -> Result<(), Refusal> {
        let before = self.switches.position;
        let switch = match (request, before) {
            (Request::Disable, _) => Switch::Disabled,
            (Request::Pause, Switch::On) => Switch::Paused,
            (Request::Resume, Switch::Disabled) => {
                return Err(Refusal::SwitchedOff {
                    request,
                    switch: before,
                });
            }
            (Request::Resume, Switch::Paused) | (Request::Enable, Switch::Disabled) => Switch::On,
            (_, unchanged) => unchanged,
        };
        self.keep_switch(switch)
            .map_err(|source| Refusal::State { request, source })?;
        if switch == before {
            return Ok(());
        }
        self.announce = true;
        if switch == Switch::On {
            self.catch_up();
        } else {
            self.requests.settle(|request| match request {
                Request::Flush | Request::FullSync => Some(Err(Refusal::SwitchedOff { request, switch })),
                _ => None,
            });
        }
        Ok(())
    }

    /// Looks at what was not looked at while nothing travelled.
    pub(super) fn catch_up(&mut self) {
        if std::mem::take(&mut self.switches.missed) {
            self.look_for(Occasion::Missed);
            self.look_for(Occasion::Flush);
        }
    }

    /// What the Active has said.
    pub(super) fn take_over_switch(&mut self, switch: Switch, now: Duration) {
        if self.role == Role::Active {
            return;
        }
        self.owe_no_switch();
        if self.switches.position == switch {
            return;
        }
        match self.keep_switch(switch) {
            Ok(()) => self.announce = true,
            Err(error) => {
                self.switches.retry_at = Some(now + RETRY);
                self.problem(Topic::Switch, error.to_string());
            }
        }
    }

    /// Takes over again what could not be kept.
    pub(super) fn retry_switch(&mut self, now: Duration) {
        if self.switches.retry_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        if let Some(switch) = self.switch_of_source() {
            self.take_over_switch(switch, now);
        }
    }

    /// Nothing that the Active has said is still to be kept, or there is no Active to say it.
    pub(super) fn owe_no_switch(&mut self) {
        self.switches.retry_at = None;
        self.problems.clear(&Topic::Switch);
    }

    /// Whether changes travel, by the word of the Active that this node follows.
    pub(super) fn switch_of_source(&self) -> Option<Switch> {
        let source = self.peers.get(self.source?)?;
        source.hello.map(|hello| hello.switch)
    }

    /// A member that has not taken the switch over yet.
    pub(super) fn without_switch(&self) -> Option<NodeId> {
        let position = self.switches.position;
        self.peers
            .iter()
            .find(|(_, peer)| !peer.incompatible && peer.hello.is_none_or(|hello| hello.switch != position))
            .map(|(node, _)| node)
    }

    fn keep_switch(&mut self, switch: Switch) -> Result<(), crate::state::StateError> {
        let disabled = switch == Switch::Disabled;
        if self.state.disabled != disabled {
            self.state.disabled = disabled;
            if let Err(error) = self.store.save(&self.state) {
                self.state.disabled = !disabled;
                return Err(error);
            }
        }
        self.switches.position = switch;
        Ok(())
    }
}
