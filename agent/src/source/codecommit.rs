//! `CodeCommit`: its addresses, and the password that AWS credentials make for one of its repositories.
//!
//! A password is the signature of a request with the method `GIT`, as `git-remote-codecommit` and the
//! helper of AWS's command line make it. It is good for a quarter of an hour.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::credential::{Credential, CredentialKind};
use super::git::RepositoryUrl;

/// Keys of AWS that sign.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// Names the key.
    pub access_key_id: &'a str,
    /// The key.
    pub secret_access_key: &'a str,
    /// What goes with a temporary key.
    pub session_token: Option<&'a str>,
}

impl std::fmt::Debug for Keys<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.access_key_id)
    }
}

/// The HTTPS address of `codecommit::REGION://[PROFILE@]REPOSITORY` and `codecommit://[PROFILE@]REPOSITORY`
/// (git-remote-codecommit); a profile counts for nothing here. Any other address stays as it is.
pub fn https_address(location: &str, region: &str) -> String {
    let (region, name) = match location.split_once("://") {
        Some(("codecommit", name)) => (region, name),
        Some((scheme, name)) => match scheme.strip_prefix("codecommit::") {
            Some(region) => (region, name),
            None => return location.to_owned(),
        },
        None => return location.to_owned(),
    };
    let name = name.rsplit('@').next().unwrap_or_default();
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://git-codecommit.{region}.{domain}/v1/repos/{name}")
}

/// The Region of a repository's host; `None` if the host is not `CodeCommit`'s.
pub fn region_of(url: &RepositoryUrl) -> Option<&str> {
    let mut parts = url.host().split('.');
    let is_service = parts
        .next()
        .is_some_and(|name| matches!(name, "git-codecommit" | "git-codecommit-fips"));
    parts.next().filter(|_| is_service)
}

/// What opens a repository for these keys, at this time.
pub fn credential(url: &RepositoryUrl, region: &str, keys: Keys<'_>, now: Timestamp) -> Credential {
    let time = now.strftime("%Y%m%dT%H%M%S").to_string();
    let signature = signature(url, region, keys.secret_access_key, &time);
    let username = match keys.session_token {
        Some(token) => format!("{}%{token}", keys.access_key_id),
        None => keys.access_key_id.to_owned(),
    };
    Credential {
        name: format!("aws {}", keys.access_key_id),
        kind: CredentialKind::Login {
            username,
            password: format!("{time}Z{signature}").into(),
        },
    }
}

fn signature(url: &RepositoryUrl, region: &str, secret: &str, time: &str) -> String {
    let request = format!("GIT\n/{}\n\nhost:{}\n\nhost\n", url.path(), url.host());
    let date = &time[..8];
    let scope = format!("{date}/{region}/codecommit/aws4_request");
    let hash = hexadecimal(&Sha256::digest(request.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, "codecommit", "aws4_request"] {
        key = authenticated(&key, part);
    }
    hexadecimal(&authenticated(&key, &text))
}

fn authenticated(key: &[u8], text: &str) -> Vec<u8> {
    let mut code = <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("keys of any length are taken"));
    code.update(text.as_bytes());
    code.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn addresses_for_the_helper_of_git_are_those_of_https() {
        let https = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo";
        for (location, expected) in [
            ("codecommit://demo", https),
            ("codecommit://profile@demo", https),
            (
                "codecommit::us-east-1://demo",
                "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo",
            ),
            (
                "codecommit::cn-north-1://demo",
                "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/demo",
            ),
            (https, https),
            ("git@h:r", "git@h:r"),
        ] {
            assert_eq!(https_address(location, "eu-west-1"), expected);
        }
    }

    #[test]
    fn passwords_are_those_of_awss_own_helper() {
        let url = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/demo";
        let url = RepositoryUrl::parse(url).unwrap().0;
        assert_eq!(region_of(&url), Some("eu-west-1"));
        let keys = Keys {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token: Some("token/x"),
        };
        let now: Timestamp = "2026-11-24T21:30:00Z".parse().unwrap();
        let CredentialKind::Login { username, password } =
            credential(&url, "eu-west-1", keys, now).kind
        else {
            panic!("a login")
        };
        assert_eq!(username, "AKIDEXAMPLE%token/x");
        // Made with botocore.
        let expected =
            "20261124T213000Z874372383b2e3feced5f5d502ff60bfee1a1006eeefc37f864da7e741c04988d";
        assert_eq!(password.expose_secret(), expected);
        let other = RepositoryUrl::parse("https://github.com/o/r").unwrap().0;
        assert_eq!(region_of(&other), None);
    }
}
