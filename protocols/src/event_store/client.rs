//! A store on another node.

use super::error::EventStoreError;
use super::event::{Append, Appended, Filter, Slice, StreamSlice};
use super::service::{PORT, Request, Response};
use super::{EventStore, Position};
use squall_env::platform::{BindError, BoxFuture};
use squall_env::request::{CallError, Caller};
use squall_env::{Address, Env, NodeId, Port};
use std::time::Duration;

/// After how long a request is sent again, and then after twice as long each time.
const TRY: Duration = Duration::from_millis(500);

/// A client of a store that another node serves. It sends a request again and again until it is
/// answered or its time is over; since the events keep their ids, they are appended once.
pub struct RemoteStore {
    env: Env,
    caller: Caller<Request, Response>,
    server: Address,
    limit: Duration,
}

impl RemoteStore {
    /// A client of the store on this node, whose operations take at most `limit` each.
    ///
    /// # Errors
    /// If the own node has stopped.
    pub fn open(env: &Env, server: NodeId, limit: Duration) -> Result<RemoteStore, BindError> {
        RemoteStore::at(env, Address::new(server, Port::named(PORT)), limit)
    }

    /// A client of the store at this address.
    ///
    /// # Errors
    /// As [`RemoteStore::open`].
    pub fn at(env: &Env, server: Address, limit: Duration) -> Result<RemoteStore, BindError> {
        Ok(RemoteStore { env: env.clone(), caller: Caller::open(env)?, server, limit })
    }

    async fn ask(&self, request: Request, limit: Duration) -> Result<Response, EventStoreError> {
        let heard = self.caller.call_again(self.server, request, TRY, limit).await?;
        match heard.response {
            Response::Refused(refused) => Err(refused.into()),
            Response::Damaged(position) => Err(EventStoreError::Damaged(position)),
            Response::Failed(why) => Err(EventStoreError::Failed(why)),
            response => Ok(response),
        }
    }
}

/// The server has answered another question than was asked.
fn other<T>(_: Response) -> Result<T, EventStoreError> {
    Err(EventStoreError::NoAnswer(CallError::Timeout))
}

impl EventStore for RemoteStore {
    fn append_all(
        &self,
        appends: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, EventStoreError>> {
        Box::pin(async move {
            super::record::check(&appends)?;
            match self.ask(Request::Append(appends), self.limit).await? {
                Response::Appended(done) => Ok(done),
                response => other(response),
            }
        })
    }

    fn read(
        &self,
        stream: &str,
        from: u64,
        max: usize,
    ) -> BoxFuture<'_, Result<StreamSlice, EventStoreError>> {
        let request = Request::Read { stream: stream.to_owned(), from, max: max as u64 };
        Box::pin(async move {
            match self.ask(request, self.limit).await? {
                Response::Read(slice) => Ok(slice),
                response => other(response),
            }
        })
    }

    fn read_all(
        &self,
        after: Position,
        max: usize,
        filter: &Filter,
    ) -> BoxFuture<'_, Result<Slice, EventStoreError>> {
        let request = Request::ReadAll { after, max: max as u64, filter: filter.clone() };
        Box::pin(async move {
            match self.ask(request, self.limit).await? {
                Response::ReadAll(slice) => Ok(slice),
                response => other(response),
            }
        })
    }

    fn wait_beyond(
        &self,
        after: Position,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Position, EventStoreError>> {
        Box::pin(async move {
            let deadline = self.env.now() + limit;
            let mut head = after;
            while self.env.now() < deadline {
                // Each question is short: a server that crashes forgets who waits.
                let left = deadline.since(self.env.now());
                let limit_ms = left.min(TRY / 2).as_millis() as u64;
                match self.ask(Request::Wait { after, limit_ms }, left.min(self.limit)).await {
                    Ok(Response::Waited(position)) => head = position,
                    Ok(response) => return other(response),
                    Err(EventStoreError::NoAnswer(CallError::Timeout)) => continue,
                    Err(error) => return Err(error),
                }
                if head > after {
                    break;
                }
            }
            Ok(head)
        })
    }
}
