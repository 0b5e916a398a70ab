//! Two real BMC containers on one emulated chassis.
