//! The arguments as `StartBuild` of a server takes them.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value, json};

use super::{BuildArgs, environment, read_text};
use crate::cli::source_argument::SourceArgument;
use crate::model::{SecondarySource, SourceLocation, VariableValue, json as model_json};

impl BuildArgs {
    /// The input of `StartBuild`. Arguments win over the overrides' file: they are nearer. What only
    /// this machine could do is refused by name.
    pub(in crate::cli) fn start_build(&self) -> anyhow::Result<Value> {
        self.refuse_local()?;
        let mut input = match &self.overrides {
            Some(file) => overrides(file)?,
            None => Map::new(),
        };
        let mut set = |member: &str, value: Option<Value>| {
            if let Some(value) = value {
                input.insert(member.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let project = self.project.as_ref();
        set("projectName", project.map(|name| json!(name)));
        if let Some(SourceArgument::Elsewhere {
            source_type,
            location,
        }) = &self.source
        {
            set("sourceTypeOverride", Some(json!(source_type)));
            set("sourceLocationOverride", Some(location.as_str().into()));
        }
        set("sourceVersion", text(&self.source_version));
        set("buildspecOverride", self.buildspec_text().map(Value::from));
        set("imageOverride", text(&self.image));
        set(
            "computeTypeOverride",
            self.compute_type.map(|compute_type| json!(compute_type)),
        );
        set(
            "privilegedModeOverride",
            self.privileged.then_some(true.into()),
        );
        set("serviceRoleOverride", text(&self.service_role));
        set("timeoutInMinutesOverride", self.timeout.map(Value::from));
        add_variables(&mut input, self)?;
        add_secondary_sources(&mut input, &self.secondary_sources)?;
        if !input.contains_key("projectName") {
            bail!("a server has to be told the project: --project NAME");
        }
        Ok(Value::Object(input))
    }

    fn refuse_local(&self) -> anyhow::Result<()> {
        if let Some(SourceArgument::Directory(path)) = &self.source {
            bail!(
                "{} is a directory of this machine, which a server cannot build: name the project with --project, and its source, if another one is meant, with the address of a repository",
                path.display()
            );
        }
        for (argument, is_given, instead) in [
            (
                "--project-file",
                self.project_file.is_some(),
                "make the project with `aws codebuild create-project`",
            ),
            (
                "--patch",
                self.patch.is_some(),
                "send the whole buildspec with --buildspec",
            ),
            (
                "--no-service-role",
                self.no_service_role,
                "that is for the project to say",
            ),
            (
                "--docker-server",
                self.docker_server,
                "that is for the project to say",
            ),
            (
                "--mask",
                !self.masked.is_empty(),
                "variables of Parameter Store and Secrets Manager are masked",
            ),
        ] {
            if is_given {
                bail!("{argument} is not for builds of a server: {instead}");
            }
        }
        Ok(())
    }

    fn buildspec_text(&self) -> Option<String> {
        if self.build_command.is_empty() {
            return self.buildspec.clone();
        }
        let text = buildspec_parser::from_build_commands(&self.build_command, &self.output_files);
        Some(text)
    }
}

fn overrides(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let read = model_json::from_text(&read_text(file)?).map_err(|error| anyhow!(error));
    match read.with_context(|| format!("{}", file.display()))? {
        Value::Object(members) => Ok(members),
        _ => bail!(
            "{}: the overrides are not an object with the members of StartBuild",
            file.display()
        ),
    }
}

fn add_variables(input: &mut Map<String, Value>, args: &BuildArgs) -> anyhow::Result<()> {
    let variables = environment(&args.environment, &args.env_file)?;
    let variables = variables.into_iter().map(|variable| {
        let VariableValue::Plaintext(value) = variable.value else {
            bail!("{} has no plain value", variable.name);
        };
        Ok(json!({"name": variable.name, "value": value}))
    });
    append(
        input,
        "environmentVariablesOverride",
        variables.collect::<anyhow::Result<_>>()?,
    )
}

fn add_secondary_sources(
    input: &mut Map<String, Value>,
    sources: &[SecondarySource],
) -> anyhow::Result<()> {
    let (mut added, mut versions) = (Vec::new(), Vec::new());
    for source in sources {
        let identifier = &source.identifier;
        let SourceLocation::Project(settings) = &source.location else {
            bail!("--secondary-source {identifier} is a directory of this machine");
        };
        let mut settings = json!(settings);
        settings["sourceIdentifier"] = identifier.as_str().into();
        added.push(settings);
        if let Some(version) = &source.version {
            versions.push(json!({"sourceIdentifier": identifier, "sourceVersion": version}));
        }
    }
    append(input, "secondarySourcesOverride", added)?;
    append(input, "secondarySourcesVersionOverride", versions)
}

/// Adds items to a list of the overrides.
fn append(input: &mut Map<String, Value>, member: &str, items: Vec<Value>) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let list = input.entry(member).or_insert_with(|| json!([]));
    let list = list.as_array_mut();
    let list = list.with_context(|| format!("{member} of the overrides is not a list"))?;
    list.extend(items);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BuildArgs,
    }

    fn input(arguments: &[&str]) -> Result<Value, String> {
        let line = Line::try_parse_from([&["submit"], arguments].concat());
        let input = line.map_err(|error| error.to_string())?.args.start_build();
        input.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn arguments_become_overrides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let overrides = "sourceVersion: old\nenvironmentVariablesOverride: [{name: A, value: a}]\n";
        fs::write(file.path(), overrides).unwrap();
        let arguments = [
            "https://github.com/o/r.git",
            "--project=demo",
            "--source-version=main",
            "--overrides",
            file.path().to_str().unwrap(),
            "--env=B=b",
            "--image=i:1",
            "--compute-type=BUILD_GENERAL1_LARGE",
            "--privileged",
            "--timeout=20",
            "--build-command=make",
            "--secondary-source=lib=https://github.com/o/lib#v1",
        ];
        let mut input = input(&arguments).unwrap();
        let buildspec = input["buildspecOverride"].take();
        assert!(buildspec.as_str().unwrap().contains("make"), "{buildspec}");
        assert_eq!(
            input,
            json!({
                "projectName": "demo",
                "sourceTypeOverride": "GITHUB",
                "sourceLocationOverride": "https://github.com/o/r.git",
                "sourceVersion": "main",
                "buildspecOverride": null,
                "imageOverride": "i:1",
                "computeTypeOverride": "BUILD_GENERAL1_LARGE",
                "privilegedModeOverride": true,
                "timeoutInMinutesOverride": 20,
                "environmentVariablesOverride": [
                    {"name": "A", "value": "a"}, {"name": "B", "value": "b"},
                ],
                "secondarySourcesOverride": [
                    {"type": "GITHUB", "location": "https://github.com/o/lib", "sourceIdentifier": "lib"},
                ],
                "secondarySourcesVersionOverride": [
                    {"sourceIdentifier": "lib", "sourceVersion": "v1"},
                ],
            })
        );
    }

    #[test]
    fn what_a_server_cannot_do_is_refused_by_name() {
        for (arguments, why) in [
            (&["."][..], "a directory of this machine"),
            (&[], "--project NAME"),
            (&["--project=demo", "--mask=A"], "--mask"),
            (
                &["--project=demo", "--secondary-source=b=."],
                "--secondary-source b",
            ),
            (&["--project=demo", "--patch=p.yml"], "--patch"),
        ] {
            let error = input(arguments).unwrap_err();
            assert!(error.contains(why), "{arguments:?}: {error}");
        }
    }
}
