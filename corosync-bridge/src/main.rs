//! Replicates BMC settings as Corosync CPG messages.

fn main() {}
