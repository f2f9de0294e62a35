//! Inputs of operations, and how they are spoilt.

use serde_json::{Map, Number, Value, json};

use super::dice::Dice;

/// Inputs that are sensible, so that what is spoilt of them gets far.
const INPUTS: [&str; 7] = [
    r#"{"projectName":"demo","sourceVersion":"main","environmentVariablesOverride":[{"name":"A","value":"1","type":"PLAINTEXT"}],"timeoutInMinutesOverride":30,"privilegedModeOverride":false,"buildspecOverride":"version: 0.2\nphases: {build: {commands: [true]}}","secondarySourcesOverride":[{"type":"GITHUB","location":"https://github.com/o/s.git","sourceIdentifier":"s"}],"logsConfigOverride":{"cloudWatchLogs":{"status":"DISABLED"}},"cacheOverride":{"type":"S3","location":"b/p"},"idempotencyToken":"t"}"#,
    r#"{"ids":["demo:11111111-2222-3333-4444-555555555555","demo:nope"],"nextToken":"00","maxResults":100,"sortOrder":"ASCENDING"}"#,
    r#"{"name":"demo","source":{"type":"NO_SOURCE","buildspec":"version: 0.2"},"artifacts":{"type":"S3","location":"b","path":"p","packaging":"ZIP"},"environment":{"type":"LINUX_CONTAINER","image":"a","computeType":"BUILD_GENERAL1_SMALL","environmentVariables":[]},"serviceRole":"r","timeoutInMinutes":5,"tags":[{"key":"k","value":"v"}],"concurrentBuildLimit":0}"#,
    r#"{"logGroupName":"/aws/codebuild/demo","logStreamName":"s","nextToken":"f/0","limit":1,"filterPattern":"a","startTime":0,"endTime":1700000000000,"startFromHead":true}"#,
    r#"{"reportArn":"arn:aws:codebuild:us-east-1:1:report/a:b","sortOrder":"ASCENDING","minLineCoveragePercentage":1e308,"filter":{"status":"FAILED","keyword":"k"}}"#,
    r#"{"id":"demo:11111111-2222-3333-4444-555555555555","rows":24,"columns":80,"fromCommand":1}"#,
    r#"{"token":"t","serverType":"GITHUB","authType":"PERSONAL_ACCESS_TOKEN","shouldOverwrite":false,"username":"u"}"#,
];

/// An input with some of its values exchanged for others.
pub(super) fn spoilt(dice: &mut Dice) -> Value {
    let mut input = serde_json::from_str(dice.pick(&INPUTS)).unwrap_or_default();
    for _ in 0..=dice.roll(3) {
        spoil(&mut input, dice);
    }
    input
}

/// Exchanges a value somewhere inside.
fn spoil(value: &mut Value, dice: &mut Dice) {
    let inside = match value {
        Value::Object(members) if !members.is_empty() && !dice.one_in(6) => {
            if dice.one_in(8) {
                rename(members, dice);
                return;
            }
            let place = dice.roll(members.len());
            members.values_mut().nth(place)
        }
        Value::Array(items) if !items.is_empty() && !dice.one_in(4) => {
            let place = dice.roll(items.len());
            items.get_mut(place)
        }
        _ => None,
    };
    match inside {
        Some(inside) => spoil(inside, dice),
        None => *value = strange(dice),
    }
}

fn rename(members: &mut Map<String, Value>, dice: &mut Dice) {
    let place = dice.roll(members.len());
    let name = members.keys().nth(place).cloned().unwrap_or_default();
    let value = members.remove(&name);
    if dice.one_in(2) {
        let other = String::from_utf8_lossy(&dice.bytes(20)).into_owned();
        members.insert(other, value.unwrap_or_default());
    }
}

/// A value that nobody expects.
fn strange(dice: &mut Dice) -> Value {
    let text = |text: &str| Value::from(text);
    match dice.roll(16) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(i64::MIN),
        4 => Number::from_f64(1e300).map_or(Value::Null, Value::Number),
        5 => json!(7.5),
        6 => json!(true),
        7 => text(""),
        8 => text(&"x".repeat(dice.roll(5000))),
        9 => text("../../../etc/passwd\u{0}"),
        10 => text("arn:aws:codebuild:::::/:"),
        11 => text("\u{202e}\u{feff}ß\u{10ffff}"),
        12 => (0..dice.roll(60)).fold(json!([]), |inner, _| json!([inner])),
        13 => json!([{}, [], null, "a", 1]),
        14 => json!({"type": {"type": {"type": 1}}}),
        _ => Value::from(String::from_utf8_lossy(&dice.bytes(40)).into_owned()),
    }
}

/// CBOR as one of the encoders in the world might write it: lengths known or not, heads longer than
/// needed.
pub(super) fn cbor(value: &Value, dice: &mut Dice, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(if dice.one_in(4) { 0xf7 } else { 0xf6 }),
        Value::Bool(is) => bytes.push(0xf4 + u8::from(*is)),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => head(0, number, dice, bytes),
            (_, Some(number), _) => head(1, (!number).unsigned_abs(), dice, bytes),
            (_, _, number) => {
                bytes.push(0xfb);
                bytes.extend_from_slice(&number.unwrap_or(0.0).to_be_bytes());
            }
        },
        Value::String(text) => {
            head(3, text.len() as u64, dice, bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            let has_end = open(4, items.len(), dice, bytes);
            for item in items {
                cbor(item, dice, bytes);
            }
            bytes.extend(has_end.then_some(0xff));
        }
        Value::Object(members) => {
            let has_end = open(5, members.len(), dice, bytes);
            for (name, member) in members {
                head(3, name.len() as u64, dice, bytes);
                bytes.extend_from_slice(name.as_bytes());
                cbor(member, dice, bytes);
            }
            bytes.extend(has_end.then_some(0xff));
        }
    }
}

/// Begins a list or a map; tells whether its end has to be marked.
fn open(major: u8, length: usize, dice: &mut Dice, bytes: &mut Vec<u8>) -> bool {
    let is_indefinite = dice.one_in(3);
    if is_indefinite {
        bytes.push(major << 5 | 0x1f);
    } else {
        head(major, length as u64, dice, bytes);
    }
    is_indefinite
}

fn head(major: u8, number: u64, dice: &mut Dice, bytes: &mut Vec<u8>) {
    let all = number.to_be_bytes();
    let needed = match number {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 4,
        _ => 8,
    };
    let size = if dice.one_in(6) { 8 } else { needed };
    let low = match size {
        0 => all[7],
        1 => 24,
        2 => 25,
        4 => 26,
        _ => 27,
    };
    bytes.push(major << 5 | low);
    bytes.extend_from_slice(&all[8 - size..]);
}
