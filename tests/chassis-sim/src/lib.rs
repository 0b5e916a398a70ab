//! The emulated chassis that two lab BMCs share.
