//! Constants of Pacemaker's public headers, made by bindgen. They are for a test only: the agents are built without
//! Pacemaker's headers, and this crate is what holds them to those.

/// The headers' own names.
#[allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub,
    reason = "generated, in the headers' own style"
)]
mod headers {
    include!(concat!(env!("OUT_DIR"), "/pacemaker.rs"));
}

pub use headers::*;
