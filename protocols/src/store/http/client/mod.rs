//! A client that speaks HTTP, over the world's streams or any others.

mod exchange;
mod watch;

pub use exchange::{Connect, Connection, Dialed, HttpError, World};
pub use watch::Watch;

use super::super::types::{KeyValue, Keys};
use super::json::{
    Changed, Compact, Grant, KeyValueJson, LeaseJson, LeaseList, MemberChange, MemberChanges,
    Members, Page, Session, Single, Status, Transfer,
};
use super::query::encode;
use exchange::{Exchanger, Question};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::Env;
use std::sync::Arc;
use std::time::Duration;

/// A client of the store.
///
/// Every change is a command of a session, which is opened before the first one. So a change that
/// nobody answered is sent again, to another endpoint perhaps, until the limit is over, and is done
/// once; and so is whatever changes nothing.
pub struct HttpStore {
    exchanger: Exchanger,
    /// The session, and the number of its last command.
    session: Option<(u64, u64)>,
}

/// What became of a change that compares first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// It was done, at this revision of the store; so many keys went.
    Done {
        /// The revision behind it.
        revision: u64,
        /// How many keys were removed.
        deleted: u64,
    },
    /// The key was last put at another revision.
    Differs {
        /// The revision of the store.
        revision: u64,
        /// What is there.
        there: Option<KeyValue>,
    },
}

#[derive(Deserialize)]
struct DiffersBody {
    revision: u64,
    kv: Option<KeyValueJson>,
}

impl HttpStore {
    /// A client of these endpoints.
    pub fn new(env: &Env, endpoints: Arc<dyn Connect>) -> HttpStore {
        HttpStore { exchanger: Exchanger::new(env, endpoints), session: None }
    }

    /// Looks at a key, and says at which revision of the store it was so.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn get(
        &mut self,
        key: &str,
        limit: Duration,
    ) -> Result<(u64, Option<KeyValue>), HttpError> {
        match self.read::<Single>(&key_path(key, &[]), limit).await {
            Ok(Single { revision, kv }) => Ok((revision, Some(key_value(kv)?))),
            Err(HttpError::Answer { status, error }) if status == StatusCode::NOT_FOUND => {
                match error.revision {
                    Some(revision) => Ok((revision, None)),
                    None => Err(HttpError::Answer { status, error }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Looks at a page of keys: the first `most` that begin so, behind `after`.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn range(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        most: Option<u64>,
        limit: Duration,
    ) -> Result<Page, HttpError> {
        let mut path = format!("/v1/kv?prefix={}", encode(prefix));
        if let Some(after) = after {
            path.push_str(&format!("&after={}", encode(after)));
        }
        if let Some(most) = most {
            path.push_str(&format!("&limit={most}"));
        }
        self.read(&path, limit).await
    }

    /// Puts a value: with a lease if one is given, and if one is given only if the key was last put
    /// at that revision.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn put(
        &mut self,
        key: &str,
        value: impl Into<Bytes>,
        lease: Option<u64>,
        mod_revision: Option<u64>,
        limit: Duration,
    ) -> Result<Compared, HttpError> {
        let path = key_path(key, &[("lease", lease), ("mod_revision", mod_revision)]);
        self.compare(Method::PUT, path, value.into(), limit).await
    }

    /// Removes a key, if a revision is given only if it was last put then.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn delete(
        &mut self,
        key: &str,
        mod_revision: Option<u64>,
        limit: Duration,
    ) -> Result<Compared, HttpError> {
        let path = key_path(key, &[("mod_revision", mod_revision)]);
        self.compare(Method::DELETE, path, Bytes::new(), limit).await
    }

    /// Removes all keys that begin so.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn delete_range(
        &mut self,
        prefix: &str,
        limit: Duration,
    ) -> Result<Compared, HttpError> {
        let path = format!("/v1/kv?prefix={}", encode(prefix));
        self.compare(Method::DELETE, path, Bytes::new(), limit).await
    }

    /// Watches keys from a revision on, or from now on.
    pub fn watch(&self, keys: Keys, from: Option<u64>) -> Watch {
        Watch::new(&self.exchanger, keys, from)
    }

    /// Has a lease granted, perhaps with this number.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn grant(
        &mut self,
        id: Option<u64>,
        ttl_ms: u64,
        limit: Duration,
    ) -> Result<LeaseJson, HttpError> {
        self.change("/v1/leases", &Grant { id, ttl_ms }, limit).await
    }

    /// Has a lease last anew.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn keep_alive(&mut self, id: u64, limit: Duration) -> Result<LeaseJson, HttpError> {
        let path = format!("/v1/leases/{id}/keep-alive");
        let answer = self.command(Method::POST, path, Bytes::new(), limit).await?;
        read_json(&good(answer)?)
    }

    /// Ends a lease, and gives the revision at which its keys are gone.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn revoke(&mut self, id: u64, limit: Duration) -> Result<u64, HttpError> {
        let path = format!("/v1/leases/{id}");
        let answer = self.command(Method::DELETE, path, Bytes::new(), limit).await?;
        Ok(read_json::<Changed>(&good(answer)?)?.revision)
    }

    /// Looks at a lease and its keys.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn lease(&mut self, id: u64, limit: Duration) -> Result<LeaseJson, HttpError> {
        self.read(&format!("/v1/leases/{id}"), limit).await
    }

    /// Looks at all leases.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn leases(&mut self, limit: Duration) -> Result<Vec<LeaseJson>, HttpError> {
        let mut all = Vec::<LeaseJson>::new();
        loop {
            let after = all.last().map_or(0, |lease| lease.id);
            let path = format!("/v1/leases?after={after}");
            let LeaseList { leases, more } = self.read(&path, limit).await?;
            all.extend(leases);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Has the history up to a revision and with it forgotten.
    ///
    /// # Errors
    /// [`HttpError`], which knows the outcome.
    pub async fn compact(&mut self, revision: u64, limit: Duration) -> Result<(), HttpError> {
        let _: serde_json::Value = self.change("/v1/compact", &Compact { revision }, limit).await?;
        Ok(())
    }

    /// Has another member lead.
    ///
    /// # Errors
    /// [`HttpError`]; if it leads already, an answer of 409.
    pub async fn transfer(&mut self, to: &str, limit: Duration) -> Result<(), HttpError> {
        let body = to_json(&Transfer { to: to.to_owned() })?;
        let question = Question::new(Method::POST, "/v1/transfer".to_owned(), body);
        good(self.exchanger.ask(&question, limit).await?)?;
        Ok(())
    }

    /// Who is a member.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn members(&mut self, limit: Duration) -> Result<Members, HttpError> {
        self.read("/v1/members", limit).await
    }

    /// Changes who is a member, one or several at once, and says who is then. To ask for the same
    /// again does no harm.
    ///
    /// # Errors
    /// [`HttpError`]; an answer of 409 if that cannot be, with the code `not_caught_up` if a node
    /// that shall vote has to learn first.
    pub async fn change_members(
        &mut self,
        changes: Vec<MemberChange>,
        limit: Duration,
    ) -> Result<Members, HttpError> {
        let body = to_json(&MemberChanges { changes })?;
        let question = Question::new(Method::POST, "/v1/members".to_owned(), body);
        read_json(&good(self.exchanger.ask(&question, limit).await?)?)
    }

    /// What an endpoint knows of itself and its cluster.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn status(&mut self, limit: Duration) -> Result<Status, HttpError> {
        self.read("/v1/status", limit).await
    }

    async fn read<T: DeserializeOwned>(
        &mut self,
        path: &str,
        limit: Duration,
    ) -> Result<T, HttpError> {
        let question = Question::new(Method::GET, path.to_owned(), Bytes::new());
        read_json(&good(self.exchanger.ask(&question, limit).await?)?)
    }

    async fn change<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, HttpError> {
        let body = to_json(body)?;
        let answer = self.command(Method::POST, path.to_owned(), body, limit).await?;
        read_json(&good(answer)?)
    }

    async fn compare(
        &mut self,
        method: Method,
        path: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<Compared, HttpError> {
        let (status, body) = self.command(method, path, body, limit).await?;
        if status == StatusCode::CONFLICT {
            let DiffersBody { revision, kv } = read_json(&body)?;
            return Ok(Compared::Differs { revision, there: kv.map(key_value).transpose()? });
        }
        let Changed { revision, deleted } = read_json(&good((status, body))?)?;
        Ok(Compared::Done { revision, deleted: deleted.unwrap_or(0) })
    }

    /// Sends a command of the session.
    async fn command(
        &mut self,
        method: Method,
        path: String,
        body: Bytes,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let until = self.exchanger.env().now() + limit;
        let (session, last) = match self.session {
            Some(session) => session,
            None => {
                let path = "/v1/sessions".to_owned();
                let question = Question::new(Method::POST, path, Bytes::new());
                let answer = self.exchanger.ask(&question, limit).await;
                // That a session may be open which nobody uses harms nobody.
                let answer = answer.and_then(good).map_err(HttpError::not_done)?;
                let Session { session } = read_json(&answer).map_err(HttpError::not_done)?;
                (session, 0)
            }
        };
        self.session = Some((session, last + 1));
        let question = Question::new(method, path, body).of_session(session, last + 1);
        let left = until - self.exchanger.env().now();
        let (status, body) = self.exchanger.ask(&question, left).await?;
        if status == StatusCode::GONE && error_code(&body).as_deref() == Some("session_gone") {
            self.session = None;
        }
        Ok((status, body))
    }
}

fn key_path(key: &str, parameters: &[(&str, Option<u64>)]) -> String {
    let mut path = format!("/v1/kv/{}", encode(key));
    let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    for (nth, (name, value)) in given.enumerate() {
        path.push(if nth == 0 { '?' } else { '&' });
        path.push_str(&format!("{name}={value}"));
    }
    path
}

fn key_value(there: KeyValueJson) -> Result<KeyValue, HttpError> {
    there.try_into().map_err(|_| HttpError::Malformed)
}

fn to_json<T: Serialize>(body: &T) -> Result<Bytes, HttpError> {
    serde_json::to_vec(body).map(Into::into).map_err(|_| HttpError::Malformed)
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpError> {
    serde_json::from_slice(body).map_err(|_| HttpError::Malformed)
}

fn error_code(body: &[u8]) -> Option<String> {
    Some(exchange::error(body)?.code)
}

/// The body of an answer that is no error.
fn good((status, body): (StatusCode, Bytes)) -> Result<Bytes, HttpError> {
    if status.is_success() { Ok(body) } else { Err(exchange::failure(status, &body)) }
}
