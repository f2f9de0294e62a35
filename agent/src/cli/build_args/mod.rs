//! The arguments that say what a build is: shared by `run`, `plan` and `submit`.

mod start_build;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use nix::unistd::{Uid, User};

use super::source_argument::SourceArgument;
use crate::config::{self, Config};
use crate::model::{
    ArtifactDirectory, BuildId, BuildRequest, BuildspecChoice, CacheMode, CacheType, ComputeType,
    DockerServer, EnvironmentVariable, NamedText, Overrides, Placement, Project, ProjectCache,
    ProjectName, ProjectSource, SecondarySource, SourceLocation, Start, VariableValue,
};

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// Source: a directory, the address of a git repository (https://…, ssh://…, USER@HOST:PATH) or
    /// `s3://BUCKET/KEY` [default: the project's source, or the present directory without a project file]
    source: Option<SourceArgument>,
    /// Branch, tag, commit, pull request (pr/25) or S3 object version of the source
    #[arg(long, value_name = "VERSION")]
    source_version: Option<String>,
    /// Project, as `aws codebuild batch-get-projects` prints it or `create-project` takes it, JSON or YAML
    #[arg(long, value_name = "FILE")]
    project_file: Option<PathBuf>,
    /// Further source, a directory or ADDRESS#VERSION: it becomes `CODEBUILD_SRC_DIR_<ID>` (repeatable, at most 12)
    #[arg(long = "secondary-source", value_name = "ID=SOURCE", value_parser = secondary_source)]
    secondary_sources: Vec<SecondarySource>,
    /// Buildspec: path relative to SOURCE, or the text itself [default: buildspec.yml]
    #[arg(short, long, value_name = "PATH")]
    buildspec: Option<String>,
    /// Command to run instead of a buildspec's, as a build phase; several are joined with && (repeatable)
    #[arg(long, value_name = "COMMAND", conflicts_with = "buildspec")]
    build_command: Vec<String>,
    /// Output files of the build commands, separated by commas
    #[arg(
        long,
        value_name = "FILES",
        requires = "build_command",
        default_value = ""
    )]
    output_files: String,
    /// Partial buildspec to merge over the buildspec: maps by key, lists replaced, null removes
    #[arg(long, value_name = "FILE")]
    patch: Option<PathBuf>,
    /// Image of the build container [default: the configured one]
    #[arg(short, long)]
    image: Option<String>,
    /// How much of the machine the build gets [default: all of it]
    #[arg(long, value_name = "TYPE")]
    compute_type: Option<ComputeType>,
    /// Give the build what the configuration allows for privileged mode: Docker, by default in a privileged
    /// container
    #[arg(long)]
    privileged: bool,
    /// ARN of the role whose credentials the build and its uploads use [default: the project's]
    #[arg(long, value_name = "ARN", conflicts_with = "no_service_role")]
    service_role: Option<String>,
    /// Run without a role: uploads use the agent's own credentials, the build gets none
    #[arg(long)]
    no_service_role: bool,
    /// Give the build the project's Docker server, whose layers outlive the build
    #[arg(long)]
    docker_server: bool,
    /// Variable whose value must not appear in the log (repeatable)
    #[arg(long = "mask", value_name = "NAME")]
    masked: Vec<String>,
    /// Environment variable; NAME alone takes its value from here (repeatable)
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// File of NAME=VALUE lines; blank lines and lines starting with # are skipped (repeatable)
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Overrides as for `aws codebuild start-build --cli-input-json`, JSON or YAML; - reads standard input
    #[arg(long, value_name = "FILE")]
    overrides: Option<PathBuf>,
    /// Build timeout in minutes [default: 60]
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=2160))]
    timeout: Option<u64>,
    /// Name of the project [default: the name of the source directory]
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
}

impl BuildArgs {
    /// Merges project, overrides and arguments into a request on a copy of the source. Arguments win:
    /// they are nearer.
    pub(super) fn request(
        &self,
        config: &Config,
        artifacts: Option<ArtifactDirectory>,
    ) -> anyhow::Result<BuildRequest> {
        let mut overrides = self.read_overrides()?;
        if let Some(SourceArgument::Elsewhere {
            source_type,
            location,
        }) = &self.source
        {
            overrides.source_type = Some(*source_type);
            overrides.source_location = Some(location.clone());
        }
        if let Some(version) = &self.source_version {
            overrides.source_version = Some(version.clone());
        }
        let directory = self.source_directory(&overrides)?;
        let project = self.read_project(config, directory.as_deref(), &overrides)?;
        let name = self.project_name(&overrides, &project)?;
        let mut request = BuildRequest::new(Start {
            project: &project,
            overrides: &overrides,
            id: BuildId::new(name),
            build_number: 1,
            initiator: user_name(),
            region: config.region.clone(),
            account: config.account.clone(),
            directory,
            artifact_directory: artifacts,
        })?;
        if self.project_file.is_none() && overrides.cache.is_none() {
            request.cache = self.local_cache(&request, &overrides);
        }
        self.apply(&mut request)?;
        config.docker_access(request.privileged_mode, request.docker_server.is_some())?;
        Ok(request)
    }

    /// Where there is no project that says otherwise, what a buildspec caches is kept on this machine. Two
    /// directories of the same name are two projects, unless somebody says which project it is.
    fn local_cache(&self, request: &BuildRequest, overrides: &Overrides) -> ProjectCache {
        let is_named = self.project.is_some() || overrides.project_name.is_some();
        let directory = match &request.source {
            SourceLocation::Directory { path, .. } if !is_named => Some(path),
            _ => None,
        };
        ProjectCache {
            cache_type: CacheType::Local,
            modes: vec![CacheMode::LocalCustomCache],
            cache_namespace: directory.map(|path| path.display().to_string()),
            location: None,
        }
    }

    fn read_overrides(&self) -> anyhow::Result<Overrides> {
        let Some(file) = &self.overrides else {
            return Ok(Overrides::default());
        };
        let context = || format!("{}", file.display());
        let overrides = Overrides::parse(&read_text(file)?).with_context(context)?;
        overrides.refuse_unsupported().with_context(context)?;
        Ok(overrides)
    }

    /// The directory that stands for the primary source, unless that is elsewhere.
    fn source_directory(&self, overrides: &Overrides) -> anyhow::Result<Option<PathBuf>> {
        let is_elsewhere = self.project_file.is_some() || overrides.source_type.is_some();
        let source = match &self.source {
            Some(SourceArgument::Directory(source)) => source.as_path(),
            None if !is_elsewhere => Path::new("."),
            _ => return Ok(None),
        };
        let path = fs::canonicalize(source)
            .with_context(|| format!("cannot open source directory {}", source.display()))?;
        anyhow::ensure!(
            path.is_dir(),
            "source {} is not a directory",
            path.display()
        );
        Ok(Some(path))
    }

    fn read_project(
        &self,
        config: &Config,
        directory: Option<&Path>,
        overrides: &Overrides,
    ) -> anyhow::Result<Project> {
        if let Some(file) = &self.project_file {
            return Project::parse(&read_text(file)?)
                .with_context(|| format!("{}", file.display()));
        }
        let directory = directory.and_then(Path::file_name).unwrap_or_default();
        let location = overrides.source_location.as_deref();
        let name = match location.filter(|_| directory.is_empty()) {
            Some(location) => ProjectName::from_lossy(SourceArgument::name_of(location)),
            None => ProjectName::from_lossy(&directory.to_string_lossy()),
        };
        Ok(Project::local(name, config.image.clone()))
    }

    fn project_name(
        &self,
        overrides: &Overrides,
        project: &Project,
    ) -> anyhow::Result<ProjectName> {
        Ok(match (&self.project, &overrides.project_name) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name.parse()?,
            (None, None) => project.name.clone(),
        })
    }

    /// What the arguments say, over everything else.
    fn apply(&self, request: &mut BuildRequest) -> anyhow::Result<()> {
        request.secondary_sources.extend(self.secondary_sources()?);
        if let Some(buildspec) = self.buildspec_choice() {
            request.buildspec = buildspec;
        }
        request.patch = self.patch.as_deref().map(patch).transpose()?;
        if let Some(image) = &self.image {
            request.image.clone_from(image);
        }
        request.compute_type = self.compute_type.or(request.compute_type);
        request.privileged_mode |= self.privileged;
        if self.no_service_role {
            request.service_role = None;
        } else if let Some(role) = &self.service_role {
            request.service_role = Some(role.clone());
        }
        if self.docker_server && request.docker_server.is_none() {
            request.docker_server = Some(DockerServer {
                compute_type: request.compute_type.unwrap_or(ComputeType::Small),
                security_group_ids: Vec::new(),
            });
        }
        request.masked_variables.clone_from(&self.masked);
        let variables = environment(&self.environment, &self.env_file)?;
        request.environment_variables.extend(variables);
        if let Some(minutes) = self.timeout {
            request.timeout = Duration::from_mins(minutes);
        }
        Ok(())
    }

    fn secondary_sources(&self) -> anyhow::Result<Vec<SecondarySource>> {
        let sources = &self.secondary_sources;
        anyhow::ensure!(
            sources.len() <= 12,
            "a build has at most 12 secondary sources"
        );
        for (index, source) in sources.iter().enumerate() {
            let identifier = &source.identifier;
            let is_repeated = sources[..index]
                .iter()
                .any(|other| other.identifier == *identifier);
            anyhow::ensure!(
                !is_repeated,
                "the secondary source {identifier} is given twice"
            );
        }
        Ok(sources.clone())
    }

    fn buildspec_choice(&self) -> Option<BuildspecChoice> {
        if !self.build_command.is_empty() {
            let text =
                buildspec_parser::from_build_commands(&self.build_command, &self.output_files);
            return Some(BuildspecChoice::Inline(text));
        }
        let text = self.buildspec.as_deref()?;
        Some(BuildspecChoice::from_member(text).unwrap_or_default())
    }
}

fn secondary_source(text: &str) -> Result<SecondarySource, String> {
    let (identifier, path) = text.split_once('=').ok_or("has to be ID=SOURCE")?;
    let is_identifier = (1..128).contains(&identifier.len())
        && identifier
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_identifier {
        return Err(format!(
            "`{identifier}` is not an identifier: letters, digits and underscores, less than 128"
        ));
    }
    let Ok(argument) = path.parse();
    if let SourceArgument::Elsewhere {
        source_type,
        location,
    } = argument
    {
        let (location, version) = match location.split_once('#') {
            Some((location, version)) => (location.to_owned(), Some(version.to_owned())),
            None => (location, None),
        };
        return Ok(SecondarySource {
            identifier: identifier.to_owned(),
            location: SourceLocation::Project(ProjectSource {
                location: Some(location),
                ..ProjectSource::of_type(source_type)
            }),
            version,
        });
    }
    match fs::canonicalize(path) {
        Ok(path) if path.is_dir() => Ok(SecondarySource {
            identifier: identifier.to_owned(),
            location: SourceLocation::Directory {
                path,
                placement: Placement::Copy,
            },
            version: None,
        }),
        Ok(_) => Err(format!("{path} is not a directory")),
        Err(error) => Err(format!("cannot open {path}: {error}")),
    }
}

fn patch(file: &Path) -> anyhow::Result<NamedText> {
    Ok(NamedText {
        name: file.display().to_string(),
        text: read_text(file)?,
    })
}

/// Reads a file, or standard input for `-`.
pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        fs::read_to_string(file)
    };
    text.with_context(|| format!("cannot read {}", file.display()))
}

/// The variables of `--env-file` and `--env`, in this order.
fn environment(
    arguments: &[String],
    files: &[PathBuf],
) -> anyhow::Result<Vec<EnvironmentVariable>> {
    let mut variables = Vec::new();
    for file in files {
        for (index, line) in read_text(file)?.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                let variable =
                    variable(line).with_context(|| format!("{}:{}", file.display(), index + 1))?;
                variables.extend(variable);
            }
        }
    }
    for argument in arguments {
        variables.extend(variable(argument).context("--env")?);
    }
    Ok(variables)
}

/// Reads `NAME=VALUE`, or `NAME` for a variable of this process, as `docker run --env` does: one
/// that is not set here is left out.
fn variable(text: &str) -> anyhow::Result<Option<EnvironmentVariable>> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, config::process_environment(text)),
    };
    anyhow::ensure!(
        !name.is_empty() && !name.contains(char::is_whitespace),
        "`{name}` is not a variable's name"
    );
    Ok(value.map(|value| EnvironmentVariable {
        name: name.to_owned(),
        value: VariableValue::Plaintext(value),
    }))
}

/// Who carries out the command.
pub(super) fn user_name() -> String {
    User::from_uid(Uid::current())
        .ok()
        .flatten()
        .map_or_else(|| Uid::current().to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_from_files_and_arguments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# comment\n\nA=1\nB=x=y z\n").unwrap();
        let variables = environment(&["A=2".to_owned()], &[file.path().to_owned()]).unwrap();
        let pairs: Vec<_> = variables
            .iter()
            .map(|v| match &v.value {
                VariableValue::Plaintext(value) => (v.name.as_str(), value.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(pairs, [("A", "1"), ("B", "x=y z"), ("A", "2")]);
    }

    #[test]
    fn a_bad_line_of_a_variable_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "A=1\n=2\n").unwrap();
        let error = environment(&[], &[file.path().to_owned()]).unwrap_err();
        assert!(format!("{error:#}").contains(":2: "), "{error:#}");
    }
}
