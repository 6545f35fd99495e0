//! A saga as tutorials have it: a list of steps in memory, each with its compensation. If a step
//! fails, the completed ones are compensated in reverse, and what goes wrong with that is printed.
//!
//! Whoever crashes in the middle leaves half an order for ever; a step that has not answered counts
//! as failed, and is not compensated; and a compensation that fails is forgotten.

use super::recovery::text;
use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Address, Env, Port, View};
use std::collections::BTreeSet;
use std::time::Duration;

/// The property that breaks.
pub const WHOLE: &str = "every order is whole or not there at all";

/// How many orders there are.
const ORDERS: u64 = 8;

/// How long a step may take before it counts as failed.
const STEP_MAX: Duration = Duration::from_millis(100);

/// What a service is asked, for which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask {
    Do(u64),
    Undo(u64),
}

/// The orders for which something was done here.
#[derive(Default)]
struct Booked(BTreeSet<u64>);

/// The saga, and two services that keep everything.
pub fn in_memory() -> Scenario {
    let tolerance = Tolerance::nothing()
        .impaired("orchestrator", Most::Any)
        .fault(Fault::Crash)
        .fault(Fault::Loss)
        .fault(Fault::Partition);
    Scenario::new("specimen/saga-in-memory")
        .nodes("stock", 1..=1, serve)
        .nodes("payments", 1..=1, serve)
        .nodes("orchestrator", 1..=1, orchestrate)
        .clients("client", 1..=1, load)
        .tolerates(tolerance)
        .eventually(WHOLE, Duration::from_secs(5), || is_whole)
        .breaks(WHOLE)
}

/// Both services have booked the same orders.
fn is_whole(view: &View<'_>) -> bool {
    let mut booked = view.up::<Booked>().map(|booked| booked.0.clone());
    booked.next() == booked.next()
}

/// A service: it is never down.
async fn serve(env: Env) -> Result<(), String> {
    let booked = env.show("booked", Booked::default());
    let mut asked = Responder::<Ask, bool>::open(&env, Port::named("saga")).map_err(text)?;
    loop {
        let (ask, back) = asked.receive().await.map_err(text)?;
        booked.update(&env, |booked| match ask {
            Ask::Do(order) => booked.0.insert(order),
            Ask::Undo(order) => booked.0.remove(&order),
        });
        back.reply(true);
    }
}

/// Runs the saga of each order that comes.
async fn orchestrate(env: Env) -> Result<(), String> {
    let mut orders = Responder::<u64, bool>::open(&env, Port::named("saga")).map_err(text)?;
    env.ready();
    loop {
        let (order, back) = orders.receive().await.map_err(text)?;
        let caller = Caller::open(&env).map_err(text)?;
        let mut saga = Saga { env: env.clone(), caller, completed: Vec::new() };
        env.spawn("saga", async move {
            back.reply(saga.run(order).await);
        });
    }
}

struct Saga {
    env: Env,
    caller: Caller<Ask, bool>,
    completed: Vec<Address>,
}

impl Saga {
    async fn run(&mut self, order: u64) -> bool {
        for service in self.services() {
            if self.call(service, Ask::Do(order)).await.is_err() {
                self.compensate(order).await;
                return false;
            }
            self.completed.push(service);
        }
        true
    }

    fn services(&self) -> Vec<Address> {
        let address = |role| self.env.addresses(role, Port::named("saga"));
        ["stock", "payments"].into_iter().flat_map(address).collect()
    }

    async fn compensate(&self, order: u64) {
        for service in self.completed.iter().rev() {
            if let Err(error) = self.call(*service, Ask::Undo(order)).await {
                self.env.trace(|| format!("compensation failed: {error}"));
            }
        }
    }

    async fn call(&self, service: Address, ask: Ask) -> Result<bool, CallError> {
        self.caller.call(service, ask, STEP_MAX).await
    }
}

/// Orders one after the other, and takes any answer or none.
async fn load(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let caller = Caller::<u64, bool>::open(&env).map_err(text)?;
    let orders = env.addresses("orchestrator", Port::named("saga"));
    while let Some(operation) = client.next_operation(ORDERS) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let limit = Duration::from_millis(300);
        let done = caller.call(orders[0], operation.number(), limit).await;
        env.trace(|| format!("order {}: {done:?}", operation.number()));
    }
    client.after_heal().await;
    Ok(())
}
