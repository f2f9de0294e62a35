//! Test reports and coverage as they are kept.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A report that a build has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewReport {
    /// Its ARN.
    pub arn: String,
    /// ARN of its group.
    pub group_arn: String,
    /// Its status (API, `ReportStatusType`).
    pub status: String,
    /// The report itself (API, `Report`).
    pub report: Value,
    /// Its test cases and coverages.
    pub details: Value,
}

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReport {
    /// Its ARN.
    pub arn: String,
    /// ARN of its group.
    pub group_arn: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The report itself (API, `Report`).
    pub report: Value,
}

/// Which reports are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportFilter {
    /// Those of this group only.
    pub group_arn: Option<String>,
    /// Those with this status only.
    pub status: Option<String>,
}
