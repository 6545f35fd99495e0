//! What requests are answered: bodies and errors.

use super::super::client::StoreError;
use super::super::types::Refused;
use super::json::KeyValueJson;
use crate::raft::ClientError;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use squall_env::sync::Receiver;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of an answer: known as a whole, or lines that are still to come.
pub(super) enum Answered {
    Whole(Option<Bytes>),
    Lines(Receiver<Bytes>),
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Answered::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Answered::Lines(lines) => {
                lines.poll_receive(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answered::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answered::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Answered::Lines(_) => SizeHint::default(),
        }
    }
}

/// An answer in JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Answered> {
    let mut bytes = serde_json::to_vec(body).unwrap_or_default();
    bytes.push(b'\n');
    let mut response = of(status, Bytes::from(bytes));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// An answer of these bytes.
pub(super) fn of(status: StatusCode, bytes: Bytes) -> Response<Answered> {
    let mut response = Response::new(Answered::Whole(Some(bytes)));
    *response.status_mut() = status;
    response
}

/// An answer of lines that come one by one.
pub(super) fn lines(lines: Receiver<Bytes>) -> Response<Answered> {
    let mut response = Response::new(Answered::Lines(lines));
    let lines = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, lines);
    response
}

/// What an error says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Which error, for programs.
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// What became of a change: `not_done`, or `unknown` if nobody knows.
    pub outcome: String,
    /// If the history is compacted, the last revision that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<u64>,
    /// If there is no such key, the revision of the store at which there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: Box<ErrorBody>,
    /// What a path can be asked for.
    allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: &'a ErrorBody,
}

/// That a comparison did not hold, and what is there.
#[derive(Serialize)]
pub(super) struct Differs {
    pub(super) error: Box<ErrorBody>,
    pub(super) revision: u64,
    pub(super) kv: Option<KeyValueJson>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Failure {
        let error = Box::new(ErrorBody {
            code: code.to_owned(),
            message: message.into(),
            outcome: "not_done".to_owned(),
            compacted: None,
            revision: None,
        });
        Failure { status, error, allow: None }
    }

    pub(super) fn not_allowed(allow: &'static str) -> Failure {
        let message = format!("this path takes {allow}");
        let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Failure { allow: Some(allow), ..failure }
    }

    /// Nobody knows what became of it.
    fn unknown(mut self) -> Failure {
        "unknown".clone_into(&mut self.error.outcome);
        self
    }

    pub(super) fn response(&self) -> Response<Answered> {
        let mut response = json(self.status, &Wrapped { error: &self.error });
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    /// The last line of a watch.
    pub(super) fn line(&self) -> Bytes {
        let mut line = serde_json::to_vec(&Wrapped { error: &self.error }).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }
}

pub(super) fn malformed(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "malformed", message)
}

pub(super) fn busy(message: &str) -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let (status, code) = match &refused {
            Refused::TooManyOperations { .. } => (StatusCode::BAD_REQUEST, "too_many_operations"),
            Refused::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Refused::ChangedTwice { .. } => (StatusCode::BAD_REQUEST, "changed_twice"),
            Refused::Compacted { .. } => (StatusCode::GONE, "compacted"),
            Refused::Future { .. } => (StatusCode::BAD_REQUEST, "future_revision"),
            Refused::NoLease { .. } => (StatusCode::NOT_FOUND, "no_lease"),
            Refused::LeaseExists { .. } => (StatusCode::CONFLICT, "lease_exists"),
            Refused::LeaseTooLong { .. } => (StatusCode::BAD_REQUEST, "lease_too_long"),
            Refused::TooManyLeases => (StatusCode::INSUFFICIENT_STORAGE, "too_many_leases"),
            Refused::LeaseFull { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "lease_full"),
        };
        let mut failure = Failure::new(status, code, refused.to_string());
        if let Refused::Compacted { compacted } = refused {
            failure.error.compacted = Some(compacted);
        }
        failure
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let message = error.to_string();
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match error {
            StoreError::Refused(refused) => refused.into(),
            StoreError::Raft(ClientError::Unavailable) => {
                Failure::new(unavailable, "unavailable", message)
            }
            StoreError::Raft(ClientError::TooLarge) => {
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            StoreError::Raft(ClientError::NoSession) => {
                Failure::new(StatusCode::GONE, "session_gone", message).unknown()
            }
            StoreError::Raft(ClientError::Unanswered(_)) => {
                Failure::new(StatusCode::GATEWAY_TIMEOUT, "unanswered", message).unknown()
            }
            StoreError::Foreign => {
                Failure::new(StatusCode::BAD_GATEWAY, "foreign", message).unknown()
            }
        }
    }
}

impl Failure {
    /// The same for what changes nothing: whether it was answered or not, it can be asked again.
    pub(super) fn of_a_read(error: StoreError) -> Failure {
        let failure = Failure::from(error);
        if failure.status != StatusCode::GATEWAY_TIMEOUT {
            return failure;
        }
        let message = failure.error.message;
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}
