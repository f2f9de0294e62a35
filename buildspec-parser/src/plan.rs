//! What a buildspec means for a build, as data: nothing is run, nothing is looked up.

use crate::model::{Buildspec, Files, OnFailure, PhaseName, SecretReference};
use crate::span::{Span, Spanned};

/// One command phase and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseOutcome {
    /// Which phase.
    pub phase: PhaseName,
    /// Whether the buildspec has it; a phase that is absent is entered and succeeds all the same.
    pub present: bool,
    /// Number of `commands`.
    pub commands: usize,
    /// Number of `finally` commands: they run after the commands, failed or not.
    pub finally: usize,
    /// User of the commands; `None` is root.
    pub run_as: Option<String>,
    /// What comes when every command succeeded.
    pub on_success: Next,
    /// What comes when a command failed.
    pub on_failure: FailureOutcome,
}

/// What a failing command leads to, after the phase's `finally` commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureOutcome {
    /// How often, and for which messages, the build is retried before anything else happens.
    pub retry: Option<Retry>,
    /// What comes next.
    pub next: Next,
    /// Command phases that are then left out.
    pub skipped: Vec<PhaseName>,
    /// Whether artifacts and reports are still uploaded.
    pub uploads: bool,
}

/// `on-failure: RETRY…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Times after the first one.
    pub count: u8,
    /// Regular expression the error message must match.
    pub pattern: String,
}

/// Where a build goes after a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another command phase.
    Phase(PhaseName),
    /// `UPLOAD_ARTIFACTS`.
    Upload,
    /// `FINALIZING`: nothing of the buildspec follows.
    End,
}

/// The four command phases in order, each with what follows it (user guide, "Build phase transitions";
/// buildspec reference, phases/on-failure).
///
/// `CONTINUE` goes on with the next phase. `ABORT` leaves out what would still run after a failing
/// `build` or `post_build`, uploads too; this is not documented in so many words. A `RETRY` that is
/// used up ends like no `on-failure` at all.
pub fn phases(buildspec: &Buildspec) -> Vec<PhaseOutcome> {
    PhaseName::ALL
        .into_iter()
        .map(|name| phase(buildspec, name))
        .collect()
}

fn phase(buildspec: &Buildspec, name: PhaseName) -> PhaseOutcome {
    let phase = buildspec.phases.get(name);
    let on_failure = phase
        .and_then(|phase| phase.on_failure.as_ref())
        .map(|spanned| &spanned.value);
    PhaseOutcome {
        phase: name,
        present: phase.is_some(),
        commands: phase.map_or(0, |phase| phase.commands.len()),
        finally: phase.map_or(0, |phase| phase.finally.len()),
        run_as: buildspec.run_as(name).map(str::to_owned),
        on_success: following(name),
        on_failure: failure(name, on_failure),
    }
}

fn following(name: PhaseName) -> Next {
    match name {
        PhaseName::Install => Next::Phase(PhaseName::PreBuild),
        PhaseName::PreBuild => Next::Phase(PhaseName::Build),
        PhaseName::Build => Next::Phase(PhaseName::PostBuild),
        PhaseName::PostBuild => Next::Upload,
    }
}

fn failure(name: PhaseName, on_failure: Option<&OnFailure>) -> FailureOutcome {
    let next = match (on_failure, name) {
        (Some(OnFailure::Continue), _) => following(name),
        (Some(OnFailure::Abort), _) | (_, PhaseName::Install | PhaseName::PreBuild) => Next::End,
        (_, PhaseName::Build | PhaseName::PostBuild) => following(name),
    };
    let later = PhaseName::ALL.into_iter().filter(|other| *other > name);
    let retry = match on_failure {
        Some(OnFailure::Retry { count, pattern }) => Some(Retry {
            count: *count,
            pattern: pattern.clone(),
        }),
        _ => None,
    };
    FailureOutcome {
        retry,
        next,
        skipped: if next == Next::End {
            later.collect()
        } else {
            Vec::new()
        },
        uploads: next != Next::End,
    }
}

/// A variable the buildspec gives, and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableSource<'b> {
    /// Name of the variable.
    pub name: &'b str,
    /// Where the value comes from.
    pub value: ValueSource<'b>,
    /// Where the value is written.
    pub span: Span,
}

/// Where the value of a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource<'b> {
    /// Written in the buildspec.
    Plain(&'b str),
    /// Name of a parameter in Parameter Store.
    ParameterStore(&'b str),
    /// A value in Secrets Manager.
    SecretsManager(&'b SecretReference),
}

/// The variables of `env`, each name once, in the order of the names.
///
/// A name in several sections is taken from Secrets Manager, then from Parameter Store, then from
/// `variables`; the order is not documented.
pub fn variables(buildspec: &Buildspec) -> Vec<VariableSource<'_>> {
    let env = &buildspec.env;
    let plain = env
        .variables
        .iter()
        .map(|(name, text)| source(name, ValueSource::Plain(&text.value), text.span));
    let parameters = env
        .parameter_store
        .iter()
        .map(|(name, text)| source(name, ValueSource::ParameterStore(&text.value), text.span));
    let secrets = env.secrets_manager.iter().map(|(name, secret)| {
        source(
            name,
            ValueSource::SecretsManager(&secret.value),
            secret.span,
        )
    });
    let all = plain.chain(parameters).chain(secrets);
    let by_name: std::collections::BTreeMap<&str, VariableSource<'_>> =
        all.map(|variable| (variable.name, variable)).collect();
    by_name.into_values().collect()
}

fn source<'b>(name: &'b Spanned<String>, value: ValueSource<'b>, span: Span) -> VariableSource<'b> {
    VariableSource {
        name: &name.value,
        value,
        span,
    }
}

/// A set of globs of the buildspec, and what takes the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globs<'b> {
    /// What takes the files.
    pub taker: Taker<'b>,
    /// Directory the patterns are relative to, itself a pattern; `None` is the source directory.
    pub base_directory: Option<&'b str>,
    /// Patterns of the files.
    pub patterns: Vec<&'b str>,
    /// Patterns of the files that are left out.
    pub exclude: Vec<&'b str>,
    /// Whether only base names are kept.
    pub discard_paths: bool,
}

/// What takes files out of the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker<'b> {
    /// The primary artifact.
    Artifacts,
    /// The secondary artifact with this identifier.
    SecondaryArtifacts(&'b str),
    /// The report group of this name or ARN.
    Report(&'b str),
    /// The cache.
    Cache,
}

/// Every set of globs: artifacts, secondary artifacts, reports, cache.
pub fn globs(buildspec: &Buildspec) -> Vec<Globs<'_>> {
    let mut all = Vec::new();
    if let Some(artifacts) = &buildspec.artifacts {
        all.push(set(Taker::Artifacts, &artifacts.files));
        let secondary = artifacts.secondary.iter();
        all.extend(secondary.map(|(name, artifacts)| {
            set(Taker::SecondaryArtifacts(&name.value), &artifacts.files)
        }));
    }
    all.extend(
        buildspec
            .reports
            .iter()
            .map(|(name, report)| set(Taker::Report(&name.value), &report.files)),
    );
    if let Some(cache) = &buildspec.cache {
        all.push(Globs {
            taker: Taker::Cache,
            base_directory: None,
            patterns: cache.paths.iter().map(|path| path.value.as_str()).collect(),
            exclude: Vec::new(),
            discard_paths: false,
        });
    }
    all.retain(|globs| !globs.patterns.is_empty());
    all
}

fn set<'b>(taker: Taker<'b>, files: &'b Files) -> Globs<'b> {
    Globs {
        taker,
        base_directory: files
            .base_directory
            .as_ref()
            .map(|directory| directory.value.as_str()),
        patterns: files
            .patterns
            .iter()
            .map(|pattern| pattern.value.as_str())
            .collect(),
        exclude: files
            .exclude_paths
            .iter()
            .map(|pattern| pattern.value.as_str())
            .collect(),
        discard_paths: files.discards_paths(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Buildspec {
        crate::parse(&format!("version: 0.2\n{text}"))
            .buildspec
            .unwrap()
    }

    #[test]
    fn a_failing_build_goes_on_with_post_build_and_a_failing_install_ends() {
        let outcomes = phases(&spec("phases: {build: {commands: [make]}}\n"));
        assert_eq!(outcomes[0].on_failure.next, Next::End);
        assert_eq!(outcomes[0].on_failure.skipped, PhaseName::ALL[1..]);
        assert!(!outcomes[1].on_failure.uploads);
        assert_eq!(
            outcomes[2].on_failure.next,
            Next::Phase(PhaseName::PostBuild)
        );
        assert_eq!(outcomes[3].on_failure.next, Next::Upload);
        assert_eq!(
            outcomes
                .iter()
                .map(|outcome| outcome.present)
                .collect::<Vec<_>>(),
            [false, false, true, false]
        );
    }

    #[test]
    fn on_failure_changes_what_follows() {
        let text = "phases:\n  install: {on-failure: CONTINUE}\n  pre_build: {on-failure: RETRY-2-.*lock.*}\n  build: {on-failure: ABORT}\n";
        let outcomes = phases(&spec(text));
        assert_eq!(
            outcomes[0].on_failure.next,
            Next::Phase(PhaseName::PreBuild)
        );
        assert_eq!(
            outcomes[1].on_failure.retry,
            Some(Retry {
                count: 2,
                pattern: ".*lock.*".to_owned()
            })
        );
        assert_eq!(
            outcomes[1].on_failure.next,
            Next::End,
            "once the retries are used up"
        );
        assert_eq!(outcomes[2].on_failure.skipped, [PhaseName::PostBuild]);
    }

    #[test]
    fn a_name_in_several_sections_has_one_source() {
        let spec = spec(
            "env:\n  variables: {A: a, B: b}\n  parameter-store: {A: /a, C: /c}\n  secrets-manager: {C: s}\n",
        );
        let variables = variables(&spec);
        assert_eq!(variables[0].value, ValueSource::ParameterStore("/a"));
        assert_eq!(variables[1].value, ValueSource::Plain("b"));
        assert!(
            matches!(variables[2].value, ValueSource::SecretsManager(secret) if secret.id == "s")
        );
    }

    #[test]
    fn globs_of_every_section_are_listed() {
        let spec = spec(
            "artifacts:\n  files: ['**/*']\n  exclude-paths: '**/*.o'\n  secondary-artifacts: {docs: {files: [d], discard-paths: yes}}\nreports: {unit: {files: [r], base-directory: b}}\ncache: {paths: [/root/.m2/**/*]}\n",
        );
        let takers: Vec<_> = globs(&spec).iter().map(|globs| globs.taker).collect();
        assert_eq!(
            takers,
            [
                Taker::Artifacts,
                Taker::SecondaryArtifacts("docs"),
                Taker::Report("unit"),
                Taker::Cache
            ]
        );
        assert_eq!(globs(&spec)[0].exclude, ["**/*.o"]);
    }
}
