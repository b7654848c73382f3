//! Errors as RFC 9457 problem details, each with a stable code.

use std::any::Any;

use axum::BoxError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use overt_protocol::codec::DecodeError;
use overt_protocol::provider::Refusal;
use serde_json::json;

use crate::access::AccessError;
use crate::error::DirectoryError;
use crate::sequencer::UpdateError;
use crate::store::StoreError;

/// What went wrong, for programs. The code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The body is not an encoding of the request's structure, or breaks a rule of its section.
    MalformedRequest,
    /// A bearer token is needed.
    Unauthorized,
    /// The signer may not write this label.
    Forbidden,
    /// The directory has no such label or version (which it does not prove).
    NotFound,
    /// No such path.
    NoSuchPath,
    /// The path takes another method.
    MethodNotAllowed,
    /// `greatest_version` is beyond the label's, or there is nothing to do.
    VersionConflict,
    /// The value is the current one already.
    Unchanged,
    /// The Service Operator signed a version that cannot be the next.
    SignedVersion,
    /// The client has seen a larger tree than this directory has.
    LastAhead,
    /// The version can no longer be proved.
    Expired,
    /// The value was deleted, for good.
    Deleted,
    /// The body is too large.
    TooLarge,
    /// The value is not one that this directory takes.
    InvalidValue,
    /// Too many requests or waiting updates; try again.
    Overloaded,
    /// Another process of the directory takes updates.
    ReadOnly,
    /// The directory cannot answer now.
    Unavailable,
    /// The Third-Party Manager signed two heads of one size.
    Forked,
    /// The directory waits for its auditor.
    NotAudited,
    /// The directory waits for witnesses.
    NotWitnessed,
    /// An auditor's head that is not the auditor's, or not of this log.
    InvalidHead,
}

impl Code {
    /// Name, HTTP status and title.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedRequest => ("malformed-request", S::BAD_REQUEST, "Malformed request"),
            Self::Unauthorized => (
                "unauthorized",
                S::UNAUTHORIZED,
                "A valid bearer token is required",
            ),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "Not allowed to write this label"),
            Self::NotFound => ("not-found", S::NOT_FOUND, "No such label or version"),
            Self::NoSuchPath => ("no-such-path", S::NOT_FOUND, "No such path"),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "Method not allowed",
            ),
            Self::VersionConflict => ("version-conflict", S::CONFLICT, "Version conflict"),
            Self::Unchanged => ("unchanged", S::CONFLICT, "The value is unchanged"),
            Self::SignedVersion => (
                "signed-version",
                S::CONFLICT,
                "The signed version cannot be the next",
            ),
            Self::LastAhead => (
                "last-ahead",
                S::CONFLICT,
                "The client has seen a larger tree",
            ),
            Self::Expired => ("expired", S::GONE, "The version has expired"),
            Self::Deleted => ("deleted", S::GONE, "The value was deleted"),
            Self::TooLarge => (
                "too-large",
                S::PAYLOAD_TOO_LARGE,
                "The request is too large",
            ),
            Self::InvalidValue => (
                "invalid-value",
                S::UNPROCESSABLE_ENTITY,
                "The value is not acceptable",
            ),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "Overloaded"),
            Self::ReadOnly => (
                "read-only",
                S::SERVICE_UNAVAILABLE,
                "This process takes no updates",
            ),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "Unavailable"),
            Self::Forked => ("forked", S::BAD_GATEWAY, "The manager forked the log"),
            Self::NotAudited => (
                "not-audited",
                S::SERVICE_UNAVAILABLE,
                "The auditor lags behind",
            ),
            Self::NotWitnessed => (
                "not-witnessed",
                S::SERVICE_UNAVAILABLE,
                "Too few witnesses cosign",
            ),
            Self::InvalidHead => (
                "invalid-head",
                S::UNPROCESSABLE_ENTITY,
                "Not a head of this log by its auditor",
            ),
        }
    }
}

/// An error answer.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
}

impl Problem {
    /// An answer with this code; `detail` is shown to people and holds no label.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail }
    }

    fn internal() -> Self {
        Self::new(
            Code::Unavailable,
            "an internal error; the operator can see it in the log",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status, title) = self.code.parts();
        metrics::counter!("overt_http_problems_total", "code" => name).increment(1);
        let body = json!({
            "type": format!("urn:overt:problem:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "code": name,
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, body.to_string()).into_response();
        let extra = match self.code {
            Code::Overloaded | Code::Unavailable | Code::NotAudited | Code::NotWitnessed => {
                Some((header::RETRY_AFTER, "1"))
            }
            Code::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = extra {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        Self::new(
            Code::MalformedRequest,
            format!("{error}; expected the draft's TLS encoding"),
        )
    }
}

impl From<DirectoryError> for Problem {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Refusal(refusal) => refusal.into(),
            DirectoryError::NotAllowed => Self::new(Code::Unauthorized, error.to_string()),
            DirectoryError::NotAudited => Self::new(Code::NotAudited, error.to_string()),
            DirectoryError::Unpublished => Self::new(Code::Unavailable, error.to_string()),
            DirectoryError::Held => Self::new(Code::NotWitnessed, error.to_string()),
            DirectoryError::Store(StoreError::Fenced) => {
                Self::new(Code::ReadOnly, StoreError::Fenced.to_string())
            }
            DirectoryError::Store(error) => {
                tracing::error!(%error, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::LastAhead { .. } => Code::LastAhead,
            Refusal::NotFound => Code::NotFound,
            Refusal::Expired => Code::Expired,
            Refusal::Deleted => Code::Deleted,
            Refusal::VersionConflict => Code::VersionConflict,
            Refusal::Invalid(_) => Code::MalformedRequest,
            Refusal::Damaged(what) => {
                tracing::error!(what, "stored data contradict each other");
                return Self::internal();
            }
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        let code = match &error {
            UpdateError::Access(AccessError::Unauthorized) => Code::Unauthorized,
            UpdateError::Access(error) if error.is_wrong_signer() => Code::Forbidden,
            UpdateError::Access(_) => Code::InvalidValue,
            UpdateError::Unchanged => Code::Unchanged,
            UpdateError::SignedVersion { .. } | UpdateError::Skipped(_) => Code::SignedVersion,
            UpdateError::LeafSignature(_) => Code::Forbidden,
            UpdateError::OnItsWay => Code::Unavailable,
            UpdateError::Held => Code::NotWitnessed,
            UpdateError::QueueFull => Code::Overloaded,
            UpdateError::Stopping => Code::Unavailable,
            UpdateError::Elsewhere => Code::ReadOnly,
            UpdateError::Directory(_) => Code::Unavailable,
        };
        match error {
            UpdateError::Directory(error) => error.into(),
            error => Self::new(code, error.to_string()),
        }
    }
}

/// The answer when limits on concurrency or time are hit.
pub(super) async fn overload(error: BoxError) -> Problem {
    if error.is::<tower::timeout::error::Elapsed>() {
        let detail =
            "the request took too long; whether an update was made is not known, so ask again";
        Problem::new(Code::Unavailable, detail)
    } else {
        Problem::new(Code::Overloaded, "too many requests at once; try again")
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(Code::NoSuchPath, "see /v1/descriptor for the operations")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "operations take POST; the descriptor and status pages GET",
    )
}

pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}

/// The answer when proving ended in a panic.
pub(super) fn join_error(_: tokio::task::JoinError) -> Problem {
    tracing::error!("proving panicked");
    Problem::internal()
}
