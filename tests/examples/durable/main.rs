//! How fast events and messages are kept with durability on, by our own files and by SQLite (WAL,
//! synchronous FULL), in one run on real files:
//! `cargo run --release -p squall-tests --example durable -- 20000`. The number is how many events
//! are read in the end, a million without one; a hundredth of it is kept one by one.
//!
//! Of SQLite's time ours took, in three runs of a million on two virtual cores that were busy with
//! other work (ext4, a synced write of 0.15 ms median and 3 to 8 ms at the 99th percentile):
//!
//! | 64 clients, 100 bytes | ours, a second | ratio |
//! |---|---|---|
//! | messages published | 27 000 to 67 000 | 0.02 to 0.04 |
//! | messages taken and settled | 30 000 to 43 000 | 0.03 to 0.04 |
//! | events appended one by one | 16 000 to 51 000 | 0.03 to 0.12 |
//! | a million events read | 0.8 to 1.9 million | 0.45 to 0.93 |
//!
//! Ours sync once for all that came meanwhile; SQLite commits each request by itself here. The
//! broker is asked over the network stack, SQLite by a call.

mod events;
mod queues;

use squall_env::{Env, Roster};
use squall_real::{Config, Node};
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

/// How many clients there are at the same time.
const CLIENTS: u64 = 64;

/// How many bytes an event or a message has.
const BYTES: usize = 100;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let many = std::env::args().nth(1).map_or(Ok(1_000_000), |number| number.parse())?;
    let data = tempfile::tempdir()?;
    let roster = Roster::new("load").with("node", 1);
    let me = roster.all().next().ok_or("a roster of one has one")?;
    let mut config = Config::new(roster, me, data.path().to_owned());
    let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    config.addresses.insert(me, free);
    let path = data.path().to_owned();
    let (done, finished) = std::sync::mpsc::channel();
    let node = Node::start(config, move |env: Env| {
        let (done, path) = (done.clone(), path.clone());
        async move {
            // Nobody listens only if the example has failed already.
            let _ = done.send(compare(&env, &path, many).await.map_err(|e| e.to_string()));
            std::future::pending::<Result<(), String>>().await
        }
    })?;
    finished.recv()??;
    node.stop()?;
    Ok(())
}

async fn compare(env: &Env, data: &Path, many: u64) -> Result<(), Failed> {
    sync(data)?;
    queues::compare(env, data, (many / 100).max(CLIENTS)).await?;
    events::compare(env, data, many).await
}

/// Says how long a write that is synced takes here, without which no other figure means anything.
fn sync(data: &Path) -> Result<(), Failed> {
    use std::io::Write;
    let mut file = std::fs::File::create(data.join("synced"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = std::time::Instant::now();
        file.write_all(&[7; BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("a synced write: {:?} (median), {:?} (p99)", times[100], times[197]);
    Ok(())
}

fn tell(who: &str, many: u64, time: Duration) {
    let rate = many as f64 / time.as_secs_f64();
    println!("  {who}: {:.3} s, {rate:.0} a second", time.as_secs_f64());
}

fn ratio(who: &str, ours: Duration, theirs: Duration) {
    println!("  {who} take {:.2} of the time", ours.as_secs_f64() / theirs.as_secs_f64());
}
