//! What is kept by name, and pages of lists.

use jiff::Timestamp;
use serde_json::Value;

/// What is kept by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A project (API, `Project`).
    Project,
    /// A group of reports, by its name (API, `ReportGroup`).
    ReportGroup,
    /// Credentials of a source host, by its server type; the body is sealed by whoever stores it.
    SourceCredential,
    /// A fleet (API, `Fleet`).
    Fleet,
    /// A webhook, by its project (API, `Webhook`).
    Webhook,
    /// A batch of builds, by its id (API, `BuildBatch`).
    BuildBatch,
    /// A sandbox, by its id (API, `Sandbox`).
    Sandbox,
    /// A key for the API, by its id; its secret is sealed by whoever stores it.
    AccessKey,
}

impl Kind {
    /// Its name in the database.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Project => "PROJECT",
            Self::ReportGroup => "REPORT_GROUP",
            Self::SourceCredential => "SOURCE_CREDENTIAL",
            Self::Fleet => "FLEET",
            Self::Webhook => "WEBHOOK",
            Self::BuildBatch => "BUILD_BATCH",
            Self::Sandbox => "SANDBOX",
            Self::AccessKey => "ACCESS_KEY",
        }
    }

    /// Its name in a sentence.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::ReportGroup => "report group",
            Self::SourceCredential => "source credential",
            Self::Fleet => "fleet",
            Self::Webhook => "webhook",
            Self::BuildBatch => "build batch",
            Self::Sandbox => "sandbox",
            Self::AccessKey => "access key",
        }
    }
}

/// Something kept by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name, unique among its kind.
    pub name: String,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// When it was stored last.
    pub modified_at: Timestamp,
    /// What it is, as it was given.
    pub body: Value,
}

/// By what names are listed (API, `ProjectSortByType`, `ReportGroupSortByType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceSort {
    /// By the names.
    Name,
    /// By the time of creation.
    Created,
    /// By the time of the last change.
    Modified,
}

/// Which end of a list comes first (API, `SortOrderType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Small or old ones first.
    Ascending,
    /// Large or new ones first.
    Descending,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Which end comes first.
    pub order: Order,
    /// Where the page before ended; `None` for the first page.
    pub after: Option<String>,
    /// How many entries at most.
    pub limit: u32,
}

impl PageRequest {
    /// The first page of up to 100 entries, as many as CodeBuild gives.
    pub fn first(order: Order) -> Self {
        Self {
            order,
            after: None,
            limit: 100,
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page goes on; `None` at the end. Holds for the same list and order only.
    pub next: Option<String>,
}
