//! The register as real processes: the same replica and the same clients that the world runs, on
//! sockets, files and clocks of the machine, killed and stopped for real.

mod demo;
mod node;
mod process;

pub use demo::{Demo, Report, demo};
pub use node::{Error, HistoryOf, VerdictOf, client, judge, replica};
pub use process::{Paused, Process};

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The system itself could not do what was asked.
const INFRASTRUCTURE: u8 = 75;

#[derive(Parser)]
#[command(name = "squall", about = "Real processes of the pattern library")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one real node until it is ended.
    #[command(subcommand)]
    Node(Node),
    /// Starts a whole system, disturbs it, and says whether what its clients saw was allowed.
    #[command(subcommand)]
    Demo(Which),
}

#[derive(Subcommand)]
enum Node {
    /// A replica of the register.
    Replica {
        /// Its configuration, as JSON.
        #[arg(long)]
        config: PathBuf,
    },
    /// A client that loads the register and keeps the history of what it saw.
    Client {
        /// Its configuration, as JSON.
        #[arg(long)]
        config: PathBuf,
        /// Where to write the history.
        #[arg(long)]
        history: PathBuf,
        /// Which client it is, from 0.
        #[arg(long)]
        number: u64,
        /// Of how many.
        #[arg(long)]
        of: u64,
        /// How long to go on, in seconds; zero is one read.
        #[arg(long)]
        seconds: u64,
        /// What its operations are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Subcommand)]
enum Which {
    /// Three replicas of the register, killed and stopped under load.
    Register {
        /// How long to go on.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// What the faults and operations are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where the nodes keep their data; a temporary directory if it is not given.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

/// Whether the command line is for [`main`]: it begins with `node` or `demo`.
pub fn is_ours(first: Option<&OsString>) -> bool {
    first.is_some_and(|first| first == "node" || first == "demo")
}

/// Runs `squall node` and `squall demo`. The arguments are those behind the program's name.
///
/// The exit code is 0 if all is well, 1 if a history is wrong, 2 if the arguments make no sense, 3
/// if the checker could not decide, and 75 if a process or file could not be had.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from("squall"));
    let parsed = match Arguments::try_parse_from(program.chain(arguments)) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Nothing can be done about a closed standard output.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match parsed.command {
        Command::Node(Node::Replica { config }) => replica(&config).map(|()| 0),
        Command::Node(Node::Client { config, history, number, of, seconds, seed }) => {
            let length = Duration::from_secs(seconds);
            client(&config, &history, (number, of), length, seed).map(|()| 0)
        }
        Command::Demo(Which::Register { seconds, seed, dir }) => {
            let demo_of = Demo { length: Duration::from_secs(seconds), seed, dir };
            demo(&demo_of, &mut |line| println!("{line}")).map(|report| {
                println!("{report}");
                report.exit_code()
            })
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("squall: {error}");
            ExitCode::from(INFRASTRUCTURE)
        }
    }
}
