//! Requests and their responses over datagrams, with deadlines and three outcomes.

use crate::Env;
use crate::address::{Address, Port};
use crate::net::MessageSender;
use crate::outcome::Outcome;
use crate::platform::BindError;
use crate::sync::{OneshotSender, oneshot};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
enum Envelope<T> {
    Request { id: u64, body: T },
    Response { id: u64, body: T },
}

/// Why a call gave no response.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// No response came in time. The request may have been served all the same.
    #[error("no response in time")]
    Timeout,
    /// The node has stopped. The request may have been served all the same.
    #[error("the node has stopped")]
    Stopped,
}

impl CallError {
    /// What is known of the request's effect.
    pub fn outcome(self) -> Outcome {
        Outcome::Indeterminate
    }
}

type Pending<T> = Arc<Mutex<BTreeMap<u64, OneshotSender<T>>>>;

/// Makes calls; many may be under way at once.
pub struct Caller<Q, R> {
    env: Env,
    sender: MessageSender<Envelope<Q>>,
    pending: Pending<R>,
}

impl<Q, R> Caller<Q, R>
where
    Q: Serialize + DeserializeOwned + Send + 'static,
    R: Serialize + DeserializeOwned + Send + 'static,
{
    /// A caller on a port of its own.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env) -> Result<Caller<Q, R>, BindError> {
        let mut responses = env.messages::<Envelope<R>>(Port::ANY)?;
        let port = responses.port();
        let pending: Pending<R> = Arc::default();
        let waiting = Arc::clone(&pending);
        env.spawn("responses", async move {
            while let Ok((_, envelope)) = responses.receive().await {
                let Envelope::Response { id, body } = envelope else { continue };
                let found = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(sender) = found {
                    sender.send(body);
                }
            }
        });
        let sender = MessageSender::from_port(env, port);
        Ok(Caller { env: env.clone(), sender, pending })
    }

    /// Sends a request and waits for its response, at most `limit`.
    ///
    /// # Errors
    /// [`CallError`]; the outcome is then indeterminate, since the request may have arrived.
    pub async fn call(&self, to: Address, request: Q, limit: Duration) -> Result<R, CallError> {
        Ok(self.call_again(to, request, limit, limit).await?.response)
    }

    /// Sends a request that may be served more than once, and sends it again after `patience`, then
    /// after twice as long, and so on, until there is a response or `limit` is over. A response to
    /// any of the copies counts: where links are slower than `patience`, none would be heard
    /// otherwise.
    ///
    /// # Errors
    /// [`CallError`]; the outcome is then indeterminate, since a copy may have arrived.
    pub async fn call_again(
        &self,
        to: Address,
        request: Q,
        mut patience: Duration,
        limit: Duration,
    ) -> Result<Heard<R>, CallError> {
        let deadline = self.env.now() + limit;
        // Ids are drawn, not counted: a response to a call of an earlier boot must match nothing.
        let id = self.env.random();
        let (sender, mut response) = oneshot(&self.env, "response");
        let _entry = Entry { pending: &self.pending, id };
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let request = Envelope::Request { id, body: request };
        for sent in 1.. {
            self.sender.send(to, &request);
            let left = deadline.since(self.env.now());
            match self.env.timeout(left.min(patience), &mut response).await {
                Ok(Ok(response)) => return Ok(Heard { response, sent }),
                Ok(Err(_)) => return Err(CallError::Stopped),
                Err(_) if left <= patience => break,
                Err(_) => patience = patience.saturating_mul(2),
            }
        }
        Err(CallError::Timeout)
    }
}

/// A response to a request that was sent again and again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard<R> {
    /// The first response.
    pub response: R,
    /// How often the request had been sent by then. Which of the copies was answered first nobody
    /// knows, and the others may be served, too.
    pub sent: u32,
}

/// A call that waits; given up, it is forgotten.
struct Entry<'a, T> {
    pending: &'a Pending<T>,
    id: u64,
}

impl<T> Drop for Entry<'_, T> {
    fn drop(&mut self) {
        let removed = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        drop(removed);
    }
}

/// Takes requests on a port and answers them, in any order.
pub struct Responder<Q, R> {
    requests: crate::net::Messages<Envelope<Q>>,
    responses: MessageSender<Envelope<R>>,
}

/// A request's way back. Dropping it leaves the caller to its deadline.
pub struct ReplyTo<R> {
    to: Address,
    id: u64,
    responses: MessageSender<Envelope<R>>,
}

impl<Q, R> Responder<Q, R>
where
    Q: Serialize + DeserializeOwned,
    R: Serialize,
{
    /// Binds the port.
    ///
    /// # Errors
    /// If the port is in use.
    pub fn open(env: &Env, port: Port) -> Result<Responder<Q, R>, BindError> {
        let requests = env.messages(port)?;
        let responses = MessageSender::from_port(env, requests.port());
        Ok(Responder { requests, responses })
    }

    /// Waits for the next request.
    ///
    /// # Errors
    /// [`Closed`](crate::platform::Closed) if the node has stopped.
    pub async fn receive(&mut self) -> Result<(Q, ReplyTo<R>), crate::platform::Closed> {
        loop {
            let (from, envelope) = self.requests.receive().await?;
            if let Envelope::Request { id, body } = envelope {
                let responses = self.responses.clone();
                return Ok((body, ReplyTo { to: from, id, responses }));
            }
        }
    }
}

impl<R: Serialize> ReplyTo<R> {
    /// Who asks.
    pub fn from(&self) -> Address {
        self.to
    }

    /// Answers.
    pub fn reply(self, response: R) {
        self.responses.send(self.to, &Envelope::Response { id: self.id, body: response });
    }
}
