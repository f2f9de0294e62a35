//! What the author of a build has to mend about a source, in CodeBuild's words where they are known.

/// Why a source was not given. Observed in public logs of CodeBuild, where each is followed by the
/// source it is about: `authorization failed for primary source and source version main`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credentials do not open it.
    #[error("authorization failed")]
    AuthorizationFailed,
    /// It is not open to everybody, and there are no credentials.
    #[error("authentication required")]
    AuthenticationRequired,
    /// There is no such repository.
    #[error("repository not found")]
    RepositoryNotFound,
    /// The repository has no such branch, tag or commit.
    #[error("reference not found")]
    ReferenceNotFound,
    /// The host's certificate is not trusted.
    #[error("Git clone failed: Unable to access '{url}': SSL certificate problem: {reason}")]
    Certificate {
        /// Address of the repository.
        url: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// S3 did not give the object, in the words of AWS's SDK for Go.
    #[error(
        "{code}: {message}\n\tstatus code: {status}, request id: {request_id}, host id: {host_id}"
    )]
    S3 {
        /// S3's error code.
        code: String,
        /// S3's message.
        message: String,
        /// HTTP status.
        status: u16,
        /// S3's number for the request.
        request_id: String,
        /// S3's second number for it.
        host_id: String,
    },
    /// Anything else, in our own words.
    #[error("{0}")]
    Other(String),
}

/// A refusal and the source it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal} for {source_name}{}", version.as_ref().map(|version| format!(" and source version {version}")).unwrap_or_default())]
pub struct SourceFailure {
    /// Why it was not given.
    pub refusal: Refusal,
    /// `primary source` or `secondary source <identifier>`.
    pub source_name: String,
    /// The version that was asked for, if one was.
    pub version: Option<String>,
}

impl SourceFailure {
    /// The one line that the build's log ends with. Only the first of these carries its status code
    /// there.
    pub fn log_line(&self) -> String {
        match self.refusal {
            Refusal::AuthorizationFailed => format!("CLIENT_ERROR: {self}"),
            _ => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_in_the_logs_of_the_service() {
        let failure = |refusal, source_name: &str, version: Option<&str>| {
            let failure = SourceFailure {
                refusal,
                source_name: source_name.to_owned(),
                version: version.map(str::to_owned),
            };
            failure.log_line()
        };
        assert_eq!(
            failure(Refusal::AuthorizationFailed, "primary source", Some("main")),
            "CLIENT_ERROR: authorization failed for primary source and source version main"
        );
        assert_eq!(
            failure(Refusal::ReferenceNotFound, "primary source", None),
            "reference not found for primary source"
        );
        assert_eq!(
            failure(
                Refusal::RepositoryNotFound,
                "primary source",
                Some("refs/heads/main")
            ),
            "repository not found for primary source and source version refs/heads/main"
        );
        assert_eq!(
            failure(
                Refusal::AuthenticationRequired,
                "secondary source lib",
                Some("main")
            ),
            "authentication required for secondary source lib and source version main"
        );
        let denied = Refusal::S3 {
            code: "AccessDenied".to_owned(),
            message: "Access Denied".to_owned(),
            status: 403,
            request_id: "R".to_owned(),
            host_id: "H".to_owned(),
        };
        assert_eq!(
            failure(denied, "primary source", Some("arn:aws:s3:::bucket/key")),
            "AccessDenied: Access Denied\n\tstatus code: 403, request id: R, host id: H for primary source and source version arn:aws:s3:::bucket/key"
        );
    }
}
