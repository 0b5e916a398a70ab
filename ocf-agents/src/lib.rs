//! OCF resource agents and a fence agent for a pair of BMCs, and the library that they stand on.

pub mod hardware;
