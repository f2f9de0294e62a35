//! A build that is over.

use serde::Deserialize;

use crate::normalise;

/// What the agent wrote and how it ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code of the agent; none if a signal ended it.
    pub exit_code: Option<i32>,
    /// Its standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

/// The record of a build, as far as tests look at it (API, `Build`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// `project:uuid`.
    pub id: String,
    /// How it ended.
    pub build_status: String,
    /// The commit of its primary source.
    pub resolved_source_version: Option<String>,
    /// Its phases, in order.
    pub phases: Vec<Phase>,
    /// The values of `exported-variables`.
    pub exported_environment_variables: Vec<Variable>,
    /// Its artifacts, the primary one first.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
}

/// A stored artifact (API, `BuildArtifacts`).
#[derive(Debug, Clone, Deserialize)]
pub struct Artifact {
    /// Where it lies.
    pub location: String,
    /// SHA-256 of an archive.
    pub sha256sum: Option<String>,
    /// MD5 of an archive.
    pub md5sum: Option<String>,
}

/// One phase of a build (API, `BuildPhase`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Which phase.
    pub phase_type: String,
    /// How it ended; `COMPLETED` has none.
    pub phase_status: Option<String>,
    /// Why it ended so.
    #[serde(default)]
    pub contexts: Vec<Context>,
}

/// Why a phase ended as it did (API, `PhaseContext`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// CodeBuild's code.
    pub status_code: String,
    /// One sentence.
    pub message: String,
}

/// An exported variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
enum Line {
    Log { message: String },
    Event {},
    Build { build: Build },
}

impl Finished {
    /// The build's log as `--json` tells it.
    pub fn log(&self) -> String {
        let messages = self.lines().into_iter().filter_map(|line| match line {
            Line::Log { message } => Some(message),
            Line::Event {} | Line::Build { .. } => None,
        });
        messages.collect()
    }

    /// The record of the build, which `--json` tells last.
    pub fn build(&self) -> Build {
        match self.lines().pop() {
            Some(Line::Build { build }) => build,
            _ => panic!(
                "the agent told no build; it said:\n{}{}",
                self.text(),
                self.stderr
            ),
        }
    }

    /// Every phase with its status, such as `BUILD FAILED`; `COMPLETED` stands alone.
    pub fn phases(&self) -> Vec<String> {
        let line = |phase: Phase| match phase.phase_status {
            Some(status) => format!("{} {status}", phase.phase_type),
            None => phase.phase_type,
        };
        self.build().phases.into_iter().map(line).collect()
    }

    /// The context of a phase as `CODE: message`; empty where both are.
    pub fn context(&self, phase: &str) -> String {
        let found = self
            .build()
            .phases
            .into_iter()
            .find(|entered| entered.phase_type == phase);
        let contexts = found
            .unwrap_or_else(|| panic!("{phase} was entered"))
            .contexts;
        match contexts.first() {
            Some(context) if *context != Context::empty() => {
                format!("{}: {}", context.status_code, context.message)
            }
            _ => String::new(),
        }
    }

    /// The lines of the normalised log that commands wrote, without the agent's own and without
    /// empty ones.
    pub fn output(&self) -> Vec<String> {
        let log = normalise(&self.log());
        let written = log
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("[Container] "));
        written.map(str::to_owned).collect()
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn lines(&self) -> Vec<Line> {
        let text = self.text();
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not a line of JSON ({error}): {line}"))
        };
        text.lines().map(parse).collect()
    }
}

impl Context {
    fn empty() -> Self {
        Self {
            status_code: String::new(),
            message: String::new(),
        }
    }
}
