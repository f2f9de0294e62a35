//! Build environments (API, `ProjectEnvironment` and what belongs to it).

use serde::{Deserialize, Serialize};

use super::{ComputeType, EnvironmentVariable};

/// The environment of a build (API, `ProjectEnvironment`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectEnvironment {
    /// Kind of machine.
    #[serde(rename = "type", default)]
    pub environment_type: EnvironmentType,
    /// Image of the container.
    pub image: String,
    /// How much of a machine the build gets; the API wants it, a local build gets all if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_type: Option<ComputeType>,
    /// What `ATTRIBUTE_BASED_COMPUTE` asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_configuration: Option<ComputeConfiguration>,
    /// The fleet whose machines run the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<ProjectFleet>,
    /// Variables, which win over the buildspec's.
    #[serde(default)]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Whether the container is privileged.
    #[serde(default)]
    pub privileged_mode: bool,
    /// `bucket/key` or ARN of a certificate in PEM form that sources and registries are trusted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Credentials of a private registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_credential: Option<RegistryCredential>,
    /// Who pulls the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_credentials_type: Option<ImagePullCredentialsType>,
    /// The server on which builds of the project build images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_server: Option<DockerServer>,
    /// Kernel of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_kernel: Option<HostKernel>,
}

/// API, `EnvironmentType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvironmentType {
    /// Windows Server 2016.
    WindowsContainer,
    /// Linux on x86-64.
    #[default]
    LinuxContainer,
    /// Linux on x86-64 with graphics processors.
    LinuxGpuContainer,
    /// Linux on 64-bit ARM.
    ArmContainer,
    /// Windows Server 2019.
    #[serde(rename = "WINDOWS_SERVER_2019_CONTAINER")]
    WindowsServer2019Container,
    /// Windows Server 2022.
    #[serde(rename = "WINDOWS_SERVER_2022_CONTAINER")]
    WindowsServer2022Container,
    /// Lambda on x86-64.
    LinuxLambdaContainer,
    /// Lambda on 64-bit ARM.
    ArmLambdaContainer,
    /// A Linux machine without a container.
    #[serde(rename = "LINUX_EC2")]
    LinuxEc2,
    /// An ARM machine without a container.
    #[serde(rename = "ARM_EC2")]
    ArmEc2,
    /// A Windows machine without a container.
    #[serde(rename = "WINDOWS_EC2")]
    WindowsEc2,
    /// A Mac.
    MacArm,
}

impl ProjectEnvironment {
    /// An environment of which only the image is known.
    pub fn of_image(image: String) -> Self {
        Self {
            environment_type: EnvironmentType::default(),
            image,
            compute_type: None,
            compute_configuration: None,
            fleet: None,
            environment_variables: Vec::new(),
            privileged_mode: false,
            certificate: None,
            registry_credential: None,
            image_pull_credentials_type: None,
            docker_server: None,
            host_kernel: None,
        }
    }
}

impl EnvironmentType {
    /// Whether this agent can run it: containers on Linux.
    pub fn is_linux_container(self) -> bool {
        matches!(
            self,
            Self::LinuxContainer
                | Self::LinuxGpuContainer
                | Self::ArmContainer
                | Self::LinuxLambdaContainer
                | Self::ArmLambdaContainer
        )
    }
}

/// API, `ComputeConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComputeConfiguration {
    /// Number of processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v_cpu: Option<u32>,
    /// Memory, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// Disk, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u32>,
    /// `GENERAL` or `NVME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// EC2 instance type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
}

/// API, `ProjectFleet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectFleet {
    /// ARN of the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet_arn: Option<String>,
}

/// API, `RegistryCredential`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCredential {
    /// Name or ARN of a secret that holds `username` and `password`.
    pub credential: String,
    /// Where the secret lies.
    pub credential_provider: CredentialProvider,
}

/// API, `CredentialProviderType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CredentialProvider {
    /// Secrets Manager.
    SecretsManager,
}

/// API, `ImagePullCredentialsType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImagePullCredentialsType {
    /// CodeBuild's own credentials.
    Codebuild,
    /// Those of the project's service role.
    ServiceRole,
}

/// API, `DockerServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DockerServer {
    /// How much of a machine it gets.
    pub compute_type: ComputeType,
    /// Has no meaning outside of AWS; kept and given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_group_ids: Vec<String>,
}

/// API, `HostKernel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostKernel {
    /// Version 4.
    #[serde(rename = "LINUX_KERNEL_4")]
    LinuxKernel4,
    /// Version 6.
    #[serde(rename = "LINUX_KERNEL_6")]
    LinuxKernel6,
    /// The newest there is.
    #[serde(rename = "LINUX_KERNEL_LATEST")]
    LinuxKernelLatest,
}
