//! The configuration of an action, as that of AWS's own CodeBuild action (user guide of CodePipeline, "AWS CodeBuild
//! build and test action reference").

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::intake::ask::Ask;
use crate::model::json::UnknownMembers;
use crate::model::{ArtifactSettings, ArtifactsType, Overrides, PipelineJob, SourceType};
use crate::pipeline::JobDetails;

/// What a job asks for, and the job itself with its primary source first; or why it cannot be a build.
pub(super) fn read(details: JobDetails) -> Result<(Ask, PipelineJob), String> {
    let JobDetails {
        job,
        configuration,
        pipeline,
        ..
    } = details;
    let mut job = job?;
    let property = |name: &str| {
        let value = configuration.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    };
    if property("BatchEnabled").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(
            "BatchEnabled is not supported: set it to false, or leave it out, to run one build"
                .to_owned(),
        );
    }
    let project = property("ProjectName").ok_or("ProjectName is required")?;
    primary_first(&mut job, property("PrimarySource"))?;
    Ok((
        Ask {
            overrides: overrides(project, &configuration)?,
            project: None,
            initiator: format!("codepipeline/{pipeline}"),
        },
        job,
    ))
}

fn primary_first(job: &mut PipelineJob, name: Option<&str>) -> Result<(), String> {
    let place = match name {
        None if job.inputs.len() > 1 => {
            return Err(
                "PrimarySource is required where an action has several input artifacts".to_owned(),
            );
        }
        None => return Ok(()),
        Some(name) => job.inputs.iter().position(|input| input.name == name),
    };
    let place = place.ok_or_else(|| {
        let name = name.unwrap_or_default();
        format!("PrimarySource {name} is not an input artifact of the action")
    })?;
    job.inputs[..=place].rotate_right(1);
    Ok(())
}

/// Source and artifacts are the pipeline's, whatever the project says.
fn overrides(project: &str, configuration: &HashMap<String, String>) -> Result<Overrides, String> {
    let mut members = Map::from_iter([("projectName".to_owned(), Value::from(project))]);
    let variables = configuration.get("EnvironmentVariables");
    if let Some(text) = variables.filter(|text| !text.trim().is_empty()) {
        // The text may hold secrets; where it is wrong says enough.
        let variables: Value = serde_json::from_str(text).map_err(|error| {
            format!(
                "EnvironmentVariables is not JSON: line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        members.insert("environmentVariablesOverride".to_owned(), variables);
    }
    let overrides = Overrides::from_members(members, UnknownMembers::Refused)
        .map_err(|error| error.to_string())?;
    Ok(Overrides {
        source_type: Some(SourceType::Codepipeline),
        artifacts: Some(ArtifactSettings::of_type(ArtifactsType::Codepipeline)),
        secondary_artifacts: Some(Vec::new()),
        report_build_status: Some(false),
        ..overrides
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PipelineArtifact;

    fn details(inputs: &[&str], configuration: &[(&str, &str)]) -> JobDetails {
        let artifact = |name: &&str| PipelineArtifact {
            name: (*name).to_owned(),
            bucket: "bucket".to_owned(),
            key: format!("p/{name}/k"),
            revision: None,
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        JobDetails {
            job: Ok(PipelineJob {
                id: "1".to_owned(),
                inputs: inputs.iter().map(artifact).collect(),
                outputs: Vec::new(),
                encryption_key: None,
            }),
            configuration: configuration.iter().map(owned).collect(),
            pipeline: "rel".to_owned(),
            credentials: None,
        }
    }

    #[test]
    fn the_primary_source_comes_first_and_variables_are_overrides() {
        let variables = r#"[{"name": "STAGE", "value": "beta", "type": "PLAINTEXT"}]"#;
        let configuration = [
            ("ProjectName", "demo"),
            ("PrimarySource", "b"),
            ("EnvironmentVariables", variables),
            ("BatchEnabled", "false"),
            ("Fleet", "linux"),
        ];
        let (ask, job) = read(details(&["a", "b", "c"], &configuration)).unwrap();
        let names: Vec<_> = job.inputs.iter().map(|input| &*input.name).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(ask.initiator, "codepipeline/rel");
        assert_eq!(ask.overrides.project_name.as_deref(), Some("demo"));
        let variables = ask.overrides.environment_variables.unwrap();
        assert_eq!(variables[0].name, "STAGE");
    }

    #[test]
    fn what_cannot_be_a_build_is_refused_with_the_property() {
        for (inputs, configuration, part) in [
            (&["a"][..], &[][..], "ProjectName is required"),
            (
                &["a"],
                &[("ProjectName", "demo"), ("BatchEnabled", "True")],
                "BatchEnabled is not supported",
            ),
            (
                &["a", "b"],
                &[("ProjectName", "demo")],
                "PrimarySource is required",
            ),
            (
                &["a"],
                &[("ProjectName", "demo"), ("PrimarySource", "x")],
                "PrimarySource x is not an input",
            ),
            (
                &["a"],
                &[("ProjectName", "demo"), ("EnvironmentVariables", "[s3cr3t")],
                "EnvironmentVariables is not JSON: line 1",
            ),
            (
                &["a"],
                &[
                    ("ProjectName", "demo"),
                    ("EnvironmentVariables", r#"[{"name": "A"}]"#),
                ],
                "missing field `value`",
            ),
        ] {
            let reason = read(details(inputs, configuration)).unwrap_err();
            assert!(reason.contains(part), "{configuration:?}: {reason}");
            assert!(!reason.contains("s3cr3t"), "{reason}");
        }
    }
}
