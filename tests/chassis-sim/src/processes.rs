//! What runs beneath a process, read from /proc.

use std::fs;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

/// Live descendants of a process, nearest first. Zombies are left out: they run nothing.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut unvisited = vec![root];
    while let Some(parent) = unvisited.pop() {
        for child in children(parent) {
            unvisited.push(child);
            if !is_zombie(child) {
                found.push(child);
            }
        }
    }
    found
}

/// The PID 1 of a PID namespace that was made beneath a process, with a handle on it.
pub fn init_beneath(root: Pid) -> Option<(Pid, OwnedFd)> {
    let init = descendants(root)
        .into_iter()
        .find(|&pid| is_init_of_inner_namespace(pid))?;
    let handle = pidfd_open(init, PidfdFlags::empty()).ok()?;
    // The number may have passed to another process before it was opened: look again through the handle's lifetime.
    is_init_of_inner_namespace(init).then_some((init, handle))
}

fn children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(parse_pid).collect::<Vec<_>>())
        .collect()
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

/// A field of /proc/PID/status.
fn status_field(pid: Pid, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

fn is_zombie(pid: Pid) -> bool {
    status_field(pid, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// `NSpid` lists a process's number in each PID namespace from ours inward (proc_pid_status(5)).
fn is_init_of_inner_namespace(pid: Pid) -> bool {
    status_field(pid, "NSpid").is_some_and(|numbers| {
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        numbers.len() > 1 && numbers.last() == Some(&"1")
    })
}
