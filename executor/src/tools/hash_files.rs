//! `codebuild-hash-files`: prints one hash over files of the source (buildspec reference, cache/key).

use std::env;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{ToolError, files, print_lines};
use crate::digest::{Hashing, hexadecimal};

/// Prints the SHA-256 of the SHA-256s of all files, in the order of their paths. Which files count
/// together is documented, how is not.
pub(super) fn hash(patterns: &[String]) -> Result<u8, ToolError> {
    if patterns.is_empty() {
        return Err(ToolError::Usage(
            "usage: codebuild-hash-files PATTERN...".to_owned(),
        ));
    }
    let base = source_directory()?;
    let found = files::matching(&base, patterns)?;
    if found.is_empty() {
        return Err(ToolError::Nothing(format!(
            "no file below {} matches {}",
            base.display(),
            patterns.join(" ")
        )));
    }
    let mut whole = Sha256::new();
    for file in &found {
        let path = base.join(file);
        let sum = of_file(&path).map_err(ToolError::system(path.display().to_string()))?;
        whole.update(sum);
    }
    print_lines([hexadecimal(&whole.finalize())])
}

fn source_directory() -> Result<PathBuf, ToolError> {
    match env::var_os("CODEBUILD_SRC_DIR").filter(|directory| !directory.is_empty()) {
        Some(directory) => Ok(directory.into()),
        None => env::current_dir().map_err(ToolError::system("working directory")),
    }
}

fn of_file(path: &Path) -> io::Result<[u8; 32]> {
    let mut hashing = Hashing(Sha256::new());
    io::copy(&mut File::open(path)?, &mut hashing)?;
    Ok(hashing.0.finalize().into())
}
