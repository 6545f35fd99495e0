//! The log lines of Jepsen: `INFO  jepsen.util - 3 :invoke :cas [1 2]`.
//!
//! Lines that are no such event are left out, as a log has others. A line that names a client and
//! then is none is malformed.

use std::io::BufRead;

use super::event::{Event, Events, Kind};
use super::lines::{Lines, column};
use super::{ParseError, Position};
use crate::edn::Reader;
use crate::value::Value;

/// Reads the lines.
#[derive(Debug)]
pub(crate) struct JepsenLog<R> {
    lines: Lines<R>,
    index: u64,
}

/// What stands before an event of a client.
const MARK: &str = "jepsen.util - ";

impl<R: BufRead> JepsenLog<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { lines: Lines::new(input), index: 0 }
    }
}

impl<R: BufRead> Events for JepsenLog<R> {
    fn next_event(&mut self) -> Result<Option<Event>, ParseError> {
        while let Some((line, bytes)) = self.lines.next_line()? {
            if let Some(event) = event(line, bytes, self.index)? {
                self.index += 1;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

/// The event of a line; `None` if it is about something else.
fn event(line: u64, bytes: &[u8], index: u64) -> Result<Option<Event>, ParseError> {
    // A line that is not even text is none of ours.
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    let Some(rest) =
        text.strip_prefix("INFO").and_then(|rest| rest.trim_start().strip_prefix(MARK))
    else {
        return Ok(None);
    };
    let place = |rest: &str| Position { line, column: column(bytes, text.len() - rest.len()) };
    let at = place(rest);
    let (process, rest) = word(rest);
    let Ok(process) = process.parse() else { return Ok(None) };
    let (kind, after_kind) = word(rest);
    let Some(kind) = kind.strip_prefix(':') else { return Ok(None) };
    let Some(kind) = Kind::named(kind) else {
        let problem = format!(":{kind} where :invoke, :ok, :fail or :info should be");
        return Err(ParseError::malformed(place(rest.trim_start()), problem));
    };
    let (f, after_f) = word(after_kind);
    let Some(f) = f.strip_prefix(':').filter(|f| !f.is_empty()) else {
        let problem = "no name of an operation, such as :read".to_owned();
        return Err(ParseError::malformed(place(after_kind.trim_start()), problem));
    };
    let mut reader = Reader::starting_at(after_f.as_bytes(), place(after_f));
    let value = reader.next_form()?.map(|form| Value::from(&form));
    // A failure may be told in more words than one; they say nothing about the operation.
    if matches!(kind, Kind::Invoke | Kind::Ok)
        && let Some(more) = reader.next_form()?
    {
        return Err(more.unexpected("the end of the line"));
    }
    Ok(Some(Event { at, index, time_ns: 0, process, kind, f: f.into(), key: None, value }))
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}
