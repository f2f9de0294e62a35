//! CBOR (RFC 8949) as far as smithy-rpc-v2-cbor uses it: bytes in, serde types out, and JSON values
//! in, bytes out.
//!
//! Written here because of what a general library does not do: it accepts every form that AWS's
//! clients send (definite and indefinite lengths, heads longer than needed, floats of any width,
//! tags), refuses what follows a value, and bounds depth and memory by the input's own size.

mod decode;
mod encode;

pub(in crate::api) use decode::from_slice;
pub(in crate::api) use encode::to_vec;

/// Major types (RFC 8949, 3.1).
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const ARRAY: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
    pub(super) const SIMPLE: u8 = 7;
}

/// What the low bits of a first byte mean in [`major::SIMPLE`] (RFC 8949, 3.3).
mod simple {
    pub(super) const FALSE: u8 = 0x14;
    pub(super) const TRUE: u8 = 0x15;
    pub(super) const NULL: u8 = 0x16;
    pub(super) const UNDEFINED: u8 = 0x17;
    pub(super) const HALF: u8 = 0x19;
    pub(super) const FLOAT: u8 = 0x1a;
    pub(super) const DOUBLE: u8 = 0x1b;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::decode::CborError;
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    fn value(hex: &str) -> Result<Value, CborError> {
        from_slice(&bytes(hex))
    }

    /// The middle of a captured StartBuild, the same from every encoder.
    const NAMES: &str = "6b70726f6a6563744e616d65 6464656d6f 6d736f7572636556657273696f6e 646d61696e \
        781c656e7669726f6e6d656e745661726961626c65734f76657272696465";
    const VARIABLE: &str = "646e616d65 6141 6576616c7565 6131 6474797065 69504c41494e54455854";
    const REST: &str = "7670726976696c656765644d6f64654f76657272696465 f5 \
        781874696d656f7574496e4d696e757465734f76657272696465 181e \
        706964656d706f74656e6379546f6b656e 65746f6b2d31";

    #[test]
    fn what_each_client_sends_is_the_same_value() {
        let expected = json!({
            "projectName": "demo", "sourceVersion": "main",
            "environmentVariablesOverride": [{"name": "A", "value": "1", "type": "PLAINTEXT"}],
            "privilegedModeOverride": true, "timeoutInMinutesOverride": 30, "idempotencyToken": "tok-1",
        });
        for (client, size, hex) in [
            ("boto3", 174, format!("a6 {NAMES} 81 a3 {VARIABLE} {REST}")),
            (
                "JavaScript",
                175,
                format!("b806 {NAMES} 81 a3 {VARIABLE} {REST}"),
            ),
            (
                "Rust",
                177,
                format!("bf {NAMES} 9f bf {VARIABLE} ffff {REST} ff"),
            ),
        ] {
            assert_eq!(bytes(&hex).len(), size, "{client}");
            assert_eq!(value(&hex).unwrap(), expected, "{client}");
        }
    }

    #[test]
    fn ids_come_in_arrays_of_both_kinds() {
        let id = "7829 64656d6f3a31313131313131312d323232322d333333332d343434342d353535353535353535353535";
        let expected = json!({"ids": ["demo:11111111-2222-3333-4444-555555555555", "demo:nope"]});
        let nope = "69 64656d6f3a6e6f7065";
        let definite = format!("a1 63696473 82 {id} {nope}");
        assert_eq!(value(&definite).unwrap(), expected);
        let indefinite = format!("bf 63696473 9f {id} {nope} ff ff");
        assert_eq!(value(&indefinite).unwrap(), expected);
    }

    #[test]
    fn an_answer_is_what_clients_were_seen_to_accept() {
        let id = "demo:11111111-2222-3333-4444-555555555555";
        let build = json!({"build": {
            "id": id, "buildNumber": 7, "startTime": 1_700_000_000.123,
            "buildStatus": "IN_PROGRESS", "buildComplete": false,
        }});
        let answer = to_vec(&build);
        let timed = bytes("69737461727454696d65 c1 fb41d954fc4007df3b");
        assert!(answer.windows(timed.len()).any(|part| part == timed));
        let numbered = bytes("6b6275696c644e756d626572 07");
        assert!(answer.windows(numbered.len()).any(|part| part == numbered));
        assert_eq!(from_slice::<Value>(&answer).unwrap(), build);
        assert_eq!(to_vec(&json!({})), [0xa0], "never an empty body");
    }

    #[test]
    fn numbers_of_any_width_are_read() {
        for (hex, expected) in [
            ("1b 000000000000001e", json!(30)),
            ("1a 0000001e", json!(30)),
            ("19 001e", json!(30)),
            ("20", json!(-1)),
            ("3b 7fffffffffffffff", json!(i64::MIN)),
            ("f9 3e00", json!(1.5)),
            ("f9 0001", json!(2_f64.powi(-24))),
            ("f9 c000", json!(-2.0)),
            ("fa 3fc00000", json!(1.5)),
            ("fb 3ff8000000000000", json!(1.5)),
            ("c1 fb41d954fc4007df3b", json!(1_700_000_000.123)),
            ("c1 1a6553f100", json!(1_700_000_000)),
            ("f6", json!(null)),
            ("f7", json!(null)),
            ("7f 6161 6162 ff", json!("ab")),
        ] {
            assert_eq!(value(hex).unwrap(), expected, "{hex}");
        }
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        for (label, hex, expected) in [
            ("nothing", "", CborError::Truncated),
            ("an open map", "bf", CborError::Truncated),
            ("half a number", "19 00", CborError::Truncated),
            (
                "a promise of much",
                "9b ffffffffffffffff 00",
                CborError::Truncated,
            ),
            ("a long text", "7b ffffffffffffffff", CborError::Truncated),
            ("two values", "00 00", CborError::Trailing(1)),
            (
                "a break",
                "ff",
                CborError::Unexpected {
                    byte: 0xff,
                    offset: 0,
                },
            ),
            (
                "a reserved head",
                "1c",
                CborError::Unexpected {
                    byte: 0x1c,
                    offset: 0,
                },
            ),
            (
                "an unassigned simple value",
                "f8 20",
                CborError::Unexpected {
                    byte: 0xf8,
                    offset: 0,
                },
            ),
            (
                "a text of bytes",
                "7f 4161 ff",
                CborError::Unexpected {
                    byte: 0x41,
                    offset: 1,
                },
            ),
            (
                "a text in a text",
                "7f 7f 6161 ff ff",
                CborError::Unexpected {
                    byte: 0x7f,
                    offset: 1,
                },
            ),
            ("a text that is none", "61 ff", CborError::NotUtf8),
            ("half a character", "7f 61c3 61a4 ff", CborError::NotUtf8),
            ("a small number", "3b 8000000000000000", CborError::Range),
            ("many arrays", &"81".repeat(1000), CborError::TooDeep),
            ("many tags", &"c1".repeat(1000), CborError::TooDeep),
        ] {
            assert_eq!(value(hex).unwrap_err(), expected, "{label}");
        }
    }

    #[test]
    fn members_are_read_by_name_and_unknown_ones_passed_over() {
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "camelCase", default)]
        struct Input {
            name: String,
            limit: Option<u32>,
            order: Option<Order>,
        }
        impl Default for Input {
            fn default() -> Self {
                Self {
                    name: String::new(),
                    limit: Some(1),
                    order: None,
                }
            }
        }
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        enum Order {
            Ascending,
        }
        let mut encoded = Vec::new();
        let sent = json!({"order": "ASCENDING", "unknown": {"x": [1, {"y": 2.5}]}, "limit": null, "name": "a"});
        ciborium::into_writer(&sent, &mut encoded).unwrap();
        let read: Input = from_slice(&encoded).unwrap();
        assert_eq!(
            read,
            Input {
                name: "a".to_owned(),
                limit: None,
                order: Some(Order::Ascending)
            }
        );
        // What is of another type is passed over where it is unknown, and refused where it is not.
        assert!(from_slice::<Input>(&bytes("a1 6178 43010203")).is_ok());
        assert!(matches!(
            from_slice::<Input>(&bytes("a1 646e616d65 01")),
            Err(CborError::Type(_))
        ));
        assert!(matches!(
            from_slice::<Input>(&bytes("a1 656f72646572 01")),
            Err(CborError::Unexpected { .. })
        ));
    }

    fn values() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has no infinity", |n| n.is_finite())
                .prop_map(Value::from),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z]{0,12}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_here_and_elsewhere(value in values()) {
            let written = to_vec(&value);
            prop_assert_eq!(&from_slice::<Value>(&written).unwrap(), &value);
            prop_assert_eq!(&ciborium::from_reader::<Value, _>(&written[..]).unwrap(), &value);
        }

        #[test]
        fn what_another_library_writes_is_read(value in values()) {
            let mut written = Vec::new();
            ciborium::into_writer(&value, &mut written).unwrap();
            prop_assert_eq!(from_slice::<Value>(&written).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_slice::<Value>(&bytes);
        }
    }
}
