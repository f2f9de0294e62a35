//! What flows through the agent and what is stored: plain data in CodeBuild's words, no I/O.

mod artifacts;
mod ask;
mod build;
mod cache;
mod compute_type;
mod effective;
mod environment;
pub mod hex;
mod identifiers;
pub mod json;
mod logs_config;
mod moment;
mod overrides;
mod pipeline;
mod project;
mod report;
mod request;
mod source;
mod start;
mod variables;

pub use artifacts::{
    ArtifactDestination, ArtifactNamespace, ArtifactPackaging, ArtifactSettings, ArtifactsType,
    BucketOwnerAccess, KeyParts, Wanted, inner_path,
};
pub use ask::{CACHE_GENERATION, Site, StoredProject, Unacceptable};
pub use build::{Artifact, Build, BuildPhase, ExportedVariable, PhaseType};
pub use cache::{CacheMode, CacheType, ProjectCache};
pub use compute_type::{ComputeType, UnknownComputeType};
pub use effective::{BuildArtifacts, DebugSession, EffectiveBuild};
pub use environment::{
    ComputeConfiguration, CredentialProvider, DockerServer, EnvironmentType, HostKernel,
    ImagePullCredentialsType, ProjectEnvironment, ProjectFleet, RegistryCredential,
};
pub use executor::protocol::{PhaseContext, Status};
pub use identifiers::{BuildId, InvalidBuildId, InvalidName, ProjectName};
pub use logs_config::{
    CloudWatchLogsConfig, LogDelivery, LogsConfig, LogsLocation, LogsStatus, S3LogsConfig,
};
pub use moment::seconds;
pub use overrides::{Overrides, OverridesError};
pub use pipeline::{PipelineArtifact, PipelineJob};
pub use project::{
    BatchRestrictions, BuildBatchConfig, Project, ProjectError, ProjectVisibility, Tag,
};
pub use report::{
    CodeCoverage, CoverageNumbers, DetailedReport, Report, ReportStatus, ReportType, TestCase,
    TestStatus, TestSummary,
};
pub use request::{
    BuildRequest, BuildspecChoice, NamedText, Placement, SecondarySource, SourceLocation,
};
pub use source::{
    BuildStatusConfig, GitSubmodulesConfig, ProjectSource, ProjectSourceVersion, SourceAuth,
    SourceAuthType, SourceType,
};
pub use start::{ArtifactDirectory, InvalidInput, Start};
pub use variables::{EnvironmentVariable, VariableValue};
