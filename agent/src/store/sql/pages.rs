//! Lists in pages: a token is the key of the last entry before it.

use crate::store::{Order, Page, PageRequest, StoreError};

/// Comes after every name, every identifier and every ARN in the order of bytes.
const LAST_TEXT: &str = "\u{10FFFF}";

/// Where a page of a list with a number and a text as its key begins.
pub(super) fn start(page: &PageRequest) -> Result<(i64, String), StoreError> {
    match (&page.after, page.order) {
        (Some(token), _) => {
            let (number, text) = token.split_once(':').ok_or(StoreError::InvalidToken)?;
            let number = number.parse().map_err(|_| StoreError::InvalidToken)?;
            Ok((number, text.to_owned()))
        }
        (None, Order::Ascending) => Ok((i64::MIN, String::new())),
        (None, Order::Descending) => Ok((i64::MAX, LAST_TEXT.to_owned())),
    }
}

/// How many rows to read: one more than wanted tells whether there is another page.
pub(super) fn rows(page: &PageRequest) -> i64 {
    i64::from(page.limit.max(1)) + 1
}

/// Makes the page of the rows that were read, each with its key.
pub(super) fn cut<T>(page: &PageRequest, mut rows: Vec<(T, i64, String)>) -> Page<T> {
    let limit = page.limit.max(1) as usize;
    let is_last = rows.len() <= limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| !is_last);
    let next = last.map(|(_, number, text)| format!("{number}:{text}"));
    Page {
        entries: rows.into_iter().map(|(entry, ..)| entry).collect(),
        next,
    }
}
