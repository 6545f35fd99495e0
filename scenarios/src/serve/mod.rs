//! `squall serve`: one member of the configuration service, in production.
//!
//! The member is the one that the scenarios `config/*` run: the same store, the same log, the same
//! HTTP. Around it stand what only production has: sockets for any client, certificates, signals
//! and a log for people. No deliberate bug can be switched on here: the real platform has no switch
//! for them.

mod door;
mod member;
mod settings;
mod tls;

pub use member::{Error, run};
pub use settings::{Flags, Settings, SettingsError};
pub use tls::{ServerFiles, TlsError, client as client_tls};

use clap::Parser;
use squall::cli::Extra;
use squall_real::RunError;
use std::ffi::OsString;
use std::process::ExitCode;
use tracing_subscriber::filter::LevelFilter;

const ABOUT: &str = "Runs one member of the configuration service until it is told to stop";

/// The arguments or the file make no sense.
const USAGE: u8 = 2;

/// A port, a directory or another thing of the system could not be had.
const INFRASTRUCTURE: u8 = 75;

/// The service itself had to stop.
const FAILED: u8 = 1;

/// The command, for the command line over the scenarios.
///
/// Its exit code is 0 if it was told to stop, 1 if the member had to stop by itself, 2 if the
/// arguments or the file make no sense, and 75 if a port, a file or a directory could not be had.
pub const COMMAND: Extra = Extra { name: "serve", about: ABOUT, run: main };

fn main(arguments: Vec<OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from("squall serve"));
    let flags = match Flags::try_parse_from(program.chain(arguments)) {
        Ok(flags) => flags,
        Err(error) => {
            // Nothing can be done about a closed standard output.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let settings = match Settings::of(flags) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(USAGE);
        }
    };
    log_to_stderr(settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Run(RunError::Config(_)) => USAGE,
        Error::Run(RunError::Serve(_) | RunError::Panicked { .. }) => FAILED,
        _ => INFRASTRUCTURE,
    }
}

fn log_to_stderr(level: LevelFilter) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .finish();
    // Whoever calls this within a program that logs already has his log.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
