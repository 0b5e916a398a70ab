//! The notifier with services that answer when the test lets them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bmc_sync_config::{Method, Mode};
use bmc_system_bus::SystemdError;

use super::messenger::TellError;
use super::*;

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says who is being told, and waits to hear how that ends.
struct Scripted {
    calls: Sender<String>,
    ends: Receiver<bool>,
}

impl Messenger for Scripted {
    fn tell(&mut self, _: Mode, service: &str) -> Result<(), TellError> {
        // A test that has ended wants to know nothing more.
        let _ = self.calls.send(service.to_owned());
        match self.ends.recv() {
            Ok(false) => Err(TellError::Systemd(SystemdError::NoSuchUnit {
                action: "restart",
                unit: service.to_owned(),
            })),
            _ => Ok(()),
        }
    }
}

struct World {
    notifier: Notifier,
    calls: Receiver<String>,
    ends: Sender<bool>,
}

impl World {
    /// Entry 0 has nobody, entry 1 has `a` and `b`, entry 2 has `c`.
    fn new(attempts: u32, interval: Duration) -> Self {
        let listener = |services: &[&str]| {
            Some(Listener {
                path: "/settings".into(),
                mode: Mode::Systemd(Method::Restart),
                services: services.iter().map(|&name| name.to_owned()).collect(),
                retry: Retry { attempts, interval },
            })
        };
        let (call, calls) = channel();
        let (ends, end) = channel();
        let messenger = Scripted {
            calls: call,
            ends: end,
        };
        let notifier = Notifier::with(vec![None, listener(&["a", "b"]), listener(&["c"])], messenger);
        Self {
            notifier: notifier.unwrap(),
            calls,
            ends,
        }
    }

    /// Who is told next.
    fn called(&self) -> String {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }

    fn end(&self, well: bool) {
        self.ends.send(well).unwrap();
    }

    /// Nothing is left to be done: what is asked for now comes next.
    fn assert_quiet(&self) {
        self.notifier.notify(2);
        assert_eq!(self.called(), "c");
    }
}

#[test]
fn changes_that_come_while_services_are_told_are_told_of_once_more() {
    let world = World::new(0, Duration::ZERO);
    world.notifier.notify(1);
    assert_eq!(world.called(), "a");
    for _ in 0..100 {
        world.notifier.notify(1);
    }
    for service in ["b", "a", "b"] {
        world.end(true);
        assert_eq!(world.called(), service);
    }
    world.end(true);
    world.assert_quiet();
}

#[test]
fn an_entry_that_nobody_listens_to_tells_nobody() {
    let world = World::new(0, Duration::ZERO);
    world.notifier.notify(0);
    world.notifier.notify(7);
    world.assert_quiet();
}

#[test]
fn a_failure_is_tried_again_without_telling_the_earlier_ones_again_and_is_a_problem_until_it_works() {
    let world = World::new(2, Duration::ZERO);
    world.notifier.notify(1);
    assert_eq!(world.called(), "a");
    world.end(true);
    assert_eq!(world.called(), "b");
    world.end(false);
    assert_eq!(world.called(), "b");
    let [problem] = world.notifier.problems().try_into().unwrap();
    assert_eq!(
        problem.message,
        "tell services of changes to /settings: restart b: systemd has no such unit"
    );
    world.end(true);
    world.notifier.notify(2);
    assert_eq!(world.called(), "c");
    assert_eq!(world.notifier.problems(), []);
}

#[test]
fn a_service_that_is_given_up_stays_a_problem_and_those_after_it_are_told() {
    let world = World::new(1, Duration::ZERO);
    world.notifier.notify(1);
    for service in ["a", "a"] {
        assert_eq!(world.called(), service);
        world.end(false);
    }
    assert_eq!(world.called(), "b");
    world.end(true);
    world.assert_quiet();
    assert_eq!(world.notifier.problems()[0].count, 2);
}

#[test]
fn an_entry_that_waits_to_be_tried_again_does_not_hold_others_up() {
    let world = World::new(1, Duration::from_secs(3600));
    world.notifier.notify(1);
    assert_eq!(world.called(), "a");
    world.end(false);
    world.notifier.notify(2);
    assert_eq!(world.called(), "c");
}
