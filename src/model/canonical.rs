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
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text)?;
    Ok(text)
}

fn write(value: &Value, out: &mut String) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => return Err(CanonicalError::NotAnInteger(number.clone())),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Not left to serde_json: its map keeps insertion order if any crate of the build asks for that.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_bytes());
            out.push('{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
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
