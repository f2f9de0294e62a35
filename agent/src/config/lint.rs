//! The configuration of `lint`: which rules count, and how much.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use buildspec_parser::lint::LintConfig;
use serde::Deserialize;

use super::{ConfigError, from_file};

/// File that is read when none is named; it need not exist.
const DEFAULT_FILE: &str = ".buildspec-lint.toml";

/// What the file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// Levels by rule: `off`, `info`, `warning` or `error`. Default: each rule's own.
    levels: BTreeMap<String, String>,
    /// Identifiers of the project's secondary artifacts. Default: not known.
    secondary_artifacts: Option<Vec<String>>,
}

/// Why there is no configuration of `lint`.
#[derive(Debug, thiserror::Error)]
pub enum LintConfigError {
    /// The file cannot be read, or is no configuration.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// A rule or its level does not exist.
    #[error("{}: {reason}", path.display())]
    Level {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Reads `file`, or the default one if it exists.
pub fn read_lint_config(file: Option<&Path>) -> Result<LintConfig, LintConfigError> {
    let path = match file {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
        None => return Ok(LintConfig::default()),
    };
    let File {
        levels,
        secondary_artifacts,
    } = from_file(path)?;
    let mut config = LintConfig::default();
    for (rule, level) in levels {
        let wrong = |reason| LintConfigError::Level {
            path: path.to_owned(),
            reason,
        };
        let setting = level
            .parse()
            .map_err(|error| wrong(format!("{rule}: {error}")))?;
        config
            .set(&rule, setting)
            .map_err(|error| wrong(error.to_string()))?;
    }
    Ok(match secondary_artifacts {
        Some(identifiers) => config.secondary_artifacts(identifiers),
        None => config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LintConfig, LintConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_lint_config(Some(file.path()))
    }

    #[test]
    fn rules_and_levels_that_do_not_exist_are_named() {
        assert!(read("[levels]\nhidden-failure = \"off\"\n").is_ok());
        assert!(
            read("[levels]\nno-such-rule = \"off\"\n")
                .unwrap_err()
                .to_string()
                .contains("no-such-rule")
        );
        assert!(
            read("[levels]\nhidden-failure = \"loud\"\n")
                .unwrap_err()
                .to_string()
                .contains("loud")
        );
        assert!(read("level = 1\n").is_err());
    }
}
