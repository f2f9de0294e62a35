//! From the request's choice of a buildspec to the buildspec itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use buildspec_parser::{Buildspec, Diagnostic};

use super::Abort;
use super::checkout::Checkout;
use crate::data_directory::{BuildDirectory, DirectoryError};
use crate::logs::AgentLog;
use crate::model::{BuildRequest, BuildspecChoice, PhaseContext};

/// Where an inline buildspec lies in the container, below `/codebuild/readonly`.
const INLINE_NAME: &str = "buildspec.yml";

/// More is not read of a buildspec, in bytes; the parser refuses less than this.
const READ_LIMIT_BYTES: u64 = 2 * 1024 * 1024;

/// A buildspec that no build can run.
#[derive(Debug)]
pub struct RejectedBuildspec {
    /// Name to show for it.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Everything that is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// CodeBuild's message for it.
    pub(super) message: String,
}

/// Finds, reads and parses the buildspec. Warnings stay silent: `lint` is for them.
pub(super) fn buildspec(
    request: &BuildRequest,
    directory: &BuildDirectory,
    checkout: &Checkout,
    log: &mut AgentLog,
) -> Result<Buildspec, Abort> {
    let (name, bytes) = match &request.buildspec {
        BuildspecChoice::Inline(text) => {
            let path = directory.readonly().join(INLINE_NAME);
            fs::write(&path, text).map_err(DirectoryError::new("write", &path))?;
            log.line(&format!(
                "YAML location is /codebuild/readonly/{INLINE_NAME}"
            ))?;
            (INLINE_NAME.to_owned(), text.clone().into_bytes())
        }
        BuildspecChoice::Path(path) => {
            let in_container = format!("{}/{path}", checkout.in_container());
            log.line(&format!("YAML location is {in_container}"))?;
            let bytes = read(checkout.on_host(), path).map_err(|error| {
                let reason = if error.kind() == io::ErrorKind::NotFound {
                    "no such file or directory".to_owned()
                } else {
                    error.to_string()
                };
                yaml_error(format!("stat {in_container}: {reason}"))
            })?;
            (path.clone(), bytes)
        }
    };
    let parsed = buildspec_parser::parse_bytes(&bytes);
    let message = parsed.refusal().map(str::to_owned);
    match (parsed.buildspec, message) {
        (Some(buildspec), _) => Ok(buildspec),
        (None, message) => Err(Abort::Rejected(RejectedBuildspec {
            name,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            diagnostics: parsed.diagnostics,
            message: message.unwrap_or_default(),
        })),
    }
}

fn yaml_error(message: String) -> Abort {
    Abort::Failed(PhaseContext::new("YAML_FILE_ERROR", message))
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
