//! Reads buildspecs.
