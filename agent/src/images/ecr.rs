//! Logins to private registries of ECR.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_types::base64;
use secrecy::SecretString;

use super::EcrRegistry;
use crate::credentials::{Session, describe};

/// How long before its end a token is no longer used: a pull of many layers shows it again and again.
const MARGIN: Duration = Duration::from_mins(30);

/// Tokens of ECR, kept for as long as they are good. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct EcrLogins {
    tokens: Arc<Mutex<HashMap<Key, Token>>>,
}

/// A token opens every registry of a Region that its owner may read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    region: String,
    /// ARN of the role that it belongs to; none for the agent's own.
    role: Option<String>,
}

/// User name and password, and how long they are good.
#[derive(Debug, Clone)]
struct Token {
    username: String,
    password: SecretString,
    expires: SystemTime,
}

/// Why ECR gave no login.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// It refused, or was out of reach.
    #[error("no login to ECR in {region}: {reason}")]
    Refused {
        /// The Region.
        region: String,
        /// ECR's words.
        reason: String,
    },
    /// The answer holds none.
    #[error("no login to ECR in {region}: the answer of GetAuthorizationToken holds none")]
    Malformed {
        /// The Region.
        region: String,
    },
}

impl EcrLogins {
    /// User name and password for a registry, with the credentials of a session; `role` is the ARN of the
    /// session's role, if it has one.
    pub async fn login(
        &self,
        registry: &EcrRegistry,
        session: &Session,
        role: Option<&str>,
    ) -> Result<(String, SecretString), EcrError> {
        let key = Key {
            region: registry.region.clone(),
            role: role.map(str::to_owned),
        };
        let token = if let Some(token) = self.kept(&key, SystemTime::now()) {
            token
        } else {
            let token = ask(&registry.region, session).await?;
            self.keep(key, token.clone());
            token
        };
        Ok((token.username, token.password))
    }

    fn kept(&self, key: &Key, now: SystemTime) -> Option<Token> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(key)?;
        (token.expires > now + MARGIN).then(|| token.clone())
    }

    fn keep(&self, key: Key, token: Token) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(key, token);
    }
}

/// Asks for a token (ECR API, `GetAuthorizationToken`): base64 of `AWS:password`, good for 12 hours. One that
/// claims to be over already is used all the same, once: the registry decides.
async fn ask(region: &str, session: &Session) -> Result<Token, EcrError> {
    let client = session.ecr(Some(region)).await;
    let answer = client.get_authorization_token().send().await;
    let answer = answer.map_err(|error| EcrError::Refused {
        region: region.to_owned(),
        reason: describe(&error),
    })?;
    let data = answer.authorization_data().first();
    let token = data.and_then(|data| decode(data.authorization_token()?));
    let (username, password) = token.ok_or_else(|| EcrError::Malformed {
        region: region.to_owned(),
    })?;
    let expires = data
        .and_then(|data| data.expires_at())
        .and_then(|time| SystemTime::try_from(*time).ok());
    Ok(Token {
        username,
        password: password.into(),
        expires: expires.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

fn decode(token: &str) -> Option<(String, String)> {
    let text = String::from_utf8(base64::decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        let logins = EcrLogins::default();
        let key = Key {
            region: "eu-west-1".to_owned(),
            role: None,
        };
        let now = SystemTime::now();
        for (label, life, is_kept) in [
            ("new", Duration::from_hours(12), true),
            ("nearly over", Duration::from_mins(20), false),
        ] {
            let token = Token {
                username: "AWS".to_owned(),
                password: "p".to_owned().into(),
                expires: now + life,
            };
            logins.keep(key.clone(), token);
            assert_eq!(logins.kept(&key, now).is_some(), is_kept, "{label}");
        }
        let other = Key {
            role: Some("arn:aws:iam::123456789012:role/r".to_owned()),
            ..key
        };
        assert!(logins.kept(&other, now).is_none());
    }

    #[test]
    fn a_token_is_user_name_and_password() {
        let token = base64::encode("AWS:a:b");
        assert_eq!(decode(&token), Some(("AWS".to_owned(), "a:b".to_owned())));
        assert_eq!(decode("!"), None);
    }
}
