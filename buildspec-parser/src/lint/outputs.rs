//! Rules about artifacts and the cache.

use super::Rule;
use super::context::Context;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;

pub(super) const UNMATCHABLE_FILES: Rule = Rule {
    code: Code::UnmatchableFiles,
    rationale: "The patterns of `files` are matched against the files below the source directory or \
        `base-directory`. A pattern that leads out of it, that means a home directory, or that ends in a slash \
        matches no file, and if nothing else does, the build fails with `no matching artifact paths found`.",
    bad: "version: 0.2\nphases:\n  build:\n    commands: [make]\nartifacts:\n  files:\n    - dist/\n",
    good: "version: 0.2\nphases:\n  build:\n    commands: [make]\nartifacts:\n  files:\n    - dist/**/*\n",
    check: unmatchable_files,
};

pub(super) const FALLBACK_KEYS_WITHOUT_KEY: Rule = Rule {
    code: Code::FallbackKeysWithoutKey,
    rationale: "`fallback-keys` are tried when there is no cache for `key`. Without a `key` there is one cache for \
        the whole project, and the fallback keys are ignored.",
    bad: "version: 0.2\nphases:\n  build:\n    commands: [make]\ncache:\n  fallback-keys: [deps-]\n  paths: [/root/.m2/**/*]\n",
    good: "version: 0.2\nphases:\n  build:\n    commands: [make]\ncache:\n  key: deps-$(codebuild-hash-files pom.xml)\n  fallback-keys: [deps-]\n  paths: [/root/.m2/**/*]\n",
    check: fallback_keys_without_key,
};

pub(super) const UNUSED_SECONDARY_ARTIFACT: Rule = Rule {
    code: Code::UnusedSecondaryArtifact,
    rationale: "A secondary artifact is uploaded where the project has a secondary artifact of the same identifier. \
        Identifiers have letters, digits and underscores only; a name with other characters fits no project.",
    bad: "version: 0.2\nphases:\n  build:\n    commands: [make]\nartifacts:\n  secondary-artifacts:\n    my docs:\n      files: ['doc/**/*']\n",
    good: "version: 0.2\nphases:\n  build:\n    commands: [make]\nartifacts:\n  secondary-artifacts:\n    my_docs:\n      files: ['doc/**/*']\n",
    check: unused_secondary_artifact,
};

fn unmatchable_files(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let artifacts = context.spec.artifacts.iter();
    let secondary = artifacts
        .clone()
        .flat_map(|artifacts| artifacts.secondary.iter().map(|(_, artifacts)| artifacts));
    let files = artifacts.chain(secondary).map(|artifacts| &artifacts.files);
    let reports = context.spec.reports.iter().map(|(_, report)| &report.files);
    for pattern in files.chain(reports).flat_map(|files| &files.patterns) {
        if let Some(finding) = unmatchable(context, pattern) {
            found.push(finding);
        }
    }
}

fn unmatchable(context: &Context<'_>, pattern: &Spanned<String>) -> Option<Diagnostic> {
    let text = pattern.value.as_str();
    let finding = |message: &str| Diagnostic::new(Code::UnmatchableFiles, pattern.span, message);
    if text.is_empty() {
        return Some(finding("an empty pattern matches nothing"));
    }
    if let Some(directory) = text.strip_suffix('/') {
        let all = format!("{directory}/**/*");
        let mended = finding("a directory is no file, and nothing of it is taken")
            .help(format!("use `{all}`"));
        // Only where the pattern is written as it is: an escape in quotes would have to be kept.
        let source = context.source(pattern.span);
        let quote = source
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .map(String::from)
            .unwrap_or_default();
        let plain = source == format!("{quote}{text}{quote}") && !text.contains(['\\', '\'']);
        let quote = if quote.is_empty() {
            "'".to_owned()
        } else {
            quote
        };
        return Some(if plain {
            mended.fix(pattern.span, format!("{quote}{all}{quote}"))
        } else {
            mended
        });
    }
    if text.starts_with("~/") {
        return Some(finding("`~` is not expanded here").help("use the whole path, or `$HOME`"));
    }
    let leaves = text.split('/').any(|part| part == "..");
    leaves.then(|| {
        finding("`..` leads out of the directory the patterns are matched in")
            .help("use `base-directory`")
    })
}

fn fallback_keys_without_key(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let Some(cache) = &context.spec.cache else {
        return;
    };
    if let (None, Some(first)) = (&cache.key, cache.fallback_keys.first()) {
        let message = "fallback keys are ignored: the cache has no `key`";
        found.push(
            Diagnostic::new(Code::FallbackKeysWithoutKey, first.span, message).help("add a `key`"),
        );
    }
}

fn unused_secondary_artifact(context: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let Some(artifacts) = &context.spec.artifacts else {
        return;
    };
    let known = context.config.known_artifacts();
    for (name, _) in &artifacts.secondary {
        // Pipelines name their artifacts with dashes and dots too; blanks and other signs exist nowhere.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@$".contains(&byte);
        let finding = if !name.value.bytes().all(legal) || name.value.is_empty() {
            Some(format!(
                "no project has an artifact identifier `{}`",
                name.value
            ))
        } else {
            known
                .filter(|known| !known.contains(&name.value))
                .map(|_| format!("the project has no secondary artifact `{}`", name.value))
        };
        if let Some(message) = finding {
            found.push(Diagnostic::new(
                Code::UnusedSecondaryArtifact,
                name.span,
                message,
            ));
        }
    }
}
