//! The world of an agent under test: its hardware as files, a bus with a stand-in for systemd, a stand-in for the
//! bridge, and Pacemaker's way of calling it.
#![allow(dead_code, reason = "each test program uses the part it needs")]

pub(crate) mod bridge;
pub(crate) mod bus;
pub(crate) mod script;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ocf-agents");

/// Every resource agent.
pub(crate) const AGENTS: [&str; 5] = ["mux", "settings", "fan", "power", "target"];

/// A chassis as files, and a place for the agents' state and Pacemaker's tool.
pub(crate) struct World {
    folder: TempDir,
    extra: BTreeMap<String, String>,
}

/// How a call of an agent ended.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs a program.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// The reason for Pacemaker.
    pub(crate) fn reason(&self) -> &str {
        let reason = self
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("ocf-exit-reason:"));
        reason.unwrap_or_else(|| panic!("no reason was given: {}", self.stderr))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl World {
    /// A chassis whose mux is free and granted to whoever asks, with two fans that turn and a host that has power.
    pub(crate) fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            extra: BTreeMap::new(),
        };
        fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        world.write("select", "0");
        world.link("select", "grant");
        for fan in 1..=2 {
            world.write(&format!("fan{fan}_input"), "4000");
            world.write(&format!("pwm{fan}"), "128");
        }
        world.write("power_good", "1");
        let log = format!("echo \"$*\" >>{}", world.path("scores").display());
        script::install(&world.path("crm_attribute"), &log);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, value: &str) {
        fs::write(self.path(name), format!("{value}\n")).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap().trim().to_owned()
    }

    /// Makes a file look as if it had been written that long ago.
    pub(crate) fn age(&self, name: &str, age: Duration) {
        let file = fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(SystemTime::now() - age))
            .unwrap();
    }

    /// Makes a file that reads as another does.
    pub(crate) fn link(&self, name: &str, as_well: &str) {
        std::os::unix::fs::symlink(self.path(name), self.path(as_well)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Replaces the willing mux by one that answers nothing and reads `grant`.
    pub(crate) fn stick_mux(&self, grant: &str) {
        self.remove("grant");
        self.write("grant", grant);
    }

    /// Sets a variable for every call that follows.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.extra.insert(name.to_owned(), value.to_owned());
    }

    /// What Pacemaker's tool was run with.
    pub(crate) fn scores(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("scores")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The environment of a recurring call of `agent`, with right parameters.
    pub(crate) fn environment(&self, agent: &str) -> BTreeMap<String, String> {
        let at = |name: &str| self.path(name).display().to_string();
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        set("OCF_ROOT", "/usr/lib/ocf".to_owned());
        set("OCF_RA_VERSION_MAJOR", "1".to_owned());
        set("OCF_RA_VERSION_MINOR", "1".to_owned());
        set("OCF_RESOURCE_INSTANCE", agent.to_owned());
        set("OCF_RESOURCE_PROVIDER", "openbmc".to_owned());
        set("OCF_RESKEY_CRM_meta_interval", "10000".to_owned());
        set("OCF_RESKEY_CRM_meta_timeout", "20000".to_owned());
        set("HA_RSCTMP", at("run"));
        set("HA_SBIN_DIR", at(""));
        set("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", at("bus")));
        if agent != "settings" {
            set("OCF_RESKEY_mux_grant_file", at("grant"));
        }
        match agent {
            "mux" => drop(set("OCF_RESKEY_mux_select_file", at("select"))),
            "settings" => drop(set("OCF_RESKEY_socket", at("bridge.sock"))),
            "power" => drop(set("OCF_RESKEY_power_good_file", at("power_good"))),
            "fan" => {
                set("OCF_RESKEY_tach_files", at("fan*_input"));
                set("OCF_RESKEY_duty_files", at("pwm*"));
            }
            _ => {}
        }
        environment.extend(self.extra.clone());
        environment
    }

    /// Calls an agent as Pacemaker does: by its name, with nothing but its environment.
    pub(crate) fn run(&self, agent: &str, action: &str) -> Outcome {
        self.run_with(agent, action, &[])
    }

    /// The same, with other variables. One that is given as `-` is taken away.
    pub(crate) fn run_with(&self, agent: &str, action: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut environment = self.environment(agent);
        for (name, value) in variables {
            if *value == "-" {
                environment.remove(*name);
            } else {
                environment.insert((*name).to_owned(), (*value).to_owned());
            }
        }
        let mut command = Command::new(PROGRAM);
        command
            .arg0(format!("/usr/lib/ocf/resource.d/openbmc/{agent}"))
            .arg(action);
        command.env_clear().envs(environment).output().unwrap().into()
    }

    /// Calls the program by another name, with nothing in its environment.
    pub(crate) fn call(&self, name: &str, arguments: &[&str]) -> Outcome {
        Command::new(PROGRAM)
            .arg0(name)
            .args(arguments)
            .env_clear()
            .output()
            .unwrap()
            .into()
    }

    /// Calls the fence agent as Pacemaker's fencer does.
    pub(crate) fn fence(&self, options: &str) -> Outcome {
        self.write("options", options);
        let options = fs::File::open(self.path("options")).unwrap();
        Command::new(PROGRAM)
            .arg0("/usr/sbin/fence_bmc")
            .env_clear()
            .stdin(options)
            .output()
            .unwrap()
            .into()
    }

    /// A probe: the same without an interval.
    pub(crate) fn probe(&self, agent: &str) -> Outcome {
        self.run_with(agent, "monitor", &[("OCF_RESKEY_CRM_meta_interval", "0")])
    }
}

/// Runs a program that the tests need, and says which one is missing if it is.
pub(crate) fn tool(name: &str) -> Command {
    let found = ["/usr/bin", "/usr/sbin"]
        .map(|folder| Path::new(folder).join(name))
        .into_iter()
        .find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| panic!("{name} is not installed; scripts/setup installs it")))
}
