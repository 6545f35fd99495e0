//! Three members of the configuration service against three of etcd: puts in a closed loop, with
//! everything synced.
//!
//! ```text
//! cd tests/peers && cargo run --release -p service -- --squall ../../target/release/squall
//! ```

mod clients;
mod cluster;
mod disk;
mod load;

use clap::{Parser, ValueEnum};
use clients::{Etcd, Failed, Http, Native};
use cluster::{Cluster, MEMBERS, Program};
use load::{Seen, Window};
use squall_env::{Env, NodeId, Roster};
use squall_protocols::store::StoreClient;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long the disk is measured each time.
const PROBE: Duration = Duration::from_millis(250);

#[derive(Parser)]
struct Arguments {
    /// The program `squall`, built for production.
    #[arg(long)]
    squall: PathBuf,
    /// The program `etcd`.
    #[arg(long, default_value = "etcd")]
    etcd: PathBuf,
    /// How many clients there are at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    clients: Vec<u64>,
    /// Which programs, and over which connections.
    #[arg(long, value_delimiter = ',', default_value = "etcd,http,etcd-shared,native")]
    ways: Vec<Way>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many seconds are measured.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How many seconds pass before, under the same load.
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Where the members' directories are made, and the disk is measured.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Counts syncs, under strace, which makes everything slower.
    #[arg(long)]
    syncs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// etcd's gRPC, each client over a connection of its own.
    Etcd,
    /// etcd's gRPC, all clients over one connection.
    EtcdShared,
    /// squall's HTTP, each client over a connection of its own.
    Http,
    /// squall's messages, all clients over one connection to each member.
    Native,
}

/// One run.
struct Measured {
    puts_per_second: f64,
    /// In milliseconds, as the next.
    median: f64,
    percentile_99: f64,
    /// Processor time that the members used for each put, in microseconds.
    processor: f64,
    /// How often a member synced for each put, if that was counted.
    syncs: f64,
    /// How long the disk alone takes to write and sync behind the end of a file and in place: the
    /// median, in milliseconds.
    appended: f64,
    in_place: f64,
}

fn main() -> ExitCode {
    match measure_all(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

const HEAD: &str = "\
| clients | | puts/s | least to most | p50 ms | p99 ms | processor µs/put | syncs/put | disk ms |
|---|---|---|---|---|---|---|---|---|";

fn measure_all(arguments: &Arguments) -> Result<(), Failed> {
    println!("{HEAD}");
    for clients in &arguments.clients {
        let mut all: Vec<Vec<Measured>> = arguments.ways.iter().map(|_| Vec::new()).collect();
        for round in 1..=arguments.rounds {
            for (way, runs) in arguments.ways.iter().zip(&mut all) {
                let run = measure(*way, *clients, arguments)?;
                let rate = run.puts_per_second;
                eprintln!("{clients} clients, round {round}: {} {rate:.0} puts/s", name(*way));
                runs.push(run);
            }
        }
        for (way, runs) in arguments.ways.iter().zip(&mut all) {
            println!("{}", row(*clients, *way, runs));
        }
    }
    Ok(())
}

fn name(way: Way) -> String {
    way.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn row(clients: u64, way: Way, runs: &mut [Measured]) -> String {
    let mut sorted = |of: fn(&Measured) -> f64| {
        runs.sort_by(|a, b| of(a).total_cmp(&of(b)));
        (of(&runs[0]), of(&runs[runs.len() / 2]), of(&runs[runs.len() - 1]))
    };
    let (least, rate, most) = sorted(|run| run.puts_per_second);
    let mut median = |of| sorted(of).1;
    let (p50, p99) = (median(|run| run.median), median(|run| run.percentile_99));
    let (processor, syncs) = (median(|run| run.processor), median(|run| run.syncs));
    let (appended, in_place) = (median(|run| run.appended), median(|run| run.in_place));
    let syncs = if syncs.is_nan() { String::new() } else { format!("{syncs:.3}") };
    format!(
        "| {clients} | {} | {rate:.0} | {least:.0} to {most:.0} | {p50:.2} | {p99:.2} | \
         {processor:.0} | {syncs} | {appended:.2}, {in_place:.2} |",
        name(way)
    )
}

fn measure(way: Way, clients: u64, arguments: &Arguments) -> Result<Measured, Failed> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let disk = disk::probe(directory.path(), PROBE)?;
    let (program, binary) = match way {
        Way::Etcd | Way::EtcdShared => (Program::Etcd, &arguments.etcd),
        Way::Http | Way::Native => (Program::Squall, &arguments.squall),
    };
    let mut cluster = Cluster::start(program, binary, directory.path(), arguments.syncs)?;
    let leader = cluster.leader()?;
    let warm_up = Duration::from_secs_f64(arguments.warm_up);
    let window = Window::after(warm_up, Duration::from_secs_f64(arguments.seconds));
    let clock = std::thread::scope(|scope| {
        let used = scope.spawn(|| used_within(&cluster, window));
        let seen = match way {
            Way::Native => load_native(&cluster, clients, window, directory.path()),
            _ => load(&cluster, leader, way, clients, window),
        };
        let used = used.join().map_err(|_| "the clock has panicked")?;
        Ok::<_, Failed>((seen?, used?))
    });
    let (mut seen, used) = clock?;
    if cluster.leader()? != leader {
        eprintln!("another member came to lead meanwhile");
    }
    if seen.revision < seen.puts {
        return Err(format!("{} puts made {} revisions", seen.puts, seen.revision).into());
    }
    let syncs: u64 = cluster.stop()?.iter().sum();
    let counted = if arguments.syncs { syncs as f64 } else { f64::NAN };
    let puts = seen.latencies.len();
    seen.latencies.sort_unstable();
    let at = |of: usize| seen.latencies.get(puts * of / 100).map_or(0.0, |ns| *ns as f64 / 1e6);
    Ok(Measured {
        puts_per_second: puts as f64 / window.length().as_secs_f64(),
        median: at(50),
        percentile_99: at(99),
        processor: used.as_secs_f64() * 1e6 / puts.max(1) as f64,
        syncs: counted / (seen.puts * MEMBERS as u64) as f64,
        appended: disk.appended.as_secs_f64() * 1e3,
        in_place: disk.in_place.as_secs_f64() * 1e3,
    })
}

/// The processor time that the members use within the window.
fn used_within(cluster: &Cluster, window: Window) -> Result<Duration, Failed> {
    let sleep_until = |at: std::time::Instant| {
        std::thread::sleep(at.saturating_duration_since(std::time::Instant::now()));
    };
    sleep_until(window.from);
    let before = cluster.processor_time()?;
    sleep_until(window.until);
    Ok(cluster.processor_time()? - before)
}

fn load(
    cluster: &Cluster,
    leader: usize,
    way: Way,
    clients: u64,
    window: Window,
) -> Result<Seen, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let to = cluster.clients[leader];
    runtime.block_on(async {
        let mut tasks = Vec::new();
        let shared = if way == Way::EtcdShared { Some(Etcd::connect(to).await?) } else { None };
        for nth in 0..clients {
            tasks.push(match (way, &shared) {
                (Way::Http, _) => tokio::spawn(load::run(Http::connect(to).await?, nth, window)),
                (_, Some(shared)) => tokio::spawn(load::run(shared.clone(), nth, window)),
                (_, None) => tokio::spawn(load::run(Etcd::connect(to).await?, nth, window)),
            });
        }
        let mut all = Seen::default();
        for task in tasks {
            all.add(task.await??);
        }
        Ok(all)
    })
}

/// The same from a node of squall that belongs to no cluster.
fn load_native(
    cluster: &Cluster,
    clients: u64,
    window: Window,
    directory: &Path,
) -> Result<Seen, Failed> {
    let roster = Roster::new("squall").with("member", MEMBERS as u16);
    let members: Vec<NodeId> = roster.nodes("member").collect();
    let mut config = squall_real::Config::new(roster, NodeId::guest(1), directory.join("clients"));
    config.addresses = members.iter().copied().zip(cluster.peers.iter().copied()).collect();
    let (tell, told) = std::sync::mpsc::channel();
    squall_real::run(config, move |env| async move {
        let seen = load_within(&env, &members, clients, window).await;
        tell.send(seen).map_err(|_| Failed::from("nobody waits for the figures"))
    })?;
    told.recv()?
}

async fn load_within(
    env: &Env,
    members: &[NodeId],
    clients: u64,
    window: Window,
) -> Result<Seen, Failed> {
    let mut tasks = Vec::new();
    for nth in 0..clients {
        let client = Native(StoreClient::open(env, members.to_vec())?);
        tasks.push(tokio::spawn(load::run(client, nth, window)));
    }
    let mut all = Seen::default();
    for task in tasks {
        all.add(task.await??);
    }
    Ok(all)
}
