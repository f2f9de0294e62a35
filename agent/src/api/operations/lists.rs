//! Pages of lists: the input's members go in, the request to the store comes out.

use serde::Deserialize;

use super::ApiError;
use super::input::{self, SortOrder};
use crate::api::paging;
use crate::store::{Order, Page, PageRequest, ResourceSort};

/// The members that every list takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListInput {
    sort_order: Option<SortOrder>,
    sort_by: Option<SortBy>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// API, `ProjectSortByType` and `ReportGroupSortByType`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SortBy {
    Name,
    CreatedTime,
    LastModifiedTime,
}

/// A list on its way: what it is called, so that its tokens are good for nothing else, and which page
/// is wanted.
#[derive(Debug)]
pub(super) struct List {
    name: String,
    pub(super) sort: ResourceSort,
    pub(super) page: PageRequest,
}

impl ListInput {
    /// The page that is wanted of the list `name`, in this order if the client names none.
    pub(super) fn list(&self, name: &str, usual: Order) -> Result<List, ApiError> {
        let order = self.sort_order.map_or(usual, Order::from);
        let sort = match self.sort_by {
            None | Some(SortBy::Name) => ResourceSort::Name,
            Some(SortBy::CreatedTime) => ResourceSort::Created,
            Some(SortBy::LastModifiedTime) => ResourceSort::Modified,
        };
        let name = format!("{name}/{sort:?}/{order:?}");
        let after = paging::after(&name, self.next_token.as_deref())?;
        let limit = input::limit(self.max_results)?;
        Ok(List {
            name,
            sort,
            page: PageRequest {
                order,
                after,
                limit,
            },
        })
    }
}

impl List {
    /// The token for what follows a page.
    pub(super) fn next_token<T>(&self, page: &Page<T>) -> Option<String> {
        page.next
            .as_ref()
            .map(|next| paging::token(&self.name, next))
    }
}
