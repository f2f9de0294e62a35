//! What a client is told when an operation is not carried out.

use axum::http::StatusCode;

/// An error of the API: a code that SDKs know, and a sentence for people. What only the operator may
/// know stays in `cause`, which is logged and never sent.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.name())]
pub(super) struct ApiError {
    /// What kind of error.
    pub(super) code: Code,
    /// What the client reads.
    pub(super) message: String,
    /// What the log says besides, of a fault of ours.
    #[source]
    pub(super) cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The codes in use (service model; the general ones of AWS from `UnknownOperation` on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// A member is missing or has a value it cannot have.
    InvalidInput,
    /// What was named is not there.
    ResourceNotFound,
    /// What was to be made is there.
    ResourceAlreadyExists,
    /// A limit of the installation is reached.
    AccountLimitExceeded,
    /// CloudWatch Logs' word for [`InvalidInput`](Self::InvalidInput).
    InvalidParameter,
    /// There is no such operation.
    UnknownOperation,
    /// The body is not what the protocol says.
    Serialization,
    /// The body is larger than anything the API takes.
    RequestEntityTooLarge,
    /// The body took too long to come.
    RequestTimeout,
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The signature lacks a part.
    IncompleteSignature,
    /// The access key or the session token is not known.
    UnrecognizedClient,
    /// The access key's time is up.
    ExpiredToken,
    /// The signature is not that of this request, or not of this time.
    InvalidSignature,
    /// The key may not do this.
    AccessDenied,
    /// Too many requests at once.
    Throttling,
    /// A fault of ours.
    InternalFailure,
}

impl Code {
    /// The name that SDKs look for.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInputException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::ResourceAlreadyExists => "ResourceAlreadyExistsException",
            Self::AccountLimitExceeded => "AccountLimitExceededException",
            Self::InvalidParameter => "InvalidParameterException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::Serialization => "SerializationException",
            Self::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Self::RequestTimeout => "RequestTimeoutException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::AccessDenied => "AccessDeniedException",
            Self::Throttling => "ThrottlingException",
            Self::InternalFailure => "InternalFailure",
        }
    }

    /// The HTTP status; the clients look at the code, and at this to know whether to try again.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl ApiError {
    /// An error that is the client's.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            cause: None,
        }
    }

    /// A member that cannot be so.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }

    /// Something that is not there.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::ResourceNotFound, message)
    }

    /// A fault of ours: the client learns no more than that, and may try again.
    pub(super) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            code: Code::InternalFailure,
            message: "the request could not be carried out; the server's log says why".to_owned(),
            cause: Some(cause.into()),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
