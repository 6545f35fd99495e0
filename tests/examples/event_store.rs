//! How fast events are appended with durability on, and read again, on segments and on SQLite, in
//! one run on real files: `cargo run --release -p squall-tests --example event_store -- 20000`. The
//! number is how many events are appended; a million without one takes a while.

use squall_env::{Env, Position, Roster};
use squall_protocols::event_store::{
    EventId, EventStore, Expected, Filter, NewEvent, SegmentConfig, SegmentStore, SqliteStore,
};
use squall_real::{Config, Node};
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// How many clients append at the same time.
const CLIENTS: u64 = 64;

/// How many bytes of data an event has.
const BYTES: usize = 100;

/// How many events are appended at once where only reading is measured.
const BATCH: u64 = 1000;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let events = std::env::args().nth(1).map_or(Ok(1_000_000), |number| number.parse())?;
    let data = tempfile::tempdir()?;
    let roster = Roster::new("load").with("node", 1);
    let me = roster.all().next().ok_or("a roster of one has one")?;
    let mut config = Config::new(roster, me, data.path().to_owned());
    let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    config.addresses.insert(me, free);
    let database = data.path().join("events.sqlite");
    let (done, finished) = std::sync::mpsc::channel();
    let node = Node::start(config, move |env: Env| {
        let (done, database) = (done.clone(), database.clone());
        async move {
            // Nobody listens only if the example has failed already.
            let _ = done.send(compare(&env, &database, events).await.map_err(|e| e.to_string()));
            std::future::pending::<Result<(), String>>().await
        }
    })?;
    finished.recv()??;
    node.stop()?;
    Ok(())
}

async fn compare(env: &Env, database: &std::path::Path, events: u64) -> Result<(), Failed> {
    let segments: Arc<dyn EventStore> =
        Arc::new(SegmentStore::open(env, "events", SegmentConfig::default()).await?);
    let sqlite: Arc<dyn EventStore> = Arc::new(SqliteStore::open(env, database).await?);
    let durable = (events / 100).max(CLIENTS);
    println!("{durable} durable appends of {BYTES} bytes by {CLIENTS} clients:");
    let ours = append(env, &segments, durable).await?;
    let theirs = append(env, &sqlite, durable).await?;
    tell("segments", durable, ours);
    tell("SQLite", durable, theirs);
    println!("  segments take {:.2} of the time", ours.as_secs_f64() / theirs.as_secs_f64());
    fill(env, &*segments, events).await?;
    fill(env, &*sqlite, events).await?;
    println!("{events} events read from the first to the last:");
    let ours = replay(env, &*segments).await?;
    let theirs = replay(env, &*sqlite).await?;
    tell("segments", events, ours);
    tell("SQLite", events, theirs);
    println!("  segments take {:.2} of the time", ours.as_secs_f64() / theirs.as_secs_f64());
    let start = env.now();
    drop(segments);
    SegmentStore::open(env, "events", SegmentConfig::default()).await?;
    tell("to open the segments again", events, env.now() - start);
    Ok(())
}

fn tell(who: &str, events: u64, time: Duration) {
    let rate = events as f64 / time.as_secs_f64();
    println!("  {who}: {:.3} s, {rate:.0} events a second", time.as_secs_f64());
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
