//! Who may do what: a file of `name scope[,scope] sha256-of-token` lines. It holds no token, so reading it lets nobody in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq as _;

use crate::model::Sha256;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading. Every token allows that.
    Read,
    /// Writing entries, and removing pins.
    Push,
    /// Removing entries.
    Admin,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Read, Self::Push, Self::Admin].into_iter().find(|scope| scope.word() == text);
        known.ok_or_else(|| format!("`{}` is no scope: expected `read`, `push` or `admin`", text.escape_debug()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    name: Arc<str>,
    scopes: Vec<Scope>,
    hash: Sha256,
}

/// A line or name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three words.
    #[error("line {0} is not of the form `name scope[,scope] sha256`")]
    Line(usize),
    /// A name that logs could not tell from something else.
    #[error("`{}` is no name for a token: 1 to 100 letters, digits, `.`, `_`, `@` and `-`", .0.escape_debug())]
    Name(String),
    /// Not a scope.
    #[error("line {line}: {problem}")]
    Scope {
        /// Which line.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Not a hash.
    #[error("line {0}: the third word is not the SHA-256 of a token")]
    Hash(usize),
    /// Two tokens of one name.
    #[error("line {line}: there is a token `{name}` already")]
    Twice {
        /// Which line.
        line: usize,
        /// The name.
        name: String,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

impl Token {
    /// A new token: what is known of it, and the secret itself.
    ///
    /// # Errors
    /// If the name is none, or the system gives no random bytes.
    pub fn generate(name: &str, scopes: Vec<Scope>) -> Result<(Self, String), TokenError> {
        let name = token_name(name)?;
        let mut bytes = [0; 32];
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(32) => {}
            Ok(_) => return Err(TokenError::Random("too few".to_owned())),
            Err(error) => return Err(TokenError::Random(error.to_string())),
        }
        let secret = format!("kiln_{}", Sha256::from_bytes(bytes).base32());
        Ok((Self { name, scopes, hash: Sha256::of(&secret) }, secret))
    }

    /// Its name, for logs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it is good for this.
    pub fn allows(&self, scope: Scope) -> bool {
        match scope {
            Scope::Read => true,
            Scope::Push => self.scopes.iter().any(|own| matches!(own, Scope::Push | Scope::Admin)),
            Scope::Admin => self.scopes.contains(&Scope::Admin),
        }
    }
}

/// Its line in the file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes: Vec<_> = self.scopes.iter().map(ToString::to_string).collect();
        write!(f, "{} {} {}", self.name, scopes.join(","), self.hash)
    }
}

fn token_name(name: &str) -> Result<Arc<str>, TokenError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if (1..=100).contains(&name.len()) && name.bytes().all(plain) { Ok(name.into()) } else { Err(TokenError::Name(name.to_owned())) }
}

/// All tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|token| *token.name == *name)
    }

    /// The token that an `Authorization` header carries, as a bearer token or as the password of any user.
    pub(super) fn identify(&self, authorization: &str) -> Option<&Token> {
        let (scheme, credentials) = authorization.split_once(' ')?;
        let secret = if scheme.eq_ignore_ascii_case("bearer") {
            credentials.trim().to_owned()
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = String::from_utf8(BASE64.decode(credentials.trim()).ok()?).ok()?;
            pair.split_once(':')?.1.to_owned()
        } else {
            return None;
        };
        let hash = Sha256::of(secret);
        // All are looked at, each in constant time: how long it takes tells nothing.
        let same = |token: &&Token| bool::from(token.hash.as_bytes().ct_eq(hash.as_bytes()));
        self.0.iter().filter(same).fold(None, |found, token| found.or(Some(token)))
    }
}

impl FromStr for Tokens {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut tokens = Self::default();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let (name, scopes, hash) = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [name, scopes, hash] => (name, scopes, hash),
                _ => return Err(TokenError::Line(number)),
            };
            let scopes = scopes.split(',').map(str::parse).collect::<Result<_, _>>();
            let token = Token {
                name: token_name(name)?,
                scopes: scopes.map_err(|problem| TokenError::Scope { line: number, problem })?,
                hash: hash.parse().map_err(|_| TokenError::Hash(number))?,
            };
            if tokens.has(name) {
                return Err(TokenError::Twice { line: number, name: name.to_owned() });
            }
            tokens.0.push(token);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_secret_only() {
        let (token, secret) = Token::generate("ci", vec![Scope::Push]).unwrap();
        let tokens: Tokens = format!("# who may push\n\n{token}\n").parse().unwrap();
        assert!(!token.to_string().contains(&secret));
        let basic = |user: &str, password: &str| format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
        for good in [format!("Bearer {secret}"), format!("bearer {secret}"), basic("anybody", &secret), basic("", &secret)] {
            assert_eq!(tokens.identify(&good), Some(&token), "{good}");
        }
        for bad in
            ["", "Bearer", "Bearer x", "Basic x", &basic(&secret, ""), &format!("Digest {secret}"), &format!("Bearer {}", token.hash)]
        {
            assert_eq!(tokens.identify(bad), None, "{bad}");
        }
    }

    #[test]
    fn scopes_allow_what_they_say() {
        let allowed = |scope| {
            let (token, _) = Token::generate("x", vec![scope]).unwrap();
            [Scope::Read, Scope::Push, Scope::Admin].map(|wanted| token.allows(wanted))
        };
        assert_eq!(allowed(Scope::Read), [true, false, false]);
        assert_eq!(allowed(Scope::Push), [true, true, false]);
        assert_eq!(allowed(Scope::Admin), [true, true, true]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let hash = Sha256::of("x");
        assert_eq!("a read".parse::<Tokens>(), Err(TokenError::Line(1)));
        assert!(matches!(format!("\na write {hash}").parse::<Tokens>(), Err(TokenError::Scope { line: 2, .. })));
        assert_eq!("a read x".parse::<Tokens>(), Err(TokenError::Hash(1)));
        assert!(matches!(format!("a/b read {hash}").parse::<Tokens>(), Err(TokenError::Name(_))));
        assert!(matches!(format!("a read {hash}\na push {hash}").parse::<Tokens>(), Err(TokenError::Twice { line: 2, .. })));
    }
}
