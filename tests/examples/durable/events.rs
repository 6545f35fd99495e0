//! Event stores: appends with durability on, and all events from the first to the last.

use crate::{BYTES, CLIENTS, Failed, ratio, tell};
use squall_env::{Env, Position};
use squall_protocols::event_store::{
    EventId, EventStore, Expected, Filter, NewEvent, SegmentConfig, SegmentStore, SqliteStore,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many events are appended at once where only reading is measured.
const BATCH: u64 = 1000;

/// Appends one by one, and then reads so many.
pub(crate) async fn compare(env: &Env, data: &Path, events: u64) -> Result<(), Failed> {
    let segments: Arc<dyn EventStore> =
        Arc::new(SegmentStore::open(env, "events", SegmentConfig::default()).await?);
    let sqlite: Arc<dyn EventStore> =
        Arc::new(SqliteStore::open(env, &data.join("events.sqlite")).await?);
    let durable = (events / 100).max(CLIENTS);
    println!("{durable} durable appends of {BYTES} bytes by {CLIENTS} clients:");
    let ours = append(env, &segments, durable).await?;
    let theirs = append(env, &sqlite, durable).await?;
    tell("segments", durable, ours);
    tell("SQLite", durable, theirs);
    ratio("segments", ours, theirs);
    fill(env, &*segments, events).await?;
    fill(env, &*sqlite, events).await?;
    println!("{events} events read from the first to the last:");
    let ours = replay(env, &*segments).await?;
    let theirs = replay(env, &*sqlite).await?;
    tell("segments", events, ours);
    tell("SQLite", events, theirs);
    ratio("segments", ours, theirs);
    let start = env.now();
    drop(segments);
    SegmentStore::open(env, "events", SegmentConfig::default()).await?;
    tell("to open the segments again", events, env.now() - start);
    Ok(())
}

fn event(env: &Env) -> NewEvent {
    NewEvent::new(EventId::random(env), "counted", vec![7; BYTES])
}

async fn append(env: &Env, store: &Arc<dyn EventStore>, events: u64) -> Result<Duration, Failed> {
    let start = env.now();
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (env, store) = (env.clone(), Arc::clone(store));
        let own = env.clone();
        clients.push(env.spawn("client", async move {
            let stream = format!("stream-{client}");
            for _ in 0..events / CLIENTS {
                store.append(&stream, Expected::Any, vec![event(&own)]).await?;
            }
            Ok::<(), squall_protocols::event_store::EventStoreError>(())
        }));
    }
    for client in clients {
        client.await??;
    }
    Ok(env.now() - start)
}

async fn fill(env: &Env, store: &dyn EventStore, events: u64) -> Result<(), Failed> {
    for batch in 0..events.div_ceil(BATCH) {
        let events = (0..BATCH.min(events - batch * BATCH)).map(|_| event(env)).collect();
        store.append(&format!("batch-{}", batch % 100), Expected::Any, events).await?;
    }
    Ok(())
}

async fn replay(env: &Env, store: &dyn EventStore) -> Result<Duration, Failed> {
    let (start, mut after) = (env.now(), Position(0));
    loop {
        let slice = store.read_all(after, 4096, &Filter::all()).await?;
        if slice.upto == slice.head {
            return Ok(env.now() - start);
        }
        after = slice.upto;
    }
}
