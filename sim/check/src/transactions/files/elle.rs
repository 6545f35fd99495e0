//! The histories of Elle and Jepsen, as EDN and as JSON.
//!
//! An event is a map with `:type` (`:invoke`, `:ok`, `:fail` or `:info`), `:value`, which is a list
//! of operations such as `[:append x 3]` and `[:r x nil]`, and perhaps `:process` and `:index`.
//! What processes with a name do, such as `:nemesis`, is not part of the history. Without a
//! process, an event ends the operation that was invoked right before.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::{self, Deserializer as _, SeqAccess, Visitor};

use crate::edn::{Form, Reader};
use crate::read::lines::{LINE_BYTES_MAX, Lines, column};
use crate::read::{ParseError, Position};
use crate::transactions::history::{Fate, Kind, Micro, Transaction, Transactions};
use crate::value::Value;

/// What happens to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

struct Event {
    at: Position,
    kind: Type,
    process: Option<u64>,
    index: Option<u64>,
    /// `None` if there is no value or it is nil.
    micros: Option<Vec<Micro>>,
}

/// Joins invocations with what became of them.
struct Pairing {
    transactions: Transactions,
    open: BTreeMap<Option<u64>, (u64, Vec<Micro>)>,
    count: u64,
    /// Whether the first event has an index.
    has_index: Option<bool>,
}

impl Pairing {
    fn new(kind: Kind) -> Self {
        let transactions = Transactions::new(kind);
        Self { transactions, open: BTreeMap::new(), count: 0, has_index: None }
    }

    fn add(&mut self, event: Event) -> Result<(), ParseError> {
        let Event { at, kind, process, index, micros } = event;
        let number = self.count;
        self.count += 1;
        let has_index = *self.has_index.get_or_insert(index.is_some());
        if has_index != index.is_some() {
            let problem = "some events have an index and some have none".to_owned();
            return Err(ParseError::malformed(at, problem));
        }
        let index = index.unwrap_or(number);
        if kind == Type::Invoke {
            let before = self.open.insert(process, (index, micros.unwrap_or_default()));
            return match (before, process) {
                (None, _) => Ok(()),
                (Some(open), None) => self.finish_open(process, open, at),
                (Some((open, _)), Some(process)) => {
                    let problem = format!(
                        "process {process} invokes while its operation of event {open} is open"
                    );
                    Err(ParseError::malformed(at, problem))
                }
            };
        }
        let open = self.open.remove(&process);
        let (invoked, asked) =
            open.map_or((None, None), |(index, asked)| (Some(index), Some(asked)));
        let fate = match kind {
            Type::Ok => Fate::Committed,
            Type::Fail => Fate::Aborted,
            Type::Info | Type::Invoke => Fate::Indeterminate,
        };
        let micros = match kind {
            Type::Ok => micros.ok_or_else(|| {
                ParseError::malformed(at, "an ok event without a value".to_owned())
            })?,
            _ => asked.or(micros).unwrap_or_default(),
        };
        let returned = Some(index);
        self.push(Transaction { process, number: None, invoked, returned, fate, micros }, at)
    }

    fn finish_open(
        &mut self,
        process: Option<u64>,
        (index, micros): (u64, Vec<Micro>),
        at: Position,
    ) -> Result<(), ParseError> {
        let (invoked, returned, fate) = (Some(index), None, Fate::Indeterminate);
        self.push(Transaction { process, number: None, invoked, returned, fate, micros }, at)
    }

    fn push(&mut self, transaction: Transaction, at: Position) -> Result<(), ParseError> {
        let unfit =
            |error: crate::transactions::Unfit| ParseError::malformed(at, error.to_string());
        self.transactions.push(transaction).map_err(unfit)
    }

    /// What is still open at the end has an unknown outcome.
    fn finish(mut self, at: Position) -> Result<Transactions, ParseError> {
        for (process, open) in std::mem::take(&mut self.open) {
            self.finish_open(process, open, at)?;
        }
        Ok(self.transactions)
    }
}

pub(super) fn read_edn(input: impl BufRead, kind: Kind) -> Result<Transactions, ParseError> {
    let mut reader = Reader::new(input);
    let mut pairing = Pairing::new(kind);
    let is_entered = reader.enter()?;
    while let Some(form) = reader.next_form()? {
        if let Some(event) = event(&form)? {
            pairing.add(event)?;
        }
    }
    // Behind the vector of all events nothing else may follow.
    if let Some(form) = if is_entered { reader.next_form()? } else { None } {
        return Err(form.unexpected("the end of the file"));
    }
    pairing.finish(reader.position())
}

/// The event of a form, unless it is none of a client.
fn event(form: &Form) -> Result<Option<Event>, ParseError> {
    if form.entries().is_none() {
        return Err(form.unexpected("the map of an event"));
    }
    let process = match form.get("process") {
        Some(process) if process.name().is_some() => return Ok(None),
        Some(process) if !process.is_nil() => Some(natural(process, "the number of a process")?),
        _ => None,
    };
    let kind = form
        .get("type")
        .ok_or_else(|| ParseError::malformed(form.at, "an event without a :type".to_owned()))?;
    let kind = match kind.name() {
        Some("invoke") => Type::Invoke,
        Some("ok") => Type::Ok,
        Some("fail") => Type::Fail,
        Some("info") => Type::Info,
        _ => return Err(kind.unexpected(":invoke, :ok, :fail or :info")),
    };
    let index = form.get("index").filter(|index| !index.is_nil());
    let index = index.map(|index| natural(index, "the index of an event")).transpose()?;
    let micros = match form.get("value") {
        Some(value) if !value.is_nil() => Some(micros(value)?),
        _ => None,
    };
    Ok(Some(Event { at: form.at, kind, process, index, micros }))
}

fn natural(form: &Form, expected: &str) -> Result<u64, ParseError> {
    let number = form.int().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| form.unexpected(expected))
}

fn micros(form: &Form) -> Result<Vec<Micro>, ParseError> {
    let elements = form.elements().ok_or_else(|| form.unexpected("a vector of operations"))?;
    elements.iter().map(micro).collect()
}

fn micro(form: &Form) -> Result<Micro, ParseError> {
    let expected = "an operation such as [:r x nil]";
    let Some([verb, key, value]) = form.elements() else { return Err(form.unexpected(expected)) };
    let (key, value) = (Value::from(key), Value::from(value));
    match verb.name() {
        Some("append") => Ok(Micro::Append(key, value)),
        Some("w" | "write") => Ok(Micro::Write(key, value)),
        Some("r" | "read") => Ok(Micro::Read(key, value)),
        _ => Err(verb.unexpected(":append, :w or :r")),
    }
}

/// An event as JSON.
#[derive(Deserialize)]
struct JsonEvent {
    #[serde(rename = "type")]
    kind: Type,
    #[serde(default)]
    process: Option<Process>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    value: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Process {
    Number(u64),
    Name(#[allow(dead_code, reason = "only that it is a name counts")] String),
}

impl JsonEvent {
    fn event(self, at: Position) -> Result<Option<Event>, ParseError> {
        let process = match self.process {
            Some(Process::Name(_)) => return Ok(None),
            Some(Process::Number(process)) => Some(process),
            None => None,
        };
        let micros = self.value.map(serde_json::from_value).transpose();
        let micros = micros.map_err(|error| ParseError::malformed(at, without_place(&error)))?;
        Ok(Some(Event { at, kind: self.kind, process, index: self.index, micros }))
    }
}

pub(super) fn read_json(mut input: impl BufRead, kind: Kind) -> Result<Transactions, ParseError> {
    let mut pairing = Pairing::new(kind);
    let mut at = Position::START;
    let start = input.fill_buf().map_err(|source| ParseError::Io { at, source })?;
    if start.trim_ascii_start().starts_with(b"[") {
        return read_json_array(input, pairing);
    }
    let mut lines = Lines::new(input);
    while let Some((line, bytes)) = lines.next_line()? {
        at.line = line;
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let event = serde_json::from_slice::<JsonEvent>(bytes)
            .map_err(|error| malformed(&error, line, bytes))?;
        if let Some(event) = event.event(at)? {
            pairing.add(event)?;
        }
    }
    pairing.finish(at)
}

/// One array of all events, which are taken one after the other.
fn read_json_array(input: impl BufRead, mut pairing: Pairing) -> Result<Transactions, ParseError> {
    let mut problem = None;
    let left = Cell::new(LINE_BYTES_MAX);
    let mut reader = serde_json::Deserializer::from_reader(Limited { input, left: &left });
    let events = Array { pairing: &mut pairing, problem: &mut problem, left: &left };
    let read = reader.deserialize_seq(events).and_then(|()| reader.end());
    if let Some(problem) = problem {
        return Err(problem);
    }
    read.map_err(|error| {
        let at = Position { line: error.line() as u64, column: error.column().max(1) as u64 };
        ParseError::malformed(at, without_place(&error))
    })?;
    pairing.finish(Position::START)
}

/// Adds the elements of an array, up to the first that does not fit.
struct Array<'a> {
    pairing: &'a mut Pairing,
    problem: &'a mut Option<ParseError>,
    /// How many bytes the next element may still take.
    left: &'a Cell<usize>,
}

/// A reader that fails once an event has become too long.
struct Limited<'a, R> {
    input: R,
    left: &'a Cell<usize>,
}

impl<R: BufRead> Read for Limited<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            let problem = format!("an event of more than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::other(problem));
        }
        let most = into.len().min(left);
        let read = self.input.read(&mut into[..most])?;
        self.left.set(left - read);
        Ok(read)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(event) = events.next_element::<JsonEvent>()? {
            number += 1;
            self.left.set(LINE_BYTES_MAX);
            let added = event.event(Position::START).and_then(|event| match event {
                Some(event) => self.pairing.add(event),
                None => Ok(()),
            });
            if let Err(error) = added {
                *self.problem = Some(match error {
                    ParseError::Malformed { at, problem } => {
                        ParseError::malformed(at, format!("event {number}: {problem}"))
                    }
                    other => other,
                });
                return Err(de::Error::custom("an event that does not fit"));
            }
        }
        Ok(())
    }
}

fn malformed(error: &serde_json::Error, line: u64, bytes: &[u8]) -> ParseError {
    let column = column(bytes, error.column().saturating_sub(1));
    ParseError::malformed(Position { line, column }, without_place(error))
}

/// The error without its line and column, which are told apart.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}
