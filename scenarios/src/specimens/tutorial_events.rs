//! The event store as it stands in many a tutorial: events are kept in a list in memory and then
//! written to a file, their number is how many there are, and nobody says what they expect. Two who
//! decide on the same balance both succeed, and a crash forgets what was acknowledged.

use super::recovery::text;
use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Env, Port, View};
use std::time::Duration;

/// The property that breaks when two withdraw at the same time.
pub const OVERDRAWN: &str = "no account is overdrawn";
/// The property that breaks in a crash.
pub const KEPT: &str = "what is acknowledged is kept";

/// How often each client withdraws.
const OPERATIONS: u64 = 8;

/// What the account is opened with.
const OPENED_WITH: u64 = 100;

const ANSWER_MAX: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Event {
    Opened(u64),
    Withdrawn(u64),
}

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Append(Event),
    Load,
}

/// Everything that the store has.
#[derive(Clone, Default)]
struct Store(Vec<Event>);

/// How many events a client knows to be there.
struct Acknowledged(usize);

/// Two customers of one account, and no faults but latency.
pub fn overdraws() -> Scenario {
    scenario("specimen/event-store-without-expected-version", Tolerance::nothing(), OVERDRAWN)
}

/// The same store, whose power is lost.
pub fn forgets() -> Scenario {
    let crashes = Tolerance::nothing().impaired("store", Most::Any);
    let crashes = crashes.fault(Fault::Crash).fault(Fault::LostWrites);
    scenario("specimen/event-store-in-memory-first", crashes, KEPT)
}

fn scenario(name: &str, tolerance: Tolerance, breaks: &'static str) -> Scenario {
    Scenario::new(name)
        .nodes("store", 1..=1, serve)
        .clients("customer", 2..=2, withdraw)
        .tolerates(tolerance)
        .always(OVERDRAWN, || {
            |view: &View<'_>| match view.up::<Store>().find(|store| balance(&store.0).is_none()) {
                None => Ok(()),
                Some(store) => Err(format!("{:?}", store.0)),
            }
        })
        .always(KEPT, || {
            |view: &View<'_>| {
                let told = view.up::<Acknowledged>().map(|told| told.0).max().unwrap_or_default();
                match view.up::<Store>().find(|store| store.0.len() < told) {
                    None => Ok(()),
                    Some(store) => Err(format!("of {told} events there are {}", store.0.len())),
                }
            }
        })
        .breaks(breaks)
}

/// What is left; `None` if more was withdrawn than there was.
fn balance(events: &[Event]) -> Option<u64> {
    events.iter().try_fold(0u64, |balance, event| match event {
        Event::Opened(amount) => Some(balance + amount),
        Event::Withdrawn(amount) => balance.checked_sub(*amount),
    })
}

async fn serve(env: Env) -> Result<(), String> {
    let bytes = env.read_file("events").await.map_err(text)?.unwrap_or_default();
    let events = super::recovery::numbers(&bytes).map(|number| match number >> 32 {
        0 => Event::Withdrawn(number),
        _ => Event::Opened(number & 0xffff_ffff),
    });
    let events: Vec<Event> = events.collect();
    let mut file = env.open_file("events", true).await.map_err(text)?;
    env.sync_directory("").await.map_err(text)?;
    let store = env.show("store", Store(events));
    let mut responder =
        Responder::<Request, Vec<Event>>::open(&env, Port::named("store")).map_err(text)?;
    env.ready();
    loop {
        let (request, reply) = responder.receive().await.map_err(text)?;
        let Request::Append(event) = request else {
            reply.reply(store.read(|store| store.0.clone()));
            continue;
        };
        // Memory first, then those who listen, and then the disk.
        store.update(&env, |store| store.0.push(event));
        reply.reply(store.read(|store| store.0.clone()));
        let number = match event {
            Event::Opened(amount) => 1 << 32 | amount,
            Event::Withdrawn(amount) => amount,
        };
        file.append(number.to_le_bytes().to_vec()).await.map_err(text)?;
        file.sync().await.map_err(text)?;
    }
}

/// Withdraws as long as there is enough.
async fn withdraw(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let told = env.show("acknowledged", Acknowledged(0));
    let caller = Caller::<Request, Vec<Event>>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named("store"))[0];
    if env.me().ordinal() == 0 {
        let opened = Request::Append(Event::Opened(OPENED_WITH));
        // Should it be lost, there is nothing to withdraw.
        let _ = caller.call(store, opened, ANSWER_MAX).await;
    }
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let Ok(events) = caller.call(store, Request::Load, ANSWER_MAX).await else { continue };
        let amount = 5 + operation.draw(1, 20);
        if balance(&events).is_none_or(|balance| balance < amount) {
            continue;
        }
        let withdrawn = Request::Append(Event::Withdrawn(amount));
        if let Ok(events) = caller.call(store, withdrawn, ANSWER_MAX).await {
            told.update(&env, |told| told.0 = told.0.max(events.len()));
        }
    }
    client.after_heal().await;
    Ok(())
}
