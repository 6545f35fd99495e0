//! The arguments of the command line.

use super::Extra;
use super::export::Format;
use crate::plan::Forecast;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser, Debug)]
#[command(version, about = "Runs scenarios of distributed systems in a simulated world")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Lists the scenarios, a line each, the name first
    List {
        /// Lists specimens and mutants instead: code that is wrong on purpose
        #[arg(long)]
        specimens: bool,
    },
    /// Runs many seeds of scenarios in worker processes
    Sweep(SweepArgs),
    /// Runs one seed of one scenario
    Run(RunArgs),
    /// Replays a repro file, as failing tests write them
    Replay(ReplayArgs),
    /// Leaves out of a failing run whatever its failure does not need
    Shrink(ShrinkArgs),
    /// Says when a run's failure became likely, and what happened then
    Why(WhyArgs),
    /// Writes a page of HTML that shows a run: messages, faults, causes, the state of nodes
    Report(ReportArgs),
    /// Says where two runs part
    Diff(DiffArgs),
    /// Checks histories in files against a model
    Check(CheckArgs),
    /// Visits every state of a small system
    Explore(ExploreArgs),
    /// Counts how many seeds it takes to find each specimen and mutant
    Specimens(SpecimensArgs),
    /// Looks through sources for calls that reach around the environment
    Lint(LintArgs),
}

#[derive(Args, Debug, Clone)]
pub(super) struct SweepArgs {
    /// Scenarios or folders, as in `register` for `register/atomic`; without any, all scenarios
    pub(super) names: Vec<String>,
    /// Runs so many seeds of each scenario, from 0
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: Option<u64>,
    /// Runs seeds from this one on
    #[arg(long, value_name = "A", requires = "to")]
    pub(super) from: Option<u64>,
    /// Runs seeds up to, and without, this one
    #[arg(long, value_name = "B", requires = "from")]
    pub(super) to: Option<u64>,
    /// Starts no more seeds after this time, as in `90s`, `5m` or `1h`; without any bound, 60s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) time: Option<Duration>,
    /// How many workers there are; as many as processors, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// The weather: presets (network, streams, storage, clocks, process, code, everything, calm),
    /// faults that are on in every run, `-FAULT` for never, `NAME=VALUE` for one value of a plan's
    /// weather, with commas between them.
    #[arg(long, value_name = "WEATHER", allow_hyphen_values = true)]
    #[arg(value_parser = parse_weather)]
    pub(super) weather: Option<String>,
    /// Runs every seed twice in its worker and once more in another, and compares; without this,
    /// one seed in fifty is run twice in its worker
    #[arg(long)]
    pub(super) twice: bool,
    /// Runs no seed twice
    #[arg(long, conflicts_with = "twice")]
    pub(super) once: bool,
    /// How plans are drawn: `all` draws one seed in eight by `pct`, the others by `random`, and
    /// adds a run by `coverage` for every eight
    #[arg(long, value_name = "STRATEGY", value_enum, default_value_t = Looking::All)]
    pub(super) strategy: Looking,
    /// In calm weather, crashes each node at each of its I/O steps in turn, and again at each step
    /// of the recovery that follows; one seed, unless more are asked for
    #[arg(long, conflicts_with_all = ["time", "weather", "twice", "once"])]
    pub(super) crash_points: bool,
    /// Has each client do its first N operations only, so that the workload is small
    #[arg(long, value_name = "N", requires = "crash_points")]
    pub(super) operations: Option<u64>,
    /// Tries so many crash points of each scenario at most
    #[arg(long, value_name = "N", requires = "crash_points")]
    #[arg(default_value_t = super::crash_points::POINTS_MAX)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) points: u64,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which strategies a sweep uses.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looking {
    /// Random subsets of faults at random times
    Random,
    /// The same, with priorities of tasks and links
    Pct,
    /// Altered plans that reached something new
    Coverage,
    /// Each of them
    All,
}

impl Looking {
    /// The strategy of every seed, if it is the same for all.
    pub(super) fn only(self) -> Option<crate::search::Strategy> {
        use crate::search::Strategy;
        match self {
            Looking::Random => Some(Strategy::Random),
            Looking::Pct => Some(Strategy::Pct),
            Looking::Coverage | Looking::All => None,
        }
    }
}

#[derive(Args, Debug, Clone)]
pub(super) struct RunArgs {
    /// The scenario
    pub(super) name: String,
    /// The seed
    #[arg(long, value_name = "S")]
    pub(super) seed: u64,
    /// The weather: presets (network, streams, storage, clocks, process, code, everything, calm),
    /// faults that are on in every run, `-FAULT` for never, `NAME=VALUE` for one value of a plan's
    /// weather, with commas between them.
    #[arg(long, value_name = "WEATHER", allow_hyphen_values = true)]
    #[arg(value_parser = parse_weather)]
    pub(super) weather: Option<String>,
    /// Prints everything that happens, and the events of `tracing` that pass SQUALL_LOG; that
    /// variable alone, as in SQUALL_LOG=debug, prints these events alone. `--trace=lanes` prints a
    /// line for each turn that a node takes, in columns
    #[arg(long, value_name = "STYLE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all")]
    pub(super) trace: Option<Style>,
    /// Runs the seed twice in one process and once more in another, and compares
    #[arg(long)]
    pub(super) twice: bool,
    /// Writes the run's repro file, whether it fails or not
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Writes the events of the run with their causes, in this format
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["trace", "twice", "json"])]
    pub(super) export: Option<Format>,
    /// The file to which it is written, not the standard output
    #[arg(short, long, value_name = "FILE", requires = "export")]
    pub(super) output: Option<PathBuf>,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct ReplayArgs {
    /// The file
    pub(super) file: PathBuf,
    /// Writes the events of the run with their causes, in this format
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["trace", "json"])]
    pub(super) export: Option<Format>,
    /// The file to which it is written, not the standard output
    #[arg(short, long, value_name = "FILE", requires = "export")]
    pub(super) output: Option<PathBuf>,
    /// Prints everything that happens, and the events of `tracing` that pass SQUALL_LOG; that
    /// variable alone, as in SQUALL_LOG=debug, prints these events alone. `--trace=lanes` prints a
    /// line for each turn that a node takes, in columns
    #[arg(long, value_name = "STYLE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "all")]
    pub(super) trace: Option<Style>,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct ReportArgs {
    /// The scenario, or a repro file
    pub(super) name: String,
    /// The seed; a repro file has its own
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// The weather of the seed's plan, as in `run`
    #[arg(long, value_name = "WEATHER", allow_hyphen_values = true)]
    #[arg(value_parser = parse_weather, requires = "seed")]
    pub(super) weather: Option<String>,
    /// Shows where it parts from another run, which is given as in `diff`
    #[arg(long, value_name = "RUN")]
    pub(super) against: Option<String>,
    /// Shows where it parts from the same run without this fault; may be given several times
    #[arg(long, value_name = "FAULT", conflicts_with = "against")]
    pub(super) off: Vec<String>,
    /// The page
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(super) output: PathBuf,
}

#[derive(Args, Debug, Clone)]
pub(super) struct DiffArgs {
    /// A run: NAME:SEED, as in `register/atomic:218`, a repro file, or a trace that was exported as
    /// jsonl, perhaps by another build
    pub(super) one: String,
    /// The other run; the same one, if faults are switched off in it
    pub(super) other: Option<String>,
    /// Switches a fault off in the other run; may be given several times
    #[arg(long, value_name = "FAULT")]
    pub(super) off: Vec<String>,
    /// Prints a line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct ShrinkArgs {
    /// The scenario, or a repro file
    pub(super) name: String,
    /// The seed; a repro file has its own
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// The weather of the seed's plan, as in `run`
    #[arg(long, value_name = "WEATHER", allow_hyphen_values = true)]
    #[arg(value_parser = parse_weather, requires = "seed")]
    pub(super) weather: Option<String>,
    /// Writes the repro file of what is left, or with `--rust` the test
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Makes of what is left a test in Rust that fails until the bug is mended
    #[arg(long, conflicts_with = "json")]
    pub(super) rust: bool,
    /// The list of scenarios that the test looks in, as in `my_crate::scenarios()`; under
    /// `cargo run` that of the package, if it is not given
    #[arg(long, value_name = "EXPRESSION", requires = "rust")]
    pub(super) list: Option<String>,
    /// Ends after so many runs
    #[arg(long, value_name = "N", default_value_t = crate::shrink::RUNS_MAX)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) runs: u64,
    /// How many workers there are; as many as processors, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct WhyArgs {
    /// The scenario, or a repro file
    pub(super) name: String,
    /// The seed; a repro file has its own
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// The weather of the seed's plan, as in `run`
    #[arg(long, value_name = "WEATHER", allow_hyphen_values = true)]
    #[arg(value_parser = parse_weather, requires = "seed")]
    pub(super) weather: Option<String>,
    /// How many futures are run of each time
    #[arg(long, value_name = "N", default_value_t = crate::why::SAMPLES)]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub(super) samples: u64,
    /// Draws the probability against time
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// How many workers there are; as many as processors, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct CheckArgs {
    /// The files, each a history
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// The format, as in `edn-vector`; without it, each file is looked at
    #[arg(long, value_name = "F")]
    pub(super) format: Option<String>,
    /// The model, as in `cas-register`; without it, the usual one of the format
    #[arg(long, value_name = "M")]
    pub(super) model: Option<String>,
    /// The state before the first operation: `nil`, a number, a string, or `x=0 y=0`
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub(super) initial: Option<String>,
    /// The consistency level of transactions, as in `serializable`
    #[arg(long, value_name = "L")]
    pub(super) level: Option<String>,
    /// Gives up on a file after this time, as in `90s`; without it, after so much work
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(super) time: Option<Duration>,
    /// Draws the violation over time, for a single file
    #[arg(long, value_name = "HTML")]
    pub(super) timeline: Option<PathBuf>,
    /// Prints a line of JSON for each file
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct ExploreArgs {
    /// What to explore; without it, lists what there is
    pub(super) name: Option<String>,
    /// Visits no state that is further than so many steps from the beginning
    #[arg(long, value_name = "N")]
    pub(super) depth: Option<u64>,
    /// Visits at most so many states
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) states: Option<u64>,
    /// Uses at most so many MiB, the states' own heap aside
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    pub(super) memory: Option<u64>,
    /// So many crashes may happen, of all machines together
    #[arg(long, value_name = "N")]
    pub(super) crashes: Option<u32>,
    /// So many messages may be lost
    #[arg(long, value_name = "N")]
    pub(super) losses: Option<u32>,
    /// So many messages may come twice
    #[arg(long, value_name = "N")]
    pub(super) copies: Option<u32>,
    /// So many timers may run out
    #[arg(long, value_name = "N")]
    pub(super) timers: Option<u32>,
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct SpecimensArgs {
    /// Specimens, mutants or folders; without any, all of them
    pub(super) names: Vec<String>,
    /// How many workers there are; as many as processors, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Shrinks nothing
    #[arg(long)]
    pub(super) no_shrink: bool,
    /// Has each strategy look for each of them, and counts the runs that it takes
    #[arg(long)]
    pub(super) strategies: bool,
    /// Prints a table in Markdown
    #[arg(long, conflicts_with_all = ["json", "strategies"])]
    pub(super) markdown: bool,
    /// Prints a line of JSON for each
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug, Clone)]
pub(super) struct LintArgs {
    /// Files, or folders with Rust sources
    #[arg(default_value = "src")]
    pub(super) paths: Vec<PathBuf>,
    /// Prints a clippy.toml that bans these calls, for a crate whose code runs within the world
    #[arg(long, conflicts_with = "paths")]
    pub(super) print_clippy: bool,
}

impl Command {
    /// The weather that is asked for.
    pub(super) fn weather(&self) -> Option<&str> {
        match self {
            Command::Sweep(args) => args.weather.as_deref(),
            Command::Run(args) => args.weather.as_deref(),
            Command::Shrink(args) => args.weather.as_deref(),
            Command::Why(args) => args.weather.as_deref(),
            Command::Report(args) => args.weather.as_deref(),
            _ => None,
        }
    }
}

/// What a trace prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Style {
    /// Everything that happens
    All,
    /// Crashes, boots, operations and faults, with a column for each node
    Lanes,
}

/// Reads the arguments of a process, the first of which is its own name.
pub(super) fn parse(arguments: Vec<OsString>, extras: &[Extra]) -> Result<Command, clap::Error> {
    let mut command = Arguments::command();
    for extra in extras {
        command = command.subcommand(clap::Command::new(extra.name).about(extra.about));
    }
    let mut matches = command.clone().try_get_matches_from(arguments)?;
    let parsed = Arguments::from_arg_matches_mut(&mut matches);
    parsed.map(|parsed| parsed.command).map_err(|error| error.format(&mut command))
}

/// Checks the text of a forecast.
fn parse_weather(text: &str) -> Result<String, String> {
    Forecast::read(text).map(|_| text.to_owned())
}

/// Reads a time, as in `90s`.
///
/// # Errors
/// In words, what a time looks like.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = number.parse().ok().zip(unit_ms).and_then(|(n, unit): (u64, u64)| n.checked_mul(unit));
    match ms {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err("a time is a whole number and a unit, as in 500ms, 90s, 5m or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests;
