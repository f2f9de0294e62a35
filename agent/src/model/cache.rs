//! Cache settings (API, `ProjectCache`).

use serde::{Deserialize, Serialize};

/// Where builds keep files for later builds (API, `ProjectCache`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectCache {
    /// What kind of place it is.
    #[serde(rename = "type")]
    pub cache_type: CacheType,
    /// `bucket` or `bucket/prefix`, for S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What a local cache keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<CacheMode>,
    /// Projects of one namespace share what they keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_namespace: Option<String>,
}

/// API, `CacheType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CacheType {
    /// Nowhere.
    #[default]
    NoCache,
    /// In a bucket.
    S3,
    /// On the machine that runs the build.
    Local,
}

/// API, `CacheMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CacheMode {
    /// Layers of images that builds make.
    LocalDockerLayerCache,
    /// Git repositories of the sources.
    LocalSourceCache,
    /// The buildspec's `cache`.
    LocalCustomCache,
}
