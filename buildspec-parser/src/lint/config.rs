//! Which findings count, and how much.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::code::{Code, UnknownCode};
use crate::diagnostic::{Diagnostic, Level};

/// What a configuration says about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Findings are left out.
    Off,
    /// Findings have this level.
    Level(Level),
}

/// The text is no setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSetting(pub String);

impl fmt::Display for UnknownSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is none of off, info, warning and error", self.0)
    }
}

impl std::error::Error for UnknownSetting {}

impl FromStr for Setting {
    type Err = UnknownSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "info" => Ok(Self::Level(Level::Info)),
            "warning" => Ok(Self::Level(Level::Warning)),
            "error" => Ok(Self::Level(Level::Error)),
            _ => Err(UnknownSetting(text.to_owned())),
        }
    }
}

/// Levels other than the default ones, and what is known of the project. What makes CodeBuild refuse a
/// file stays an error.
#[derive(Debug, Clone, Default)]
pub struct LintConfig {
    settings: BTreeMap<Code, Setting>,
    secondary_artifacts: Option<BTreeSet<String>>,
}

impl LintConfig {
    /// Sets what a code counts; a later setting replaces an earlier one.
    pub fn set(&mut self, code: &str, setting: Setting) -> Result<(), UnknownCode> {
        self.settings.insert(code.parse()?, setting);
        Ok(())
    }

    /// Tells the identifiers of the project's secondary artifacts; without them only identifiers that
    /// no project can have are found.
    #[must_use]
    pub fn secondary_artifacts(mut self, identifiers: impl IntoIterator<Item = String>) -> Self {
        self.secondary_artifacts = Some(identifiers.into_iter().collect());
        self
    }

    /// The identifiers of the project's secondary artifacts, if they are known.
    pub(super) fn known_artifacts(&self) -> Option<&BTreeSet<String>> {
        self.secondary_artifacts.as_ref()
    }

    /// Gives a diagnostic its level; whether it counts at all.
    pub(super) fn apply(&self, diagnostic: &mut Diagnostic) -> bool {
        match self.settings.get(&diagnostic.code) {
            None => true,
            Some(Setting::Off) => false,
            Some(Setting::Level(level)) => {
                diagnostic.level = *level;
                true
            }
        }
    }
}
