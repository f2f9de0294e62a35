//! Certificates of a project, which vouch for hosts of repositories that nobody else vouches for: an object in S3
//! goes in, a file for git comes out.
//!
//! Only certificates are taken over: whatever else stands in the object, a key put there by mistake above all, goes
//! nowhere.

use std::fmt::Write;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::base64;
use tokio::io::AsyncReadExt;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::s3::S3Source;
use crate::credentials::describe;

/// Largest object, in bytes. All authorities of a system take a quarter of it.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// Characters of a line of PEM (RFC 7468).
const LINE: usize = 64;

/// Certificates, each of which is one.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificates(Vec<CertificateDer<'static>>);

/// Why a project's certificate cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The location names no object.
    #[error("the certificate {0:?} is neither bucket/key nor the ARN of an object in S3")]
    Location(String),
    /// S3 does not give it (user guide, "Troubleshooting").
    #[error("Unable to download certificate from S3. {code}")]
    Refused {
        /// S3's error code.
        code: String,
        /// What it says.
        source: anyhow::Error,
    },
    /// S3 is out of reach.
    #[error("cannot download the certificate {location}: {reason}")]
    Unreachable {
        /// Where it lies.
        location: String,
        /// What went wrong.
        reason: String,
    },
    /// It is larger than any list of certificates.
    #[error("the certificate {0} is larger than {limit} bytes", limit = LIMIT_BYTES)]
    TooLarge(String),
    /// It holds none, or what is none.
    #[error("{location} does not hold certificates in PEM form: {reason}")]
    Invalid {
        /// Where it lies.
        location: String,
        /// What is wrong.
        reason: String,
    },
}

impl Certificates {
    /// Downloads certificates from `bucket/key`, or from an object whose ARN is given (API, `ProjectEnvironment`).
    pub async fn fetch(client: &Client, location: &str) -> Result<Self, CertificatesError> {
        let place = S3Source::parse(location, None, LIMIT_BYTES);
        let place = place.ok_or_else(|| CertificatesError::Location(location.to_owned()))?;
        let unreachable = |reason: String| CertificatesError::Unreachable {
            location: location.to_owned(),
            reason,
        };
        let asked = client.get_object().bucket(place.bucket).key(place.key);
        let object = asked.send().await.map_err(|error| match &error {
            SdkError::ServiceError(refused) => CertificatesError::Refused {
                code: refused.err().code().unwrap_or("UnknownError").to_owned(),
                source: anyhow::anyhow!("{location}: {}", describe(&error)),
            },
            _ => unreachable(describe(&error)),
        })?;
        let mut bytes = Vec::new();
        let mut body = object.body.into_async_read().take(LIMIT_BYTES + 1);
        let read = body.read_to_end(&mut bytes).await;
        read.map_err(|error| unreachable(error.to_string()))?;
        if bytes.len() as u64 > LIMIT_BYTES {
            return Err(CertificatesError::TooLarge(location.to_owned()));
        }
        Self::parse(&bytes).map_err(|reason| CertificatesError::Invalid {
            location: location.to_owned(),
            reason,
        })
    }

    /// Reads text in PEM form, in which other things may stand too; the error is for people.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(text).enumerate() {
            let number = index + 1;
            let certificate =
                certificate.map_err(|error| format!("certificate {number}: {error}"))?;
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("certificate {number}: {error}"))?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err("there is none".to_owned());
        }
        Ok(Self(certificates))
    }

    /// These certificates and those that this machine trusts, in PEM form: git takes one file.
    pub fn with_those_of_this_machine(&self) -> String {
        let system = rustls_native_certs::load_native_certs().certs;
        let all = system.iter().chain(&self.0);
        all.map(pem).collect()
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let encoded = base64::encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(LINE));
        // Text can always grow.
        let _ = writeln!(text, "{line}");
        rest = others;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may stand beside a certificate.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    /// An authority that nobody else knows.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBlzCCAT2gAwIBAgIUDV6U1PQaF4Bm0NDScHKQeA7iIiwwCgYIKoZIzj0EAwIw
IDEeMBwGA1UEAwwVYXV0aG9yaXR5LmV4YW1wbGUuY29tMCAXDTI2MTEyNTAwNDgy
NFoYDzIxMjYxMTAxMDA0ODI0WjAgMR4wHAYDVQQDDBVhdXRob3JpdHkuZXhhbXBs
ZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQvWa/XJQq+gJ+GCB1723/t
pvOT/8z/P+M/jFUrG+fJNXhUnVvh7N7hDHLNk3g4CqyDM+yZYW2jL5sEjNsSKuLB
o1MwUTAdBgNVHQ4EFgQURs25rhDS8G3/jgbXymhiW+3BRWQwHwYDVR0jBBgwFoAU
Rs25rhDS8G3/jgbXymhiW+3BRWQwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQD
AgNIADBFAiEA55JBFzf5xuSAC2oYer3Q7Z/7izutEbN49GDzvfHbTC4CIAEvCotW
w8TfpJRUh6GlZES21KMlxe8QCQ8IfdhFsJpn
-----END CERTIFICATE-----
";

    #[test]
    fn certificates_are_taken_over_and_nothing_else() {
        let given = format!("{KEY}{AUTHORITY}{KEY}");
        let certificates = Certificates::parse(given.as_bytes()).unwrap();
        assert_eq!(certificates.0.len(), 1);
        let text = certificates.with_those_of_this_machine();
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        assert!(text.ends_with(AUTHORITY), "{text}");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let broken = AUTHORITY.replacen("CERTIFICATE-----\nMII", "CERTIFICATE-----\nMIJ", 1);
        let cut = &AUTHORITY[..AUTHORITY.len() - 40];
        for (text, reason) in [
            ("", "there is none"),
            ("PK\u{3}\u{4}", "there is none"),
            (KEY, "there is none"),
            (&broken, "certificate 1: "),
            (cut, "certificate 1: "),
        ] {
            let told = Certificates::parse(text.as_bytes()).unwrap_err();
            assert!(told.starts_with(reason), "{told}");
        }
    }
}
