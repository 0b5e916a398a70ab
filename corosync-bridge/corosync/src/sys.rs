//! Generated bindings to libcpg, libcmap and libquorum. See `build.rs`.

#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    reason = "generated from C headers"
)]

include!(concat!(env!("OUT_DIR"), "/corosync.rs"));
