//! The gateway: it lets each customer in no faster than allowed, and asks the orders service unless
//! that is known not to answer.

use super::orders::{Command, Orders, Told};
use crate::saga::books::Order;
use serde::{Deserialize, Serialize};
use squall_env::platform::BindError;
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Env, HasOutcome, Instant, NodeId, Outcome, Port, Shown, View, mutant};
use squall_protocols::breaker::{self, SharedBreaker, Verdict, Wait, Window};
use squall_protocols::limiter::{Quota, SharedLimiter};
use squall_protocols::outbox::OutboxClient;
use std::sync::Arc;
use std::time::Duration;

/// How far apart orders of a customer are that come as fast as they may.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many of a customer may come at once.
const BURST: u32 = 3;

/// How many customers are remembered.
const CUSTOMERS_MAX: usize = 64;

/// How long the orders service may take.
const ORDERS_MAX: Duration = Duration::from_millis(1_200);

const PORT: Port = Port::named("gateway");

/// What a customer asks: to place an order under a number.
type Ask = (u64, Order);

/// What it is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tell {
    /// It is placed.
    Placed,
    /// It never will be, for this reason.
    Refused(String),
    /// It comes too fast. It may come again after so many milliseconds.
    TooFast(u64),
    /// The orders service is not asked at the moment.
    Closed,
}

/// What was let in since the gateway started: whose, and when by its clock.
#[derive(Default)]
struct LetIn(Vec<(u8, Instant)>);

/// How calls of services are guarded.
pub(super) fn breaker() -> breaker::Config {
    breaker::Config {
        window: Window::Calls(4),
        calls_min: 4,
        wait: Wait::fixed(Duration::from_millis(200)),
        half_open_calls: 1,
        lost_after: Duration::from_secs(5),
        ..breaker::Config::default()
    }
}

struct Gateway {
    env: Env,
    limiter: SharedLimiter<u8>,
    breaker: SharedBreaker,
    orders: OutboxClient<Orders>,
    let_in: Shown<LetIn>,
}

/// A node that is a gateway.
pub(super) async fn serve(env: Env) -> Result<(), String> {
    let quota = Quota::per(INTERVAL * BURST, BURST).map_err(|error| error.to_string())?;
    let breaker = SharedBreaker::new(&env, breaker()).map_err(|error| error.to_string())?;
    let orders = OutboxClient::open(&env, env.peers("orders")[0], ORDERS_MAX);
    let gateway = Arc::new(Gateway {
        limiter: SharedLimiter::new(&env, quota, CUSTOMERS_MAX),
        breaker,
        orders: orders.map_err(|error| error.to_string())?,
        let_in: env.show("let in", LetIn::default()),
        env: env.clone(),
    });
    let asked = Responder::<Ask, Tell>::open(&env, PORT);
    let mut asked = asked.map_err(|error| error.to_string())?;
    env.ready();
    loop {
        let (ask, back) = asked.receive().await.map_err(|error| error.to_string())?;
        let gateway = Arc::clone(&gateway);
        env.spawn("request", async move {
            if let Some(tell) = gateway.place(ask).await {
                back.reply(tell);
            }
        });
    }
}

impl Gateway {
    /// What to answer; nothing if nobody knows.
    async fn place(&self, (number, order): Ask) -> Option<Tell> {
        let customer = order.account;
        let limited = self.limiter.check(&customer).err();
        match limited.filter(|_| !mutant!(self.env, "shop/lets-everybody-in")) {
            Some(limited) => {
                self.env.sometimes("an order came too fast");
                return Some(Tell::TooFast(limited.retry_after.as_millis() as u64 + 1));
            }
            None => {
                let now = self.env.now();
                self.let_in.update(&self.env, |let_in| let_in.0.push((customer, now)));
            }
        }
        let Ok(leave) = self.breaker.acquire() else {
            self.env.sometimes("the gateway did not ask for an order");
            return Some(Tell::Closed);
        };
        if mutant!(self.env, "shop/says-placed-before-it-is") {
            let placing = self.orders.command(Command::Place(number, order));
            let _ = self.env.timeout(Duration::from_millis(5), placing).await;
            return Some(Tell::Placed);
        }
        let told = self.orders.command(Command::Place(number, order)).await;
        leave.record(if told.is_ok() { Verdict::Success } else { Verdict::Failure });
        match told {
            Ok(Some(Told::Placed)) => Some(Tell::Placed),
            Ok(Some(Told::Refused(why))) => Some(Tell::Refused(why)),
            // The outbox is full: it was not done, and may come again.
            Ok(None) => Some(Tell::Closed),
            Ok(Some(_)) | Err(_) => None,
        }
    }
}

/// Why an order is not placed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// It was refused for good.
    #[error("refused: {0}")]
    Refused(String),
    /// Nobody knows.
    #[error("nobody has answered in time")]
    Unanswered,
}

impl HasOutcome for PlaceError {
    fn outcome(&self) -> Outcome {
        match self {
            PlaceError::Refused(_) => Outcome::NotDone,
            PlaceError::Unanswered => Outcome::Indeterminate,
        }
    }
}

/// A customer's way to the gateway.
pub(super) struct Customer {
    env: Env,
    caller: Caller<Ask, Tell>,
    gateway: NodeId,
}

/// How long a customer waits before it asks again.
const AGAIN: Duration = Duration::from_millis(400);

impl Customer {
    pub(super) fn open(env: &Env) -> Result<Customer, BindError> {
        let gateway = env.peers("gateway")[0];
        Ok(Customer { env: env.clone(), caller: Caller::open(env)?, gateway })
    }

    /// Has an order placed, for which it asks until `limit` is over.
    pub(super) async fn place(
        &self,
        number: u64,
        order: &Order,
        limit: Duration,
    ) -> Result<(), PlaceError> {
        let until = self.env.now() + limit;
        let to = Address::new(self.gateway, PORT);
        loop {
            let left = until.since(self.env.now());
            if left.is_zero() {
                return Err(PlaceError::Unanswered);
            }
            let asked = self.caller.call_again(to, (number, order.clone()), AGAIN, left);
            let wait = match asked.await.map_err(|_| PlaceError::Unanswered)?.response {
                Tell::Placed => return Ok(()),
                Tell::Refused(why) => return Err(PlaceError::Refused(why)),
                Tell::TooFast(ms) => Duration::from_millis(ms),
                Tell::Closed => AGAIN,
            };
            self.env.sleep(wait.min(left)).await;
        }
    }
}

/// Of each customer no more is let in than its burst and its rate.
pub(super) fn as_fast_as_allowed() -> impl FnMut(&View<'_>) -> Result<(), String> {
    // In which life how many were looked at.
    let mut looked = (0, 0);
    move |view| {
        for let_in in view.changed::<LetIn>() {
            let from = if looked.0 == let_in.number { looked.1 } else { 0 };
            looked = (let_in.number, let_in.0.len());
            for (customer, last) in &let_in.0[from..] {
                let same = let_in.0.iter().filter(|(other, at)| other == customer && at <= last);
                let mut times: Vec<Instant> = same.map(|(_, at)| *at).collect();
                times.sort_unstable();
                too_many(&times)
                    .map_or(Ok(()), |wrong| Err(format!("customer {customer}: {wrong}")))?;
            }
        }
        Ok(())
    }
}

/// Whether there are more up to the last one than allowed, in any time.
fn too_many(times: &[Instant]) -> Option<String> {
    let last = *times.last()?;
    times.iter().rev().zip(1_u128..).find_map(|(first, count)| {
        let within = last.since(*first);
        let allowed = u128::from(BURST) + within.as_nanos() / INTERVAL.as_nanos();
        (count > allowed).then(|| format!("{count} orders came through within {within:?}"))
    })
}
