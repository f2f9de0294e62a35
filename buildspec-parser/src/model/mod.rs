//! The buildspec as typed values: the whole grammar, versions 0.1 and 0.2.
//!
//! A key that is absent is `None` or empty; defaults are given by methods, so that a printed model
//! reads back as itself. Scalars of the author's own (variables, commands, paths) keep the text they
//! were written with: `1.10` stays `1.10`.

mod artifacts;
mod batch;
mod env;
mod map;
mod phases;

pub use artifacts::{Artifacts, Cache, CacheAction, Files, Report, ReportFormat};
pub use batch::{Batch, Fanout, Matrix, MatrixDynamic, Strategy, Task, TaskEnv};
pub use env::{Env, Proxy, SecretReference, SecretReferenceError, Shell};
pub use map::Map;
pub use phases::{OnFailure, OnFailureError, Phase, PhaseName, Phases};

use std::fmt;

use crate::span::{Span, Spanned};

/// A whole buildspec (buildspec reference, "Buildspec syntax").
#[derive(Debug, Clone, PartialEq)]
pub struct Buildspec {
    /// `version`.
    pub version: Spanned<Version>,
    /// `run-as`: user of every phase that names none itself.
    pub run_as: Option<Spanned<String>>,
    /// `env`.
    pub env: Env,
    /// `proxy`.
    pub proxy: Proxy,
    /// `batch`: counts only when a batch is started.
    pub batch: Option<Batch>,
    /// `phases`.
    pub phases: Phases,
    /// `reports`: by report group name or ARN; empty means that reports are discovered.
    pub reports: Map<Report>,
    /// `artifacts`.
    pub artifacts: Option<Artifacts>,
    /// `cache`.
    pub cache: Option<Cache>,
}

impl Buildspec {
    /// A buildspec of the given version with nothing in it.
    pub fn new(version: Version) -> Self {
        Self {
            version: Spanned::new(version, Span::default()),
            run_as: None,
            env: Env::default(),
            proxy: Proxy::default(),
            batch: None,
            phases: Phases::default(),
            reports: Map::default(),
            artifacts: None,
            cache: None,
        }
    }

    /// The user who runs a phase's commands; `None` is root (buildspec reference, run-as).
    pub fn run_as(&self, phase: PhaseName) -> Option<&str> {
        let own = self
            .phases
            .get(phase)
            .and_then(|phase| phase.run_as.as_ref());
        own.or(self.run_as.as_ref()).map(|user| user.value.as_str())
    }
}

/// Version of the buildspec language (buildspec reference, version).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.1: every command has a shell of its own.
    V0_1,
    /// 0.2: directory and variables carry over from command to command.
    V0_2,
}

impl Version {
    /// The version as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1",
            Self::V0_2 => "0.2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
