//! What the notifier has to do, shared by the loop and the thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bmc_replication::Problem;
use bmc_sync_config::{Mode, Retry};

use super::messenger::TellError;

/// Whom an entry of the lists wants to be told.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// The entry's path.
    pub(super) path: PathBuf,
    /// How they are told.
    pub(super) mode: Mode,
    /// Who, in this order.
    pub(super) services: Vec<String>,
    /// How often a failure is tried again.
    pub(super) retry: Retry,
}

/// One service of one entry that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errand {
    /// Which entry.
    pub(super) entry: usize,
    /// Which of its services.
    pub(super) service: usize,
    /// How often it may fail and be tried again.
    attempts_left: u32,
}

/// What is to be done, and what could not be.
#[derive(Debug)]
pub(super) struct Board {
    listeners: Vec<Option<Listener>>,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By entry: something was applied since its services were told last.
    posted: BTreeMap<usize, Instant>,
    /// By entry: its services are being told, and when to go on.
    under_way: BTreeMap<usize, (Instant, Errand)>,
    /// By entry and service.
    problems: BTreeMap<(usize, usize), Problem>,
}

impl Board {
    /// Nothing is to be done yet.
    pub(super) fn new(listeners: Vec<Option<Listener>>) -> Self {
        Self {
            listeners,
            state: Mutex::default(),
            news: Condvar::new(),
        }
    }

    /// Whom an entry wants to be told.
    pub(super) fn listener(&self, entry: usize) -> Option<&Listener> {
        self.listeners.get(entry)?.as_ref()
    }

    /// Something of this entry was applied.
    pub(super) fn post(&self, entry: usize) {
        if self.listener(entry).is_some() {
            self.lock().posted.entry(entry).or_insert_with(Instant::now);
            self.news.notify_all();
        }
    }

    /// Waits for the next thing to do.
    pub(super) fn next(&self) -> Errand {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.begin(|entry| self.listener(entry).map_or(0, |listener| listener.retry.attempts));
            let first = state.under_way.values().min_by_key(|(at, _)| *at).copied();
            match first {
                Some((at, errand)) if at <= now => return errand,
                Some((at, _)) => {
                    let waited = self.news.wait_timeout(state, at.duration_since(now));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Notes how it went, and what comes next of this entry.
    pub(super) fn settle(&self, errand: Errand, outcome: Result<(), TellError>) {
        let Errand {
            entry,
            service,
            attempts_left,
        } = errand;
        let Some(listener) = self.listener(entry) else {
            return;
        };
        let mut state = self.lock();
        let failed = outcome.is_err();
        match outcome {
            Ok(()) => drop(state.problems.remove(&(entry, service))),
            Err(error) => {
                let problem = state.problems.entry((entry, service)).or_insert(Problem {
                    message: String::new(),
                    count: 0,
                });
                problem.message = complaint(listener, &error);
                problem.count += 1;
            }
        }
        let now = Instant::now();
        let next = if failed && attempts_left > 0 {
            let again = Errand {
                attempts_left: attempts_left - 1,
                ..errand
            };
            now.checked_add(listener.retry.interval).map(|at| (at, again))
        } else {
            // Given up or told: the next one is not to suffer for it.
            let following = Errand {
                entry,
                service: service + 1,
                attempts_left: listener.retry.attempts,
            };
            (following.service < listener.services.len()).then_some((now, following))
        };
        match next {
            Some(next) => drop(state.under_way.insert(entry, next)),
            None => drop(state.under_way.remove(&entry)),
        }
    }

    /// Services that could not be told.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.lock().problems.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes up what was posted of entries whose services are not being told already.
    fn begin(&mut self, attempts: impl Fn(usize) -> u32) {
        let under_way = &mut self.under_way;
        self.posted.retain(|&entry, posted| {
            let errand = Errand {
                entry,
                service: 0,
                attempts_left: attempts(entry),
            };
            let busy = under_way.contains_key(&entry);
            if !busy {
                under_way.insert(entry, (*posted, errand));
            }
            busy
        });
    }
}

/// What is said of a failure.
pub(super) fn complaint(listener: &Listener, error: &TellError) -> String {
    format!("tell services of changes to {}: {error}", listener.path.display())
}
