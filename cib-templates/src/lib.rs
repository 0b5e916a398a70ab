//! CIB templates: filled, validated, applied in one push.
//!
//! A template ([`template`]) is an XML file with typed parameters ([`parameter`]) and the parts of
//! Pacemaker's configuration that it owns. Values ([`values`]) fill it ([`fill`]); the result is merged into
//! the cluster's CIB ([`merge`]), which keeps whatever an administrator added beside it; Pacemaker's own
//! tools verify it and push the difference ([`cluster`]). The constraints between mux, settings and
//! services live in `templates/` and nowhere else.

pub mod cluster;
pub mod fill;
pub mod library;
pub mod merge;
pub mod parameter;
pub mod template;
pub mod tool;
pub mod values;
pub mod xml;

pub use cluster::{Applied, Cib};
pub use fill::Filled;
pub use template::Template;
pub use values::Values;
