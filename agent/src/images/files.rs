//! What our own images are built from, taken along in the program: whoever has it can build them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The images, in the order in which they are built by default.
pub const NAMES: [&str; 8] = [
    "base", "docker", "standard", "python", "node", "java", "go", "musl",
];

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../runtime-images/", $path)))),*]
    };
}

/// Paths below `runtime-images/` and the files' texts.
const FILES: &[(&str, &str)] = embedded![
    "build.sh",
    "base/Dockerfile",
    "base/install-packages.sh",
    "base/smoke/buildspec.yml",
    "base/write-sbom.sh",
    "docker/Dockerfile",
    "docker/dockerd-entrypoint.sh",
    "docker/smoke/buildspec.yml",
    "go/Dockerfile",
    "go/runtimes.yml",
    "go/smoke/buildspec.yml",
    "java/Dockerfile",
    "java/runtimes.yml",
    "java/smoke/buildspec.yml",
    "musl/Dockerfile",
    "musl/smoke/buildspec.yml",
    "node/Dockerfile",
    "node/runtimes.yml",
    "node/smoke/buildspec.yml",
    "python/Dockerfile",
    "python/runtimes.yml",
    "python/smoke/buildspec.yml",
    "standard/Dockerfile",
    "standard/runtimes.yml",
    "standard/smoke/buildspec.yml",
];

/// The engine's name of one of our images.
pub fn image(name: &str) -> String {
    format!("buildspec-agent/{name}:latest")
}

/// Paths below `runtime-images/` and the files' texts.
pub fn all() -> &'static [(&'static str, &'static str)] {
    FILES
}

/// Writes the files into a directory, which need not exist; those of an earlier version are replaced.
pub fn write_to(directory: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text)?;
        let is_program = path.extension().is_some_and(|extension| extension == "sh");
        let mode = if is_program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_every_image_is_taken_along() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-images");
        let found = walkdir::WalkDir::new(&source).min_depth(2);
        let found = found.into_iter().map(|entry| entry.unwrap());
        for entry in found.filter(|entry| entry.file_type().is_file()) {
            let path = entry.path().strip_prefix(&source).unwrap();
            assert!(
                FILES.iter().any(|(known, _)| Path::new(known) == path),
                "{} is not embedded",
                path.display()
            );
        }
        for name in NAMES {
            let dockerfile = format!("{name}/Dockerfile");
            assert!(FILES.iter().any(|(path, _)| *path == dockerfile), "{name}");
        }
    }
}
