//! Batch section in, the builds it stands for out: identifiers, settings, dependencies.

mod check;
mod matrix;

pub use check::check;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Batch, Fanout, Strategy, Task, TaskEnv};
use crate::span::Spanned;

/// Every build of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// Whether one failed build stops the others.
    pub fast_fail: bool,
    /// The builds, in the order of the file; a build comes after those it waits for only by chance.
    pub builds: Vec<BatchBuild>,
}

/// One build of a batch: what it changes of an ordinary build of the project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchBuild {
    /// Unique in the batch; the build sees it as `CODEBUILD_BATCH_BUILD_IDENTIFIER`.
    pub identifier: String,
    /// Path of another buildspec; `None` is the one of the batch.
    pub buildspec: Option<String>,
    /// Whether session debugging is on.
    pub debug_session: bool,
    /// Changed settings of the environment.
    pub environment: BatchEnvironment,
    /// Whether the batch may succeed although this build fails.
    pub ignore_failure: bool,
    /// Identifiers of the builds that must have ended before.
    pub depend_on: Vec<String>,
    /// Which part of a fanout it is.
    pub shard: Option<Shard>,
}

/// What one build of a batch changes of the project's environment; `None` keeps the project's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchEnvironment {
    /// Compute type.
    pub compute_type: Option<String>,
    /// Fleet; never together with a compute type.
    pub fleet: Option<String>,
    /// Image.
    pub image: Option<String>,
    /// Privileged mode.
    pub privileged_mode: Option<bool>,
    /// Environment type.
    pub environment_type: Option<String>,
    /// Names and values, which override those of project and buildspec.
    pub variables: Vec<(String, String)>,
}

/// One part of a fanout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Number of the part, from 0.
    pub index: u32,
    /// Number of parts.
    pub count: u32,
}

/// The builds of a batch, or why there are none.
///
/// The problems are those that [`crate::parse`] has already noted for the section, so that a caller
/// who has shown them need not show them again.
pub fn expand(batch: &Batch) -> Result<Expansion, Vec<Diagnostic>> {
    let problems = check(batch);
    if !problems.is_empty() {
        return Err(problems);
    }
    let builds = match &batch.strategy {
        None => {
            let message = "a batch needs exactly one kind of build";
            return Err(vec![Diagnostic::new(
                Code::BatchShape,
                batch.place.0,
                message,
            )]);
        }
        Some(Strategy::List(tasks) | Strategy::Graph(tasks)) => tasks.iter().map(task).collect(),
        Some(Strategy::Matrix(matrix)) => matrix::builds(matrix),
        Some(Strategy::Fanout(fanout)) => shards(fanout),
    };
    Ok(Expansion {
        fast_fail: batch.fails_fast(),
        builds,
    })
}

fn task(task: &Task) -> BatchBuild {
    BatchBuild {
        identifier: task.identifier.value.clone(),
        buildspec: text(task.buildspec.as_ref()),
        debug_session: is_yes(task.debug_session),
        environment: environment(&task.env),
        ignore_failure: is_yes(task.ignore_failure),
        depend_on: task
            .depend_on
            .iter()
            .map(|other| other.value.clone())
            .collect(),
        shard: None,
    }
}

fn shards(fanout: &Fanout) -> Vec<BatchBuild> {
    let count = fanout.parallelism.value;
    let build = |index| BatchBuild {
        identifier: format!("shard_{}", index + 1),
        ignore_failure: is_yes(fanout.ignore_failure),
        shard: Some(Shard { index, count }),
        ..BatchBuild::default()
    };
    (0..count).map(build).collect()
}

fn environment(env: &TaskEnv) -> BatchEnvironment {
    BatchEnvironment {
        compute_type: text(env.compute_type.as_ref()),
        fleet: text(env.fleet.as_ref()),
        image: text(env.image.as_ref()),
        privileged_mode: env.privileged_mode.map(|flag| flag.value),
        environment_type: text(env.environment_type.as_ref()),
        variables: env
            .variables
            .iter()
            .map(|(name, text)| (name.value.clone(), text.value.clone()))
            .collect(),
    }
}

fn text(text: Option<&Spanned<String>>) -> Option<String> {
    text.map(|text| text.value.clone())
}

fn is_yes(flag: Option<Spanned<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansion(batch: &str) -> Expansion {
        let text = format!("version: 0.2\nphases: {{}}\nbatch:\n{batch}");
        let parsed = crate::parse(&text);
        assert_eq!(
            parsed.diagnostics.iter().filter(|d| d.is_error()).count(),
            0,
            "{:?}",
            parsed.diagnostics
        );
        expand(&parsed.buildspec.unwrap().batch.unwrap()).unwrap()
    }

    #[test]
    fn a_graph_keeps_settings_and_dependencies() {
        let builds = expansion(
            "  fast-fail: true\n  build-graph:\n    - {identifier: a, env: {compute-type: BUILD_GENERAL1_LARGE, variables: {X: 1.0}}}\n    - {identifier: b, buildspec: b.yml, depend-on: [a], ignore-failure: yes}\n",
        );
        assert!(builds.fast_fail);
        assert_eq!(
            builds.builds[0].environment.compute_type.as_deref(),
            Some("BUILD_GENERAL1_LARGE")
        );
        assert_eq!(
            builds.builds[0].environment.variables,
            [("X".to_owned(), "1.0".to_owned())]
        );
        assert_eq!(builds.builds[1].depend_on, ["a"]);
        assert!(builds.builds[1].ignore_failure);
    }

    #[test]
    fn a_matrix_is_every_combination() {
        let expansion = expansion(
            "  build-matrix:\n    static: {env: {privileged-mode: true}}\n    dynamic:\n      buildspec: [a.yml, b.yml]\n      env: {variables: {V: [x, y, z]}}\n",
        );
        assert_eq!(expansion.builds.len(), 6);
        let first = &expansion.builds[0];
        assert_eq!(first.buildspec.as_deref(), Some("a.yml"));
        assert_eq!(first.environment.privileged_mode, Some(true));
        assert_eq!(
            first.environment.variables,
            [("V".to_owned(), "x".to_owned())]
        );
        let identifiers: std::collections::BTreeSet<_> =
            expansion.builds.iter().map(|b| &b.identifier).collect();
        assert_eq!(identifiers.len(), 6, "every build has a name of its own");
    }

    #[test]
    fn a_fanout_is_numbered() {
        let builds = expansion("  build-fanout: {parallelism: 3, ignore-failure: true}\n").builds;
        let shards: Vec<_> = builds.iter().map(|build| build.shard.unwrap()).collect();
        assert_eq!(shards, [0, 1, 2].map(|index| Shard { index, count: 3 }));
    }
}
