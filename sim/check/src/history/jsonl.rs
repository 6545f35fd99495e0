//! The file form of a history: a header line, then one line of JSON for each event.
//!
//! ```text
//! {"squall_history":1,"events":2}
//! {"index":0,"time_ns":1000,"process":3,"event":{"invoke":{"write":7}}}
//! {"index":1,"time_ns":2000,"process":3,"event":{"ok":"written"}}
//! ```
//!
//! The other two events are `"fail"` and `"unknown"`. An operation without a second event is one
//! that was open at the end. The header counts the events so that a file which lost its end is
//! not taken for a shorter history, which could hide a violation.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Builder, Edge, History, IllFormed, Moment, Outcome};
use crate::read::lines::LINE_BYTES_MAX;

/// The version of the file form that is written, and the newest that is read.
pub const FORMAT_VERSION: u64 = 1;

/// Why a file is not a history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes could not be read.
    #[error("line {line}: {source}")]
    Io {
        /// The line, counted from 1.
        line: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// There is not even a first line.
    #[error("line 1: the file is empty, without the header of a history")]
    Empty,
    /// The first line is not a header.
    #[error("line 1: not the header of a history: {source}")]
    NotAHeader {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The file has a version that this build does not know.
    #[error("line 1: version {found} of the history format; this build reads {FORMAT_VERSION}")]
    UnsupportedVersion {
        /// The version in the header.
        found: u64,
    },
    /// The line is not an event.
    #[error("line {line}: not an event: {source}")]
    Malformed {
        /// The line, counted from 1.
        line: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The line is longer than any that is read.
    #[error("line {line}: a line of more than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// The line, counted from 1.
        line: u64,
    },
    /// The event cannot follow the ones before it.
    #[error("line {line}: {source}")]
    IllFormed {
        /// The line, counted from 1.
        line: u64,
        /// Which rule it breaks.
        source: IllFormed,
    },
    /// The file has fewer or more events than its header says.
    #[error("line {line}: the file ends after {found} events and its header says {expected}")]
    WrongLength {
        /// The last line, counted from 1.
        line: u64,
        /// How many events the header promises.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    squall_history: u64,
    /// Absent when the writer could not know it.
    #[serde(default)]
    events: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<E> {
    index: u64,
    time_ns: u64,
    process: u64,
    event: E,
}

/// The event of a line. Generic so that writing borrows what reading owns.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event<I, O> {
    Invoke(I),
    Ok(O),
    Fail,
    Unknown,
}

impl ReadError {
    /// The line the error is about, counted from 1.
    pub fn line(&self) -> u64 {
        match self {
            Self::Empty | Self::NotAHeader { .. } | Self::UnsupportedVersion { .. } => 1,
            Self::Io { line, .. }
            | Self::Malformed { line, .. }
            | Self::TooLong { line }
            | Self::IllFormed { line, .. }
            | Self::WrongLength { line, .. } => *line,
        }
    }
}

impl ReadError {
    /// The column the error is about, counted from 1.
    pub fn column(&self) -> u64 {
        match self {
            Self::NotAHeader { source } | Self::Malformed { source, .. } => {
                source.column().max(1) as u64
            }
            _ => 1,
        }
    }

    /// The error without its line.
    pub(crate) fn problem(&self) -> String {
        let text = self.to_string();
        match text.split_once(": ") {
            Some((_, problem)) => problem.to_owned(),
            None => text,
        }
    }
}

impl<I: Serialize, O: Serialize> History<I, O> {
    /// Writes the history as lines of JSON.
    ///
    /// # Errors
    ///
    /// If the writer fails, or JSON cannot express an input or an output.
    pub fn write_jsonl(&self, mut writer: impl Write) -> io::Result<()> {
        let returned = self.operations.iter().filter(|operation| operation.returned.is_some());
        let events = Some((self.operations.len() + returned.count()) as u64);
        write_line(&mut writer, &Header { squall_history: FORMAT_VERSION, events })?;
        for (moment, edge, operation) in self.events() {
            let event: Event<&I, &O> = match (edge, &operation.outcome) {
                (Edge::Invoke, _) => Event::Invoke(&operation.input),
                (Edge::Return, Outcome::Ok(output)) => Event::Ok(output),
                (Edge::Return, Outcome::Fail) => Event::Fail,
                (Edge::Return, Outcome::Unknown) => Event::Unknown,
            };
            let Moment { index, time_ns } = moment;
            write_line(&mut writer, &Line { index, time_ns, process: operation.process, event })?;
        }
        writer.flush()
    }
}

impl<I: DeserializeOwned, O: DeserializeOwned> History<I, O> {
    /// Reads what [`write_jsonl`](History::write_jsonl) wrote.
    ///
    /// # Errors
    ///
    /// With the number of the line, if the reader fails, the header is missing, of another version
    /// or counts other events, a line is malformed, or an event cannot follow the ones before it.
    pub fn read_jsonl(mut reader: impl BufRead) -> Result<Self, ReadError> {
        let mut bytes = Vec::new();
        if !next_line(&mut reader, &mut bytes, 1)? {
            return Err(ReadError::Empty);
        }
        let header: Header =
            serde_json::from_slice(&bytes).map_err(|source| ReadError::NotAHeader { source })?;
        if header.squall_history != FORMAT_VERSION {
            return Err(ReadError::UnsupportedVersion { found: header.squall_history });
        }
        let mut builder = Builder::new();
        let mut line = 1;
        while next_line(&mut reader, &mut bytes, line + 1)? {
            line += 1;
            let event: Line<Event<I, O>> = serde_json::from_slice(&bytes)
                .map_err(|source| ReadError::Malformed { line, source })?;
            add(&mut builder, event).map_err(|source| ReadError::IllFormed { line, source })?;
        }
        let found = line - 1;
        match header.events {
            Some(expected) if expected != found => {
                Err(ReadError::WrongLength { line, expected, found })
            }
            _ => Ok(builder.finish()),
        }
    }
}

fn write_line(writer: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, line)?;
    writer.write_all(b"\n")
}

/// Replaces `bytes` by the next line; false at the end of the file.
fn next_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>, line: u64) -> Result<bool, ReadError> {
    bytes.clear();
    let mut limited = reader.take(LINE_BYTES_MAX as u64 + 1);
    let read = limited.read_until(b'\n', bytes);
    let read = read.map_err(|source| ReadError::Io { line, source })?;
    if read > LINE_BYTES_MAX {
        return Err(ReadError::TooLong { line });
    }
    Ok(read > 0)
}

fn add<I, O>(builder: &mut Builder<I, O>, line: Line<Event<I, O>>) -> Result<(), IllFormed> {
    let at = Moment { index: line.index, time_ns: line.time_ns };
    match line.event {
        Event::Invoke(input) => builder.invoke(line.process, at, input).map(|_| ()),
        Event::Ok(output) => builder.end(line.process, at, Outcome::Ok(output)),
        Event::Fail => builder.end(line.process, at, Outcome::Fail),
        Event::Unknown => builder.end(line.process, at, Outcome::Unknown),
    }
}
