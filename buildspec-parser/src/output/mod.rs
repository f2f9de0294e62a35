//! Diagnostics in the formats that people and programs read. All are pure functions.

mod text;

pub use text::{Color, text};
