//! What a build leaves behind: `artifacts`, `cache` and `reports`.

use std::str::FromStr;

use super::Map;
use crate::span::Spanned;

/// Which files of the source directory are taken, and under which names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Files {
    /// `files`: paths and globs; relative to `base-directory`.
    pub patterns: Vec<Spanned<String>>,
    /// `base-directory`: one directory or a glob of top-level ones; `None` is the source directory.
    pub base_directory: Option<Spanned<String>>,
    /// `discard-paths`; `None` is no.
    pub discard_paths: Option<Spanned<bool>>,
    /// `exclude-paths`: relative to `base-directory` (artifacts only).
    pub exclude_paths: Vec<Spanned<String>>,
}

impl Files {
    /// Whether only the base names of the files are kept.
    pub fn discards_paths(&self) -> bool {
        self.discard_paths.as_ref().is_some_and(|flag| flag.value)
    }
}

/// `artifacts`, or one of its `secondary-artifacts`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Artifacts {
    /// Which files.
    pub files: Files,
    /// `name`: shell text, evaluated when the artifacts are uploaded.
    pub name: Option<Spanned<String>>,
    /// `enable-symlinks`; `None` is no.
    pub enable_symlinks: Option<Spanned<bool>>,
    /// `s3-prefix`.
    pub s3_prefix: Option<Spanned<String>>,
    /// `secondary-artifacts`, by identifier; empty in a secondary artifact.
    pub secondary: Map<Artifacts>,
}

/// `cache`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    /// `key`: shell text.
    pub key: Option<Spanned<String>>,
    /// `fallback-keys`: prefixes, tried in order; at most five.
    pub fallback_keys: Vec<Spanned<String>>,
    /// `action`; `None` restores and saves.
    pub action: Option<Spanned<CacheAction>>,
    /// `paths`.
    pub paths: Vec<Spanned<String>>,
}

/// Which half of the caching is done (buildspec reference, cache/action).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheAction {
    /// `restore`: never save.
    Restore,
    /// `save`: never restore.
    Save,
}

impl CacheAction {
    /// The value in the buildspec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Save => "save",
        }
    }
}

/// One entry of `reports`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Which files.
    pub files: Files,
    /// `file-format`; `None` is `JUNITXML`. A format that does not exist is `None` too, with a diagnostic.
    pub format: Option<Spanned<ReportFormat>>,
}

impl Report {
    /// The format of the files (buildspec reference, reports/file-format).
    pub fn format(&self) -> ReportFormat {
        self.format
            .as_ref()
            .map_or(ReportFormat::JunitXml, |format| format.value)
    }
}

/// Declares [`ReportFormat`] with the documented names.
macro_rules! report_formats {
    ($($variant:ident $name:literal,)*) => {
        /// A format of report files; case does not matter in the buildspec.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ReportFormat {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        impl ReportFormat {
            /// Every format: those of tests first, then those of coverage.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The documented spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

report_formats! {
    CucumberJson "CUCUMBERJSON",
    JunitXml "JUNITXML",
    NunitXml "NUNITXML",
    Nunit3Xml "NUNIT3XML",
    TestngXml "TESTNGXML",
    VisualStudioTrx "VISUALSTUDIOTRX",
    CloverXml "CLOVERXML",
    CoberturaXml "COBERTURAXML",
    JacocoXml "JACOCOXML",
    Simplecov "SIMPLECOV",
}

impl ReportFormat {
    /// Whether the files hold code coverage instead of test cases.
    pub fn is_coverage(self) -> bool {
        matches!(
            self,
            Self::CloverXml | Self::CoberturaXml | Self::JacocoXml | Self::Simplecov
        )
    }
}

impl FromStr for ReportFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|format| format.as_str().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}
