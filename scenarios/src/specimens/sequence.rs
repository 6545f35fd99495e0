//! An event store that numbers events from a sequence and commits them later, as a database with
//! many writers does: a number may become visible after a greater one. A subscriber that has read
//! the greater one never looks back, and misses the smaller one for ever (Eventuous #222).

use super::recovery::text;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario, Tolerance};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Env, Port, View};
use std::collections::BTreeSet;
use std::time::Duration;

/// The property that breaks.
pub const HEARD: &str = "a subscriber hears of every event";

/// How many events each writer appends.
const OPERATIONS: u64 = 8;

const ANSWER_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Append,
    /// What stands behind this number.
    Behind(u64),
}

/// What is committed.
#[derive(Default)]
struct Committed(BTreeSet<u64>);

/// What a subscriber has heard of, and up to which number it has read.
#[derive(Default)]
struct Heard(BTreeSet<u64>, u64);

/// Several writers and a subscriber, and no faults but latency.
pub fn skips() -> Scenario {
    Scenario::new("specimen/event-store-sequence-then-commit")
        .nodes("store", 1..=1, serve)
        .clients("writer", 2..=3, write)
        .clients("subscriber", 1..=1, subscribe)
        .tolerates(Tolerance::nothing())
        .always(HEARD, || {
            |view: &View<'_>| {
                let committed: BTreeSet<u64> =
                    view.up::<Committed>().flat_map(|committed| committed.0.clone()).collect();
                for heard in view.up::<Heard>() {
                    let missed = committed.range(..=heard.1).find(|one| !heard.0.contains(one));
                    if let Some(missed) = missed {
                        return Err(format!("it has read up to {} without {missed}", heard.1));
                    }
                }
                Ok(())
            }
        })
        .breaks(HEARD)
}

async fn serve(env: Env) -> Result<(), String> {
    let committed = std::sync::Arc::new(env.show("committed", Committed::default()));
    let mut sequence = 0;
    let mut responder =
        Responder::<Request, Vec<u64>>::open(&env, Port::named("store")).map_err(text)?;
    env.ready();
    loop {
        let (request, reply) = responder.receive().await.map_err(text)?;
        match request {
            Request::Behind(after) => {
                reply.reply(committed.read(|all| all.0.range(after + 1..).copied().collect()));
            }
            Request::Append => {
                sequence += 1;
                let (env, number, committed) = (env.clone(), sequence, committed.clone());
                let writing = env.clone();
                env.spawn("transaction", async move {
                    // Each transaction takes its own time until it is committed.
                    let write = Duration::from_micros(writing.random_below(5_000));
                    writing.sleep(write).await;
                    committed.update(&writing, |committed| committed.0.insert(number));
                    reply.reply(vec![number]);
                });
            }
        }
    }
}

async fn write(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let caller = Caller::<Request, Vec<u64>>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named("store"))[0];
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 20_000))).await;
        // Whether it is committed is seen in the store.
        let _ = caller.call(store, Request::Append, ANSWER_MAX).await;
    }
    Ok(())
}

/// Asks again and again what stands behind the greatest number that it has seen.
async fn subscribe(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let heard = env.show("heard", Heard::default());
    let caller = Caller::<Request, Vec<u64>>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named("store"))[0];
    let mut last = 0;
    while client.next_operation(OPERATIONS * 10).is_some() {
        env.sleep(Duration::from_millis(2)).await;
        let Ok(numbers) = caller.call(store, Request::Behind(last), ANSWER_MAX).await else {
            continue;
        };
        last = numbers.last().copied().unwrap_or(last);
        heard.update(&env, |heard| {
            heard.0.extend(numbers);
            heard.1 = last;
        });
    }
    Ok(())
}
