//! Names of images go in; what runs for them on this machine comes out.
//!
//! A project names a curated image of CodeBuild's, an image of a registry, or one of ours. The
//! [`Catalog`] says which images may stand for the name, [`Reference`] takes a name apart, and
//! [`files`] holds what our own images are built from.

mod catalog;
mod ecr;
pub mod files;
mod reference;

pub use catalog::{Catalog, CuratedImage, Language, Platform};
pub use ecr::{EcrError, EcrLogins};
pub use reference::{EcrRegistry, Reference};
