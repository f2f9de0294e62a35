//! Writes a JSON value as CBOR.

use serde_json::{Number, Value};

use super::{major, simple};

/// The members of CodeBuild's shapes that are points in time; no other member has one of these names
/// (service model). Clients want them tagged, and refuse or misread them otherwise.
pub(super) const TIMESTAMPS: [&str; 9] = [
    "created",
    "endTime",
    "expired",
    "lastModified",
    "lastModifiedSecret",
    "requestTime",
    "requestedOn",
    "startTime",
    "submitTime",
];

/// The tag of seconds since 1970 (RFC 8949, 3.4.2).
const EPOCH: u64 = 1;

/// The CBOR of a value: definite lengths, shortest heads, integers as integers, and the numbers of
/// [`TIMESTAMPS`] with their tag.
pub(in crate::api) fn to_vec(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    write(value, &mut bytes);
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(major::SIMPLE << 5 | simple::NULL),
        Value::Bool(true) => bytes.push(major::SIMPLE << 5 | simple::TRUE),
        Value::Bool(false) => bytes.push(major::SIMPLE << 5 | simple::FALSE),
        Value::Number(number) => write_number(number, bytes),
        Value::String(text) => write_text(text, bytes),
        Value::Array(items) => {
            head(major::ARRAY, items.len() as u64, bytes);
            for item in items {
                write(item, bytes);
            }
        }
        Value::Object(members) => {
            head(major::MAP, members.len() as u64, bytes);
            for (name, member) in members {
                write_text(name, bytes);
                if member.is_number() && TIMESTAMPS.contains(&name.as_str()) {
                    head(major::TAG, EPOCH, bytes);
                }
                write(member, bytes);
            }
        }
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    head(major::TEXT, text.len() as u64, bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn write_number(number: &Number, bytes: &mut Vec<u8>) {
    if let Some(unsigned) = number.as_u64() {
        head(major::UNSIGNED, unsigned, bytes);
    } else if let Some(negative) = number.as_i64() {
        // -1 - n is the complement of n.
        head(major::NEGATIVE, (!negative).cast_unsigned(), bytes);
    } else {
        bytes.push(major::SIMPLE << 5 | simple::DOUBLE);
        let double = number.as_f64().unwrap_or_default();
        bytes.extend_from_slice(&double.to_be_bytes());
    }
}

/// The shortest head with this number.
fn head(major: u8, number: u64, bytes: &mut Vec<u8>) {
    let widest = number.to_be_bytes();
    let (additional, width) = match number {
        0..=23 => (widest[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    bytes.push(major << 5 | additional);
    bytes.extend_from_slice(&widest[8 - width..]);
}
