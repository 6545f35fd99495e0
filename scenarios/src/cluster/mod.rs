//! Systems as real processes: the same nodes and clients that the world runs, on sockets, files and
//! clocks of the machine, killed and stopped for real, behind links that do what links do.

mod certificates;
mod demo;
mod ext4;
mod flip;
mod judge;
mod kind;
mod map;
mod namespaces;
mod net;
mod network;
mod node;
mod process;
mod proxy;
mod root;
mod schedule;
mod strike;
mod system;
mod tally;
mod tight;

pub use demo::{Demo, Report, demo};
pub use flip::Place;
pub use judge::{Finding, Judged, judge};
pub use kind::Kind;
pub use map::{Append, Map};
pub use node::{ClientOf, Error, NodeOf, SkipSync, map_client, member, register_client, replica};
pub use node::{shop_client, shop_node};
pub use process::{Paused, Process};
pub use proxy::{Done, Gate, Link, Proxy, Weather};
pub use schedule::{Episode, Fault, Group, Step};
pub use system::Flips;
pub use tally::Counted;

use clap::{Parser, Subcommand};
use squall::cli::Extra;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The system under test did what it must not.
const WRONG: u8 = 1;

/// The arguments make no sense.
const USAGE: u8 = 2;

/// The system itself could not do what was asked.
const INFRASTRUCTURE: u8 = 75;

/// The commands that work with real processes, for the command line over the scenarios.
///
/// Their exit code is 0 if all is well, 1 if a history is wrong or a process ended by itself, 2 if
/// the arguments make no sense, 3 if the checker could not decide, and 75 if a process or a file
/// could not be had.
pub const COMMANDS: [Extra; 2] = [
    Extra { name: "node", about: NODE, run: |arguments| main::<NodeArguments>("node", arguments) },
    Extra { name: "demo", about: DEMO, run: |arguments| main::<DemoArguments>("demo", arguments) },
];

const NODE: &str = "Runs one real node until it is ended";

const DEMO: &str =
    "Starts a whole system as real processes, disturbs it, and judges what its clients saw";

/// The arguments of one of the commands.
trait Arguments: Parser {
    /// Does what they say, and gives the exit code.
    fn run(self) -> Result<u8, Error>;
}

#[derive(Parser)]
#[command(about = NODE)]
struct NodeArguments {
    #[command(subcommand)]
    node: Node,
}

#[derive(Parser)]
#[command(about = DEMO)]
struct DemoArguments {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Node {
    /// A replica of the register.
    Replica(NodeOf),
    /// A client that loads the register and keeps the history of what it saw.
    Client(ClientOf),
    /// A member of a map on Raft.
    Member(NodeOf),
    /// A client that loads the map and keeps the history of what it saw.
    MapClient(ClientOf),
    /// A node of the shop.
    Shop(NodeOf),
    /// A customer of the shop, or its auditor, who keeps the history of what it saw.
    ShopClient(ClientOf),
}

#[derive(Subcommand)]
enum Which {
    /// Replicas of the register, killed and stopped under load.
    Register(ClusterRun),
    /// Members of a map on Raft, killed and stopped under load.
    Raft(RaftRun),
    /// Services of a shop, killed and stopped under load, until every order is over.
    Shop(Run),
}

#[derive(clap::Args)]
struct ClusterRun {
    /// How many nodes: one, three or five, say.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    #[command(flatten)]
    run: Run,
}

#[derive(clap::Args)]
struct Run {
    /// How long to go on, as in 10s or 2m.
    #[arg(long, default_value = "10s", value_parser = squall::cli::parse_time)]
    time: Duration,
    /// What the faults and operations are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is done.
    #[arg(long, value_delimiter = ',', default_value = "processes,network,power,files")]
    faults: Vec<Group>,
    /// Syncs that the nodes leave out, so that losses of power have something to find.
    #[arg(long)]
    skip_sync: Option<SkipSync>,
    /// Give the last node a disk of so many KiB, as root: it ends for want of space, and is started
    /// again every so often. Nobody's power is lost then.
    #[arg(long)]
    small_disk: Option<u32>,
    /// Let all processes speak TLS with each other, each with a certificate of its own. Links
    /// cannot tell frames then, so that none is lost, doubled or overtaken.
    #[arg(long)]
    tls: bool,
    /// Give each process a network namespace of its own, as root, and let the kernel part them: no
    /// other weather is on the links then.
    #[arg(long)]
    netns: bool,
    /// Where the nodes keep their data; a temporary directory if it is not given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct RaftRun {
    #[command(flatten)]
    cluster: ClusterRun,
    /// Let members take the end of a journal that cannot be read for that of a write that nobody
    /// was told of, so that damage there has something to find. By default they doubt it.
    #[arg(long)]
    trust_torn_tails: bool,
}

/// Runs one of the commands with the arguments behind its name.
fn main<A: Arguments>(name: &str, arguments: Vec<OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from(format!("squall {name}")));
    let parsed = match A::try_parse_from(program.chain(arguments)) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nothing can be done about a closed standard output.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match parsed.run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if matches!(error, Error::Ended(_)) { WRONG } else { INFRASTRUCTURE })
        }
    }
}

impl Arguments for NodeArguments {
    fn run(self) -> Result<u8, Error> {
        match self.node {
            Node::Replica(of) => replica(&of)?,
            Node::Client(of) => register_client(&of)?,
            Node::Member(of) => member(&of)?,
            Node::MapClient(of) => map_client(&of)?,
            Node::Shop(of) => shop_node(&of)?,
            Node::ShopClient(of) => shop_client(&of)?,
        }
        Ok(0)
    }
}

impl Arguments for DemoArguments {
    fn run(self) -> Result<u8, Error> {
        let (kind, cluster, trust_torn_tails) = match self.which {
            Which::Register(cluster) => (Kind::Register, cluster, false),
            Which::Raft(of) => (Kind::Raft, of.cluster, of.trust_torn_tails),
            Which::Shop(run) => (Kind::Shop, ClusterRun { nodes: 1, run }, false),
        };
        let ClusterRun { nodes, run } = cluster;
        let Run { time, seed, mut faults, skip_sync, small_disk, tls, netns, dir } = run;
        let has_ext4 = faults.contains(&Group::Ext4);
        if has_ext4 && small_disk.is_some() {
            eprintln!("error: a disk is either small or ext4");
            return Ok(USAGE);
        }
        let loses_power = small_disk.is_none() && !has_ext4;
        faults.retain(|group| loses_power || *group != Group::Power);
        // Nobody but a member of Raft learns again from others what a journal has lost.
        let may_flip = match kind {
            Kind::Register => true,
            Kind::Raft => nodes > 2 || trust_torn_tails,
            Kind::Shop => false,
        };
        faults.retain(|group| may_flip || *group != Group::Files);
        let names: Vec<String> =
            faults.iter().map(|group| format!("{group:?}").to_lowercase()).collect();
        let (name, ms, groups) = (kind.name(), time.as_millis(), names.join(","));
        let skip = skip_sync.map(|skip| format!(" --skip-sync {}", skip.name()));
        let mut more = skip.unwrap_or_default();
        if let Some(kib) = small_disk {
            more += &format!(" --small-disk {kib}");
        }
        let trusts = (trust_torn_tails, " --trust-torn-tails");
        for (is_set, flag) in [trusts, (tls, " --tls"), (netns, " --netns")] {
            more += if is_set { flag } else { "" };
        }
        let of = if kind == Kind::Shop { String::new() } else { format!(" --nodes {nodes}") };
        println!("squall demo {name}{of} --time {ms}ms --seed {seed} --faults {groups}{more}");
        match (kind, trust_torn_tails) {
            (Kind::Raft, true) => println!("members trust torn tails of their journals"),
            (Kind::Raft, false) => println!("members doubt torn tails of their journals"),
            (Kind::Register | Kind::Shop, _) => {}
        }
        let nodes = nodes.into();
        let demo_of = Demo {
            kind,
            nodes,
            length: time,
            seed,
            groups: faults,
            skip_sync,
            trust_torn_tails,
            small_disk,
            tls,
            netns,
            dir,
        };
        let report = demo(&demo_of, &mut |line| println!("{line}"))?;
        println!("{report}");
        Ok(report.exit_code())
    }
}
