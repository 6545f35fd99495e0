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
    /// Writes a page of HTML that shows a run: messages, faults, causes, the state of nodes
    Report(ReportArgs),
    /// Says where two runs part
    Diff(DiffArgs),
    /// Checks histories in files against a model
    Check(CheckArgs),
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
    /// Ends the output with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
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
    /// Writes the repro file of what is left
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
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
pub(super) struct SpecimensArgs {
    /// Specimens, mutants or folders; without any, all of them
    pub(super) names: Vec<String>,
    /// How many workers there are; as many as processors, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// Shrinks nothing
    #[arg(long)]
    pub(super) no_shrink: bool,
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
fn parse_time(text: &str) -> Result<Duration, String> {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Command, clap::Error> {
        let words = std::iter::once("squall").chain(line.split_whitespace());
        parse(words.map(OsString::from).collect(), &[])
    }

    /// The error, in words.
    fn error(line: &str) -> String {
        read(line).expect_err(line).to_string()
    }

    #[test]
    fn times_have_a_unit() {
        for (text, ms) in [("500ms", 500), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)));
        }
        for wrong in ["", "90", "s", "0s", "-1s", "1.5s", "1d", "99999999999999999999s", "9s9"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
        let hour = format!("{}h", u64::MAX);
        assert!(parse_time(&hour).is_err());
    }

    #[test]
    fn wrong_arguments_are_told_what_would_be_right() {
        assert!(error("swep").contains("sweep"));
        assert!(error("sweep --sedes 5").contains("--seeds"));
        assert!(error("sweep --seeds 0").contains("not in 1.."));
        assert!(error("sweep --seeds 5 --from 1 --to 2").contains("cannot be used with"));
        assert!(error("sweep --from 1").contains("--to"));
        assert!(error("sweep --once --twice").contains("cannot be used with"));
        assert!(error("sweep --time 90").contains("as in 500ms, 90s"));
        assert!(error("sweep --jobs 0").contains("1..=1024"));
        assert!(error("run register/atomic").contains("--seed"));
        assert!(error("replay").contains("<FILE>"));
    }

    #[test]
    fn help_names_the_commands_of_a_program() {
        fn nothing(_: Vec<OsString>) -> std::process::ExitCode {
            std::process::ExitCode::SUCCESS
        }
        let demo = Extra { name: "demo", about: "Shows something", run: nothing };
        let arguments = vec!["squall".into(), "--help".into()];
        let help = parse(arguments, &[demo]).expect_err("help is no command");
        assert!(!help.use_stderr());
        assert!(help.to_string().contains("Shows something"), "{help}");
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Words that a command line is made of, and others.
    fn word() -> impl Strategy<Value = String> {
        let known = [
            "list",
            "sweep",
            "run",
            "replay",
            "check",
            "--format",
            "--model",
            "--initial",
            "specimens",
            "help",
            "--specimens",
            "--seeds",
            "--from",
            "--to",
            "--time",
            "--jobs",
            "--twice",
            "--once",
            "--json",
            "--seed",
            "--trace",
            "--save",
            "--help",
            "--version",
            "--",
            "-",
            "register",
            "5",
            "90s",
            "-1",
            "=",
            "",
        ];
        prop_oneof![
            4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
            1 => ".{0,12}",
            1 => (prop::sample::select(known.to_vec()), ".{0,6}")
                .prop_map(|(flag, value)| format!("{flag}={value}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_arguments_are_read_or_refused(words in prop::collection::vec(word(), 0..8)) {
            let words = std::iter::once("squall".to_owned()).chain(words);
            if let Err(error) = parse(words.map(OsString::from).collect(), &[]) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
