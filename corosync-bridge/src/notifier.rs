//! Tells services of this BMC that their settings have changed: `NotifySibling` of the lists.
//!
//! A thread of its own does it, since a service may take long to restart and replication waits for none. What it has to do
//! is kept by entry of the lists, so it never grows: changes that come while a service is being told are told of
//! together, once more.
//!
//! A bridge that dies between a change and the word about it does not catch up on the word.

mod board;
mod messenger;

use std::sync::Arc;
use std::thread;

use bmc_replication::Problem;
use bmc_sync_config::{Retry, SyncConfig};

use crate::log;
use board::{Board, Listener};
use messenger::{BusMessenger, Messenger};

/// Used where an entry says nothing of retries: a bus or a service that is just restarting is back by then.
const DEFAULT_RETRY: Retry = Retry {
    attempts: 3,
    interval: std::time::Duration::from_secs(10),
};

/// Who is to be told, and the thread that does it.
#[derive(Debug)]
pub(crate) struct Notifier {
    board: Arc<Board>,
}

impl Notifier {
    /// Starts the thread, where an entry wants anybody to be told. `bus` is the address of the system bus, if it is not
    /// the usual one.
    pub(crate) fn start(config: &SyncConfig, bus: Option<String>) -> std::io::Result<Self> {
        Self::with(listeners(config), BusMessenger::new(bus))
    }

    fn with(listeners: Vec<Option<Listener>>, messenger: impl Messenger + 'static) -> std::io::Result<Self> {
        let anybody = listeners.iter().any(Option::is_some);
        let board = Arc::new(Board::new(listeners));
        if anybody {
            let board = Arc::clone(&board);
            thread::Builder::new()
                .name("notifier".to_owned())
                .spawn(move || work(&board, messenger))?;
        }
        Ok(Self { board })
    }

    /// Something of this entry was applied.
    pub(crate) fn notify(&self, entry: usize) {
        self.board.post(entry);
    }

    /// Services that could not be told.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.board.problems()
    }
}

/// Whom each entry wants to be told, in the order of the entries.
fn listeners(config: &SyncConfig) -> Vec<Option<Listener>> {
    let of = |entry: &bmc_sync_config::Entry| {
        let notify = entry.notify.as_ref()?;
        Some(Listener {
            path: entry.path.clone(),
            mode: notify.mode,
            services: notify.services.clone(),
            retry: entry.retry.unwrap_or(DEFAULT_RETRY),
        })
    };
    config.entries().iter().map(of).collect()
}

fn work(board: &Board, mut messenger: impl Messenger) {
    loop {
        let errand = board.next();
        let Some(listener) = board.listener(errand.entry) else {
            continue;
        };
        let Some(service) = listener.services.get(errand.service) else {
            continue;
        };
        let outcome = messenger.tell(listener.mode, service);
        match &outcome {
            Ok(()) => log::info(format_args!(
                "told {service} of changes to {}",
                listener.path.display()
            )),
            Err(error) => log::warning(board::complaint(listener, error)),
        }
        board.settle(errand, outcome);
    }
}

#[cfg(test)]
mod tests;
