//! From the request's choice of a buildspec to the buildspec itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use buildspec_parser::model::{PhaseName, Shell};
use buildspec_parser::{Buildspec, Diagnostic, SourceId};
use tokio::io::AsyncReadExt;

use super::Abort;
use super::checkout::Checkout;
use crate::credentials::{Session, describe};
use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::logs::AgentLog;
use crate::model::{BuildRequest, BuildspecChoice, NamedText, PhaseContext};

/// Name of an inline buildspec, in messages and below `/codebuild/readonly` in the container.
const INLINE_NAME: &str = "buildspec.yml";

/// More is not read of a buildspec, in bytes; the parser refuses less than this.
const READ_LIMIT_BYTES: u64 = 2 * 1024 * 1024;

/// A buildspec that no build can run.
#[derive(Debug)]
pub struct RejectedBuildspec {
    buildspec: NamedText,
    patch: Option<NamedText>,
    /// Everything that is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// CodeBuild's message for it, or ours where that is not known.
    pub message: String,
}

impl RejectedBuildspec {
    /// The text that a diagnostic is about.
    pub fn text_of(&self, diagnostic: &Diagnostic) -> &NamedText {
        match (diagnostic.span.source, &self.patch) {
            (SourceId::Patch, Some(patch)) => patch,
            _ => &self.buildspec,
        }
    }
}

/// Why there is no buildspec to run.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The file cannot be read.
    #[error("cannot read buildspec {name} of {}", source_directory.display())]
    Read {
        /// Its path in the source.
        name: String,
        /// The source directory.
        source_directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The text is not a buildspec.
    #[error("{}", .0.message)]
    Rejected(Box<RejectedBuildspec>),
}

impl ResolveError {
    /// What a person can do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => {
                Some("name the file with --buildspec, by its path relative to the source")
            }
            Self::Rejected(_) => None,
        }
    }
}

/// Finds, reads and parses the buildspec of a build, and says in the log where it lies. Warnings
/// stay silent: `lint` is for them.
pub(super) async fn buildspec(
    request: &BuildRequest,
    directory: &BuildDirectory,
    checkout: &Checkout,
    aws: &Session,
    log: &mut AgentLog,
) -> Result<Buildspec, Abort> {
    let location = match &request.buildspec {
        BuildspecChoice::Inline(text) => {
            let path = directory.readonly().join(INLINE_NAME);
            fs::write(&path, text).map_err(DirectoryError::new("write", &path))?;
            format!("/codebuild/readonly/{INLINE_NAME}")
        }
        BuildspecChoice::Path(path) => format!("{}/{path}", checkout.in_container()),
        BuildspecChoice::S3(arn) => arn.clone(),
    };
    log.line(&format!("YAML location is {location}"))?;
    let object = match &request.buildspec {
        BuildspecChoice::S3(arn) => Some(fetch(arn, aws).await?),
        _ => None,
    };
    let buildspec = parse(request, checkout.on_host(), object).map_err(|error| match error {
        ResolveError::Rejected(rejected) => Abort::Rejected(rejected),
        ResolveError::Read {
            name,
            source: cause,
            ..
        } => {
            let reason = match cause.kind() {
                io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => cause.to_string(),
            };
            let context =
                PhaseContext::new("YAML_FILE_ERROR", format!("stat {location}: {reason}"));
            // The copy of the source means nothing to the author.
            let source_directory = request.source.directory().unwrap_or(checkout.on_host());
            let error = ResolveError::Read {
                name,
                source_directory: source_directory.to_owned(),
                source: cause,
            };
            Abort::Failed {
                context,
                cause: Some(error.into()),
            }
        }
    })?;
    refuse_users_in_place(request, &buildspec)?;
    refuse_shells_of_windows(&buildspec)?;
    for (name, phase) in buildspec.phases.iter() {
        if phase.commands.is_empty() {
            log.line(&format!("No commands found for phase name: {name}"))?;
        }
    }
    Ok(buildspec)
}

/// Fetches a buildspec from S3. That a failure is told like that is assumed.
async fn fetch(arn: &str, aws: &Session) -> Result<Vec<u8>, Abort> {
    let failed = |reason: String| {
        let message = format!("cannot get the buildspec {arn}: {reason}");
        Abort::failed("YAML_FILE_ERROR", message)
    };
    let place = arn
        .split_once(":s3:::")
        .and_then(|(_, place)| place.split_once('/'));
    let Some((bucket, key)) = place else {
        return Err(failed("not the ARN of an object in S3".to_owned()));
    };
    let client = aws.s3().await;
    let asked = client.get_object().bucket(bucket).key(key).send().await;
    let object = asked.map_err(|error| failed(describe(&error)))?;
    let mut bytes = Vec::new();
    let mut body = object.body.into_async_read().take(READ_LIMIT_BYTES);
    let read = body.read_to_end(&mut bytes).await;
    read.map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

/// Containers are Linux ones: a script for another shell would be read wrongly by `sh`.
fn refuse_shells_of_windows(buildspec: &Buildspec) -> Result<(), Abort> {
    match buildspec.env.shell.as_ref().map(|shell| shell.value) {
        Some(shell @ (Shell::PowerShell | Shell::Cmd)) => Err(Abort::failed(
            "YAML_FILE_ERROR",
            format!("env/shell: {} runs on Windows only", shell.as_str()),
        )),
        _ => Ok(()),
    }
}

/// A build that runs as another user gets its source given to that user: not the author's own.
fn refuse_users_in_place(request: &BuildRequest, buildspec: &Buildspec) -> Result<(), Abort> {
    let user = PhaseName::ALL
        .into_iter()
        .find_map(|phase| buildspec.run_as(phase));
    match user {
        Some(user) if request.source.is_in_place() => Err(Abort::failed(
            "CLIENT_ERROR",
            format!(
                "run-as: {user} would change the owner of the source itself; run the build without --mount"
            ),
        )),
        _ => Ok(()),
    }
}

/// Reads and parses the buildspec of a request, whose source lies in `source`; `object` is what was fetched from S3.
pub(super) fn parse(
    request: &BuildRequest,
    source: &Path,
    object: Option<Vec<u8>>,
) -> Result<Buildspec, ResolveError> {
    let (name, bytes) = match &request.buildspec {
        BuildspecChoice::Inline(text) => (INLINE_NAME, text.clone().into_bytes()),
        BuildspecChoice::S3(arn) => match object {
            Some(bytes) => (arn.as_str(), bytes),
            None => {
                return Err(ResolveError::Read {
                    name: arn.clone(),
                    source_directory: source.to_owned(),
                    source: io::Error::other("only a build fetches it from S3"),
                });
            }
        },
        BuildspecChoice::Path(path) => match read(source, path) {
            Ok(bytes) => (path.as_str(), bytes),
            Err(error) => {
                let (name, source_directory) = (path.clone(), source.to_owned());
                return Err(ResolveError::Read {
                    name,
                    source_directory,
                    source: error,
                });
            }
        },
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let parsed = match &request.patch {
        None => buildspec_parser::parse_bytes(&bytes),
        Some(patch) => buildspec_parser::merge(&text, &patch.text),
    };
    let message = parsed.refusal().unwrap_or_default().to_owned();
    parsed.buildspec.ok_or_else(|| {
        ResolveError::Rejected(Box::new(RejectedBuildspec {
            buildspec: NamedText {
                name: name.to_owned(),
                text,
            },
            patch: request.patch.clone(),
            diagnostics: parsed.diagnostics,
            message,
        }))
    })
}

/// Reads a file of the source, which must really lie in it: the source may have been made by
/// somebody who is curious about the host.
fn read(source: &Path, path: &str) -> io::Result<Vec<u8>> {
    let relative = Path::new(path);
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let source = source.canonicalize()?;
    let file = source.join(relative).canonicalize()?;
    if !inside || !file.starts_with(&source) {
        return Err(io::Error::other(
            "the path leads out of the source directory",
        ));
    }
    if !file.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?
        .take(READ_LIMIT_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_inside_the_source_are_read() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("source");
        fs::create_dir_all(source.join("ci")).unwrap();
        fs::write(source.join("ci/b.yml"), "in").unwrap();
        fs::write(root.path().join("out.yml"), "out").unwrap();
        symlink("../out.yml", source.join("link.yml")).unwrap();
        symlink("ci/b.yml", source.join("inner.yml")).unwrap();
        assert_eq!(read(&source, "ci/b.yml").unwrap(), b"in");
        assert_eq!(read(&source, "./inner.yml").unwrap(), b"in");
        for bad in ["../out.yml", "link.yml", "ci", "none.yml", "/etc/hostname"] {
            assert!(read(&source, bad).is_err(), "{bad}");
        }
    }
}
