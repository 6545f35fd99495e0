//! Whoever publishes to a broker or consumes from it.

use super::backend::Backend;
use super::broker::Request;
use super::service::PORT;
use super::types::{Ask, QueueError, Refused, Tell};
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller};
use squall_env::{Address, Env, NodeId, Port};
use std::sync::Arc;
use std::time::Duration;

/// So long a client waits for the first answer before it asks again; and then twice as long, since
/// the way may be as slow as that.
const TRY: Duration = Duration::from_millis(250);

/// A client of a broker; clones share its port.
#[derive(Clone)]
pub struct QueueClient {
    env: Env,
    caller: Arc<Caller<Request, Tell>>,
    broker: Address,
    limit: Duration,
}

impl QueueClient {
    /// A client of the broker on this node that tries every operation for so long.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, broker: NodeId, limit: Duration) -> Result<QueueClient, BindError> {
        let broker = Address::new(broker, Port::named(PORT));
        let caller = Arc::new(Caller::open(env)?);
        Ok(QueueClient { env: env.clone(), caller, broker, limit })
    }
}

impl Backend for QueueClient {
    /// Asks until there is an answer or the limit has come. Everything may be asked again:
    /// messages have ids, deliveries have receipts, and calls to receive have numbers.
    async fn ask(&self, queue: &str, ask: Ask) -> Result<Tell, QueueError> {
        let deadline = self.env.now() + self.limit;
        let mut is_first = true;
        loop {
            let left = deadline - self.env.now();
            if left.is_zero() {
                return Err(CallError::Timeout.into());
            }
            let request = Request { queue: queue.to_owned(), ask: ask.clone() };
            let heard = self.caller.call_again(self.broker, request, TRY, left).await?;
            is_first &= heard.sent == 1;
            match heard.response {
                Tell::Refused(Refused::Busy) => self.env.sleep(left.min(TRY)).await,
                Tell::Refused(why) if is_first => return Err(why.into()),
                Tell::Refused(why) => return Err(QueueError::Unclear(why)),
                tell => return Ok(tell),
            }
        }
    }
}
