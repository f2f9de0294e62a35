//! Compute types: how much of a machine a build gets.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A compute type (API, `ComputeType`; user guide, "Build environment compute modes and types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ComputeType {
    /// 2 processors, 4 GiB.
    #[serde(rename = "BUILD_GENERAL1_SMALL")]
    Small,
    /// 4 processors, 8 GiB.
    #[serde(rename = "BUILD_GENERAL1_MEDIUM")]
    Medium,
    /// 8 processors, 16 GiB.
    #[serde(rename = "BUILD_GENERAL1_LARGE")]
    Large,
    /// 36 processors, 72 GiB.
    #[serde(rename = "BUILD_GENERAL1_XLARGE")]
    XLarge,
    /// 72 processors, 144 GiB.
    #[serde(rename = "BUILD_GENERAL1_2XLARGE")]
    TwoXLarge,
    /// 1 GiB.
    #[serde(rename = "BUILD_LAMBDA_1GB")]
    Lambda1,
    /// 2 GiB.
    #[serde(rename = "BUILD_LAMBDA_2GB")]
    Lambda2,
    /// 4 GiB.
    #[serde(rename = "BUILD_LAMBDA_4GB")]
    Lambda4,
    /// 8 GiB.
    #[serde(rename = "BUILD_LAMBDA_8GB")]
    Lambda8,
    /// 10 GiB.
    #[serde(rename = "BUILD_LAMBDA_10GB")]
    Lambda10,
    /// What `computeConfiguration` asks for.
    #[serde(rename = "ATTRIBUTE_BASED_COMPUTE")]
    AttributeBased,
    /// An EC2 instance type.
    #[serde(rename = "CUSTOM_INSTANCE_TYPE")]
    CustomInstance,
}

/// A text that is not a compute type.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a compute type: BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE, _2XLARGE and BUILD_LAMBDA_1GB to _10GB are"
)]
pub struct UnknownComputeType(String);

impl ComputeType {
    /// Number of processors, where the type says one. A Lambda type says its memory only.
    pub fn processors(self) -> Option<u32> {
        match self {
            Self::Small => Some(2),
            Self::Medium => Some(4),
            Self::Large => Some(8),
            Self::XLarge => Some(36),
            Self::TwoXLarge => Some(72),
            _ => None,
        }
    }

    /// Memory, in GiB, where the type says it.
    pub fn memory_gib(self) -> Option<u32> {
        match self {
            Self::Small | Self::Lambda4 => Some(4),
            Self::Medium | Self::Lambda8 => Some(8),
            Self::Large => Some(16),
            Self::XLarge => Some(72),
            Self::TwoXLarge => Some(144),
            Self::Lambda1 => Some(1),
            Self::Lambda2 => Some(2),
            Self::Lambda10 => Some(10),
            Self::AttributeBased | Self::CustomInstance => None,
        }
    }
}

impl FromStr for ComputeType {
    type Err = UnknownComputeType;

    fn from_str(text: &str) -> Result<Self, UnknownComputeType> {
        let name = serde_json::Value::String(text.to_owned());
        serde_json::from_value(name).map_err(|_| UnknownComputeType(text.to_owned()))
    }
}
