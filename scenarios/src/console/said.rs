//! What is printed: for people, or as JSON.

use serde::Serialize;
use squall_env::{HasOutcome, Outcome};
use squall_protocols::store::http::HttpError;
use std::io::{self, Write};

/// Standard output, whoever reads it.
pub(super) struct Said {
    json: bool,
}

impl Said {
    pub(super) fn new(json: bool) -> Said {
        Said { json }
    }

    /// Prints a value as JSON, or what people are told.
    pub(super) fn tell<T: Serialize>(&self, json: &T, text: impl FnOnce() -> Vec<u8>) {
        let line = if self.json { serde_json::to_vec(json).unwrap_or_default() } else { text() };
        let mut out = io::stdout().lock();
        // Whoever has closed the output wants no more of it.
        let written = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
        if written.and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Prints nothing if people are told nothing.
    pub(super) fn tell_lines<T: Serialize>(&self, json: &T, lines: Vec<Vec<u8>>) {
        if self.json || !lines.is_empty() {
            self.tell(json, || lines.join(&b'\n'));
        }
    }

    /// Says what went wrong, and gives the exit code.
    pub(super) fn fail(&self, error: &HttpError) -> u8 {
        eprintln!("error: {error}");
        match error.outcome() {
            Outcome::NotDone | Outcome::Done => {}
            Outcome::Indeterminate => {
                eprintln!("nobody knows whether it was done");
                return super::UNKNOWN;
            }
        }
        self.code_of_not_done(error)
    }

    /// The same for what changes nothing.
    pub(super) fn fail_to_read(&self, error: &HttpError) -> u8 {
        eprintln!("error: {error}");
        self.code_of_not_done(error)
    }

    fn code_of_not_done(&self, error: &HttpError) -> u8 {
        match error {
            HttpError::Answer { status, .. } if status.is_client_error() => super::REFUSED,
            HttpError::Answer { error, .. } if error.code == "too_many_leases" => super::REFUSED,
            _ => super::UNREACHABLE,
        }
    }
}
