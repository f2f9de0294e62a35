//! `phases`.

use std::fmt;
use std::str::FromStr;

use super::Map;
use crate::assumptions::{DEFAULT_RETRIES, MOST_RETRIES};
use crate::span::{Place, Spanned};

/// `phases`: they run in the order of the fields, whatever the order of the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phases {
    /// `install`.
    pub install: Option<Phase>,
    /// `pre_build`.
    pub pre_build: Option<Phase>,
    /// `build`.
    pub build: Option<Phase>,
    /// `post_build`.
    pub post_build: Option<Phase>,
}

impl Phases {
    /// A phase, if the file has it.
    pub fn get(&self, name: PhaseName) -> Option<&Phase> {
        match name {
            PhaseName::Install => self.install.as_ref(),
            PhaseName::PreBuild => self.pre_build.as_ref(),
            PhaseName::Build => self.build.as_ref(),
            PhaseName::PostBuild => self.post_build.as_ref(),
        }
    }

    /// Puts a phase in its place.
    pub fn set(&mut self, name: PhaseName, phase: Phase) {
        let place = match name {
            PhaseName::Install => &mut self.install,
            PhaseName::PreBuild => &mut self.pre_build,
            PhaseName::Build => &mut self.build,
            PhaseName::PostBuild => &mut self.post_build,
        };
        *place = Some(phase);
    }

    /// The phase of that key.
    pub fn name(key: &str) -> Option<PhaseName> {
        PhaseName::ALL.into_iter().find(|name| name.as_str() == key)
    }

    /// The phases of the file, in the order in which they run.
    pub fn iter(&self) -> impl Iterator<Item = (PhaseName, &Phase)> {
        PhaseName::ALL
            .into_iter()
            .filter_map(|name| Some((name, self.get(name)?)))
    }
}

/// Name of a phase that has commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseName {
    /// `install`.
    Install,
    /// `pre_build`.
    PreBuild,
    /// `build`.
    Build,
    /// `post_build`.
    PostBuild,
}

impl PhaseName {
    /// Every phase, in the order in which they run.
    pub const ALL: [Self; 4] = [Self::Install, Self::PreBuild, Self::Build, Self::PostBuild];

    /// The key in the buildspec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::PreBuild => "pre_build",
            Self::Build => "build",
            Self::PostBuild => "post_build",
        }
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One phase (buildspec reference, phases).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phase {
    /// Where the phase's name stands.
    pub place: Place,
    /// `run-as`.
    pub run_as: Option<Spanned<String>>,
    /// `on-failure`; `None` is the standard transition.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// `runtime-versions`: counts in `install` only.
    pub runtime_versions: Map<Spanned<String>>,
    /// `commands`.
    pub commands: Vec<Spanned<String>>,
    /// `finally`.
    pub finally: Vec<Spanned<String>>,
}

/// What a failing command of a phase leads to (buildspec reference, phases/on-failure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// `ABORT`: ends the build.
    Abort,
    /// `CONTINUE`: goes on with the next phase.
    Continue,
    /// `RETRY[-count][-pattern]`.
    Retry {
        /// Times after the first one, 0 to 100.
        count: u8,
        /// Regular expression the error message must match.
        pattern: String,
    },
}

/// The text is no value of `on-failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnFailureError;

impl fmt::Display for OnFailureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not ABORT, CONTINUE, RETRY, RETRY-<count>, RETRY-<regex> or RETRY-<count>-<regex>",
        )
    }
}

impl std::error::Error for OnFailureError {}

/// Upper and lower case are the same: an example of the reference writes `Retry-3-…`.
impl FromStr for OnFailure {
    type Err = OnFailureError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (keyword, rest) = match text.split_once('-') {
            Some((keyword, rest)) => (keyword, Some(rest)),
            None => (text, None),
        };
        match (keyword.to_ascii_uppercase().as_str(), rest) {
            ("ABORT", None) => Ok(Self::Abort),
            ("CONTINUE", None) => Ok(Self::Continue),
            ("RETRY", None) => Ok(Self::retry(None, None)),
            ("RETRY", Some(rest)) if !rest.is_empty() => Ok(retry_arguments(rest)),
            _ => Err(OnFailureError),
        }
    }
}

/// A first field of digits up to 100 is the count, anything else the pattern.
fn retry_arguments(text: &str) -> OnFailure {
    let (first, rest) = match text.split_once('-') {
        Some((first, rest)) if !rest.is_empty() => (first, Some(rest)),
        Some(_) => return OnFailure::retry(None, Some(text)),
        None => (text, None),
    };
    let digits = first.len() <= 3 && first.bytes().all(|byte| byte.is_ascii_digit());
    match first
        .parse::<u8>()
        .ok()
        .filter(|count| digits && *count <= MOST_RETRIES)
    {
        Some(count) => OnFailure::retry(Some(count), rest),
        None => OnFailure::retry(None, Some(text)),
    }
}

impl OnFailure {
    fn retry(count: Option<u8>, pattern: Option<&str>) -> Self {
        Self::Retry {
            count: count.unwrap_or(DEFAULT_RETRIES),
            pattern: pattern.unwrap_or(".*").to_owned(),
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abort => f.write_str("ABORT"),
            Self::Continue => f.write_str("CONTINUE"),
            Self::Retry { count, pattern } => write!(f, "RETRY-{count}-{pattern}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_failure_is_read_as_documented() {
        let retry = |count, pattern: &str| OnFailure::Retry {
            count,
            pattern: pattern.to_owned(),
        };
        for (text, expected) in [
            ("ABORT", OnFailure::Abort),
            ("continue", OnFailure::Continue),
            ("RETRY", retry(3, ".*")),
            ("RETRY-0", retry(0, ".*")),
            ("RETRY-100", retry(100, ".*")),
            ("RETRY-.*timeout.*", retry(3, ".*timeout.*")),
            ("Retry-3-.*Rate-limit.*", retry(3, ".*Rate-limit.*")),
            ("RETRY-500", retry(3, "500")),
            ("RETRY-3-", retry(3, "3-")),
            ("RETRY-a-b", retry(3, "a-b")),
        ] {
            assert_eq!(text.parse::<OnFailure>().as_ref(), Ok(&expected), "{text}");
            assert_eq!(expected.to_string().parse::<OnFailure>(), Ok(expected));
        }
        for text in ["", "STOP", "RETRY-", "ABORT-1", "RETRYX"] {
            assert_eq!(text.parse::<OnFailure>(), Err(OnFailureError), "{text}");
        }
    }
}
