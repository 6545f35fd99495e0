//! A watch that goes on over broken connections.

use super::super::json::Line;
use super::super::query::encode;
use super::exchange::{Exchanger, HttpError, Question, failure};
use crate::store::Keys;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, StatusCode};
use squall_env::mutant;
use std::time::Duration;

/// How long nothing may come, not even a line without events, before another endpoint is asked.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long it waits before it asks the next endpoint.
const PAUSE: Duration = Duration::from_millis(50);

/// The most bytes of a line: a revision is told whole, and values may be in base64.
const LINE_MAX: usize = 64 << 20;

/// The most bytes of an error.
const ERROR_MAX: usize = 64 << 10;

/// Hears of every change of keys: each revision once, and in order, whichever endpoint tells it.
pub struct Watch {
    exchanger: Exchanger,
    keys: Keys,
    /// Everything before this revision has been heard of; unknown until a watch from now on begins.
    next: Option<u64>,
    body: Option<Incoming>,
    /// What has come and is no whole line yet.
    rest: Vec<u8>,
}

impl Watch {
    pub(super) fn new(exchanger: &Exchanger, keys: Keys, from: Option<u64>) -> Watch {
        let exchanger = exchanger.another();
        Watch { exchanger, keys, next: from, body: None, rest: Vec::new() }
    }

    /// From which revision on it has heard of nothing yet, once it knows.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Waits for the next line: the events of one revision, or that nothing has happened up to
    /// one. It goes on to another endpoint for as long as it takes; dropped while it waits, it
    /// loses nothing.
    ///
    /// # Errors
    /// What was asked for is compacted: 410; or it makes no sense. Asked again, it tries again.
    pub async fn line(&mut self) -> Result<Line, HttpError> {
        loop {
            match self.poll_line().await {
                Ok(Some(line)) => return Ok(line),
                Ok(None) => {}
                Err(error) => {
                    self.leave();
                    if let HttpError::Answer { status, .. } = &error
                        && (status.is_client_error() || *status == StatusCode::GONE)
                    {
                        return Err(error);
                    }
                    self.exchanger.env().clone().sleep(PAUSE).await;
                }
            }
        }
    }

    fn leave(&mut self) {
        self.body = None;
        self.rest.clear();
        self.exchanger.look_elsewhere();
    }

    /// The next line that says something new, unless there is none yet.
    async fn poll_line(&mut self) -> Result<Option<Line>, HttpError> {
        if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            return self.take(&line);
        }
        let env = self.exchanger.env().clone();
        let Some(body) = &mut self.body else {
            env.timeout(SILENCE_MAX, self.open()).await??;
            return Ok(None);
        };
        let frame = env.timeout(SILENCE_MAX, body.frame()).await?;
        // A server that closes ends its watches.
        let frame = frame.ok_or(HttpError::Malformed)??;
        if let Some(data) = frame.data_ref() {
            if self.rest.len() + data.len() > LINE_MAX {
                return Err(HttpError::Malformed);
            }
            self.rest.extend_from_slice(data);
        }
        Ok(None)
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<Line>, HttpError> {
        let line: Line = serde_json::from_slice(line).map_err(|_| HttpError::Malformed)?;
        if let Some(error) = line.error {
            let gone = error.compacted.is_some();
            let status = if gone { StatusCode::GONE } else { StatusCode::BAD_GATEWAY };
            return Err(HttpError::Answer { status, error });
        }
        // Another endpoint may begin before where the last one broke off.
        let is_known = self.next.is_some_and(|next| line.revision < next);
        if is_known && !mutant!(self.exchanger.env(), "http/tells-what-is-there-of-the-future") {
            return Ok(None);
        }
        self.next = Some(line.revision + 1);
        Ok(Some(line))
    }

    async fn open(&mut self) -> Result<(), HttpError> {
        let keys = match &self.keys {
            Keys::One(key) => format!("key={}", encode(key)),
            Keys::Prefix(prefix) => format!("prefix={}", encode(prefix)),
        };
        let from = self.next.map(|next| format!("&from={next}")).unwrap_or_default();
        let path = format!("/v1/watch?{keys}{from}");
        self.exchanger.connect().await?;
        let question = Question::new(Method::GET, path, Bytes::new());
        let response = self.exchanger.send(&question).await?;
        let status = response.status();
        if status == StatusCode::OK {
            self.body = Some(response.into_body());
            return Ok(());
        }
        let body = Limited::new(response.into_body(), ERROR_MAX).collect().await;
        let body = body.map_err(|_| HttpError::Malformed)?.to_bytes();
        Err(failure(status, &body))
    }
}
