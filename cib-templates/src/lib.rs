//! CIB templates: filled, validated, applied in one push.
