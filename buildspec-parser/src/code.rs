//! Every kind of diagnostic the crate can give.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::Level;

/// Declares [`Code`]: variant, stable name, default level, one sentence.
macro_rules! codes {
    ($($variant:ident $name:literal $level:ident $summary:literal;)*) => {
        /// The kind of a diagnostic; its name never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, in kebab case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The level it has unless a configuration says otherwise.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// What it says, in one sentence.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }
        }
    };
}

codes! {
    NotUtf8 "not-utf-8" Error "The file is not UTF-8 text.";
    FileTooLarge "file-too-large" Error "The file is larger than 1 MiB.";
    NestingTooDeep "nesting-too-deep" Error "Lists and maps are nested deeper than any buildspec needs.";
    TooManyValues "too-many-values" Error "The file has more values than any buildspec needs.";
    AliasBudget "alias-budget" Error "Anchors and aliases unfold to more than the limit.";
    YamlSyntax "yaml-syntax" Error "The text is not YAML.";
    DuplicateKey "duplicate-key" Warning "A key is given twice in the same map; the last one counts.";
    InvalidKey "invalid-key" Error "A key is a list or a map.";
    InvalidMerge "invalid-merge" Error "A merge key `<<` names something that is not a map.";
    ExtraDocument "extra-document" Warning "Only the first YAML document of a file is read.";
    NotAMapping "not-a-mapping" Error "The buildspec is not a map of keys to values.";
    MissingVersion "missing-version" Error "The buildspec has no `version`.";
    InvalidVersion "invalid-version" Error "The version is not one that exists.";
    VersionIsString "version-is-string" Warning "A quoted version is refused when the buildspec starts a batch.";
    UnknownKey "unknown-key" Warning "A key is not part of the buildspec and is ignored.";
    MisplacedKey "misplaced-key" Warning "A key stands where it is ignored; it belongs elsewhere.";
    WrongType "wrong-type" Error "A value has another shape than its key needs.";
    ScalarForList "scalar-for-list" Info "One value stands where a list is documented.";
    InvalidFlag "invalid-flag" Error "A switch is neither yes nor no.";
    NoPhases "no-phases" Warning "The buildspec has no phase: nothing runs, and the build succeeds.";
    InvalidPhase "invalid-phase" Error "The name of a phase does not exist.";
    NoCommands "no-commands" Warning "A phase has no commands.";
    CommandNotString "command-not-string" Error "A command is a map or a list instead of a text.";
    EmptyCommand "empty-command" Warning "A command is empty.";
    UnsupportedSteps "unsupported-steps" Error "`steps` of GitHub Actions need a GitHub token set up for the account.";
    InvalidOnFailure "invalid-on-failure" Error "The value of `on-failure` does not exist.";
    InvalidShell "invalid-shell" Error "The shell is not one that CodeBuild starts.";
    UndocumentedShell "undocumented-shell" Warning "The shell is spelled in a way the reference does not list.";
    InvalidRunAs "invalid-run-as" Error "The user of `run-as` is not a name.";
    InvalidVariableName "invalid-variable-name" Warning "A shell cannot read a variable of this name.";
    InvalidSecretReference "invalid-secret-reference" Warning "A reference to Secrets Manager cannot be resolved.";
    MisplacedRuntimeVersions "misplaced-runtime-versions" Warning "`runtime-versions` counts in the install phase only.";
    MissingFiles "missing-files" Warning "`files` is required here.";
    UnknownReportFormat "unknown-report-format" Warning "The report format does not exist.";
    InvalidCacheAction "invalid-cache-action" Warning "The cache action is neither `restore` nor `save`.";
    CacheWithoutPaths "cache-without-paths" Warning "Without `paths` nothing is cached.";
    TooManyFallbackKeys "too-many-fallback-keys" Warning "At most five fallback keys are read.";
    BatchShape "batch-shape" Error "A batch has exactly one of its four kinds.";
    BatchValue "batch-value" Error "A value of the batch cannot be used.";
    MissingIdentifier "missing-identifier" Error "A batch task has no identifier.";
    InvalidIdentifier "invalid-identifier" Error "An identifier has other characters than letters, digits and underscores, or is too long.";
    DuplicateIdentifier "duplicate-identifier" Error "Two batch tasks have the same identifier.";
    UnknownDependOn "unknown-depend-on" Error "A task waits for a task that does not exist.";
    BatchCycle "batch-cycle" Error "Tasks wait for each other.";
    BatchTooLarge "batch-too-large" Error "The batch has more builds than CodeBuild starts.";
    HiddenFailure "hidden-failure" Warning "A command of several lines goes on after a failing line.";
    PipefailInSh "pipefail-in-sh" Warning "`set -o pipefail` ends the command where `sh` is dash.";
    UncheckedPublish "unchecked-publish" Info "`post_build` publishes even after a failed build.";
    NeedsPrivilegedMode "needs-privileged-mode" Info "Docker needs privileged mode.";
    LostDirectory "lost-directory" Warning "In version 0.1 a directory change ends with its command.";
    LostDefinition "lost-definition" Warning "A function, alias or trap ends with the command that defines it.";
    LostExport "lost-export" Warning "An export in a pipeline or subshell is lost.";
    ForeignWait "foreign-wait" Warning "`wait` cannot wait for a process of another command.";
    ReservedVariable "reserved-variable" Warning "A variable has a name that belongs to CodeBuild or the AWS tools.";
    UnexpandedVariable "unexpanded-variable" Warning "Nothing is expanded in `env/variables`.";
    PlaintextSecret "plaintext-secret" Warning "A variable in plain text looks like a secret.";
    ExportedNeverSet "exported-never-set" Warning "An exported variable is set nowhere.";
    UnexportableVariable "unexportable-variable" Warning "Variables that begin with `AWS_` cannot be exported.";
    UnknownRuntime "unknown-runtime" Warning "No catalogued image has this runtime version.";
    UnquotedVersion "unquoted-version" Info "A version that ends in zero loses it as a number.";
    UnmatchableFiles "unmatchable-files" Warning "A pattern of files cannot match anything.";
    FallbackKeysWithoutKey "fallback-keys-without-key" Warning "`fallback-keys` are ignored without `key`.";
    UnusedSecondaryArtifact "unused-secondary-artifact" Warning "No project can take this secondary artifact.";
    UnknownLintCode "unknown-lint-code" Warning "A comment switches off something that does not exist.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCode(pub String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no diagnostic is called `{}`", self.0)
    }
}

impl std::error::Error for UnknownCode {}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == name)
            .ok_or_else(|| UnknownCode(name.to_owned()))
    }
}
