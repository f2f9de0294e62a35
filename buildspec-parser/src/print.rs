//! Typed buildspec in, YAML text out: what it prints, [`crate::parse`] reads back as the same model.

use std::borrow::Cow;

use crate::model::{
    Artifacts, Batch, Buildspec, Cache, Env, Files, Map, Matrix, Phase, Proxy, Report, Strategy,
    Task, TaskEnv,
};
use crate::span::{Span, Spanned};
use crate::yaml::{self, Entry, Kind, Node};

/// The buildspec as YAML. Keys with nothing in them are left out.
pub fn print(buildspec: &Buildspec) -> String {
    let mut root = Section::default();
    root.plain("version", buildspec.version.value.as_str());
    root.text("run-as", buildspec.run_as.as_ref());
    root.section("env", env(&buildspec.env));
    root.section("proxy", proxy(&buildspec.proxy));
    if let Some(batch) = &buildspec.batch {
        root.kept("batch", self::batch(batch));
    }
    let mut phases = Section::default();
    for (name, phase) in buildspec.phases.iter() {
        phases.kept(name.as_str(), self::phase(phase));
    }
    root.kept("phases", phases);
    root.map("reports", &buildspec.reports, report);
    if let Some(artifacts) = &buildspec.artifacts {
        root.kept("artifacts", self::artifacts(artifacts));
    }
    if let Some(cache) = &buildspec.cache {
        root.kept("cache", self::cache(cache));
    }
    yaml::print(&root.node())
}

/// A map in the making.
#[derive(Default)]
struct Section<'m> {
    entries: Vec<Entry<'m>>,
}

impl<'m> Section<'m> {
    fn push(&mut self, key: &'m str, value: Node<'m>) {
        self.entries.push(Entry {
            key: Cow::Borrowed(key),
            key_span: Span::default(),
            value,
        });
    }

    fn plain(&mut self, key: &'m str, text: &'m str) {
        self.push(
            key,
            node(Kind::Scalar {
                text: Cow::Borrowed(text),
                plain: true,
            }),
        );
    }

    fn text(&mut self, key: &'m str, text: Option<&'m Spanned<String>>) {
        if let Some(text) = text {
            self.push(key, scalar(&text.value));
        }
    }

    fn flag(&mut self, key: &'m str, flag: Option<Spanned<bool>>) {
        if let Some(flag) = flag {
            self.plain(key, if flag.value { "yes" } else { "no" });
        }
    }

    fn list(&mut self, key: &'m str, texts: &'m [Spanned<String>]) {
        if !texts.is_empty() {
            self.push(key, list(texts));
        }
    }

    fn texts(&mut self, key: &'m str, texts: &'m Map<Spanned<String>>) {
        self.map(key, texts, |text| scalar(&text.value));
    }

    fn map<T>(&mut self, key: &'m str, map: &'m Map<T>, value: impl Fn(&'m T) -> Node<'m>) {
        if map.is_empty() {
            return;
        }
        let mut section = Section::default();
        for (name, entry) in map {
            section.push(&name.value, value(entry));
        }
        self.kept(key, section);
    }

    /// Adds a section unless it is empty.
    fn section(&mut self, key: &'m str, section: Section<'m>) {
        if !section.entries.is_empty() {
            self.kept(key, section);
        }
    }

    /// Adds a section even if it is empty: its presence says something.
    fn kept(&mut self, key: &'m str, section: Section<'m>) {
        self.push(key, section.node());
    }

    fn node(self) -> Node<'m> {
        node(Kind::Mapping(self.entries))
    }
}

fn node(kind: Kind<'_>) -> Node<'_> {
    Node {
        span: Span::default(),
        kind,
    }
}

fn scalar(text: &str) -> Node<'_> {
    node(Kind::Scalar {
        text: Cow::Borrowed(text),
        plain: false,
    })
}

fn list(texts: &[Spanned<String>]) -> Node<'_> {
    node(Kind::Sequence(
        texts.iter().map(|text| scalar(&text.value)).collect(),
    ))
}

fn owned<'m>(text: String) -> Node<'m> {
    node(Kind::Scalar {
        text: Cow::Owned(text),
        plain: false,
    })
}

fn env(env: &Env) -> Section<'_> {
    let mut section = Section::default();
    if let Some(shell) = &env.shell {
        section.push("shell", scalar(shell.value.as_str()));
    }
    section.texts("variables", &env.variables);
    section.texts("parameter-store", &env.parameter_store);
    section.map("secrets-manager", &env.secrets_manager, |secret| {
        owned(secret.value.to_string())
    });
    section.list("exported-variables", &env.exported_variables);
    section.flag("git-credential-helper", env.git_credential_helper);
    section
}

fn proxy(proxy: &Proxy) -> Section<'_> {
    let mut section = Section::default();
    section.flag("upload-artifacts", proxy.upload_artifacts);
    section.flag("logs", proxy.logs);
    section
}

fn phase(phase: &Phase) -> Section<'_> {
    let mut section = Section::default();
    section.text("run-as", phase.run_as.as_ref());
    if let Some(on_failure) = &phase.on_failure {
        section.push("on-failure", owned(on_failure.value.to_string()));
    }
    section.texts("runtime-versions", &phase.runtime_versions);
    section.list("commands", &phase.commands);
    section.list("finally", &phase.finally);
    section
}

fn files<'m>(section: &mut Section<'m>, files: &'m Files) {
    section.list("files", &files.patterns);
    section.text("base-directory", files.base_directory.as_ref());
    section.flag("discard-paths", files.discard_paths);
    section.list("exclude-paths", &files.exclude_paths);
}

fn report(report: &Report) -> Node<'_> {
    let mut section = Section::default();
    files(&mut section, &report.files);
    if let Some(format) = &report.format {
        section.push("file-format", scalar(format.value.as_str()));
    }
    section.node()
}

fn artifacts(artifacts: &Artifacts) -> Section<'_> {
    let mut section = Section::default();
    files(&mut section, &artifacts.files);
    section.text("name", artifacts.name.as_ref());
    section.flag("enable-symlinks", artifacts.enable_symlinks);
    section.text("s3-prefix", artifacts.s3_prefix.as_ref());
    section.map("secondary-artifacts", &artifacts.secondary, |secondary| {
        self::artifacts(secondary).node()
    });
    section
}

fn cache(cache: &Cache) -> Section<'_> {
    let mut section = Section::default();
    section.text("key", cache.key.as_ref());
    section.list("fallback-keys", &cache.fallback_keys);
    if let Some(action) = &cache.action {
        section.push("action", scalar(action.value.as_str()));
    }
    section.list("paths", &cache.paths);
    section
}

fn batch(batch: &Batch) -> Section<'_> {
    let mut section = Section::default();
    section.flag("fast-fail", batch.fast_fail);
    match &batch.strategy {
        None => {}
        Some(Strategy::List(tasks)) => section.push("build-list", self::tasks(tasks)),
        Some(Strategy::Graph(tasks)) => section.push("build-graph", self::tasks(tasks)),
        Some(Strategy::Matrix(matrix)) => section.kept("build-matrix", self::matrix(matrix)),
        Some(Strategy::Fanout(fanout)) => {
            let mut inner = Section::default();
            inner.push("parallelism", owned(fanout.parallelism.value.to_string()));
            inner.flag("ignore-failure", fanout.ignore_failure);
            section.kept("build-fanout", inner);
        }
    }
    section
}

fn tasks(tasks: &[Task]) -> Node<'_> {
    node(Kind::Sequence(tasks.iter().map(task).collect()))
}

fn task(task: &Task) -> Node<'_> {
    let mut section = Section::default();
    section.text("identifier", Some(&task.identifier));
    section.text("buildspec", task.buildspec.as_ref());
    section.flag("debug-session", task.debug_session);
    section.section("env", task_env(&task.env));
    section.flag("ignore-failure", task.ignore_failure);
    section.list("depend-on", &task.depend_on);
    section.node()
}

fn task_env(env: &TaskEnv) -> Section<'_> {
    let mut section = Section::default();
    section.text("compute-type", env.compute_type.as_ref());
    section.text("fleet", env.fleet.as_ref());
    section.text("image", env.image.as_ref());
    section.flag("privileged-mode", env.privileged_mode);
    section.text("type", env.environment_type.as_ref());
    section.texts("variables", &env.variables);
    section
}

fn matrix(matrix: &Matrix) -> Section<'_> {
    let mut fixed = Section::default();
    fixed.flag("ignore-failure", matrix.ignore_failure);
    fixed.section("env", task_env(&matrix.static_env));
    let mut env = Section::default();
    env.list("compute-type", &matrix.dynamic.compute_type);
    env.list("image", &matrix.dynamic.image);
    env.map("variables", &matrix.dynamic.variables, |values| {
        list(values)
    });
    let mut dynamic = Section::default();
    dynamic.list("buildspec", &matrix.dynamic.buildspec);
    dynamic.section("env", env);
    let mut section = Section::default();
    section.section("static", fixed);
    section.section("dynamic", dynamic);
    section
}
