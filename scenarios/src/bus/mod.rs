//! Posts on a bus, and two subscriptions that hear of all of them.

use crate::tolerance;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario};
use squall_env::sync::stop_with_node;
use squall_env::{Env, HasOutcome, NodeId, Outcome, View};
use squall_protocols::bus::{
    self, Backend, Begin, Bus, BusClient, BusConfig, BusError, Event, Given, Post, invariants,
};
use squall_protocols::queue::{Backoff, Failure, MessageId};
use std::time::Duration;

const NOTHING_LEFT_OUT: &str = "a subscription leaves nothing out";
const ONE_POSITION: &str = "a post has one position";
const IN_ORDER: &str = "posts come in order";
const DONE: &str = "what is done is done";

/// The subscriptions.
const NAMES: [&str; 2] = ["billing", "shipping"];

/// How much each poster posts while there are faults.
const OPERATIONS: u64 = 8;

/// How long an operation is tried.
const OPERATION_MAX: Duration = Duration::from_millis(1_500);

fn config() -> BusConfig {
    BusConfig {
        posts_max: 6,
        remembers: 64,
        attempts_max: 3,
        parked_max: 2,
        claim: Duration::from_millis(600),
    }
}

/// What is posted.
#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    /// Whether it fails until somebody has it replayed.
    is_poison: bool,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "order-placed";
}

/// A client that shows what it asks and is told.
type Watching = BusClient<invariants::Watched>;

/// One bus with two subscriptions, each with one or two readers, and one or two posters. Everybody
/// may crash and stand still at any time, and the disk of the bus may lose what was not synced and
/// fail.
pub fn subscriptions() -> Scenario {
    Scenario::new("bus/subscriptions")
        .nodes("bus", 1..=1, |env: Env| bus::serve(env, config()))
        .nodes("reader", 2..=4, reader)
        .clients("poster", 1..=2, poster)
        .tolerates(tolerance::of_durable(&["bus", "reader", "poster"]))
        .always(ONE_POSITION, invariants::a_post_has_one_position)
        .always(DONE, invariants::what_is_done_is_done)
        .always(IN_ORDER, invariants::posts_come_in_order)
        .always(NOTHING_LEFT_OUT, invariants::nothing_is_left_out)
        .inspect("stands", stands)
        .sometimes("something was posted again")
        .sometimes("a bus was full")
        .sometimes("a subscription was another reader's")
        .sometimes("a post was parked")
        .sometimes("a subscription could park no more")
        .sometimes("a parked post was replayed")
        .sometimes("a parked post was dropped")
        // Links that are slow stay so when the faults are over, and each waits for the other.
        .finishes_within(Duration::from_secs(120))
}

/// Where the subscriptions stand, for readers of a trace.
fn stands(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |bus: &Bus| {
        let stands = bus.state().subscriptions().map(|(name, one)| {
            format!("{name} at {} with {} parked", one.next(), one.parked().count())
        });
        stands.collect::<Vec<_>>().join(", ")
    };
    view.up::<Bus>().map(|bus| (bus.node, words(&bus))).collect()
}

fn open(env: &Env) -> Result<Watching, BusError> {
    let client = BusClient::open(env, env.peers("bus")[0], OPERATION_MAX)?;
    Ok(client.witnessed(invariants::Watched::new(env)))
}

/// Reads one of the subscriptions until it is asked to stop.
async fn reader(env: Env) -> Result<(), BusError> {
    let client = open(&env)?;
    env.ready();
    let name = NAMES[usize::from(env.me().ordinal()) % NAMES.len()];
    let stopped = stop_with_node(&env);
    let backoff = Backoff::new(Duration::from_millis(30), Duration::from_millis(200));
    client.read(&env, name, backoff, stopped, |given| handle(env.clone(), given)).await
}

async fn handle(env: Env, given: Given) -> Result<(), Failure> {
    env.sleep(Duration::from_micros(env.random_below(10_000))).await;
    let order = given.read::<OrderPlaced>()?;
    match order.is_some_and(|order| order.is_poison && !given.is_replay) {
        true => Err(Failure::Retry("declined".to_owned())),
        false => Ok(()),
    }
}

/// Posts while there are faults, and then waits until both subscriptions have done all of it.
async fn poster(client: Client) -> Result<(), BusError> {
    let env = client.env().clone();
    let bus = open(&env)?;
    for name in NAMES {
        while bus.subscribe(name, &[], Begin::Oldest).await.is_err() {}
    }
    let mut last = None;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let id = u128::from(env.me().ordinal()) << 64 | u128::from(operation.number());
        let event = OrderPlaced { is_poison: operation.draw(1, 3) == 0 };
        let mut post = Post::of(MessageId(id), &event).expect("an order has an encoding");
        if operation.draw(5, 8) == 0 {
            // Some program of another version says it otherwise.
            post.body = vec![2];
        }
        for _ in 0..3 {
            match bus.post_again(post.clone()).await {
                Ok(position) => last = last.max(Some(position)),
                Err(error) if error.outcome() == Outcome::Indeterminate => continue,
                Err(_) => {}
            }
            break;
        }
        if operation.draw(3, 4) == 0 {
            replay(&bus, NAMES[operation.draw(4, 2) as usize]).await;
        }
    }
    client.after_heal().await;
    for name in NAMES {
        loop {
            replay(&bus, name).await;
            match bus.standing(name).await {
                Ok((next, 0)) if last.is_none_or(|last| next > last) => break,
                _ => env.sleep(Duration::from_millis(100)).await,
            }
        }
    }
    Ok(())
}

/// Has tried again what a subscription has parked, and drops what nobody can read.
async fn replay(bus: &Watching, name: &str) {
    for parked in bus.parked(name, None).await.unwrap_or_default() {
        // Somebody else may have been faster.
        let _ = match parked.why == "declined" || parked.why.is_empty() {
            true => bus.replay(name, parked.position).await,
            false => bus.discard(name, parked.position).await,
        };
    }
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        subscriptions().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("bus/moves-on-before-it-is-done", NOTHING_LEFT_OUT),
        mutant("bus/drops-what-it-should-park", NOTHING_LEFT_OUT),
        mutant("bus/drops-the-oldest-when-full", NOTHING_LEFT_OUT),
        mutant("bus/gives-the-last-first", IN_ORDER),
        mutant("bus/forgets-positions-at-restart", DONE),
        mutant("bus/posts-again-what-is-tried-again", ONE_POSITION),
    ]
}
