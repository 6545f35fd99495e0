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
//! Exit codes: 0 if all is well; 1 if something failed, was never reached, or the canary was
//! missed; 2 for wrong arguments; 3 if a checker reached its bounds and nothing is worse; 75 if
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
mod found;
mod library;
mod output;
mod pool;
mod process;
mod protocol;
mod report;
mod single;
mod specimens;
mod sweep;
mod worker;

use crate::scenario::Scenario;
use args::Command;
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

/// A command of a program's own, beside those of this library.
pub struct Extra {
    /// What it is called.
    pub name: &'static str,
    /// What the help says of it.
    pub about: &'static str,
    /// What it does with the arguments that follow its name.
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// The command line over these scenarios, and over specimens, which must break what they name.
/// The arguments are those of the process.
pub fn main(scenarios: Vec<Scenario>, specimens: Vec<Scenario>) -> ExitCode {
    main_with(scenarios, specimens, &[])
}

/// As [`main`], with more commands.
pub fn main_with(scenarios: Vec<Scenario>, specimens: Vec<Scenario>, extras: &[Extra]) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let first = arguments.get(1).and_then(|first| first.to_str());
    if let Some(extra) = extras.iter().find(|extra| Some(extra.name) == first) {
        return (extra.run)(arguments[2..].to_vec());
    }
    let library = match Library::new(scenarios, specimens) {
        Ok(library) => library,
        Err(trouble) => return ended(Err(trouble)),
    };
    if first == Some(worker::COMMAND) {
        return worker::serve(&library);
    }
    match args::parse(arguments, extras) {
        Ok(command) => ended(dispatch(&library, command)),
        Err(error) => {
            // Help goes to the standard output, errors to the other; neither may be open any more.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { CLEAN })
        }
    }
}

fn dispatch(library: &Library, command: Command) -> Result<u8, Trouble> {
    let mut out = Out::new();
    match command {
        Command::List { specimens } => list(library, specimens, &mut out),
        Command::Sweep(args) => sweep::sweep(library, &args, &mut out),
        Command::Run(args) => single::run(library, &args, &mut out),
        Command::Replay { file } => single::replay(library, &file, &mut out),
        Command::Check(args) => check::check(&args, &mut out),
        Command::Specimens(args) => specimens::specimens(library, &args, &mut out),
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
