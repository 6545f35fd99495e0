//! Prices that are posted on a bus, and a board that shows them. It hears of every price that was
//! confirmed, in order, though the bus crashes and messages are lost.

use super::faults_and_losses;
use serde::{Deserialize, Serialize};
use squall::{Client, Scenario};
use squall_env::sync::stop_with_node;
use squall_env::{Env, View};
use squall_protocols::bus::{self, Backend, Begin, BusClient, BusConfig, Event, Given};
use squall_protocols::queue::{Backoff, MessageId};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct PriceChanged(u64);

impl Event for PriceChanged {
    const KIND: &'static str = "price-changed";
}

/// The last price that the only client was told is posted. Each is greater than those before.
#[derive(Default)]
struct Posted(u64);

/// The prices in the order in which they first came.
struct Board(Vec<u64>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "prices come in order";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/bus")
        .nodes("bus", 1..=1, |env| bus::serve(env, BusConfig::default()))
        .nodes("board", 1..=1, show)
        .clients("client", 1..=1, post)
        .tolerates(faults_and_losses(&["bus"]))
        .always(PROPERTY, || {
            |view: &View<'_>| match view.up::<Board>().find(|board| !board.0.is_sorted()) {
                Some(board) => Err(format!("they came as {:?}", board.0)),
                None => Ok(()),
            }
        })
        .eventually("the board shows the last price", Duration::from_secs(60), || {
            |view: &View<'_>| {
                let shown = view.up::<Board>().find_map(|board| board.0.last().copied());
                view.up::<Posted>().all(|posted| shown.unwrap_or(0) >= posted.0)
            }
        })
        .finishes_within(Duration::from_secs(60))
}

fn open(env: &Env) -> Result<BusClient, String> {
    let limit = Duration::from_secs(2);
    BusClient::open(env, env.peers("bus")[0], limit).map_err(|error| error.to_string())
}

async fn post(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let (bus, posted) = (open(&env)?, client.keep::<Posted>("posted"));
    while bus.subscribe("board", &[PriceChanged::KIND], Begin::Oldest).await.is_err() {}
    while let Some(operation) = client.next_operation(8) {
        let price = 100 + operation.number();
        // It is the same post, however often it is tried.
        let id = MessageId(u128::from(price));
        while bus.post(id, &PriceChanged(price)).await.is_err() {}
        posted.update(&env, |posted| posted.0 = price);
    }
    Ok(())
}

async fn show(env: Env) -> Result<(), String> {
    let board = env.show("board", Board(Vec::new()));
    let handler = |given: Given| {
        let price = given.read::<PriceChanged>();
        if let Ok(Some(PriceChanged(price))) = price {
            // A post may come again.
            board.update(&env, |board| {
                if !board.0.contains(&price) {
                    board.0.push(price);
                }
            });
        }
        async move { price.map(drop) }
    };
    let bus = open(&env)?;
    let read = bus.read(&env, "board", Backoff::default(), stop_with_node(&env), handler);
    read.await.map_err(|error| error.to_string())
}
