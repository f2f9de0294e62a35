//! Tokens of lists: the end of a page goes in, an opaque text for the client comes out.

use super::error::ApiError;
use crate::model::hex;

/// The token for what follows `after` in a list. It holds for the same list in the same order only.
pub(super) fn token(list: &str, after: &str) -> String {
    hex::encode(format!("{list}\n{after}").as_bytes())
}

/// Where the page goes on that a client asks for; `None` for the first one.
pub(super) fn after(list: &str, token: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(token) = token else {
        return Ok(None);
    };
    let text = hex::decode(token).and_then(|bytes| String::from_utf8(bytes).ok());
    let after = text.as_deref().and_then(|text| {
        let after = text.strip_prefix(list)?.strip_prefix('\n')?;
        Some(after.to_owned())
    });
    match after {
        Some(after) => Ok(Some(after)),
        None => Err(ApiError::invalid(
            "Invalid next token: it is not one of this list in this order",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_list() {
        let given = token("ListBuilds/ASCENDING", "17:a");
        assert_eq!(
            after("ListBuilds/ASCENDING", Some(&given))
                .unwrap()
                .as_deref(),
            Some("17:a")
        );
        assert_eq!(after("ListBuilds/ASCENDING", None).unwrap(), None);
        for (list, token) in [
            ("ListBuilds/DESCENDING", given.as_str()),
            ("ListBuilds/ASCENDING", "xyz"),
            ("ListBuilds/ASCENDING", "00"),
        ] {
            assert!(after(list, Some(token)).is_err(), "{list} {token}");
        }
    }
}
