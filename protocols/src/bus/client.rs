//! Whoever posts on a bus or reads from it.

use super::machine::Bus;
use super::types::{Ask, Begin, BusConfig, BusError, Event, Given, Parked, Post, Refused, Tell};
use crate::queue::{Backoff, MessageId};
pub use squall_env::machine::ServeError;
use squall_env::machine::serve_requests;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller};
use squall_env::sync::Stop;
use squall_env::{Address, Env, NodeId, Port, open, race};
use std::collections::BTreeSet;
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
pub trait Witness: Send + Sync {
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

impl<W: Witness> BusClient<W> {
    /// Posts an event, and answers when it is durable: with its position. To try again, the same
    /// event is posted under the same id.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome; [`Refused::Full`] if a subscription is too far
    /// behind.
    pub async fn post<E: Event>(&self, id: MessageId, event: &E) -> Result<u64, BusError> {
        self.post_again(Post::of(id, event).map_err(|_| Refused::TooLarge)?).await
    }

    /// Posts what may have been posted before, as it is.
    ///
    /// # Errors
    /// As [`BusClient::post`].
    pub async fn post_again(&self, post: Post) -> Result<u64, BusError> {
        match self.ask(Ask::Post(post)).await? {
            Tell::Posted(position) => Ok(position),
            _ => Err(BusError::Foreign),
        }
    }

    /// Makes a subscription to these kinds of events, or to all if there are none.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    pub async fn subscribe(
        &self,
        name: &str,
        kinds: &[&str],
        begin: Begin,
    ) -> Result<(), BusError> {
        let kinds: BTreeSet<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self.done(Ask::Subscribe(name.to_owned(), kinds, begin)).await
    }

    /// Ends a subscription. The bus waits for it no more, and what it has parked is gone.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    pub async fn unsubscribe(&self, name: &str) -> Result<(), BusError> {
        self.done(Ask::Unsubscribe(name.to_owned())).await
    }

    /// Some of what a subscription has parked, from behind a position on.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn parked(&self, name: &str, behind: Option<u64>) -> Result<Vec<Parked>, BusError> {
        match self.ask(Ask::Parked(name.to_owned(), behind)).await? {
            Tell::Parked(parked) => Ok(parked),
            _ => Err(BusError::Foreign),
        }
    }

    /// Has a parked post tried again, before what comes next.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    pub async fn replay(&self, name: &str, position: u64) -> Result<(), BusError> {
        self.done(Ask::Replay(name.to_owned(), position)).await
    }

    /// Drops a parked post.
    ///
    /// # Errors
    /// [`BusError`], which knows the outcome.
    pub async fn discard(&self, name: &str, position: u64) -> Result<(), BusError> {
        self.done(Ask::Drop(name.to_owned(), position)).await
    }

    /// The first position that a subscription has not done, and how many posts it has parked or
    /// tries again.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn standing(&self, name: &str) -> Result<(u64, u32), BusError> {
        match self.ask(Ask::Standing(name.to_owned())).await? {
            Tell::Standing(next, parked) => Ok((next, parked)),
            _ => Err(BusError::Foreign),
        }
    }

    async fn done(&self, ask: Ask) -> Result<(), BusError> {
        match self.ask(ask).await? {
            Tell::Ok => Ok(()),
            _ => Err(BusError::Foreign),
        }
    }

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

    /// Reads a subscription until `stopped` says stop: one post after the other, in order, each
    /// until `handler` has done it or it is parked. A post may come more than once. Of several
    /// readers of one subscription one is given posts; if it is not heard of for the bus's
    /// [claim](BusConfig::claim), another one takes over.
    ///
    /// # Errors
    /// If the node has stopped.
    pub async fn read<H, F>(
        &self,
        name: &str,
        backoff: Backoff,
        mut stopped: Stop,
        mut handler: H,
    ) -> Result<(), BusError>
    where
        H: FnMut(Given) -> F,
        F: Future<Output = Result<(), String>>,
    {
        let (reader, mut call, mut failures) = (self.env.random(), 0, 0);
        let mut is_answered = true;
        while !stopped.stopped() {
            call += u64::from(is_answered);
            let fetched = self.ask(Ask::Fetch { name: name.to_owned(), reader, call }).await;
            is_answered = fetched.is_ok();
            let given = match fetched {
                Ok(Tell::Given(given)) => given,
                Err(error @ (BusError::Closed(_) | BusError::Call(CallError::Stopped))) => {
                    return Err(error);
                }
                _ => Vec::new(),
            };
            let mut wait = given.is_empty();
            for one in given {
                let position = one.position;
                let handled = handler(one).await;
                let ask = match handled {
                    Ok(()) => Ask::Done(name.to_owned(), position),
                    Err(why) => Ask::Failed(name.to_owned(), position, why),
                };
                let failed = matches!(ask, Ask::Failed(..));
                // What the bus has not heard of comes again.
                let is_heard = self.ask(ask).await.is_ok();
                failures = if failed { failures + 1 } else { 0 };
                if failed || !is_heard || stopped.stopped() {
                    wait = true;
                    break;
                }
            }
            if wait {
                let rest = self.env.sleep(backoff.after(failures.max(1), &self.env));
                race(stopped.wait(), rest).await;
            }
        }
        Ok(())
    }
}
