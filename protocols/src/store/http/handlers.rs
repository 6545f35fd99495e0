//! What each request does.

use super::super::client::StoreError;
use super::super::leases::LeaseCommand;
use super::super::types::{
    Answer, Command, Compare, Done, Keys, Op, Order, Output, Query, Test, Txn, TxnDone,
};
use super::BODY_MAX;
use super::answer::{Answered, Differs, Failure, json, malformed, of};
use super::ask::{Ask, Asked};
use super::connection::Shared;
use super::json::{
    Changed, Compact, Grant, KeyValueJson, LeaseJson, LeaseList, Page, Session, Single, Status,
    Transfer, TxnAnswer, TxnJson, keys, read_json,
};
use super::watch::watch;
use crate::store::{KeyValue, LEASES_PAGE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::json as value;
use squall_env::mutant;
use std::sync::Arc;
use std::time::Duration;

type Handled = Result<Response<Answered>, Failure>;

/// Answers one request.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Answered> {
    let (head, body) = request.into_parts();
    let done = match Asked::of(&head) {
        Ok(asked) => shared.answer(asked, body).await,
        Err(failure) => Err(failure),
    };
    done.unwrap_or_else(|failure| failure.response())
}

impl Shared {
    async fn answer(self: &Arc<Self>, asked: Asked, body: Incoming) -> Handled {
        let body = match asked.ask.body_max() {
            0 => Bytes::new(),
            most => self.read(body, most).await?,
        };
        match asked.ask {
            Ask::Get(_) | Ask::GetRange | Ask::Watch => self.look(asked).await,
            Ask::Put(_) | Ask::Delete(_) | Ask::DeleteRange | Ask::Txn => {
                self.change(asked, body).await
            }
            Ask::Grant | Ask::KeepAlive(_) | Ask::Revoke(_) | Ask::Leases | Ask::Lease(_) => {
                self.lease(asked, body).await
            }
            Ask::Compact | Ask::OpenSession | Ask::Transfer | Ask::Status | Ask::Health => {
                self.manage(asked, body).await
            }
            Ask::Members | Ask::ChangeMembers => self.members_of(asked, body).await,
        }
    }

    async fn read(&self, body: Incoming, most: usize) -> Result<Bytes, Failure> {
        let read = self.env.timeout(BODY_MAX, Limited::new(body, most).collect()).await;
        let late = |_| {
            let message = "the body did not come in time";
            Failure::new(StatusCode::REQUEST_TIMEOUT, "late", message)
        };
        let body = read.map_err(late)?.map_err(|error| {
            if error.is::<LengthLimitError>() {
                let message = format!("the body has more than {most} bytes");
                return Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message);
            }
            malformed("the body broke off")
        })?;
        Ok(body.to_bytes())
    }

    async fn ask(&self, query: Query, limit: Duration) -> Result<Answer, Failure> {
        let mut lent = self.lend(limit).await?;
        lent.client().look(&query, limit).await.map_err(Failure::of_a_read)
    }

    /// A page of keys.
    async fn page(
        &self,
        keys: Keys,
        after: Option<String>,
        limit: Duration,
    ) -> Result<(u64, Vec<KeyValue>, bool), Failure> {
        match self.ask(Query::Get { keys, after }, limit).await? {
            Answer::Found { revision, found, more } => Ok((revision, found, more)),
            _ => Err(StoreError::Foreign.into()),
        }
    }

    async fn look(self: &Arc<Self>, asked: Asked) -> Handled {
        let Asked { ask, mut parameters, limit, .. } = asked;
        match ask {
            Ask::Get(key) => {
                let raw = parameters.take_flag("raw")?;
                parameters.end()?;
                let (revision, mut found, _) =
                    self.page(Keys::One(key.clone()), None, limit).await?;
                let Some(there) = found.pop() else {
                    let message = format!("there is no key {key:?}");
                    let mut failure = Failure::new(StatusCode::NOT_FOUND, "no_key", message);
                    failure.error.revision = Some(revision);
                    return Err(failure);
                };
                if raw {
                    return Ok(of(StatusCode::OK, there.value.into()));
                }
                Ok(json(StatusCode::OK, &Single { revision, kv: (&there).into() }))
            }
            Ask::GetRange => {
                let prefix = parameters.take("prefix").unwrap_or_default();
                let after = parameters.take("after");
                let most = parameters.take_number("limit")?.unwrap_or(u64::MAX);
                parameters.end()?;
                let (revision, mut found, mut more) =
                    self.page(Keys::Prefix(prefix), after, limit).await?;
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                more |= found.len() > most;
                found.truncate(most);
                let kvs = found.iter().map(KeyValueJson::from).collect();
                Ok(json(StatusCode::OK, &Page { revision, kvs, more }))
            }
            _ => {
                let keys = keys(parameters.take("key"), parameters.take("prefix"))?;
                let from = parameters.take_number("from")?;
                parameters.end()?;
                let from = match from {
                    Some(from) => from,
                    // No key is looked at, but only the revision.
                    None => self.page(Keys::One(String::new()), None, limit).await?.0 + 1,
                };
                watch(self, keys, from).await
            }
        }
    }

    /// Has a command done: of the request's session, if it has one.
    async fn execute(
        &self,
        command: Command,
        session: Option<(u64, u64)>,
        limit: Duration,
    ) -> Result<Output, Failure> {
        let mut lent = self.lend(limit).await?;
        let session = session.filter(|_| !mutant!(self.env, "http/ignores-sessions"));
        let done = match session {
            Some(session) => lent.client().execute_as(session, command, limit).await,
            None => lent.client().execute(command, limit).await,
        };
        Ok(done?)
    }

    async fn change(&self, asked: Asked, body: Bytes) -> Handled {
        let Asked { ask, mut parameters, limit, session } = asked;
        let is_txn = ask == Ask::Txn;
        let txn = match ask {
            Ask::Txn => Txn::try_from(read_json::<TxnJson>(&body)?)?,
            Ask::Put(key) => {
                let put = Txn::put(&key, body);
                let txn = guarded(&key, parameters.take_number("mod_revision")?, put);
                match parameters.take_number("lease")? {
                    Some(lease) => txn.with_lease(lease),
                    None => txn,
                }
            }
            Ask::Delete(key) => {
                let delete = Txn::delete(Keys::One(key.clone()));
                guarded(&key, parameters.take_number("mod_revision")?, delete)
            }
            _ => {
                let prefix = parameters.take("prefix");
                let prefix = prefix.ok_or_else(|| malformed("the parameter prefix is missing"))?;
                Txn::delete(Keys::Prefix(prefix))
            }
        };
        parameters.end()?;
        txn.check()?;
        let Output::Txn(done) = self.execute(Command::Txn(txn), session, limit).await? else {
            return Err(StoreError::Foreign.into());
        };
        Ok(if is_txn { txn_answer(&done) } else { change_answer(&done) })
    }

    async fn lease(&self, asked: Asked, body: Bytes) -> Handled {
        let Asked { ask, mut parameters, limit, session } = asked;
        let command = match ask {
            Ask::Grant => {
                let Grant { id, ttl_ms } = read_json(&body)?;
                if id == Some(0) {
                    return Err(malformed("the number of a lease is not zero"));
                }
                LeaseCommand::Grant { id: id.unwrap_or(0), ttl_ms }
            }
            Ask::KeepAlive(id) => LeaseCommand::KeepAlive { id },
            Ask::Revoke(id) => LeaseCommand::Revoke { id },
            Ask::Lease(id) => {
                parameters.end()?;
                return match self.ask(Query::Lease(id), limit).await? {
                    Answer::Lease(lease, keys) => {
                        let lease = LeaseJson { keys: Some(keys), ..lease.into() };
                        Ok(json(StatusCode::OK, &lease))
                    }
                    _ => Err(StoreError::Foreign.into()),
                };
            }
            _ => {
                let after = parameters.take_number("after")?.unwrap_or(0);
                parameters.end()?;
                return match self.ask(Query::Leases(after), limit).await? {
                    Answer::Leases(leases) => {
                        let more = leases.len() >= LEASES_PAGE;
                        let leases = leases.into_iter().map(Into::into).collect();
                        Ok(json(StatusCode::OK, &LeaseList { leases, more }))
                    }
                    _ => Err(StoreError::Foreign.into()),
                };
            }
        };
        parameters.end()?;
        match self.execute(Command::Lease(command), session, limit).await? {
            Output::Lease(lease) => Ok(json(StatusCode::OK, &LeaseJson::from(lease))),
            Output::Ended { revision, .. } => {
                Ok(json(StatusCode::OK, &Changed { revision, deleted: None }))
            }
            _ => Err(StoreError::Foreign.into()),
        }
    }

    async fn manage(&self, asked: Asked, body: Bytes) -> Handled {
        let Asked { ask, parameters, limit, session } = asked;
        parameters.end()?;
        match ask {
            Ask::Compact => {
                let Compact { revision } = read_json(&body)?;
                self.execute(Command::Compact(revision), session, limit).await?;
                Ok(json(StatusCode::OK, &value!({ "compacted": revision })))
            }
            Ask::OpenSession => {
                let session = self.lend(limit).await?.client().open_session(limit).await?;
                Ok(json(StatusCode::OK, &Session { session }))
            }
            Ask::Transfer => {
                let Transfer { to } = read_json(&body)?;
                let node = self.env.roster().find(&to).filter(|to| self.members().contains(to));
                let node = node.ok_or_else(|| malformed(format!("{to:?} is no member")))?;
                if self.lend(limit).await?.client().transfer(node, limit).await? {
                    return Ok(json(StatusCode::OK, &value!({ "to": to })));
                }
                let message = format!("{to} did not take over; perhaps it leads already");
                Err(Failure::new(StatusCode::CONFLICT, "not_transferred", message))
            }
            Ask::Status => Ok(json(StatusCode::OK, &self.status())),
            _ => {
                let leader = self.status().leader;
                let healthy = leader.is_some() && !self.closing.stopped();
                let body = value!({ "healthy": healthy, "leader": leader });
                if healthy {
                    return Ok(json(StatusCode::OK, &body));
                }
                let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                Ok(response)
            }
        }
    }

    fn status(&self) -> Status {
        let name = |node| self.env.roster().name(node);
        self.member.live().read(|raft| Status {
            cluster: self.env.roster().cluster().to_owned(),
            member: name(self.env.me()),
            leader: raft.leader().map(name),
            members: raft.configuration().members().into_iter().map(name).collect(),
            term: raft.term(),
            commit: raft.commit(),
            applied: raft.applied(),
            revision: raft.state().revision(),
            compacted: raft.state().compacted(),
            leases: raft.state().leases().count() as u64,
        })
    }
}

/// The same, if the key was last put at this revision; else a look at it.
fn guarded(key: &str, mod_revision: Option<u64>, txn: Txn) -> Txn {
    let Some(revision) = mod_revision else { return txn };
    let (key, test) = (key.to_owned(), Test::ModRevision(revision));
    let compare = vec![Compare { key: key.clone(), order: Order::Equal, test }];
    Txn { compare, failure: vec![Op::Get(Keys::One(key))], ..txn }
}

fn txn_answer(done: &TxnDone) -> Response<Answered> {
    let results = done.results.iter().map(Into::into).collect();
    let answer = TxnAnswer { succeeded: done.succeeded, revision: done.revision, results };
    json(StatusCode::OK, &answer)
}

fn change_answer(done: &TxnDone) -> Response<Answered> {
    let revision = done.revision;
    if done.succeeded {
        let deleted = match done.results.first() {
            Some(Done::Deleted(keys)) => Some(*keys),
            _ => None,
        };
        return json(StatusCode::OK, &Changed { revision, deleted });
    }
    let there = match done.results.first() {
        Some(Done::Found(found)) => found.first(),
        _ => None,
    };
    let message = "the key was last put at another revision";
    let error = Failure::new(StatusCode::CONFLICT, "compare_failed", message).error;
    json(StatusCode::CONFLICT, &Differs { error, revision, kv: there.map(Into::into) })
}
