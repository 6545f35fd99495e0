//! Runs a large system for a while and prints how much memory the process took at most.
//!
//! ```text
//! cargo run --release -p squall --example memory               # 500 nodes for 10 s
//! cargo run --release -p squall --example memory -- 1000 20    # so many nodes, so many seconds
//! cargo run --release -p squall --example memory -- 500 10 64  # it fails above so many MiB
//! ```
//!
//! Every 10 ms each node sends 64 bytes to each of eight others; every 100 ms it appends to a log
//! and syncs it, and now and then starts a new one; every second it asks the next node something
//! over a connection. Meanwhile nodes crash and links break as a seed's weather has it. The most
//! that was resident at one time is `VmHWM` of Linux, of the whole process with its code.
//!
//! | nodes | simulated | events | peak |
//! |---|---|---|---|
//! | 500 | 5 s | 2.3 million | 44 MiB |
//! | 500 | 10 s | 4.6 million | 58 MiB |
//! | 500 | 40 s | 18.6 million | 58 MiB |
//!
//! More than half of that are the logs, which the world holds twice, once as programs see them and
//! once as a power loss would find them; after 8 s they are as long as they get.

use squall::plan::Forecast;
use squall::{Most, Scenario, Tolerance, Watch, run_plan};
use squall_env::disk::DiskError;
use squall_env::{Address, Env, Port};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GOSSIP: Port = Port::named("gossip");
const QUESTIONS: Port = Port::named("questions");

/// How many bytes a log may have before a new one takes its place.
const LOG_MAX: u64 = 16 * 1024;

async fn serve(env: Env) -> Result<(), DiskError> {
    let mut log = env.open_file("log", true).await?;
    env.sync_directory("").await?;
    env.ready();
    env.spawn("hear", hear(env.clone()));
    env.spawn("tell", tell(env.clone()));
    env.spawn("answer", answer(env.clone()));
    env.spawn("ask", ask(env.clone()));
    loop {
        env.sleep(Duration::from_millis(100)).await;
        if log.length() > LOG_MAX {
            log.truncate(0).await?;
        }
        log.append(vec![7; 200]).await?;
        log.sync().await?;
    }
}

async fn hear(env: Env) {
    let Ok(mut socket) = env.bind(GOSSIP) else { return };
    let mut buffer = Vec::new();
    while socket.receive(&mut buffer).await.is_ok() {}
}

async fn tell(env: Env) {
    let Ok(socket) = env.bind(Port::ANY) else { return };
    let nodes = env.addresses("node", GOSSIP);
    loop {
        env.sleep(Duration::from_millis(10)).await;
        for _ in 0..8 {
            let to = env.random_below(nodes.len() as u64) as usize;
            socket.send(nodes[to], &[1; 64]);
        }
    }
}

async fn answer(env: Env) {
    let Ok(mut listener) = env.listen(QUESTIONS) else { return };
    while let Ok(mut stream) = listener.accept().await {
        env.spawn("connection", async move {
            let mut bytes = vec![0; 512];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                if stream.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn ask(env: Env) {
    let nodes = env.peers("node");
    let next = Address::new(nodes[usize::from(env.me().ordinal()) % nodes.len()], QUESTIONS);
    drop(nodes);
    loop {
        env.sleep(Duration::from_secs(1)).await;
        let exchange = async {
            let mut stream = env.connect(next).await.ok()?;
            let mut question = vec![7; 3_000];
            stream.write_all(&question).await.ok()?;
            stream.read_exact(&mut question).await.ok()
        };
        // Whatever came of it, the next one follows.
        let _ = env.timeout(Duration::from_secs(2), exchange).await;
    }
}

fn scenario(nodes: u16, length: Duration) -> Result<Scenario, String> {
    let tolerance = Tolerance::nothing().any_network().any_stream().any_clock().crashes();
    Ok(Scenario::new("memory")
        .nodes("node", nodes..=nodes, serve)
        .tolerates(tolerance.lost_unsynced_writes().impaired("node", Most::Minority))
        .under(Forecast::read("crash,crash-loop,pause,lost-writes,loss,duplication,partition")?)
        .heals_after(length)
        .events_max(u64::MAX))
}

/// The most memory that the process has had resident so far, in KiB.
fn peak_kib() -> Result<u64, String> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    number.ok_or_else(|| format!("{path} has no VmHWM"))
}

fn measure(nodes: u16, seconds: u64, most_mib: u64) -> Result<(), String> {
    let scenario = scenario(nodes, Duration::from_secs(seconds))?;
    let (seed, before) = (1, peak_kib()?);
    let watch = Watch { until_ns: seconds * 1_000_000_000, ..Watch::default() };
    let outcome = run_plan(&scenario, seed, &scenario.plan(seed), watch);
    if let Some(failure) = outcome.failure {
        return Err(format!("{}: {:?}", failure.property, failure.story));
    }
    let fired: Vec<String> = squall::table::TABLE
        .iter()
        .zip(&outcome.faults)
        .filter(|(_, counter)| counter.fired > 0)
        .map(|(row, counter)| format!("{} {}", counter.fired, row.name))
        .collect();
    println!(
        "{nodes} nodes, {seconds} s: {} events, {} messages",
        outcome.events, outcome.messages
    );
    println!("faults: {}", fired.join(", "));
    let peak = peak_kib()?;
    println!("peak: {peak} KiB, of which {before} KiB before the run");
    match peak > most_mib.saturating_mul(1_024) {
        true => Err(format!("that is more than {most_mib} MiB")),
        false => Ok(()),
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| words.next().map_or(Some(default), |word| word.parse().ok());
    let measured = match (number(500), number(10), number(u64::MAX)) {
        (Some(nodes @ 2..=65_535), Some(seconds @ 1..), Some(most_mib)) => {
            measure(nodes as u16, seconds, most_mib)
        }
        _ => Err("usage: memory [NODES [SECONDS [MIB]]]".to_owned()),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
