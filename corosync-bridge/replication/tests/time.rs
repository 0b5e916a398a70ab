//! Wall-clock time between two cores, on clocks that are not the machine's.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "test code")]

mod support;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bmc_replication::{ClockError, NodeId, Notice, WallClock};
use support::{A, B, Pair};

/// What a clock shows, and how it behaves. It stands still until it is set.
#[derive(Debug, Clone, Default)]
struct Fake(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    shows: Duration,
    disciplined: bool,
    broken: bool,
}

impl WallClock for Fake {
    fn now(&self) -> Duration {
        self.0.borrow().shows
    }

    fn is_disciplined(&self) -> Result<bool, ClockError> {
        Ok(self.0.borrow().disciplined)
    }

    fn set(&mut self, to: Duration) -> Result<(), ClockError> {
        if self.0.borrow().broken {
            return Err(ClockError {
                action: "set",
                source: io::ErrorKind::PermissionDenied.into(),
            });
        }
        self.0.borrow_mut().shows = to;
        Ok(())
    }
}

impl Fake {
    fn shows(&self) -> Duration {
        self.0.borrow().shows
    }
}

/// The Active's clock shows 2000 s.
const ACTIVE: Duration = Duration::from_secs(2000);

struct World {
    pair: Pair,
    passive: Fake,
}

impl World {
    /// A is the Active; the clock of B, the Passive, is as it is given.
    fn new(passive: State) -> Self {
        let mut pair = Pair::new();
        let (active, passive) = (Fake::default(), Fake(Rc::new(RefCell::new(passive))));
        active.0.borrow_mut().shows = ACTIVE;
        share(&mut pair, A, &active);
        share(&mut pair, B, &passive);
        Self { pair, passive }
    }

    /// Lets the nodes look again, and a message take this long.
    fn exchange(&mut self, one_way: Duration) {
        for node in self.pair.nodes.values_mut() {
            node.core.take_notices();
        }
        tell_membership(&mut self.pair);
        while self.pair.turn() {
            self.pair.now += one_way;
        }
    }

    fn passive_notices(&mut self) -> Vec<Notice> {
        self.pair.nodes.get_mut(&B).unwrap().core.take_notices()
    }
}

fn share(pair: &mut Pair, node: NodeId, clock: &Fake) {
    let core = &mut pair.nodes.get_mut(&node).unwrap().core;
    core.share_time(Box::new(clock.clone()));
}

fn tell_membership(pair: &mut Pair) {
    let members = pair.members.clone();
    for &me in &members {
        let event = bmc_replication::Event::Membership {
            me,
            members: &members,
        };
        pair.nodes.get_mut(&me).unwrap().core.handle(&event, pair.now);
    }
}

fn shows(seconds: u64) -> State {
    State {
        shows: Duration::from_secs(seconds),
        ..State::default()
    }
}

#[test]
fn a_passive_takes_over_the_time_of_its_active_and_says_what_both_were() {
    let mut world = World::new(shows(1000));
    world.exchange(Duration::ZERO);
    assert_eq!(world.passive.shows(), ACTIVE);
    let set = Notice::ClockSet {
        node: A,
        before: Duration::from_secs(1000),
        after: ACTIVE,
    };
    assert_eq!(world.passive_notices(), [set]);
}

#[test]
fn half_of_the_way_there_and_back_is_added() {
    let mut world = World::new(shows(1000));
    world.exchange(Duration::from_millis(100));
    // One way counts: the question was heard when it was asked, here.
    assert_eq!(world.passive.shows(), ACTIVE + Duration::from_millis(50));
}

#[test]
fn what_may_be_the_way_and_not_the_clock_is_left_alone() {
    for (difference_ms, set) in [(49, false), (51, true)] {
        let mut world = World::new(shows(0));
        let shown = ACTIVE - Duration::from_millis(difference_ms);
        world.passive.0.borrow_mut().shows = shown;
        world.exchange(Duration::ZERO);
        assert_eq!(world.passive.shows() != shown, set, "{difference_ms} ms");
    }
}

#[test]
fn a_clock_that_is_kept_right_already_is_left_alone() {
    let mut world = World::new(State {
        disciplined: true,
        ..shows(1000)
    });
    world.exchange(Duration::ZERO);
    assert_eq!(world.passive.shows(), Duration::from_secs(1000));
}

#[test]
fn an_answer_that_took_long_is_not_believed_and_is_asked_for_again() {
    let mut world = World::new(shows(1000));
    world.exchange(Duration::from_secs(30));
    assert_eq!(world.passive.shows(), Duration::from_secs(1000));
    world.pair.pass(Duration::from_secs(2));
    assert_eq!(world.passive.shows(), ACTIVE);
}

#[test]
fn a_clock_that_drifts_is_set_again_after_an_hour() {
    let mut world = World::new(shows(2000));
    world.exchange(Duration::ZERO);
    let drifted = Duration::from_secs(1990);
    world.passive.0.borrow_mut().shows = drifted;
    world.pair.pass(Duration::from_secs(3590));
    assert_eq!(world.passive.shows(), drifted);
    world.pair.pass(Duration::from_secs(10));
    assert_eq!(world.passive.shows(), ACTIVE);
}

#[test]
fn a_clock_that_cannot_be_set_is_a_problem_until_it_can() {
    let mut world = World::new(State {
        broken: true,
        ..shows(1000)
    });
    world.exchange(Duration::ZERO);
    let problems = world.pair.nodes[&B].report().problems;
    assert_eq!(problems[0].message, "set the clock: permission denied");
    world.passive.0.borrow_mut().broken = false;
    world.pair.pass(Duration::from_secs(3600));
    assert_eq!(world.pair.nodes[&B].report().problems, []);
}

#[test]
fn an_active_that_does_not_tell_its_time_leaves_the_passive_alone() {
    let mut pair = Pair::new();
    let passive = Fake(Rc::new(RefCell::new(shows(1000))));
    share(&mut pair, B, &passive);
    pair.membership(&[A, B]);
    assert_eq!(passive.shows(), Duration::from_secs(1000));
    assert_eq!(pair.nodes[&B].report().problems, []);
}
