//! Which request it is.

use super::answer::{Failure, malformed};
use super::query::{Parameters, decode};
use super::{JSON_MAX, OPERATION_MAX, SEQUENCE, SESSION, TIMEOUT_MAX_MS};
use crate::store::TXN_BYTES_MAX;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use std::time::Duration;

/// What is asked, by method and path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Get(String),
    Put(String),
    Delete(String),
    GetRange,
    DeleteRange,
    Txn,
    Watch,
    Grant,
    Leases,
    Lease(u64),
    KeepAlive(u64),
    Revoke(u64),
    Compact,
    OpenSession,
    Transfer,
    Members,
    ChangeMembers,
    Status,
    Health,
}

impl Ask {
    pub(super) fn of(method: &Method, path: &str) -> Result<Ask, Failure> {
        let pick = |asks: &[(Method, Ask)], allow: &'static str| {
            // Whoever asks for the head alone gets that of the answer.
            let method = if method == Method::HEAD { &Method::GET } else { method };
            let found = asks.iter().find(|(of, _)| of == method).map(|(_, ask)| ask.clone());
            found.ok_or(Failure::not_allowed(allow))
        };
        let post = |ask| pick(&[(Method::POST, ask)], "POST");
        let get = |ask| pick(&[(Method::GET, ask)], "GET, HEAD");
        if let Some(key) = path.strip_prefix("/v1/kv/").filter(|key| !key.is_empty()) {
            let key = decode(key)?;
            let asks = [
                (Method::GET, Ask::Get(key.clone())),
                (Method::PUT, Ask::Put(key.clone())),
                (Method::DELETE, Ask::Delete(key)),
            ];
            return pick(&asks, "GET, HEAD, PUT, DELETE");
        }
        if let Some(rest) = path.strip_prefix("/v1/leases/") {
            let number = |text: &str| {
                text.parse::<u64>().map_err(|_| malformed(format!("{text:?} is no lease")))
            };
            return match rest.strip_suffix("/keep-alive") {
                Some(id) => post(Ask::KeepAlive(number(id)?)),
                None => {
                    let id = number(rest)?;
                    let asks = [(Method::GET, Ask::Lease(id)), (Method::DELETE, Ask::Revoke(id))];
                    pick(&asks, "GET, HEAD, DELETE")
                }
            };
        }
        match path {
            "/v1/kv" | "/v1/kv/" => {
                let asks = [(Method::GET, Ask::GetRange), (Method::DELETE, Ask::DeleteRange)];
                pick(&asks, "GET, HEAD, DELETE")
            }
            "/v1/leases" => {
                pick(&[(Method::GET, Ask::Leases), (Method::POST, Ask::Grant)], "GET, HEAD, POST")
            }
            "/v1/txn" => post(Ask::Txn),
            "/v1/compact" => post(Ask::Compact),
            "/v1/sessions" => post(Ask::OpenSession),
            "/v1/transfer" => post(Ask::Transfer),
            "/v1/members" => {
                let asks = [(Method::GET, Ask::Members), (Method::POST, Ask::ChangeMembers)];
                pick(&asks, "GET, HEAD, POST")
            }
            "/v1/watch" => get(Ask::Watch),
            "/v1/status" => get(Ask::Status),
            "/health" => get(Ask::Health),
            _ => {
                let message = format!("there is nothing at {path:?}");
                Err(Failure::new(StatusCode::NOT_FOUND, "no_path", message))
            }
        }
    }

    /// The most bytes of its body.
    pub(super) fn body_max(&self) -> usize {
        match self {
            Ask::Put(_) => TXN_BYTES_MAX,
            Ask::Txn => JSON_MAX,
            Ask::Grant | Ask::Compact | Ask::Transfer | Ask::ChangeMembers => 4 << 10,
            _ => 0,
        }
    }
}

/// What a request says beside its body.
pub(super) struct Asked {
    pub(super) ask: Ask,
    pub(super) parameters: Parameters,
    /// How long it may take.
    pub(super) limit: Duration,
    /// Its session, and the number that it has there.
    pub(super) session: Option<(u64, u64)>,
}

impl Asked {
    pub(super) fn of(head: &Parts) -> Result<Asked, Failure> {
        let ask = Ask::of(&head.method, head.uri.path())?;
        let mut parameters = Parameters::parse(head.uri.query().unwrap_or_default())?;
        let limit = match parameters.take_number("timeout_ms")? {
            None => OPERATION_MAX,
            Some(limit @ 1..=TIMEOUT_MAX_MS) => Duration::from_millis(limit),
            Some(_) => {
                return Err(malformed(format!("timeout_ms is from 1 to {TIMEOUT_MAX_MS}")));
            }
        };
        let numbers = (number(&head.headers, SESSION)?, number(&head.headers, SEQUENCE)?);
        let session = match numbers {
            (None, None) => None,
            (Some(session), Some(sequence @ 1..)) => Some((session, sequence)),
            _ => {
                let message = format!("{SESSION} comes with {SEQUENCE}, which is at least 1");
                return Err(malformed(message));
            }
        };
        Ok(Asked { ask, parameters, limit, session })
    }
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| malformed(format!("the header {name} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_say_what_is_asked() {
        let of = |method, path| Ask::of(&method, path).map_err(|failure| failure.status.as_u16());
        assert_eq!(of(Method::GET, "/v1/kv/a/b%20c"), Ok(Ask::Get("a/b c".to_owned())));
        assert_eq!(of(Method::HEAD, "/health"), Ok(Ask::Health));
        assert_eq!(of(Method::DELETE, "/v1/leases/7"), Ok(Ask::Revoke(7)));
        assert_eq!(of(Method::POST, "/v1/leases/7/keep-alive"), Ok(Ask::KeepAlive(7)));
        assert_eq!(of(Method::POST, "/v1/members"), Ok(Ask::ChangeMembers));
        assert_eq!(of(Method::POST, "/v1/kv/a"), Err(405));
        assert_eq!(of(Method::GET, "/v1/txn"), Err(405));
        for path in ["/", "", "/v1", "/v2/kv/a", "/v1/kvs", "/health/"] {
            assert_eq!(of(Method::GET, path), Err(404), "{path}");
        }
        for path in ["/v1/leases/", "/v1/leases/x", "/v1/leases/-1", "/v1/kv/%ff", "/v1/kv/%"] {
            assert_eq!(of(Method::GET, path), Err(400), "{path}");
        }
    }
}
