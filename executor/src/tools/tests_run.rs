//! `codebuild-tests-run`: runs the part of the tests that falls to one build of a fan-out (user guide, "Use the
//! codebuild-tests-run CLI command").
//!
//! How a build learns its part is not documented: here the variables below say it, and without them
//! all tests are run.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::{ToolError, print_lines};

/// Number of this build within its fan-out, from 0.
const SHARD_INDEX: &str = "CODEBUILD_BATCH_SHARD_INDEX";

/// Number of builds of the fan-out.
const SHARD_COUNT: &str = "CODEBUILD_BATCH_SHARD_COUNT";

/// The files of this build, one a line, for the test command.
const FILES: &str = "CODEBUILD_CURRENT_SHARD_FILES";

/// Longest value of [`FILES`]; the kernel refuses a little more.
const LONGEST_FILES: usize = 120 * 1024;

const USAGE: &str = "usage: codebuild-tests-run --test-command COMMAND --files-search COMMAND \
[--sharding-strategy equal-distribution|stability]";

/// Finds the tests, takes this build's part and runs it.
pub(super) fn run(arguments: &[String]) -> Result<u8, ToolError> {
    let options = Options::read(arguments)?;
    let shard = Shard::of_build()?;
    let output = Command::new("/bin/sh")
        .args(["-c", &options.files_search])
        .stderr(Stdio::inherit())
        .output()
        .map_err(ToolError::system("/bin/sh"))?;
    if !output.status.success() {
        return Err(ToolError::Nothing(format!(
            "the files search failed: {}",
            output.status
        )));
    }
    let found = String::from_utf8_lossy(&output.stdout);
    let mut files: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
    files.sort_unstable();
    files.dedup();
    let total = files.len();
    let files = shard.part(files, options.strategy);
    if files.is_empty() {
        return print_lines([format!(
            "codebuild-tests-run: none of {total} files falls to shard {}",
            shard.index
        )]);
    }
    let listed = files.join("\n");
    let mut command = Command::new("/bin/sh");
    command
        // As arguments: the list may be longer than a text that a shell takes.
        .args(["-c", &format!("{} \"$@\"", options.test_command), "sh"])
        .args(&files);
    if listed.len() <= LONGEST_FILES {
        command.env(FILES, listed);
    }
    let status = command.status().map_err(ToolError::system("/bin/sh"))?;
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(1))
}

/// How files are spread over the builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// Evenly, by their names.
    EqualDistribution,
    /// So that most stay where they are when others come and go.
    Stability,
}

#[derive(Debug)]
struct Options {
    test_command: String,
    files_search: String,
    strategy: Strategy,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, ToolError> {
        let wrong = |why: String| ToolError::Usage(format!("{why}\n{USAGE}"));
        let (mut test_command, mut files_search) = (None, None);
        let mut strategy = Strategy::EqualDistribution;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), arguments.next().cloned()),
            };
            let value = value.ok_or_else(|| wrong(format!("{name} has no value")))?;
            match name {
                "--test-command" => test_command = Some(value),
                "--files-search" => files_search = Some(value),
                "--sharding-strategy" => {
                    strategy = match value.as_str() {
                        "equal-distribution" => Strategy::EqualDistribution,
                        "stability" => Strategy::Stability,
                        _ => return Err(wrong(format!("`{value}` is no sharding strategy"))),
                    }
                }
                _ => return Err(wrong(format!("`{name}` is no option"))),
            }
        }
        let missing = |name| wrong(format!("{name} is missing"));
        Ok(Self {
            test_command: test_command.ok_or_else(|| missing("--test-command"))?,
            files_search: files_search.ok_or_else(|| missing("--files-search"))?,
            strategy,
        })
    }
}

/// The place of a build within its fan-out.
#[derive(Debug, Clone, Copy)]
struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    fn of_build() -> Result<Self, ToolError> {
        let number = |name: &str| {
            let Some(value) = env::var_os(name) else {
                return Ok(None);
            };
            let text = value.to_string_lossy();
            text.parse()
                .map(Some)
                .map_err(|_| ToolError::Nothing(format!("{name} is `{text}`, which is no number")))
        };
        match (number(SHARD_INDEX)?, number(SHARD_COUNT)?) {
            (None, None) => Ok(Self { index: 0, count: 1 }),
            (Some(index), Some(count)) if index < count => Ok(Self { index, count }),
            _ => Err(ToolError::Nothing(format!(
                "{SHARD_INDEX} has to be less than {SHARD_COUNT}"
            ))),
        }
    }

    /// The files that fall to this build, of files in order.
    fn part(self, files: Vec<&str>, strategy: Strategy) -> Vec<&str> {
        let files = files.into_iter().enumerate();
        let falls_here = |(at, file): &(usize, &str)| match strategy {
            Strategy::EqualDistribution => at % self.count == self.index,
            Strategy::Stability => stable_shard(file, self.count) == self.index,
        };
        files.filter(falls_here).map(|(_, file)| file).collect()
    }
}

/// The build of which the hash together with the file is highest: with one build more, only those
/// files move that go to it.
fn stable_shard(file: &str, count: usize) -> usize {
    let score = |shard: &usize| {
        let mut hash = Sha256::new();
        hash.update(shard.to_string());
        hash.update([0]);
        hash.update(file);
        let bytes: [u8; 32] = hash.finalize().into();
        bytes
    };
    (0..count).max_by_key(score).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: usize, strategy: Strategy) -> Vec<Vec<String>> {
        let names: Vec<String> = (0..100)
            .map(|at| format!("tests/test_{at:03}.py"))
            .collect();
        (0..count)
            .map(|index| {
                let files = names.iter().map(String::as_str).collect();
                let part = Shard { index, count }.part(files, strategy);
                part.into_iter().map(str::to_owned).collect()
            })
            .collect()
    }

    #[test]
    fn every_file_falls_to_exactly_one_build() {
        for strategy in [Strategy::EqualDistribution, Strategy::Stability] {
            let mut all: Vec<String> = parts(7, strategy).concat();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 100, "{strategy:?}");
        }
    }

    #[test]
    fn equal_parts_differ_by_one_file_at_most() {
        let sizes: Vec<usize> = parts(7, Strategy::EqualDistribution)
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(sizes.iter().max(), Some(&15));
        assert_eq!(sizes.iter().min(), Some(&14));
    }

    #[test]
    fn with_a_build_more_files_move_only_to_it() {
        let (before, after) = (parts(4, Strategy::Stability), parts(5, Strategy::Stability));
        for (shard, files) in before.iter().enumerate() {
            let kept = files
                .iter()
                .filter(|file| after[shard].contains(file))
                .count();
            let moved = files.iter().filter(|file| after[4].contains(file)).count();
            assert_eq!(kept + moved, files.len());
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            Options::read(&arguments).unwrap_err().to_string()
        };
        assert!(error(&[]).starts_with("--test-command is missing"));
        assert!(error(&["--test-command", "a"]).starts_with("--files-search is missing"));
        assert!(error(&["--sharding-strategy=x"]).starts_with("`x` is no sharding strategy"));
        assert!(error(&["--other", "x"]).starts_with("`--other` is no option"));
    }
}
