//! Which paths are replicated.
