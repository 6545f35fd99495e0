//! The event store as it stands in many a tutorial: events are kept in a list in memory and then
//! written to a file, their number is how many there are, and nobody says what they expect. Two who
//! decide on the same balance both succeed, and a crash forgets what was acknowledged. Another one
//! begins with an empty list when it starts anew, numbers events by that, and is refused by its
//! table, where each number is there once.

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
/// The property that breaks when a store that starts anew goes on.
pub const LEVEL: &str = "what is in memory is what is in the table";

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

/// How many events are in memory and in the table, when nobody appends.
#[derive(Default)]
struct Level(usize, usize);

/// How many events a client knows to be there.
struct Acknowledged(usize);

/// Two customers of one account, and no faults but latency.
pub fn overdraws() -> Scenario {
    let nothing = Tolerance::nothing();
    scenario("specimen/event-store-without-expected-version", nothing, false).breaks(OVERDRAWN)
}

/// The same store, whose power is lost.
pub fn forgets() -> Scenario {
    let crashes = Tolerance::nothing().impaired("store", Most::Any);
    let crashes = crashes.fault(Fault::Crash).fault(Fault::LostWrites);
    scenario("specimen/event-store-in-memory-first", crashes, false).breaks(KEPT)
}

/// A store that numbers events by what it has in memory, and reads none of them when it starts.
pub fn numbers_anew() -> Scenario {
    let crashes = Tolerance::nothing().impaired("store", Most::Any).fault(Fault::Crash);
    scenario("specimen/event-store-numbers-anew", crashes, true).breaks(LEVEL)
}

fn scenario(name: &str, tolerance: Tolerance, numbers_anew: bool) -> Scenario {
    let scenario = Scenario::new(name)
        .nodes("store", 1..=1, move |env| serve(env, numbers_anew))
        .clients("customer", 2..=2, move |client| work(client, numbers_anew))
        .tolerates(tolerance)
        .always(OVERDRAWN, || {
            |view: &View<'_>| match view.up::<Store>().find(|store| balance(&store.0).is_none()) {
                None => Ok(()),
                Some(store) => Err(format!("{:?}", store.0)),
            }
        });
    match numbers_anew {
        true => scenario.always(LEVEL, || level),
        false => scenario.always(KEPT, || kept),
    }
}

fn level(view: &View<'_>) -> Result<(), String> {
    match view.up::<Level>().find(|level| level.0 != level.1) {
        None => Ok(()),
        Some(level) => Err(format!("{} are in memory, {} in the table", level.0, level.1)),
    }
}

fn kept(view: &View<'_>) -> Result<(), String> {
    let told = view.up::<Acknowledged>().map(|told| told.0).max().unwrap_or_default();
    match view.up::<Store>().find(|store| store.0.len() < told) {
        None => Ok(()),
        Some(store) => Err(format!("of {told} events there are {}", store.0.len())),
    }
}

/// What is left; `None` if more was withdrawn than there was.
fn balance(events: &[Event]) -> Option<u64> {
    events.iter().try_fold(0u64, |balance, event| match event {
        Event::Opened(amount) => Some(balance + amount),
        Event::Withdrawn(amount) => balance.checked_sub(*amount),
    })
}

async fn serve(env: Env, numbers_anew: bool) -> Result<(), String> {
    let bytes = env.read_file("events").await.map_err(text)?.unwrap_or_default();
    let events = super::recovery::numbers(&bytes).map(|number| match number >> 32 {
        0 => Event::Withdrawn(number),
        _ => Event::Opened(number & 0xffff_ffff),
    });
    let mut events: Vec<Event> = events.collect();
    let mut rows = events.len();
    if numbers_anew {
        events.clear();
    }
    let mut file = env.open_file("events", true).await.map_err(text)?;
    env.sync_directory("").await.map_err(text)?;
    let store = env.show("store", Store(events));
    let level = env.show("level", Level::default());
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
        let number = store.update(&env, |store| {
            store.0.push(event);
            store.0.len() - 1
        });
        reply.reply(store.read(|store| store.0.clone()));
        let row = match event {
            Event::Opened(amount) => 1 << 32 | amount,
            Event::Withdrawn(amount) => amount,
        };
        // The table takes no number twice, and nobody looks at what it says.
        if number >= rows {
            file.append(row.to_le_bytes().to_vec()).await.map_err(text)?;
            file.sync().await.map_err(text)?;
            rows += 1;
        }
        let count = number + 1;
        level.update(&env, |level| *level = Level(count, rows));
    }
}

/// Withdraws as long as there is enough; or pays in, which can always be done.
async fn work(client: Client, pays_in: bool) -> Result<(), String> {
    let env = client.env().clone();
    let told = env.show("acknowledged", Acknowledged(0));
    let caller = Caller::<Request, Vec<Event>>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named("store"))[0];
    if env.me().ordinal() == 1 {
        let open = || Request::Append(Event::Opened(OPENED_WITH));
        while caller.call(store, open(), ANSWER_MAX).await.is_err() {}
    }
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let Ok(events) = caller.call(store, Request::Load, ANSWER_MAX).await else { continue };
        let amount = 5 + operation.draw(1, 20);
        let is_enough = balance(&events).is_some_and(|balance| balance >= amount);
        if !is_enough && !pays_in {
            continue;
        }
        let event = if pays_in { Event::Opened(amount) } else { Event::Withdrawn(amount) };
        if let Ok(events) = caller.call(store, Request::Append(event), ANSWER_MAX).await {
            told.update(&env, |told| told.0 = told.0.max(events.len()));
        }
    }
    client.after_heal().await;
    Ok(())
}
