//! `batch`.

use super::Map;
use crate::span::{Place, Spanned};

/// `batch` (buildspec reference for batch builds).
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `fast-fail`; `None` is no.
    pub fast_fail: Option<Spanned<bool>>,
    /// Which of the four kinds it is; `None` where none or several are given.
    pub strategy: Option<Strategy>,
    /// Where the section stands.
    pub place: Place,
}

impl Batch {
    /// Whether one failed task stops the others.
    pub fn fails_fast(&self) -> bool {
        self.fast_fail.as_ref().is_some_and(|flag| flag.value)
    }
}

/// The four kinds of batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Strategy {
    /// `build-list`: all tasks at once.
    List(Vec<Task>),
    /// `build-graph`: tasks that wait for others.
    Graph(Vec<Task>),
    /// `build-matrix`: every combination.
    Matrix(Box<Matrix>),
    /// `build-fanout`: one build in shards.
    Fanout(Fanout),
}

/// One task of a list or graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// `identifier`; empty where it is missing, with a diagnostic.
    pub identifier: Spanned<String>,
    /// `buildspec`: path of another file; `None` is this one.
    pub buildspec: Option<Spanned<String>>,
    /// `debug-session`; `None` is no.
    pub debug_session: Option<Spanned<bool>>,
    /// `env`.
    pub env: TaskEnv,
    /// `ignore-failure`; `None` is no.
    pub ignore_failure: Option<Spanned<bool>>,
    /// `depend-on`: identifiers of tasks (graph only).
    pub depend_on: Vec<Spanned<String>>,
}

/// What a task changes of the project's environment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskEnv {
    /// `compute-type`.
    pub compute_type: Option<Spanned<String>>,
    /// `fleet`; not together with a compute type.
    pub fleet: Option<Spanned<String>>,
    /// `image`.
    pub image: Option<Spanned<String>>,
    /// `privileged-mode`.
    pub privileged_mode: Option<Spanned<bool>>,
    /// `type`: the environment type.
    pub environment_type: Option<Spanned<String>>,
    /// `variables`.
    pub variables: Map<Spanned<String>>,
}

/// `build-matrix`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    /// `static/ignore-failure`; `None` is no.
    pub ignore_failure: Option<Spanned<bool>>,
    /// `static/env`: the same in every build.
    pub static_env: TaskEnv,
    /// `dynamic`: one build for each combination.
    pub dynamic: MatrixDynamic,
}

/// `build-matrix/dynamic`: an empty list takes no part in the combinations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MatrixDynamic {
    /// `buildspec`: paths.
    pub buildspec: Vec<Spanned<String>>,
    /// `env/compute-type`.
    pub compute_type: Vec<Spanned<String>>,
    /// `env/image`.
    pub image: Vec<Spanned<String>>,
    /// `env/variables`: name to values.
    pub variables: Map<Vec<Spanned<String>>>,
}

/// `build-fanout`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fanout {
    /// `parallelism`: number of shards.
    pub parallelism: Spanned<u32>,
    /// `ignore-failure`; `None` is no.
    pub ignore_failure: Option<Spanned<bool>>,
}
