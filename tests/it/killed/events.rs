//! The event store on SQLite: of a batch of events that goes to two streams there is all or
//! nothing, in one piece, and what was confirmed is there once.

use super::{all_confirmed, confirm, killed, torn};
use crate::parity::{Checked, ensure, text};
use squall_env::{Env, Position};
use squall_protocols::event_store::contract::{Open, check};
use squall_protocols::event_store::{
    Append, EventId, EventStore, Expected, Filter, NewEvent, SqliteStore,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many events a batch has, in both streams.
const EVENTS: u64 = 5;

/// Everything that is said in the store, with its position, in order.
async fn said(store: &SqliteStore) -> Result<Vec<(Position, u64)>, String> {
    let (mut all, mut after) = (Vec::new(), Position(0));
    loop {
        let slice = store.read_all(after, 100, &Filter::all()).await.map_err(text)?;
        for event in &slice.events {
            let bytes = event.data.as_slice().try_into().map_err(text)?;
            all.push((event.position, u64::from_le_bytes(bytes)));
        }
        if slice.upto == slice.head {
            return Ok(all);
        }
        after = slice.upto;
    }
}

/// What is to be appended under a number: always the same, so that it can be repeated.
fn batch(number: u64) -> Vec<Append> {
    let event = |place: u64| {
        let id = EventId(u128::from(number) << 64 | u128::from(place));
        NewEvent::new(id, "counted", number.to_le_bytes())
    };
    let (orders, stock) = ((0..3).map(event).collect(), (3..EVENTS).map(event).collect());
    vec![Append::new("orders", Expected::Any, orders), Append::new("stock", Expected::Any, stock)]
}

/// Appends batch after batch; in two steps, if they are to be `halves`. Whoever was killed does
/// not know whether its last batch was done, and appends it again.
async fn append(env: Env, file: &Path, halves: bool) -> Checked {
    let store = SqliteStore::open(&env, file).await.map_err(text)?;
    let last = said(&store).await?.last().map_or(1, |(_, number)| *number);
    for number in last + u64::from(halves).. {
        let mut rest = batch(number);
        if halves {
            let first = vec![rest.remove(0)];
            store.append_all(first).await.map_err(text)?;
            env.sleep(Duration::from_millis(20)).await;
        }
        store.append_all(rest).await.map_err(text)?;
        confirm(number);
    }
    Ok(())
}

async fn is_whole(env: &Env, file: &Path, confirmed: &BTreeSet<u64>) -> Checked {
    let store = SqliteStore::open(env, file).await.map_err(text)?;
    let said = said(&store).await?;
    let positions = said.iter().map(|(position, _)| position.0);
    ensure(positions.eq(1..=said.len() as u64), "there are gaps")?;
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, number) in &said {
        *counts.entry(*number).or_default() += 1;
    }
    let part = counts.iter().find(|(_, count)| **count != EVENTS);
    if let Some((number, count)) = part {
        return Err(format!("of batch {number} there are {count} events"));
    }
    ensure(said.is_sorted_by_key(|(_, number)| *number), "something stands between a batch")?;
    all_confirmed(&counts.into_keys().collect(), confirmed)
}

#[test]
fn a_killed_event_store_has_whole_batches_and_passes_its_contract() {
    let test = "killed::events::a_killed_event_store_has_whole_batches_and_passes_its_contract";
    let Some(left) = killed(test, |env, file| append(env, file, false)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    crate::parity::in_the_real_world(1, move |env: Env| async move {
        is_whole(&env, file, confirmed).await?;
        let opened = env.clone();
        let open: Open = Arc::new(move || {
            let env = opened.clone();
            Box::pin(async move {
                let store = SqliteStore::open(&env, file).await.map_err(text)?;
                Ok(Arc::new(store) as Arc<dyn EventStore>)
            })
        });
        check(&env, open).await
    });
}

#[test]
fn kills_tear_batches_that_are_two_appends() {
    let test = "killed::events::kills_tear_batches_that_are_two_appends";
    let Some(left) = killed(test, |env, file| append(env, file, true)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    crate::parity::in_the_real_world(1, move |env: Env| async move {
        torn(is_whole(&env, file, confirmed).await, "there are 3 events")
    });
}
