//! The emulated chassis that two lab BMCs share: mux, four fans, heat, host power, reset lines, event log.
//!
//! It is strict: what hardware would refuse it refuses, and it logs every refusal.
//!
//! Navigating: [`messages`] is what others speak with it, [`client`] how, [`invariants`] what its log proves. The truth
//! is [`chassis`], a state machine, with [`thermal`] for the heat and [`hardware`] for the names of the files. Around it
//! stand [`view`], a file system for each BMC, [`machine`], which boots and kills them, and [`server`], which ties them
//! together through the [`hub`].

pub mod chassis;
pub mod client;
pub mod config;
pub mod ctl;
pub mod hardware;
pub mod hub;
pub mod invariants;
pub mod machine;
pub mod messages;
pub mod processes;
pub mod server;
pub mod thermal;
pub mod verdict;
pub mod view;
