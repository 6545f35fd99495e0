//! A store on a node of its own, and its clients.

use super::machine::{Answer, Ask, Asks, TablesMachine};
use super::store::StoreError;
use crate::specification::Table;
use squall_env::machine::{OpenError, StopReason};
use squall_env::platform::{BindError, BoxFuture, Closed};
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Either, Env, Handle, NodeId, Port, open, race};
use std::time::Duration;

/// The name of the store's journal.
pub const NAME: &str = "tables";

/// The name of the port on which clients ask.
const ASKED: &str = "tables-asked";

/// After how long a client asks again if nobody has answered. Each time it waits longer: an answer
/// may be slower than that.
const RETRY: Duration = Duration::from_millis(150);

/// Why a store stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It had to stop.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// Its port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A node that keeps tables.
///
/// # Errors
/// If they cannot be opened or have to stop; the node should then be started anew.
pub async fn serve(env: Env, schema: &'static [Table]) -> Result<(), ServeError> {
    let (tables, run) = open::<TablesMachine>(&env, NAME, schema).await?;
    let answers = answer(&env, tables);
    env.ready();
    match race(run, answers).await {
        Either::Left(stopped) => Ok(stopped?),
        Either::Right(ended) => ended,
    }
}

/// Answers what clients ask of the tables.
///
/// # Errors
/// If the port is taken or the node has stopped.
pub async fn answer(env: &Env, tables: Handle<TablesMachine>) -> Result<(), ServeError> {
    let mut asked = Responder::<Ask, Answer>::open(env, Port::named(ASKED))?;
    loop {
        let (ask, reply) = asked.receive().await?;
        let tables = tables.clone();
        env.spawn("asked", async move {
            // Who gets no answer asks again.
            if let Ok(answer) = tables.request(ask).await {
                reply.reply(answer);
            }
        });
    }
}

/// A client of tables on another node. It asks again until its limit is over, which does no harm:
/// a batch that comes twice is done once.
pub struct RemoteTables {
    env: Env,
    caller: Caller<Ask, Answer>,
    to: Address,
    limit: Duration,
}

impl RemoteTables {
    /// A client of the tables on this node that waits so long for an answer.
    ///
    /// # Errors
    /// If the own node has stopped.
    pub fn open(env: &Env, node: NodeId, limit: Duration) -> Result<RemoteTables, BindError> {
        let to = Address::new(node, Port::named(ASKED));
        Ok(RemoteTables { env: env.clone(), caller: Caller::open(env)?, to, limit })
    }
}

impl Asks for RemoteTables {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move {
            let until = self.env.now() + self.limit;
            let mut patience = RETRY;
            loop {
                let now = self.env.now();
                if now >= until {
                    return Err(StoreError::Unanswered("the limit is over".to_owned()));
                }
                match self.caller.call(self.to, ask.clone(), patience.min(until - now)).await {
                    Ok(answer) => return Ok(answer),
                    Err(CallError::Timeout) => patience *= 3,
                    Err(stopped) => return Err(StoreError::Unanswered(stopped.to_string())),
                }
            }
        })
    }
}
