//! Signature Version 4, checked: a signed request and a secret in, yes or an error that SDKs
//! understand out (AWS, "Create a signed AWS API request").

use std::fmt::Write;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::api::error::{ApiError, Code};
use crate::api::wire::{Protocol, Target};
use crate::model::hex;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The end of every scope.
const TERMINATOR: &str = "aws4_request";

/// How far a client's clock may be from ours, both ways.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The parts of an `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) struct Authorization<'a> {
    /// Which access key signed.
    pub(in crate::api) access_key_id: &'a str,
    /// `yyyymmdd/region/service/aws4_request`.
    scope: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: &'a str,
    signature: [u8; 32],
}

impl<'a> Authorization<'a> {
    /// Reads the header. Its parts come in any order, with or without spaces after the commas.
    pub(in crate::api) fn parse(header: &'a str) -> Result<Self, ApiError> {
        let incomplete = |what: &str| {
            let message = format!("Authorization header requires {what}.");
            ApiError::new(Code::IncompleteSignature, message)
        };
        let parts = header
            .trim()
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let part = |name: &str| {
            let value = parts
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            value.ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let (access_key_id, scope) = part("Credential")?
            .split_once('/')
            .ok_or_else(|| incomplete("a scope in 'Credential'"))?;
        let [date, region, service, TERMINATOR] = scope.split('/').collect::<Vec<_>>()[..] else {
            return Err(incomplete(
                "a scope of date, Region, service and aws4_request",
            ));
        };
        let signature =
            digest(part("Signature")?).ok_or_else(|| incomplete("a 'Signature' of 64 digits"))?;
        Ok(Self {
            access_key_id,
            scope,
            date,
            region,
            service,
            signed_headers: part("SignedHeaders")?,
            signature,
        })
    }

    /// Checks that `secret` signed this request, for its service, at about `now`. Any Region will do:
    /// an installation has one, whatever its clients call it.
    pub(in crate::api) fn verify(
        &self,
        request: &Signed<'_>,
        secret: &SecretString,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let date = self.date_of(request.parts)?;
        self.check_headers(request)?;
        self.check_scope(request.target)?;
        check_skew(date, now)?;
        let canonical = canonical_request(request, self.signed_headers)?;
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{}\n{}",
            self.scope,
            hex::encode(&Sha256::digest(canonical))
        );
        let key = [self.date, self.region, self.service, TERMINATOR]
            .into_iter()
            .fold(
                format!("AWS4{}", secret.expose_secret()).into_bytes(),
                |key, part| mac(&key, part.as_bytes()).finalize().into_bytes().to_vec(),
            );
        // Compared in constant time.
        mac(&key, to_sign.as_bytes())
            .verify_slice(&self.signature)
            .map_err(|_| invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."))
    }

    fn date_of<'r>(&self, request: &'r Parts) -> Result<&'r str, ApiError> {
        let date = request.headers.get("x-amz-date");
        let date = date.and_then(|date| date.to_str().ok()).ok_or_else(|| {
            ApiError::new(
                Code::IncompleteSignature,
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
            )
        })?;
        if date.get(..8) == Some(self.date) {
            return Ok(date);
        }
        Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ))
    }

    /// What tells the operation, the place and the time has to be signed, or it could be exchanged.
    fn check_headers(&self, request: &Signed<'_>) -> Result<(), ApiError> {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let headers = &request.parts.headers;
        for (name, is_needed) in [
            ("host", true),
            ("x-amz-date", true),
            ("x-amz-target", request.target.protocol == Protocol::Json),
            (
                "x-amz-security-token",
                headers.contains_key("x-amz-security-token"),
            ),
            (
                "x-amz-content-sha256",
                headers.contains_key("x-amz-content-sha256"),
            ),
        ] {
            if is_needed && !is_signed(name) {
                let message = format!("'{name}' must be a signed header.");
                return Err(ApiError::new(Code::IncompleteSignature, message));
            }
        }
        let claimed = headers.get("x-amz-content-sha256");
        if claimed.is_some_and(|claimed| {
            digest(claimed.to_str().unwrap_or("")) != Some(request.body_sha256)
        }) {
            return Err(invalid(
                "The x-amz-content-sha256 header does not match the body.",
            ));
        }
        Ok(())
    }

    fn check_scope(&self, target: &Target) -> Result<(), ApiError> {
        let service = target.service.signing_name();
        if self.service == service && !self.region.is_empty() {
            return Ok(());
        }
        Err(invalid(format!(
            "Credential should be scoped to correct service: '{service}'."
        )))
    }
}

/// A request as far as its signature covers it.
#[derive(Debug)]
pub(in crate::api) struct Signed<'a> {
    /// Method, path and headers.
    pub(in crate::api) parts: &'a Parts,
    /// What it is about.
    pub(in crate::api) target: &'a Target,
    /// Hash of its body.
    pub(in crate::api) body_sha256: [u8; 32],
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidSignature, message)
}

fn check_skew(date: &str, now: Timestamp) -> Result<(), ApiError> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", date)
        .and_then(|time| TimeZone::UTC.to_timestamp(time))
        .map_err(|_| {
            ApiError::new(
                Code::IncompleteSignature,
                format!("Date must be in ISO-8601 'basic format'. Got '{date}'."),
            )
        })?;
    let basic = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (earliest, latest) = (now - SKEW, now + SKEW);
    if time < earliest {
        return Err(invalid(format!(
            "Signature expired: {date} is now earlier than {} ({} - 5 min.)",
            basic(earliest),
            basic(now)
        )));
    }
    if time > latest {
        return Err(invalid(format!(
            "Signature not yet current: {date} is still later than {} ({} + 5 min.)",
            basic(latest),
            basic(now)
        )));
    }
    Ok(())
}

/// The request in the form that is signed.
fn canonical_request(request: &Signed<'_>, signed_headers: &str) -> Result<Vec<u8>, ApiError> {
    let Signed {
        parts, body_sha256, ..
    } = request;
    let mut canonical = Vec::with_capacity(1024);
    let mut line = |text: &[u8]| {
        canonical.extend_from_slice(text);
        canonical.push(b'\n');
    };
    line(parts.method.as_str().as_bytes());
    line(encoded_path(parts.uri.path()).as_bytes());
    line(sorted_query(parts.uri.query().unwrap_or("")).as_bytes());
    for name in signed_headers.split(';') {
        line(&[name.as_bytes(), b":", &joined(&parts.headers, name)?].concat());
    }
    line(b"");
    line(signed_headers.as_bytes());
    canonical.extend_from_slice(hex::encode(body_sha256).as_bytes());
    Ok(canonical)
}

/// Every part of the path encoded once more, as all services but S3 want it.
fn encoded_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The parameters in their order by name, each with a `=`. No client of these services sends any.
fn sorted_query(query: &str) -> String {
    let mut parameters: Vec<_> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .collect();
    parameters.sort_unstable();
    let parameters: Vec<_> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parameters.join("&")
}

/// The values of a header, trimmed, runs of spaces made one, joined by commas.
fn joined(headers: &HeaderMap, name: &str) -> Result<Vec<u8>, ApiError> {
    let values: Vec<Vec<u8>> = headers
        .get_all(name)
        .iter()
        .map(|value| {
            let words = value.as_bytes().split(|byte| *byte == b' ');
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            words.join(&b' ')
        })
        .collect();
    if values.is_empty() {
        let message = format!("the signed header '{name}' is missing.");
        return Err(ApiError::new(Code::IncompleteSignature, message));
    }
    Ok(values.join(&b','))
}

/// The keyed hash of a text.
pub(super) fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

/// The 32 bytes that 64 hexadecimal digits stand for.
fn digest(digits: &str) -> Option<[u8; 32]> {
    hex::decode(digits)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
    };
    use aws_sigv4::sign::v4;
    use axum::http::Request;
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const IDS: &[u8] = br#"{"ids": ["demo:11111111-2222-3333-4444-555555555555", "demo:nope"]}"#;
    const IDS_CBOR: &[u8] =
        b"\xa1\x63ids\x82\x78\x29demo:11111111-2222-3333-4444-555555555555\x69demo:nope";

    type Headers<'a> = Vec<(&'a str, &'a str)>;

    fn parts(path: &str, headers: &Headers<'_>) -> Parts {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn verify(parts: &Parts, body: &[u8], secret: &str, now: &str) -> Result<(), ApiError> {
        let target = Target::of(parts).unwrap();
        let header = parts.headers["authorization"].to_str().unwrap();
        let request = Signed {
            parts,
            target: &target,
            body_sha256: Sha256::digest(body).into(),
        };
        Authorization::parse(header)?.verify(&request, &secret.into(), now.parse().unwrap())
    }

    /// Requests of boto3, as they came over the wire.
    fn captured() -> [(&'static str, &'static str, &'static [u8], Headers<'static>); 3] {
        [
            (
                "JSON",
                "/",
                IDS,
                vec![
                    ("Host", "localhost:18931"),
                    ("X-Amz-Target", "CodeBuild_20161006.BatchGetBuilds"),
                    ("Content-Type", "application/x-amz-json-1.1"),
                    ("X-Amz-Date", "20261124T214014Z"),
                    (
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/codebuild/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=47ad6d833acffe495314677d89263739835c69224fb32cfb4d70df8b2319cba0",
                    ),
                ],
            ),
            (
                "CBOR",
                "/service/CodeBuild_20161006/operation/BatchGetBuilds",
                IDS_CBOR,
                vec![
                    ("Host", "localhost:18931"),
                    ("smithy-protocol", "rpc-v2-cbor"),
                    ("Accept", "application/cbor"),
                    ("Content-Type", "application/cbor"),
                    ("X-Amz-Date", "20261124T214014Z"),
                    (
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/codebuild/aws4_request, SignedHeaders=accept;content-type;host;smithy-protocol;x-amz-date, Signature=1e20c4879de813b6c6093b70281b9c0077295891495dd1a415c14fa49c64eca0",
                    ),
                ],
            ),
            (
                "a session, under a prefix",
                "/some/prefix",
                IDS,
                vec![
                    ("Host", "localhost:18931"),
                    ("X-Amz-Target", "CodeBuild_20161006.BatchGetBuilds"),
                    ("Content-Type", "application/x-amz-json-1.1"),
                    ("X-Amz-Date", "20261124T214015Z"),
                    ("X-Amz-Security-Token", "token-of-a-session"),
                    (
                        "Authorization",
                        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/codebuild/aws4_request,SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,Signature=b77a0bb9bead7240328f6a4335aa6a71d0293d7ef92b0d06c363b16946a18633",
                    ),
                ],
            ),
        ]
    }

    const NOW: &str = "2026-11-24T21:40:20Z";

    #[test]
    fn what_clients_signed_is_accepted() {
        for (label, path, body, headers) in captured() {
            let request = parts(path, &headers);
            verify(&request, body, SECRET, NOW).unwrap_or_else(|error| panic!("{label}: {error}"));
        }
    }

    #[test]
    fn anything_changed_is_refused() {
        for (label, path, body, headers) in captured() {
            let request = parts(path, &headers);
            let code = |request: &Parts, body: &[u8], secret: &str| {
                verify(request, body, secret, NOW).unwrap_err().code
            };
            let other_body = [body, b" "].concat();
            assert_eq!(
                code(&request, &other_body, SECRET),
                Code::InvalidSignature,
                "{label}: body"
            );
            assert_eq!(
                code(&request, body, "wrong"),
                Code::InvalidSignature,
                "{label}: secret"
            );
            for (place, (name, value)) in headers.iter().enumerate() {
                let changed = value
                    .replace("BatchGetBuilds", "StopBuild")
                    .replace("localhost", "elsewhere");
                if changed == *value || *name == "Authorization" {
                    continue;
                }
                let mut headers = headers.clone();
                headers[place].1 = &changed;
                let request = parts(path, &headers);
                assert_eq!(
                    code(&request, body, SECRET),
                    Code::InvalidSignature,
                    "{label}: {name}"
                );
            }
            if label == "CBOR" {
                let request = parts(&path.replace("BatchGetBuilds", "StopBuild"), &headers);
                assert_eq!(
                    code(&request, body, SECRET),
                    Code::InvalidSignature,
                    "{label}: path"
                );
            }
        }
    }

    #[test]
    fn a_header_that_lacks_a_part_is_refused_as_incomplete() {
        let [(_, path, body, headers), ..] = captured();
        let (_, whole) = headers[4];
        for (label, authorization) in [
            (
                "another algorithm",
                whole.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA"),
            ),
            ("no credential", whole.replace("Credential", "Kredential")),
            (
                "no scope",
                whole.replace("/20261124/us-east-1/codebuild/aws4_request", ""),
            ),
            ("half a scope", whole.replace("/us-east-1/codebuild", "")),
            ("another end", whole.replace("aws4_request", "aws5_request")),
            ("no signature", whole.replace("Signature=", "Sig=")),
            ("a short signature", whole[..whole.len() - 1].to_owned()),
            (
                "a signature with a sign",
                whole.replace("Signature=47", "Signature=+7"),
            ),
            ("no headers", whole.replace("SignedHeaders", "Headers")),
            ("host is not signed", whole.replace("host;", "")),
            ("the date is not signed", whole.replace("x-amz-date;", "")),
            (
                "the target is not signed",
                whole.replace(";x-amz-target", ""),
            ),
            (
                "a signed header that is not there",
                whole.replace("host;", "host;via;"),
            ),
        ] {
            let mut headers = headers.clone();
            headers[4].1 = &authorization;
            let error = verify(&parts(path, &headers), body, SECRET, NOW).unwrap_err();
            assert_eq!(error.code, Code::IncompleteSignature, "{label}: {error}");
        }
    }

    #[test]
    fn the_scope_has_to_be_that_of_the_request() {
        let [(_, path, body, headers), ..] = captured();
        let (_, whole) = headers[4];
        for (label, authorization, part) in [
            (
                "another service",
                whole.replace("/codebuild/", "/logs/"),
                "correct service",
            ),
            (
                "another day",
                whole.replace("20261124", "20261123"),
                "Date in Credential scope",
            ),
            (
                "another Region",
                whole.replace("us-east-1", "eu-west-1"),
                "does not match",
            ),
        ] {
            let mut headers = headers.clone();
            headers[4].1 = &authorization;
            let error = verify(&parts(path, &headers), body, SECRET, NOW).unwrap_err();
            assert_eq!(error.code, Code::InvalidSignature, "{label}");
            assert!(error.message.contains(part), "{label}: {error}");
        }
    }

    #[test]
    fn clocks_may_be_five_minutes_apart() {
        let [(_, path, body, headers), ..] = captured();
        let request = parts(path, &headers);
        for (now, refusal) in [
            ("2026-11-24T21:45:14Z", None),
            (
                "2026-11-24T21:45:15Z",
                Some(
                    "Signature expired: 20261124T214014Z is now earlier than 20261124T214015Z (20261124T214515Z - 5 min.)",
                ),
            ),
            ("2026-11-24T21:35:14Z", None),
            (
                "2026-11-24T21:35:13Z",
                Some(
                    "Signature not yet current: 20261124T214014Z is still later than 20261124T214013Z (20261124T213513Z + 5 min.)",
                ),
            ),
        ] {
            let ended = verify(&request, body, SECRET, now).map_err(|error| error.message);
            assert_eq!(ended.err().as_deref(), refusal, "{now}");
        }
    }

    #[test]
    fn a_payload_hash_that_is_sent_has_to_be_the_bodys() {
        let hash = hex::encode(&Sha256::digest(IDS));
        for (label, value, expected) in [
            ("the body's", hash.as_str(), true),
            ("of another body", &hex::encode(&Sha256::digest(b"")), false),
            ("not told", "UNSIGNED-PAYLOAD", false),
        ] {
            let headers = vec![
                ("x-amz-target", "CodeBuild_20161006.StopBuild"),
                ("x-amz-content-sha256", value),
            ];
            let request = signed_by_aws("/", &headers, IDS, "2026-11-24T21:40:20Z");
            assert_eq!(
                verify(&request, IDS, SECRET, NOW).is_ok(),
                expected,
                "{label}"
            );
        }
    }

    /// The request with the headers that AWS's own library signs it with.
    fn signed_by_aws(path: &str, headers: &Headers<'_>, body: &[u8], time: &str) -> Parts {
        let identity = Credentials::new(KEY, SECRET, None, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let time: Timestamp = time.parse().unwrap();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("codebuild")
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_second().cast_unsigned()))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("http://localhost:1234{path}");
        let signable = SignableRequest::new(
            "POST",
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(body),
        );
        let (instructions, _) = sign(signable.unwrap(), &parameters).unwrap().into_parts();
        let mut request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", "localhost:1234");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request.into_parts().0
    }

    proptest! {
        #[test]
        fn whatever_awss_own_library_signs_is_accepted(
            path in "(/[a-zA-Z0-9_.~-]{1,8}|/a%20b|/%C3%A4){0,3}/x",
            query in "(\\?[a-z]{1,3}=[a-z0-9]{0,3}(&[A-Z]{1,3}=[a-z]{1,3}){0,3})?",
            value in "[ -~]{0,3}[!-~]( {0,3}[!-~]){0,8} {0,2}",
            body in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let headers = vec![("x-amz-target", "CodeBuild_20161006.StopBuild"), ("x-amz-user-agent", value.as_str())];
            let request = signed_by_aws(&format!("{path}{query}"), &headers, &body, NOW);
            verify(&request, &body, SECRET, NOW).unwrap();
        }

        #[test]
        fn no_header_makes_the_reader_panic(header in ".{0,200}") {
            let _ = Authorization::parse(&header);
            let _ = Authorization::parse(&format!("{ALGORITHM} {header}"));
        }
    }
}
