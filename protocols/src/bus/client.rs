//! Whoever posts on a bus or reads from it.

use super::backend::Backend;
use super::machine::Bus;
use super::types::{Ask, BusConfig, BusError, Refused, Tell};
pub use squall_env::machine::ServeError;
use squall_env::machine::serve_requests;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller};
use squall_env::{Address, Env, NodeId, Port, open};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The name of the journal of a bus.
pub const NAME: &str = "bus";

/// The name of the port where clients ask.
pub const PORT: &str = "bus-service";

/// So long a client waits for the first answer, and then twice as long each time.
const TRY: Duration = Duration::from_millis(250);

/// A node that is a bus.
///
/// # Errors
/// If it cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env, config: BusConfig) -> Result<(), ServeError> {
    let (bus, run) = open::<Bus>(&env, NAME, config).await?;
    let answer = |ask, back| bus.clone().answer(ask, back, None);
    serve_requests(&env, run, Port::named(PORT), answer).await
}

/// What a client of a bus asks and is told, for whoever wants to see it.
pub trait Witness: Clone + Send + Sync + 'static {
    /// It is about to ask this.
    fn asks(&self, ask: &Ask) -> impl Future<Output = ()> + Send;
    /// It was told this.
    fn told(&self, ask: &Ask, tell: &Tell);
}

/// Nobody looks.
impl Witness for () {
    async fn asks(&self, _ask: &Ask) {}

    fn told(&self, _ask: &Ask, _tell: &Tell) {}
}

/// A client of a bus; clones share its port.
#[derive(Clone)]
pub struct BusClient<W = ()> {
    env: Env,
    caller: Arc<Caller<Ask, Tell>>,
    bus: Address,
    limit: Duration,
    witness: W,
}

impl BusClient {
    /// A client of the bus on this node that tries every operation for so long.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, bus: NodeId, limit: Duration) -> Result<BusClient, BindError> {
        let bus = Address::new(bus, Port::named(PORT));
        let caller = Arc::new(Caller::open(env)?);
        Ok(BusClient { env: env.clone(), caller, bus, limit, witness: () })
    }

    /// The same, and somebody sees what it asks and is told.
    pub fn witnessed<W: Witness>(self, witness: W) -> BusClient<W> {
        let BusClient { env, caller, bus, limit, witness: () } = self;
        BusClient { env, caller, bus, limit, witness }
    }
}

impl<W: Witness> Backend for BusClient<W> {
    /// Asks until there is an answer or the limit has come: everything may be asked again.
    async fn ask(&self, ask: Ask) -> Result<Tell, BusError> {
        self.witness.asks(&ask).await;
        let deadline = self.env.now() + self.limit;
        let mut is_first = true;
        loop {
            let left = deadline - self.env.now();
            if left.is_zero() {
                return Err(CallError::Timeout.into());
            }
            let heard = self.caller.call_again(self.bus, ask.clone(), TRY, left).await?;
            is_first &= heard.sent == 1;
            match heard.response {
                Tell::Refused(Refused::Busy) => self.env.sleep(left.min(TRY)).await,
                Tell::Refused(why) if is_first => return Err(why.into()),
                Tell::Refused(why) => return Err(BusError::Unclear(why)),
                tell => {
                    self.witness.told(&ask, &tell);
                    return Ok(tell);
                }
            }
        }
    }
}
