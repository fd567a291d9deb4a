//! Keys and signatures: ed25519, written as Nix writes them.
//!
//! A public key is `name:base64(32 bytes)`, a secret key `name:base64(seed and public key, 64 bytes)`, a signature `name:base64(64 bytes)`.
//! Source: Nix, `libutil/signature/local-keys.cc`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

/// A key's name: 1 to 100 bytes of `[A-Za-z0-9._+-]`, not starting with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(Box<str>);

/// A text that is no key or signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a name that a key may have.
    #[error("`{}` is no name of a key: 1 to 100 letters, digits, `.`, `_`, `+` and `-`, the first no dot", .0.escape_debug())]
    Name(String),
    /// No colon.
    #[error("a key or signature is written `name:base64`")]
    Form,
    /// Not base 64, of the wrong length, or no point of the curve. The text itself may be secret.
    #[error("what follows the name `{name}` is not {wanted}")]
    Bytes {
        /// The key's name.
        name: KeyName,
        /// What it should be.
        wanted: &'static str,
    },
    /// The system gave no random bytes.
    #[error("cannot make a key: the system gives no random bytes: {0}")]
    Random(String),
}

/// A key that is trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    key: VerifyingKey,
}

/// A key that signs.
pub struct SecretKey {
    name: KeyName,
    key: SigningKey,
}

/// A signature, and whose it is said to be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    name: KeyName,
    bytes: [u8; 64],
}

fn split<const N: usize>(text: &str, wanted: &'static str) -> Result<(KeyName, [u8; N]), KeyError> {
    let (name, encoded) = text.trim().split_once(':').ok_or(KeyError::Form)?;
    let name: KeyName = name.parse()?;
    let bytes = BASE64.decode(encoded).ok().and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    match bytes {
        Some(bytes) => Ok((name, bytes)),
        None => Err(KeyError::Bytes { name, wanted }),
    }
}

impl PublicKey {
    /// Its 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Whether `signature` is this key's, of these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &Signature) -> bool {
        let theirs = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        self.name == signature.name && self.key.verify_strict(bytes, &theirs).is_ok()
    }
}

impl SecretKey {
    /// A new key from the system's random bytes.
    ///
    /// # Errors
    /// If there are none.
    pub fn generate(name: KeyName) -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        let filled = rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty());
        match filled {
            Ok(32) => Ok(Self { name, key: SigningKey::from_bytes(&seed) }),
            Ok(_) => Err(KeyError::Random("too few".to_owned())),
            Err(error) => Err(KeyError::Random(error.to_string())),
        }
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Signs.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        Signature { name: self.name.clone(), bytes: self.key.sign(bytes).to_bytes() }
    }

    /// The secret text, for the key's file only.
    pub fn secret_text(&self) -> String {
        format!("{}:{}", self.name, BASE64.encode(self.key.to_keypair_bytes()))
    }
}

impl Signature {
    /// Whose it is said to be.
    pub fn name(&self) -> &KeyName {
        &self.name
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        let fits = (1..=100).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(KeyError::Name(text.to_owned())) }
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wanted = "a public key of 32 bytes";
        let (name, bytes) = split::<32>(text, wanted)?;
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) => Ok(Self { name, key }),
            Err(_) => Err(KeyError::Bytes { name, wanted }),
        }
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wanted = "a secret key of 64 bytes";
        let (name, bytes) = split::<64>(text, wanted)?;
        match SigningKey::from_keypair_bytes(&bytes) {
            Ok(key) => Ok(Self { name, key }),
            Err(_) => Err(KeyError::Bytes { name, wanted }),
        }
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        split::<64>(text, "a signature of 64 bytes").map(|(name, bytes)| Self { name, bytes })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.key.as_bytes()))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.name)
    }
}

impl TryFrom<String> for KeyName {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for Signature {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        signature.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SecretKey {
        SecretKey::generate(name.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_key_and_bytes_only() {
        let (one, other) = (key("one-1"), key("one-1"));
        let signature: Signature = one.sign(b"text").to_string().parse().unwrap();
        assert!(one.public().verifies(b"text", &signature));
        assert!(!one.public().verifies(b"texts", &signature));
        assert!(!other.public().verifies(b"text", &signature));
        let renamed: PublicKey = one.public().to_string().replace("one-1", "two-1").parse().unwrap();
        assert!(!renamed.verifies(b"text", &signature));
    }

    #[test]
    fn keys_read_what_they_print_and_the_secret_stays_out_of_messages() {
        let secret = key("team-1");
        let text = secret.secret_text();
        let again: SecretKey = text.parse().unwrap();
        assert_eq!(again.public(), secret.public());
        let half = &text["team-1:".len()..40];
        assert!(!format!("{secret:?}").contains(half));
        let error = text[..text.len() - 4].parse::<SecretKey>().unwrap_err().to_string();
        assert!(!error.contains(half) && error.contains("team-1"), "{error}");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "x", "x:", ":AAAA", "x:!!!!", "../x:AAAA", "a b:AAAA"] {
            assert!(bad.parse::<PublicKey>().is_err() && bad.parse::<SecretKey>().is_err() && bad.parse::<Signature>().is_err(), "{bad}");
        }
    }
}
