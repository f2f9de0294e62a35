//! What goes on around builds.

pub mod housekeeping;
