//! Subscribers of an event store in a [relational database](crate::models::relational), that come
//! to a gap in the numbers: a late one, or one for ever. Nothing tells the two apart but whether a
//! transaction is still under way that has drawn the number.
//!
//! One that skips a gap after a while misses what commits later than that (as one that never looks
//! for gaps, see [`sequence`](super::sequence)). One whose timer begins anew with every poll never
//! skips any (Eventuous, pull request 588), and neither does one that waits for every number, once
//! a stream is deleted (commanded/eventstore, pull request 238). The stores of the library give a
//! position to what is durable, one behind the other, and a tombstone is an event: they have no
//! gaps.

use super::recovery::text;
use crate::models::relational::{self, Events, PORT, Page, Request, TRANSACTION_MAX};
use squall::{Client, Scenario, Tolerance};
use squall_env::request::Caller;
use squall_env::{Address, Env, Instant, Port, View};
use std::collections::BTreeSet;
use std::time::Duration;

/// The property that breaks when a gap is skipped too early.
pub const HEARD: &str = "a subscriber hears of every event";
/// The property that breaks when one is never skipped.
pub const GOES_ON: &str = "a subscriber comes to the end";

/// How many events each writer appends.
const OPERATIONS: u64 = 12;

/// How many streams there are.
const STREAMS: u64 = 4;

const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How often a subscriber asks.
const POLL: Duration = Duration::from_millis(5);

/// What a subscriber does about a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gap {
    /// It goes on where no transaction is under way that could fill it.
    Settled,
    /// It skips it when it has stood before it for so long.
    SkippedAfter(Duration),
    /// The same, but every poll that finds the gap begins to wait anew.
    SkippedAfterPolls(Duration),
    /// It waits.
    Awaited,
}

/// What becomes of events, besides that they are appended.
#[derive(Clone, Copy)]
struct Writes {
    /// One of so many is rolled back.
    rolled_back: Option<u64>,
    /// After one of so many its stream is deleted.
    deleted: Option<u64>,
}

/// What a subscriber has heard of, and up to which number it has read.
#[derive(Default)]
struct Heard(BTreeSet<u64>, u64);

const BOTH: Writes = Writes { rolled_back: Some(6), deleted: Some(6) };

/// A subscriber that knows which numbers are settled hears of everything and comes to the end.
pub fn settled() -> Scenario {
    scenario("example/event-store-gaps", BOTH, Gap::Settled)
}

/// Those that do not.
pub fn specimens() -> Vec<Scenario> {
    let short = Gap::SkippedAfter(TRANSACTION_MAX / 4);
    let renewed = Gap::SkippedAfterPolls(TRANSACTION_MAX * 2);
    let deleted = Writes { rolled_back: None, ..BOTH };
    vec![
        scenario("specimen/event-store-skips-late-commits", BOTH, short).breaks(HEARD),
        scenario("specimen/event-store-renews-the-gap-timer", BOTH, renewed).breaks(GOES_ON),
        scenario("specimen/event-store-waits-for-the-deleted", deleted, Gap::Awaited)
            .breaks(GOES_ON),
    ]
}

/// Several writers and a subscriber, and no faults but latency.
fn scenario(name: &str, writes: Writes, gap: Gap) -> Scenario {
    Scenario::new(name)
        .nodes("store", 1..=1, relational::serve)
        .nodes("subscriber", 1..=1, move |env: Env| subscribe(env, gap))
        .clients("writer", 2..=3, move |client: Client| write(client, writes))
        .tolerates(Tolerance::nothing())
        .always(HEARD, || {
            |view: &View<'_>| {
                let committed: BTreeSet<u64> = view
                    .up::<Events>()
                    .flat_map(|events| events.committed().collect::<Vec<_>>())
                    .collect();
                for heard in view.up::<Heard>() {
                    let missed = committed.range(..=heard.1).find(|one| !heard.0.contains(one));
                    if let Some(missed) = missed {
                        return Err(format!("it has read up to {} without {missed}", heard.1));
                    }
                }
                Ok(())
            }
        })
        .eventually(GOES_ON, Duration::from_secs(5), || {
            |view: &View<'_>| {
                let last = view.up::<Events>().filter_map(|events| events.committed().max()).max();
                view.up::<Heard>().all(|heard| Some(heard.1) >= last)
            }
        })
        .sometimes("a gap was passed over")
}

async fn write(client: Client, writes: Writes) -> Result<(), String> {
    let env = client.env().clone();
    let caller = Caller::<Request, Page>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named(PORT))[0];
    while let Some(operation) = client.next_operation(OPERATIONS) {
        env.sleep(Duration::from_micros(operation.draw(0, 50_000))).await;
        let one_in = |lane, many: Option<u64>| many.is_some_and(|n| operation.draw(lane, n) == 0);
        let stream = operation.draw(1, STREAMS);
        // What has become of it is seen in the store.
        let append = Request::Append { stream, rolled_back: one_in(2, writes.rolled_back) };
        let _ = caller.call(store, append, ANSWER_MAX).await;
        if one_in(3, writes.deleted) {
            let _ = caller.call(store, Request::Delete(stream), ANSWER_MAX).await;
        }
    }
    // What comes last leaves nothing behind which it could be seen that something is missing, so
    // every writer ends with an event that stays.
    client.after_heal().await;
    let last = Request::Append { stream: STREAMS, rolled_back: false };
    caller.call(store, last, ANSWER_MAX).await.map(drop).map_err(text)
}

/// Asks again and again what stands behind the number up to which it has read.
async fn subscribe(env: Env, gap: Gap) -> Result<(), String> {
    let heard = env.show("heard", Heard::default());
    let caller = Caller::<Request, Page>::open(&env).map_err(text)?;
    let store: Address = env.addresses("store", Port::named(PORT))[0];
    env.ready();
    let (mut last, mut since) = (0, None);
    loop {
        env.sleep(POLL).await;
        let Ok(page) = caller.call(store, Request::Behind(last), ANSWER_MAX).await else {
            continue;
        };
        let from = last;
        for number in &page.numbers {
            if *number != last + 1 && !is_passed(&env, gap, &mut since, (*number, &page)) {
                break;
            }
            if *number != last + 1 {
                env.sometimes("a gap was passed over");
            }
            (last, since) = (*number, None);
        }
        let news = page.numbers.into_iter().filter(|number| (from + 1..=last).contains(number));
        heard.update(&env, |heard| {
            heard.0.extend(news);
            heard.1 = last;
        });
    }
}

/// Whether the gap before a number is passed over. `since` is when the subscriber came to it.
fn is_passed(
    env: &Env,
    gap: Gap,
    since: &mut Option<Instant>,
    (number, page): (u64, &Page),
) -> bool {
    let now = env.now();
    match gap {
        Gap::Settled => number < page.settled,
        Gap::SkippedAfter(limit) => now - *since.get_or_insert(now) >= limit,
        Gap::SkippedAfterPolls(limit) => {
            let waited = now - since.unwrap_or(now);
            *since = Some(now);
            waited >= limit
        }
        Gap::Awaited => false,
    }
}
