//! Nodes that keep a machine for others.

use super::driver::{OpenError, StopReason};
use super::{Handle, Machine};
use crate::address::Port;
use crate::env::{Either, Env, race};
use crate::outcome::Outcome;
use crate::platform::{BindError, Closed};
use crate::request::{ReplyTo, Responder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;

/// Why a node that keeps a machine for others stopped. It should then be started anew.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The machine could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The machine had to stop.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// The node's sockets have closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Says that the node is ready, and runs its machine while `answer` answers what comes to the port,
/// each request in a task of its own. Ends when the machine does.
///
/// # Errors
/// If the port is taken, the machine has to stop, or the node's sockets close.
pub async fn serve_requests<Q, A, F>(
    env: &Env,
    run: impl Future<Output = Result<(), StopReason>>,
    port: Port,
    answer: impl Fn(Q, ReplyTo<A>) -> F,
) -> Result<(), ServeError>
where
    Q: Serialize + DeserializeOwned,
    A: Serialize,
    F: Future<Output = ()> + Send + 'static,
{
    let mut asked = Responder::<Q, A>::open(env, port)?;
    env.ready();
    let serving = async {
        loop {
            let (request, back) = asked.receive().await?;
            env.spawn("request", answer(request, back));
        }
    };
    match race(run, serving).await {
        Either::Left(stopped) => Ok(stopped?),
        Either::Right(closed) => closed,
    }
}

impl<M: Machine> Handle<M>
where
    M::Reply: Serialize,
{
    /// Hands a request of somebody else to the machine, and its reply back. What did not reach the
    /// machine is answered with `busy`, if there is such an answer. Of what is not answered nobody
    /// knows whether it was done: the caller learns that by its deadline.
    pub async fn answer(
        self,
        request: M::Request,
        back: ReplyTo<M::Reply>,
        busy: Option<M::Reply>,
    ) {
        match (self.request(request).await, busy) {
            (Ok(reply), _) => back.reply(reply),
            (Err(error), Some(busy)) if error.outcome() == Outcome::NotDone => back.reply(busy),
            (Err(_), _) => {}
        }
    }
}
