//! Histories whose events are maps of EDN, in one vector or list, or one after the other.

use std::io::BufRead;

use super::event::{Event, Events, Kind};
use super::{ParseError, Position};
use crate::edn::{Form, Reader, Value as Edn};
use crate::value::Value;

/// Reads the maps.
#[derive(Debug)]
pub(crate) struct EdnMaps<R> {
    reader: Reader<R>,
    stage: Stage,
    index: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Start,
    /// Inside the vector or list that holds all events.
    Inside,
    /// The events stand by themselves, or the vector is over.
    Outside,
    AfterVector,
}

impl<R: BufRead> EdnMaps<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { reader: Reader::new(input), stage: Stage::Start, index: 0 }
    }

    fn next_form(&mut self) -> Result<Option<Form>, ParseError> {
        if self.stage == Stage::Start {
            self.stage = if self.reader.enter()? { Stage::Inside } else { Stage::Outside };
        }
        let form = self.reader.next_form()?;
        match (self.stage, form) {
            (Stage::Inside, None) => {
                self.stage = Stage::AfterVector;
                self.next_form()
            }
            (Stage::AfterVector, Some(form)) => {
                Err(form.unexpected("the end of the file, after the vector of all events,"))
            }
            (_, form) => Ok(form),
        }
    }
}

impl<R: BufRead> Events for EdnMaps<R> {
    fn next_event(&mut self) -> Result<Option<Event>, ParseError> {
        while let Some(form) = self.next_form()? {
            let index = self.index;
            self.index += 1;
            if let Some(event) = event(&form, index)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

/// The event of a map; `None` if no client is meant.
fn event(form: &Form, index: u64) -> Result<Option<Event>, ParseError> {
    if form.entries().is_none() {
        return Err(form.unexpected("an event, which is a map,"));
    }
    let process = field(form, "process")?;
    let process = match (&process.value, process.int().and_then(|int| u64::try_from(int).ok())) {
        (_, Some(process)) => process,
        (Edn::Keyword(_), None) => return Ok(None),
        _ => return Err(process.unexpected("the number of a process")),
    };
    let kind = field(form, "type")?;
    let Some(named) = kind.name().and_then(Kind::named) else {
        return Err(kind.unexpected(":invoke, :ok, :fail or :info"));
    };
    let f = match form.get("f") {
        Some(f) => f.name().ok_or_else(|| f.unexpected("the name of an operation"))?,
        None if named == Kind::Invoke => return Err(missing(form.at, "f")),
        None => "",
    };
    let time_ns = form.get("time").and_then(Form::int).and_then(|time| u64::try_from(time).ok());
    Ok(Some(Event {
        at: form.at,
        index,
        time_ns: time_ns.unwrap_or(0),
        process,
        kind: named,
        f: f.into(),
        key: form.get("key").map(Value::from),
        value: form.get("value").map(Value::from),
    }))
}

fn field<'a>(form: &'a Form, name: &str) -> Result<&'a Form, ParseError> {
    form.get(name).ok_or_else(|| missing(form.at, name))
}

fn missing(at: Position, name: &str) -> ParseError {
    ParseError::malformed(at, format!("an event without :{name}"))
}
