//! A trace as lines of JSON: the first says what it is of, every other one is an event.

use super::{About, Event, Trace};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, BufRead, Write};

/// The version of exported traces that this build writes; it reads no other one.
pub const FORMAT: u32 = 1;

/// What the field `trace` of the first line says.
const NAME: &str = "squall";

#[derive(Serialize, Deserialize)]
struct Head<A> {
    trace: String,
    format: u32,
    #[serde(flatten)]
    about: A,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    trace: String,
    format: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    id: u64,
    at_ns: u64,
    node: Cow<'a, str>,
    kind: Cow<'a, str>,
    cause: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Cow<'a, str>>,
    text: Cow<'a, str>,
}

/// Why an exported trace is not read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is none.
    #[error("line {line} is not of an exported trace of format {FORMAT}: {why}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It has another version.
    #[error("it has format {0}, and this build reads format {FORMAT}")]
    Format(u64),
}

impl Trace {
    /// Writes the trace as lines of JSON: `trace` and `format` and what the run was, and then each
    /// event with `id`, `at_ns` (nanoseconds from the start of the run), `node`, `kind`, `cause`
    /// (the `id` of an earlier event, or `null`), `peer` (the other node, of messages) and `text`.
    ///
    /// # Errors
    /// If `to` cannot be written.
    pub fn write_jsonl(&self, to: &mut dyn Write) -> io::Result<()> {
        let head = Head { trace: NAME.to_owned(), format: FORMAT, about: &self.about };
        serde_json::to_writer(&mut *to, &head)?;
        writeln!(to)?;
        for event in &self.events {
            let row = Row {
                id: event.id,
                at_ns: event.at_ns,
                node: self.about.name(event.node).into(),
                kind: (*event.kind).into(),
                cause: event.cause,
                peer: event.peer.map(|peer| self.about.name(peer).into()),
                text: event.text.as_str().into(),
            };
            serde_json::to_writer(&mut *to, &row)?;
            writeln!(to)?;
        }
        Ok(())
    }

    /// Reads what [`Trace::write_jsonl`] has written.
    ///
    /// # Errors
    /// If it is no such trace: each line must have its fields, `id`s must follow each other, a
    /// cause must be an earlier event, and a node one that the first line names.
    pub fn read_jsonl(from: &mut dyn BufRead) -> Result<Trace, TraceError> {
        let mut lines = from.lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let malformed = |line, why: String| TraceError::Malformed { line, why };
        let wrong = |error: serde_json::Error| malformed(1, error.to_string());
        let version: Version = serde_json::from_str(&first).map_err(wrong)?;
        if version.trace != NAME {
            return Err(malformed(1, format!("it is a trace of {:?}", version.trace)));
        }
        if version.format != u64::from(FORMAT) {
            return Err(TraceError::Format(version.format));
        }
        let Head { about, .. } = serde_json::from_str::<Head<About>>(&first).map_err(wrong)?;
        let mut events = Vec::new();
        for (line, at) in lines.zip(0..) {
            let line = line?;
            let row = serde_json::from_str(&line).map_err(|error| error.to_string());
            let event = row.and_then(|row| event(&about, row, at));
            events.push(event.map_err(|why| malformed(at + 2, why))?);
        }
        Ok(Trace { about, events })
    }
}

/// The event of a row, which is the one at this place.
fn event(about: &About, row: Row<'_>, at: u64) -> Result<Event, String> {
    let place = |name: &str| {
        let found = about.nodes.iter().position(|known| known == name);
        found.map(|at| at as u16).ok_or_else(|| format!("there is no node {name:?}"))
    };
    if Some(row.id) != about.left_out.checked_add(at) {
        return Err(format!("the event has number {} out of turn", row.id));
    }
    if row.cause.is_some_and(|cause| cause >= row.id) {
        return Err(format!("event {} is caused by a later one", row.id));
    }
    Ok(Event {
        id: row.id,
        at_ns: row.at_ns,
        node: place(&row.node)?,
        kind: row.kind.into_owned().into(),
        cause: row.cause,
        peer: row.peer.map(|peer| place(&peer)).transpose()?,
        text: row.text.into_owned(),
    })
}
