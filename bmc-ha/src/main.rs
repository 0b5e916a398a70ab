//! Provision, inspect and switch a pair of BMCs.

fn main() {}
