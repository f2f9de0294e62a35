//! What is not documented of CodeBuild, decided once, here.
//!
//! Each item says what is unknown and what this crate does about it; the code that acts on it names
//! the constant or links here.

/// Largest buildspec that is read, in bytes. CodeBuild documents no limit.
pub const LARGEST_FILE_BYTES: usize = 1 << 20;

/// Deepest nesting of lists and maps. The deepest place of the grammar is ten levels down.
pub const DEEPEST_NESTING: usize = 64;

/// Most scalars, aliases, and beginnings and ends of lists and maps in one file; a buildspec of a thousand lines has about two
/// thousand. Together with [`LARGEST_FILE_BYTES`] it bounds the time that reading a file takes.
pub const MOST_VALUES: usize = 50_000;

/// Most bytes of commands that the rules take apart; those beyond are not looked into.
pub const LARGEST_SCRIPT_BYTES: usize = 1 << 18;

/// What anchors may add to a file: each copied node counts [`COPIED_NODE_COST`] and its text's bytes.
pub const LARGEST_ALIAS_EXPANSION: usize = 1 << 20;

/// Cost of one copied node, see [`LARGEST_ALIAS_EXPANSION`].
pub const COPIED_NODE_COST: usize = 32;

/// Most diagnostics that one text gives; those that follow are dropped. A hostile file could
/// otherwise have one for each line.
pub const MOST_DIAGNOSTICS: usize = 200;

/// Most fallback keys (buildspec reference, cache/fallback-keys); those that follow are ignored.
pub const MOST_FALLBACK_KEYS: usize = 5;

/// Retries when `on-failure: RETRY` names no number (buildspec reference, phases/on-failure).
pub const DEFAULT_RETRIES: u8 = 3;

/// Most retries that `on-failure` may name (buildspec reference, phases/on-failure).
pub const MOST_RETRIES: u8 = 100;

/// Longest batch identifier, in characters (same rule as for source identifiers in the API).
pub const LONGEST_IDENTIFIER: usize = 127;

/// Most builds of one batch (service quotas, "Maximum number of builds in a batch").
pub const MOST_BATCH_BUILDS: usize = 100;
