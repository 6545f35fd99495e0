//! `squall config`: asks a running configuration service, from a shell.
//!
//! It speaks the HTTP of any other client. A change is a command of a session of its own, so that
//! it is sent to one endpoint after the other until somebody answers, and done once. What is left
//! unknown when the time is over is said to be: exit code 3.

mod arguments;
mod commands;
mod endpoints;
mod said;

pub use endpoints::{Endpoint, EndpointError, Endpoints};

use arguments::Arguments;
use clap::Parser;
use said::Said;
use squall::cli::Extra;
use squall_env::{NodeId, Roster};
use squall_real::{Config, RunError};
use std::convert::Infallible;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

const ABOUT: &str = "Asks a running configuration service: gets, puts, watches, leases and more";

/// It was not there, did not compare, or was refused. Nothing was done.
const REFUSED: u8 = 1;

/// The arguments make no sense.
const USAGE: u8 = 2;

/// Nobody knows whether it was done.
const UNKNOWN: u8 = 3;

/// Nobody answers, and nothing was done; or a file could not be had.
const UNREACHABLE: u8 = 75;

/// The command, for the command line over the scenarios.
///
/// Its exit code is 0 if it was done, 1 if something was not there, did not compare or was refused,
/// 2 if the arguments make no sense, 3 if nobody knows whether it was done, and 75 if nobody
/// answers and nothing was done.
pub const COMMAND: Extra = Extra { name: "config", about: ABOUT, run: main };

fn main(arguments: Vec<OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from("squall config"));
    let arguments = match Arguments::try_parse_from(program.chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed standard output.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let endpoints = match arguments.endpoints() {
        Ok(endpoints) => Arc::new(endpoints),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match run(arguments, endpoints) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(UNREACHABLE)
        }
    }
}

/// Why not even a question could be asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("a temporary directory: {0}")]
    Directory(std::io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Runs a command as a node of its own, which nobody connects to.
fn run(arguments: Arguments, endpoints: Arc<Endpoints>) -> Result<u8, Error> {
    let directory = tempfile::tempdir().map_err(Error::Directory)?;
    let config = Config::new(Roster::new("console"), NodeId::guest(0), directory.path());
    let (sender, receiver) = mpsc::channel();
    squall_real::run(config, move |env| async move {
        let said = Said::new(arguments.json());
        let code = commands::run(&env, arguments, endpoints, &said).await;
        // It is asked below, when the node has ended.
        let _ = sender.send(code);
        Ok::<_, Infallible>(())
    })?;
    Ok(receiver.try_recv().unwrap_or(UNREACHABLE))
}
