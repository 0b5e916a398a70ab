//! The replication core: events in, effects out.
