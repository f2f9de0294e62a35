//! `artifacts`, `cache` and `reports`.

use super::Reader;
use super::value::name;
use crate::assumptions::MOST_FALLBACK_KEYS;
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Artifacts, Cache, CacheAction, Files, Map, Report, ReportFormat};
use crate::span::Spanned;
use crate::suggest;
use crate::yaml::{Entry, Node};

const ARTIFACT_KEYS: [&str; 8] = [
    "files",
    "name",
    "discard-paths",
    "base-directory",
    "exclude-paths",
    "enable-symlinks",
    "s3-prefix",
    "secondary-artifacts",
];
const REPORT_KEYS: [&str; 4] = ["files", "file-format", "base-directory", "discard-paths"];
const CACHE_KEYS: [&str; 4] = ["key", "fallback-keys", "action", "paths"];

/// `artifacts`; nothing is as if the key were absent.
pub(super) fn artifacts(reader: &mut Reader<'_>, section: &Entry<'_>) -> Option<Artifacts> {
    if section.value.is_null() {
        return None;
    }
    let mut artifacts = Artifacts::default();
    for entry in reader.mapping(&section.value, "`artifacts`") {
        if entry.key == "secondary-artifacts" {
            artifacts.secondary = secondary(reader, &entry.value);
        } else {
            artifact_key(reader, &mut artifacts, entry);
        }
    }
    // The reference wants `files` even beside secondary artifacts; builds without it are known to work.
    if artifacts.files.patterns.is_empty() && artifacts.secondary.is_empty() {
        missing_files(reader, section, "`artifacts`");
    }
    Some(artifacts)
}

fn secondary(reader: &mut Reader<'_>, node: &Node<'_>) -> Map<Artifacts> {
    let mut all = Vec::new();
    for section in reader.mapping(node, "`secondary-artifacts`") {
        let mut artifacts = Artifacts::default();
        for entry in reader.mapping(&section.value, "a secondary artifact") {
            artifact_key(reader, &mut artifacts, entry);
        }
        if artifacts.files.patterns.is_empty() {
            missing_files(reader, section, "a secondary artifact");
        }
        all.push((name(section), artifacts));
    }
    all.into_iter().collect()
}

fn artifact_key(reader: &mut Reader<'_>, artifacts: &mut Artifacts, entry: &Entry<'_>) {
    let value = &entry.value;
    match entry.key.as_ref() {
        "name" => artifacts.name = reader.some_text(value, "`name`"),
        "exclude-paths" => artifacts.files.exclude_paths = exclude_paths(reader, value),
        "enable-symlinks" => artifacts.enable_symlinks = reader.flag(value, "`enable-symlinks`"),
        "s3-prefix" => artifacts.s3_prefix = reader.some_text(value, "`s3-prefix`"),
        // Left over from version 0.1, and without effect.
        "type" => {}
        _ if file_key(reader, &mut artifacts.files, entry) => {}
        _ => reader.unknown_key(entry, &ARTIFACT_KEYS, "`artifacts`"),
    }
}

/// The keys that artifacts and reports share; whether it is one of them.
fn file_key(reader: &mut Reader<'_>, files: &mut Files, entry: &Entry<'_>) -> bool {
    let value = &entry.value;
    match entry.key.as_ref() {
        "files" => files.patterns = reader.texts(value, "`files`"),
        "base-directory" => files.base_directory = reader.some_text(value, "`base-directory`"),
        "discard-paths" => files.discard_paths = reader.flag(value, "`discard-paths`"),
        _ => return false,
    }
    true
}

/// One path or a list of them: the reference shows one and speaks of several.
fn exclude_paths(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Spanned<String>> {
    match node.kind {
        crate::yaml::Kind::Scalar { .. } => reader
            .some_text(node, "`exclude-paths`")
            .into_iter()
            .collect(),
        _ => reader.texts(node, "`exclude-paths`"),
    }
}

fn missing_files(reader: &mut Reader<'_>, section: &Entry<'_>, what: &str) {
    let message = format!("{what} has no `files`");
    let problem = Diagnostic::new(Code::MissingFiles, section.key_span, message);
    reader.note(problem.help("list the files, or `'**/*'` for all"));
}

/// `reports`.
pub(super) fn reports(reader: &mut Reader<'_>, node: &Node<'_>) -> Map<Report> {
    let mut reports = Vec::new();
    for section in reader.mapping(node, "`reports`") {
        let mut report = Report::default();
        for entry in reader.mapping(&section.value, "a report") {
            match entry.key.as_ref() {
                "file-format" => report.format = format(reader, &entry.value),
                _ if file_key(reader, &mut report.files, entry) => {}
                _ => reader.unknown_key(entry, &REPORT_KEYS, "a report"),
            }
        }
        if report.files.patterns.is_empty() {
            missing_files(reader, section, "the report");
        }
        reports.push((name(section), report));
    }
    reports.into_iter().collect()
}

fn format(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<ReportFormat>> {
    let text = reader.some_text(node, "`file-format`")?;
    if let Ok(format) = text.value.trim().parse::<ReportFormat>() {
        return Some(Spanned::new(format, node.span));
    }
    let names: Vec<&str> = ReportFormat::ALL
        .iter()
        .map(|format| format.as_str())
        .collect();
    let message = format!("there is no report format `{}`", text.value);
    let problem = Diagnostic::new(Code::UnknownReportFormat, node.span, message);
    reader.note(match suggest::nearest(&text.value, &names) {
        Some(near) => problem
            .help(format!("did you mean `{near}`?"))
            .fix(node.span, near),
        None => problem.help(format!("the formats are {}", names.join(", "))),
    });
    None
}

/// `cache`; nothing is as if the key were absent.
pub(super) fn cache(reader: &mut Reader<'_>, section: &Entry<'_>) -> Option<Cache> {
    if section.value.is_null() {
        return None;
    }
    let mut cache = Cache::default();
    for entry in reader.mapping(&section.value, "`cache`") {
        match entry.key.as_ref() {
            "key" => cache.key = reader.some_text(&entry.value, "`key`"),
            "fallback-keys" => cache.fallback_keys = fallback_keys(reader, &entry.value),
            "action" => cache.action = action(reader, &entry.value),
            "paths" => cache.paths = reader.texts(&entry.value, "`paths`"),
            _ => reader.unknown_key(entry, &CACHE_KEYS, "`cache`"),
        }
    }
    if cache.paths.is_empty() {
        let message = "`cache` has no `paths`: nothing is cached";
        reader.note(Diagnostic::new(
            Code::CacheWithoutPaths,
            section.key_span,
            message,
        ));
    }
    Some(cache)
}

fn fallback_keys(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Spanned<String>> {
    let mut keys = reader.texts(node, "`fallback-keys`");
    if let Some(first) = keys.get(MOST_FALLBACK_KEYS) {
        let message = format!(
            "only {MOST_FALLBACK_KEYS} fallback keys are read; this one and those after it are not"
        );
        reader.note(Diagnostic::new(
            Code::TooManyFallbackKeys,
            first.span,
            message,
        ));
        keys.truncate(MOST_FALLBACK_KEYS);
    }
    keys
}

fn action(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<CacheAction>> {
    let text = reader.some_text(node, "`action`")?;
    match text.value.as_str() {
        "restore" => Some(Spanned::new(CacheAction::Restore, node.span)),
        "save" => Some(Spanned::new(CacheAction::Save, node.span)),
        other => {
            let message = format!("`{other}` is no cache action; the cache is restored and saved");
            let problem = Diagnostic::new(Code::InvalidCacheAction, node.span, message);
            reader.note(match suggest::nearest(other, &["restore", "save"]) {
                Some(near) => problem
                    .help(format!("did you mean `{near}`?"))
                    .fix(node.span, near),
                None => problem.help("use `restore` or `save`, or leave it out for both"),
            });
            None
        }
    }
}
