//! Stand-ins for the OpenBMC services of the lab.
