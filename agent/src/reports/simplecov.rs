//! `SIMPLECOV`: the `.resultset.json` of simplecov.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::{Counts, Coverage, ReadError, Source, json};

/// The results of one command, such as `RSpec`.
#[derive(Deserialize)]
struct Command {
    coverage: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    lines: Lines,
    #[serde(default)]
    branches: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Covered and missed lines.
#[derive(Default)]
struct Lines {
    covered: u64,
    missed: u64,
}

/// One line: hits, or nothing where there is no code.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Hits(u64),
    Irrelevant(serde::de::IgnoredAny),
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Count)
    }
}

/// Counts the lines as they come: there may be millions.
struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = Lines;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of lines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<Lines, A::Error> {
        let mut counted = Lines::default();
        while let Some(line) = lines.next_element()? {
            if let Line::Hits(hits) = line {
                counted.missed += u64::from(hits == 0);
                counted.covered += u64::from(hits > 0);
            }
        }
        Ok(counted)
    }
}

/// Takes every file. One that several commands cover counts as the command that covers most of it
/// has it.
pub(super) fn read(
    file: impl BufRead,
    source: &Source<'_>,
    coverage: &mut Coverage,
) -> Result<(), ReadError> {
    let commands: BTreeMap<String, Command> = json::read(file)?;
    let mut best: BTreeMap<String, Counts> = BTreeMap::new();
    for command in commands.into_values() {
        for (path, file) in command.coverage {
            let counts = counts(&file);
            let known = best.entry(path).or_insert(counts);
            if counts.lines_covered > known.lines_covered {
                *known = counts;
            }
        }
    }
    for (path, counts) in best {
        coverage.add(&path, counts, source);
    }
    Ok(())
}

fn counts(file: &File) -> Counts {
    let branches = || file.branches.values().flat_map(BTreeMap::values);
    let count = |taken: bool| branches().filter(|hits| (**hits > 0) == taken).count() as u64;
    Counts {
        lines_covered: file.lines.covered,
        lines_missed: file.lines.missed,
        branches_covered: count(true),
        branches_missed: count(false),
    }
}
