//! JSON as clients of CodeBuild write it.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What is done with members that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownMembers {
    /// They are refused: a person wrote them and expects something of them.
    Refused,
    /// They are passed over, as AWS does: a client that is newer than this program sent them.
    Ignored,
}

/// Reads a shape. Nulls and empty texts stand for absent members, as the AWS CLI's skeletons have
/// them; the value of a variable may be empty.
pub fn shape<T: DeserializeOwned>(mut value: Value, unknown: UnknownMembers) -> Result<T, String> {
    leave_out_absent(&mut value);
    let mut first_unknown = None;
    let read = serde_ignored::deserialize(value, |path| {
        first_unknown.get_or_insert_with(|| path.to_string());
    });
    let read = read.map_err(|error: serde_json::Error| error.to_string())?;
    match first_unknown {
        Some(path) if unknown == UnknownMembers::Refused => {
            // Options and newtypes stand in the path as `?`.
            Err(format!("unknown member `{}`", path.replace(".?", "")))
        }
        _ => Ok(read),
    }
}

fn leave_out_absent(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, value| {
                !value.is_null() && (name == "value" || value.as_str() != Some(""))
            });
            members.values_mut().for_each(leave_out_absent);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_absent),
        _ => {}
    }
}

/// Reads JSON, or YAML if the text is no JSON object or array.
pub fn from_text(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with(['{', '[']) {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }
}
