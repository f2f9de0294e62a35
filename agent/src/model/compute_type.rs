//! Compute types: how much of a machine a build gets.

use std::str::FromStr;

/// A general compute type (user guide, "Build environment compute modes and types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComputeType {
    /// `BUILD_GENERAL1_SMALL`.
    Small,
    /// `BUILD_GENERAL1_MEDIUM`.
    Medium,
    /// `BUILD_GENERAL1_LARGE`.
    Large,
    /// `BUILD_GENERAL1_XLARGE`.
    XLarge,
    /// `BUILD_GENERAL1_2XLARGE`.
    TwoXLarge,
}

/// A text that is not a compute type this agent can give.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a compute type here: BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE and _2XLARGE are"
)]
pub struct UnknownComputeType(String);

impl ComputeType {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Small, "BUILD_GENERAL1_SMALL"),
        (Self::Medium, "BUILD_GENERAL1_MEDIUM"),
        (Self::Large, "BUILD_GENERAL1_LARGE"),
        (Self::XLarge, "BUILD_GENERAL1_XLARGE"),
        (Self::TwoXLarge, "BUILD_GENERAL1_2XLARGE"),
    ];

    /// Number of processors.
    pub fn processors(self) -> u32 {
        match self {
            Self::Small => 2,
            Self::Medium => 4,
            Self::Large => 8,
            Self::XLarge => 36,
            Self::TwoXLarge => 72,
        }
    }

    /// Memory, in GiB.
    pub fn memory_gib(self) -> u32 {
        match self {
            Self::Small => 4,
            Self::Medium => 8,
            Self::Large => 16,
            Self::XLarge => 72,
            Self::TwoXLarge => 144,
        }
    }
}

impl FromStr for ComputeType {
    type Err = UnknownComputeType;

    fn from_str(text: &str) -> Result<Self, UnknownComputeType> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(compute_type, _)| *compute_type)
            .ok_or_else(|| UnknownComputeType(text.to_owned()))
    }
}
