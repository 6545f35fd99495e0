//! The command line: sweeps in worker processes, single runs, replays, and the test of the tester.
//!
//! A program with its own scenarios needs no more than
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     squall::cli::main(vec![squall::Scenario::new("mine/first")], Vec::new())
//! }
//! ```
//!
//! Runs make and drop many small things, for which another allocator than the system's takes less:
//! sweeps of `register/atomic` took a twentieth less time with `mimalloc`. It changes no run, and a
//! program that wants it says so in two lines:
//!
//! ```no_run
//! #[global_allocator]
//! static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
//! # fn main() {}
//! ```
//!
//! With `--trace` a run prints everything that happens, and with it the events of `tracing` that
//! the code under test emits, with virtual time, node and boot. The environment's variable
//! `SQUALL_LOG` filters them (`SQUALL_LOG=info,my_crate::raft=trace`; without it `RUST_LOG` does),
//! and without `--trace` it prints them alone.
//!
//! `--weather` asks for another weather than any that a scenario tolerates, and so does the
//! variable `SQUALL_WEATHER`; [`Forecast`](crate::plan::Forecast) says in which words.
//!
//! A sweep shares its seeds among worker processes, as many as there are processors unless `--jobs`
//! says otherwise. `sweep register --seeds 20000` on two cores that others used as well took 17.1
//! to 21.4 s with `--jobs 1` and 8.6 to 9.5 s with `--jobs 2` (four pairs in turn), and of the
//! processors' time 14.7 s and 14.5 s: to share costs nothing that can be measured.
//!
//! Exit codes: 0 if all is well; 1 if something failed, was never reached, or the canary was
//! missed; 2 for wrong arguments; 3 if a checker or an exploration reached its bounds and nothing
//! is worse; 75 if
//! workers cannot be started or files not be written.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "the command line works beside the world: with processes, threads and real time"
)]

mod args;
mod canary;
mod check;
mod coverage;
mod crash_points;
mod diff;
mod explore;
mod export;
mod found;
mod library;
mod output;
mod pool;
mod process;
mod protocol;
mod report;
mod shrink;
mod single;
mod specimens;
mod strategies;
mod sweep;
mod why;
mod worker;

pub use args::parse_time;

use crate::explore::Subject;
use crate::scenario::Scenario;
use args::{Command, LintArgs};
use library::Library;
use output::Out;
use std::ffi::OsString;
use std::process::ExitCode;

/// Why a command ends before its time.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The arguments do not say what they should.
    #[error("{0}")]
    Usage(String),
    /// Something around the runs failed.
    #[error("{0}")]
    Infrastructure(String),
    /// Nobody reads the output any more.
    #[error("the output is closed")]
    Closed,
}

const CLEAN: u8 = 0;
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNDECIDED: u8 = 3;
const INFRASTRUCTURE: u8 = 75;

/// A command of a program's own, beside those of this library. The help lists it with them, and a
/// misspelt command is told it where it comes nearest.
pub struct Extra {
    /// What it is called: not as one of this library's own.
    pub name: &'static str,
    /// What the help says of it.
    pub about: &'static str,
    /// What it does with the arguments that follow its name. `help NAME` asks it for `--help`.
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// The command line over these scenarios, and over specimens, which must break what they name.
/// The arguments are those of the process.
pub fn main(scenarios: Vec<Scenario>, specimens: Vec<Scenario>) -> ExitCode {
    main_with(scenarios, specimens, &[])
}

/// As [`main`], with more commands.
pub fn main_with(scenarios: Vec<Scenario>, specimens: Vec<Scenario>, extras: &[Extra]) -> ExitCode {
    main_exploring(scenarios, specimens, &[], extras)
}

/// As [`main_with`], with what `explore` may explore.
pub fn main_exploring(
    scenarios: Vec<Scenario>,
    specimens: Vec<Scenario>,
    subjects: &[Subject],
    extras: &[Extra],
) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1).and_then(|first| first.to_str());
    let extra = |name: Option<&str>| extras.iter().find(|extra| Some(extra.name) == name);
    if let Some(extra) = extra(first) {
        return (extra.run)(arguments[2..].to_vec());
    }
    if let ["help", name, ..] = &words(&arguments)[..]
        && let Some(extra) = extra(Some(name))
    {
        // The command knows its own arguments, and nobody else does.
        let rest = arguments[3..].iter().cloned();
        return (extra.run)(rest.chain(["--help".into()]).collect());
    }
    let mut library = match Library::new(scenarios, specimens) {
        Ok(library) => library,
        Err(trouble) => return ended(Err(trouble)),
    };
    if first == Some(worker::COMMAND) {
        return match library.under(None) {
            Ok(()) => worker::serve(&library),
            Err(trouble) => ended(Err(trouble)),
        };
    }
    match args::parse(arguments, extras) {
        Ok(command) => {
            let forecast = library.under(command.weather());
            ended(forecast.and_then(|()| dispatch(&library, subjects, command)))
        }
        Err(error) => {
            // Help goes to the standard output, errors to the other; neither may be open any more.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { CLEAN })
        }
    }
}

/// The arguments behind the program's own name, up to the first that is no text.
fn words(arguments: &[OsString]) -> Vec<&str> {
    arguments.iter().skip(1).map_while(|argument| argument.to_str()).collect()
}

fn dispatch(library: &Library, subjects: &[Subject], command: Command) -> Result<u8, Trouble> {
    let mut out = Out::new();
    match command {
        Command::List { specimens } => list(library, specimens, &mut out),
        Command::Sweep(args) => sweep::sweep(library, &args, &mut out),
        Command::Run(args) => single::run(library, &args, &mut out),
        Command::Replay(args) => single::replay(library, &args, &mut out),
        Command::Shrink(args) => shrink::shrink(library, &args, &mut out),
        Command::Why(args) => why::why(library, &args, &mut out),
        Command::Report(args) => export::report(library, &args, &mut out),
        Command::Diff(args) => diff::diff(library, &args, &mut out),
        Command::Check(args) => check::check(&args, &mut out),
        Command::Explore(args) => explore::explore(subjects, &args, &mut out),
        Command::Specimens(args) => specimens::specimens(library, &args, &mut out),
        Command::Lint(args) => lint(&args, &mut out),
    }
}

fn ended(result: Result<u8, Trouble>) -> ExitCode {
    let code = match result {
        Ok(code) => code,
        Err(Trouble::Closed) => CLEAN,
        Err(trouble) => {
            output::note(&format!("error: {trouble}"));
            match trouble {
                Trouble::Usage(_) => USAGE,
                _ => INFRASTRUCTURE,
            }
        }
    };
    ExitCode::from(code)
}

fn lint(args: &LintArgs, out: &mut Out) -> Result<u8, Trouble> {
    if args.print_clippy {
        out.line(crate::lint::CLIPPY.trim_end())?;
        return Ok(CLEAN);
    }
    let mut findings = 0;
    for path in &args.paths {
        let found = crate::lint::check(path).map_err(|error| Trouble::Usage(error.to_string()))?;
        findings += found.len();
        found.iter().try_for_each(|finding| out.line(&finding.to_string()))?;
    }
    out.line(&match findings {
        0 => "nothing reaches around the environment".to_owned(),
        1 => "1 place reaches around the environment".to_owned(),
        many => format!("{many} places reach around the environment"),
    })?;
    Ok(if findings == 0 { CLEAN } else { FAILED })
}

fn list(library: &Library, specimens: bool, out: &mut Out) -> Result<u8, Trouble> {
    let listed = if specimens { library.specimens() } else { library.scenarios() };
    let width = listed.iter().map(|scenario| scenario.name().len()).max().unwrap_or_default();
    for scenario in listed {
        let what = match scenario.broken_property() {
            Some(property) => format!("must break: {property}"),
            None => scenario.sizes(),
        };
        out.line(&format!("{:<width$}  {what}", scenario.name()))?;
    }
    Ok(CLEAN)
}
