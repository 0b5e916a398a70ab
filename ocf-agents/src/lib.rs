//! OCF resource agents and a fence agent for a pair of BMCs.
