//! What flows through the agent and what is stored: plain data in CodeBuild's words, no I/O.

mod artifacts;
mod build;
mod compute_type;
mod identifiers;
mod overrides;
mod report;
mod request;

pub use artifacts::{
    ArtifactDestination, ArtifactNamespace, ArtifactPackaging, ArtifactSettings, ArtifactsType,
    BucketOwnerAccess, KeyParts, Wanted, inner_path,
};
pub use build::{Artifact, Build, BuildPhase, ExportedVariable, PhaseType};
pub use compute_type::{ComputeType, UnknownComputeType};
pub use executor::protocol::{PhaseContext, Status};
pub use identifiers::{BuildId, InvalidName, ProjectName};
pub use overrides::{Overrides, OverridesError};
pub use report::{
    CodeCoverage, CoverageNumbers, DetailedReport, Report, ReportStatus, ReportType, TestCase,
    TestStatus, TestSummary,
};
pub use request::{
    BuildRequest, BuildspecChoice, EnvironmentVariable, NamedText, Placement, SecondarySource,
    SourceLocation, VariableValue,
};
