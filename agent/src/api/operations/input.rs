//! Checks that many inputs share. Clients check some of it themselves; none checks all.

use serde::Deserialize;

use super::ApiError;
use crate::store::Order;

/// Most names in one call (API, `BatchGetBuilds` and the like).
const MOST_NAMES: usize = 100;

/// A member that has to be there.
pub(super) fn required<T>(member: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(format!("Invalid input: {member} is required")))
}

/// A list of 1 to 100 names. `empty` is what CodeBuild says of one without any.
pub(super) fn names(
    member: &str,
    names: Option<Vec<String>>,
    empty: &str,
) -> Result<Vec<String>, ApiError> {
    let names = names.unwrap_or_default();
    if names.is_empty() {
        return Err(ApiError::invalid(empty));
    }
    if names.len() > MOST_NAMES {
        let message = format!(
            "Invalid input: {member} has {} items, at most {MOST_NAMES} are allowed",
            names.len()
        );
        return Err(ApiError::invalid(message));
    }
    Ok(names)
}

/// How many entries a page has (API, `maxResults`: 1 to 100; 100 if nothing is said).
pub(super) fn limit(wanted: Option<i64>) -> Result<u32, ApiError> {
    let wanted = wanted.unwrap_or(100);
    match u32::try_from(wanted) {
        Ok(limit @ 1..=100) => Ok(limit),
        _ => Err(ApiError::invalid(format!(
            "Invalid input: maxResults {wanted} is not between 1 and 100"
        ))),
    }
}

/// API, `SortOrderType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum SortOrder {
    Ascending,
    Descending,
}

impl From<SortOrder> for Order {
    fn from(order: SortOrder) -> Self {
        match order {
            SortOrder::Ascending => Self::Ascending,
            SortOrder::Descending => Self::Descending,
        }
    }
}
