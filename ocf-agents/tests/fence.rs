//! The fence agent, called as Pacemaker's fencer calls it: options on standard input.

#[cfg(test)]
mod support;

use support::World;

/// A reset line whose proof follows it, and a lock that nobody else wants.
fn world() -> World {
    let world = World::new();
    world.write("reset", "0");
    world.link("reset", "held");
    world.write("lock", "0");
    world
}

fn options(world: &World, action: &str) -> String {
    let at = |name: &str| world.path(name).display().to_string();
    format!(
        "action={action}\nnodename=bmc1\nplug=bmc1\nreset_file={}\nheld_file={}\nlock_file={}\npower_timeout=1\n",
        at("reset"),
        at("held"),
        at("lock")
    )
}

#[test]
fn off_holds_the_sibling_and_gives_the_lock_back() {
    let world = world();
    world.fence(&options(&world, "status")).expect(0);
    world.fence(&options(&world, "off")).expect(0);
    assert_eq!(
        (world.read("reset"), world.read("lock")),
        ("1".into(), "0".into())
    );
    world.fence(&options(&world, "status")).expect(2);
    world.fence(&options(&world, "off")).expect(0);
}

#[test]
fn on_lets_the_sibling_go() {
    let world = world();
    world.fence(&options(&world, "off")).expect(0);
    world.fence(&options(&world, "on")).expect(0);
    assert_eq!(
        (world.read("reset"), world.read("lock")),
        ("0".into(), "0".into())
    );
    world.fence(&options(&world, "status")).expect(0);
}

#[test]
fn reboot_is_the_default_and_does_both() {
    let world = world();
    let log = world.path("log");
    let lines = options(&world, "reboot").replace("action=reboot\n", "");
    world
        .fence(&format!("{lines}debug_file={}\n", log.display()))
        .expect(0);
    let log = world.read("log");
    let (held, let_go) = (log.find("is held in reset"), log.find("was let go"));
    assert!(held.is_some() && held < let_go, "{log}");
    assert_eq!(world.read("reset"), "0");
}

#[test]
fn without_the_proof_fencing_fails_and_the_line_is_let_go() {
    let world = world();
    world.remove("held");
    world.write("held", "0");
    let outcome = world.fence(&options(&world, "off")).expect(1);
    assert!(
        outcome.stderr.contains("held to read 1: no proof after"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        (world.read("reset"), world.read("lock")),
        ("0".into(), "0".into())
    );
    world.fence(&options(&world, "status")).expect(0);
}

#[test]
fn a_line_that_is_pulled_without_the_proof_is_not_off() {
    let world = world();
    world.remove("held");
    world.write("held", "0");
    world.write("reset", "1");
    world.fence(&options(&world, "status")).expect(0);
}

#[test]
fn monitor_and_status_tell_hardware_that_is_not_there() {
    for missing in ["reset", "held", "lock"] {
        let world = world();
        world.fence(&options(&world, "monitor")).expect(0);
        world.remove(missing);
        let outcome = world.fence(&options(&world, "monitor")).expect(1);
        assert!(
            outcome.stderr.contains("No such file or directory"),
            "{}",
            outcome.stderr
        );
        if missing != "lock" {
            world.fence(&options(&world, "status")).expect(1);
        }
    }
}

#[test]
fn a_bmc_does_not_fence_itself() {
    let world = world();
    let this = rustix::system::uname();
    let this = this.nodename().to_string_lossy();
    for action in ["off", "reboot", "on"] {
        let lines = options(&world, action).replace("plug=bmc1", &format!("plug={this}"));
        let outcome = world.fence(&lines).expect(1);
        assert!(
            outcome.stderr.contains("it can reset its sibling only"),
            "{}",
            outcome.stderr
        );
    }
    assert_eq!(world.read("reset"), "0");
}

#[test]
fn a_board_without_a_lock_needs_none() {
    let world = world();
    let lines = options(&world, "off").replace("lock_file=", "# no lock: ");
    world.fence(&lines).expect(0);
    assert_eq!(
        (world.read("reset"), world.read("lock")),
        ("1".into(), "0".into())
    );
}

#[test]
fn what_can_be_fenced_is_listed() {
    let world = world();
    assert_eq!(world.fence(&options(&world, "list")).expect(0).stdout, "bmc1,\n");
    assert_eq!(
        world.fence(&options(&world, "list-status")).expect(0).stdout,
        "bmc1,,on\n"
    );
    world.fence(&options(&world, "off")).expect(0);
    assert_eq!(
        world.fence(&options(&world, "list-status")).expect(0).stdout,
        "bmc1,,off\n"
    );
    assert_eq!(world.fence("action=list\n").expect(0).stdout, "N/A\n");
}

#[test]
fn bad_options_are_refused_before_anything_is_touched() {
    let world = world();
    let cases = [
        (
            "power_timeout=1",
            "power_timeout=never",
            "parameter power_timeout is \"never\"",
        ),
        (
            "action=off",
            "action=explode",
            "parameter action is \"explode\": expected on, off",
        ),
        ("reset_file=/", "reset_file=", "parameter reset_file is "),
        (
            "held_file=",
            "other=",
            "parameter held_file is not set: expected an absolute path",
        ),
    ];
    for (right, wrong, reason) in cases {
        let outcome = world
            .fence(&options(&world, "off").replace(right, wrong))
            .expect(1);
        assert!(
            outcome.stderr.starts_with(&format!("fence_bmc: {reason}")),
            "{wrong}: {}",
            outcome.stderr
        );
    }
    world.fence(&options(&world, "validate-all")).expect(0);
    world.fence("action=validate-all\n").expect(1);
    assert_eq!(world.read("reset"), "0");
}

#[test]
fn the_command_line_says_the_same() {
    let world = world();
    let at = |name: &str| world.path(name).display().to_string();
    let (reset, held) = (
        format!("--reset-file={}", at("reset")),
        format!("--held-file={}", at("held")),
    );
    world
        .call("fence_bmc", &["-o", "off", "-n", "bmc1", &reset, &held, "-v"])
        .expect(0);
    assert_eq!(world.read("reset"), "1");
    assert!(
        world
            .call("fence_bmc", &["--help"])
            .expect(0)
            .stdout
            .contains("-n, --plug=[name]")
    );
    assert!(
        world
            .call("fence_bmc", &["-V"])
            .expect(0)
            .stdout
            .starts_with("fence_bmc ")
    );
    world.call("fence_bmc", &["off"]).expect(1);
}
