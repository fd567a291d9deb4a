//! Canonical JSON: keys sorted by their UTF-8 bytes, no insignificant white space, integers only.
//!
//! Equal values give equal bytes, so the bytes can be hashed and signed.

use serde::Serialize;
use serde_json::Value;

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
    let mut text = Vec::new();
    write(&serde_json::to_value(value)?, &mut text)?;
    String::from_utf8(text).map_err(|error| CanonicalError::Unrepresentable(serde::ser::Error::custom(error)))
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => return Err(CanonicalError::NotAnInteger(number.clone())),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Not left to serde_json: its map keeps insertion order if any crate of the build asks for that.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
        scalar => serde_json::to_writer(&mut *out, scalar)?,
    }
    Ok(())
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
    fn fractions_are_refused() {
        assert!(canonical_json(&json!([1.5])).is_err());
    }
}
