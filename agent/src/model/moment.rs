//! Times in the API's form: seconds since 1970 UTC, with milliseconds. What the AWS CLI prints, RFC 3339,
//! is read too.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes seconds.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_f64(seconds(*time)),
        None => serializer.serialize_none(),
    }
}

/// Whole milliseconds as seconds.
pub fn seconds(time: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 fit the 52 bits of a float until the year 144683"
    )]
    let seconds = time.as_millisecond() as f64 / 1000.0;
    seconds
}

/// Reads seconds or a text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Seconds(f64),
        Text(String),
    }
    let time = match Option::<Form>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Form::Text(text)) => text.parse().map_err(|error: jiff::Error| error.to_string()),
        Some(Form::Seconds(seconds)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float that is too large becomes the largest number, which is refused"
            )]
            let millis = (seconds * 1000.0).round() as i64;
            Timestamp::from_millisecond(millis).map_err(|error| error.to_string())
        }
    };
    time.map(Some).map_err(serde::de::Error::custom)
}
