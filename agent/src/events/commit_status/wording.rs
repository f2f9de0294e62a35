//! The words of a commit status.

use std::collections::HashMap;

use serde_json::Value;

use super::super::record;
use crate::build::built_in_variables;
use crate::config::CommitStatusConfig;
use crate::model::{BuildRequest, BuildStatusConfig, SourceLocation, Status, VariableValue};

/// Characters of a description at most (GitHub; the others take more).
const DESCRIPTION_LENGTH: usize = 140;

/// Characters of a context at most.
const CONTEXT_LENGTH: usize = 255;

/// What the words of a status are made of.
pub(super) struct Words<'a> {
    request: &'a BuildRequest,
    record: &'a Value,
    variables: HashMap<String, String>,
}

impl<'a> Words<'a> {
    /// Takes a build as it stands. Its variables are those that are known here: those that were set to a text,
    /// the exported ones once the build is over, and CodeBuild's own, which win.
    pub(super) fn new(request: &'a BuildRequest, record: &'a Value) -> Self {
        let plain = request.environment_variables.iter().filter_map(|variable| {
            let VariableValue::Plaintext(text) = &variable.value else {
                return None;
            };
            let is_masked = request.masked_variables.contains(&variable.name);
            (!is_masked).then(|| (variable.name.clone(), text.clone()))
        });
        let exported = record["exportedEnvironmentVariables"].as_array();
        let exported = exported.into_iter().flatten().filter_map(|variable| {
            let text = |member: &str| variable[member].as_str().map(str::to_owned);
            text("name").zip(text("value"))
        });
        let own = built_in_variables(request).into_iter();
        let commit = record["resolvedSourceVersion"].as_str();
        let commit = commit.map(|commit| ("CODEBUILD_RESOLVED_SOURCE_VERSION", commit.to_owned()));
        let started = record::millis(&record["startTime"]).to_string();
        let of_record = commit
            .into_iter()
            .chain([("CODEBUILD_START_TIME", started)]);
        let of_record = of_record.map(|(name, value)| (name.to_owned(), value));
        Self {
            request,
            record,
            variables: plain.chain(exported).chain(own).chain(of_record).collect(),
        }
    }

    /// By what the status is known among others of the commit; by default, as on CodeBuild.
    pub(super) fn context(&self) -> String {
        let context = self.config().and_then(|config| config.context.as_deref());
        let context = context.map(|context| self.expand(context));
        let context = context.filter(|context| !context.trim().is_empty());
        let context = context.unwrap_or_else(|| {
            let (region, project) = (&self.request.region, &self.request.id.project);
            format!("AWS CodeBuild {region} ({project})")
        });
        shortened(&context, CONTEXT_LENGTH)
    }

    /// Where the status leads.
    pub(super) fn target_url(&self, config: &CommitStatusConfig) -> Option<String> {
        let own = self
            .config()
            .and_then(|config| config.target_url.as_deref());
        let own = own.filter(|url| !url.is_empty());
        own.or(config.target_url.as_deref())
            .map(|url| self.expand(url))
    }

    /// How the build stands, in one sentence.
    pub(super) fn description(&self, status: Option<Status>) -> String {
        let project = &self.request.id.project;
        let phases = record::phases(self.record);
        let failed = phases.iter().find(|phase| {
            let status = phase["phaseStatus"].as_str();
            status.is_some_and(|status| status != "SUCCEEDED")
        });
        let in_phase = failed
            .and_then(|phase| phase["phaseType"].as_str())
            .map_or_else(String::new, |phase| format!(" in {phase}"));
        let text = match status {
            None => format!("Build started for project {project}"),
            Some(Status::Succeeded) => format!("Build succeeded for project {project}"),
            Some(Status::Failed) => format!("Build failed{in_phase} for project {project}"),
            Some(Status::Fault) => {
                format!("Build ended by a fault{in_phase} for project {project}")
            }
            Some(Status::TimedOut) => format!("Build timed out{in_phase} for project {project}"),
            Some(Status::Stopped) => format!("Build stopped for project {project}"),
        };
        shortened(&text, DESCRIPTION_LENGTH)
    }

    fn config(&self) -> Option<&BuildStatusConfig> {
        match &self.request.source {
            SourceLocation::Project(source) => source.build_status_config.as_ref(),
            SourceLocation::Directory { .. } => None,
        }
    }

    /// Puts the values of variables in the places of `$NAME` and `${NAME}`, as a shell does: nothing for one that
    /// is not set. A dollar sign that begins no name stays.
    fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let (name, behind) = match after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
            {
                Some((name, behind)) => (name, behind),
                None => after.split_at(name_length(after)),
            };
            if name.is_empty() || name_length(name) != name.len() {
                expanded.push('$');
                rest = after;
                continue;
            }
            expanded.push_str(self.variables.get(name).map_or("", String::as_str));
            rest = behind;
        }
        expanded.push_str(rest);
        expanded
    }
}

/// How many bytes at the beginning of a text are the name of a variable.
fn name_length(text: &str) -> usize {
    let is_part = |(index, byte): (usize, u8)| {
        byte == b'_' || byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit())
    };
    text.bytes()
        .enumerate()
        .take_while(|part| is_part(*part))
        .count()
}

/// At most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(most - 1).collect();
    format!("{beginning}…")
}
