//! A store on a node of its own, and its clients.

use super::machine::{Answer, Ask, Asks, TablesMachine};
use super::store::StoreError;
use crate::specification::Table;
pub use squall_env::machine::ServeError;
use squall_env::machine::serve_requests;
use squall_env::platform::{BindError, BoxFuture};
use squall_env::request::{CallError, Caller};
use squall_env::{Address, Env, NodeId, Port, open};
use std::time::Duration;

/// The name of the store's journal.
pub const NAME: &str = "tables";

/// The name of the port on which clients ask.
const ASKED: &str = "tables-asked";

/// After how long a client asks again if nobody has answered. Each time it waits longer: an answer
/// may be slower than that.
const RETRY: Duration = Duration::from_millis(150);

/// A node that keeps tables.
///
/// # Errors
/// If they cannot be opened or have to stop; the node should then be started anew.
pub async fn serve(env: Env, schema: &'static [Table]) -> Result<(), ServeError> {
    let (tables, run) = open::<TablesMachine>(&env, NAME, schema).await?;
    // Who gets no answer asks again.
    let answer = |ask, back| tables.clone().answer(ask, back, None);
    serve_requests(&env, run, Port::named(ASKED), answer).await
}

/// A client of tables on another node. It asks again until its limit is over, which does no harm:
/// a batch that comes twice is done once.
pub struct RemoteTables {
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
        Ok(RemoteTables { caller: Caller::open(env)?, to, limit })
    }
}

impl Asks for RemoteTables {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, StoreError>> {
        Box::pin(async move {
            match self.caller.call_again(self.to, ask, RETRY, self.limit).await {
                Ok(heard) => Ok(heard.response),
                Err(CallError::Timeout) => {
                    Err(StoreError::Unanswered("the limit is over".to_owned()))
                }
                Err(stopped) => Err(StoreError::Unanswered(stopped.to_string())),
            }
        })
    }
}
