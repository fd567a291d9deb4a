//! Canonical JSON: keys sorted by their UTF-8 bytes, no insignificant white space, integers only.
//!
//! Equal values give equal bytes, so the bytes can be hashed and signed.

mod writer;

use serde::Serialize;

use writer::Writer;

/// A value that has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// A number with a fraction or an exponent, or beyond 64 bits.
    #[error("`{0}` is not an integer; canonical JSON holds integers only")]
    NotAnInteger(serde_json::Number),
    /// A map with keys that are no text, or the like.
    #[error("the value cannot be written as JSON")]
    Unrepresentable(#[from] serde_json::Error),
}

/// The canonical JSON of `value`.
///
/// # Errors
/// If it holds a number that is no integer.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<String, CanonicalError> {
    let mut writer = Writer::default();
    value.serialize(&mut writer)?;
    String::from_utf8(writer.text).map_err(|error| CanonicalError::Unrepresentable(serde::ser::Error::custom(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_no_space_is_left() {
        let text = canonical_json(&json!({"b": [1, {"z": null, "a": true}], "a": "é\n"})).unwrap();
        assert_eq!(text, r#"{"a":"é\n","b":[1,{"a":true,"z":null}]}"#);
    }

    #[test]
    fn keys_are_compared_by_their_own_bytes_not_by_what_is_written() {
        let text = canonical_json(&json!({"a": 1, "a!": 2, "a\"": 3, "a\n": 4, "": 5, "é": 6, "z": 7})).unwrap();
        assert_eq!(text, r#"{"":5,"a":1,"a\n":4,"a!":2,"a\"":3,"z":7,"é":6}"#);
    }

    /// Every shape that serde knows, its fields out of order.
    #[derive(Serialize)]
    struct Shapes {
        z: Option<u8>,
        y: (i64, char),
        variants: Vec<Variant>,
        numbers: std::collections::BTreeMap<String, u64>,
        a: Option<()>,
    }

    #[derive(Serialize)]
    enum Variant {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { b: u8, a: u8 },
    }

    #[test]
    fn all_shapes_are_written_as_serde_json_would() {
        let variants = vec![Variant::Unit, Variant::New(1), Variant::Tuple(1, 2), Variant::Struct { b: 1, a: 2 }];
        let numbers = [("b".to_owned(), u64::MAX), ("a".to_owned(), 0)].into();
        let shapes = Shapes { z: None, y: (i64::MIN, '"'), variants, numbers, a: Some(()) };
        let text = canonical_json(&shapes).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::to_value(&shapes).unwrap());
        let rest = r#""numbers":{"a":0,"b":18446744073709551615},"variants":["Unit",{"New":1},{"Tuple":[1,2]},{"Struct":{"a":2,"b":1}}]"#;
        assert_eq!(text, format!(r#"{{"a":null,{rest},"y":[-9223372036854775808,"\""],"z":null}}"#));
    }

    #[test]
    fn a_key_must_be_text() {
        assert!(canonical_json(&std::collections::BTreeMap::from([(1, 2)])).is_err());
    }

    #[test]
    fn fractions_are_refused() {
        assert!(canonical_json(&json!([1.5])).is_err());
    }
}
