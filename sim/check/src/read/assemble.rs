//! Puts invocations and completions together to a history of a model.

use std::collections::BTreeMap;

use super::event::{Event, Events, Kind};
use super::vocabulary::{Named, Vocabulary};
use super::{ParseError, Position};
use crate::history::{History, Moment, Operation, Outcome};
use crate::model::Model;
use crate::value::Value;

/// The history of a model.
pub(crate) type HistoryOf<M> = History<<M as Model>::Input, <M as Model>::Output>;

/// An operation that has not ended.
struct Open {
    /// Its place among the operations.
    slot: usize,
    at: Position,
    invoked: Moment,
    f: Box<str>,
    key: Option<Value>,
    value: Value,
    /// Whether the client gave up on it, so that the process must not go on.
    is_unknown: bool,
}

/// Reads all events and says what they mean to a model. `is_nil_unknown` says whether a read that
/// completed with nil may have seen anything.
///
/// Operations that failed have no effect and are left out; so are reads whose answer is not known.
/// An operation that never ends, or whose outcome is unknown, stays open. The second part of the
/// answer is how many operations there are, without those that failed and reads that never ended.
pub(crate) fn assemble<V: Vocabulary>(
    events: &mut dyn Events,
    is_nil_unknown: bool,
) -> Result<(HistoryOf<V>, usize), ParseError> {
    let mut open: BTreeMap<u64, Open> = BTreeMap::new();
    let mut operations = Vec::new();
    let mut count = 0;
    while let Some(event) = events.next_event()? {
        let process = event.process;
        if event.kind == Kind::Invoke {
            begin(&mut open, event, operations.len())?;
            operations.push(None);
            continue;
        }
        let begun = end(&mut open, &event)?;
        match event.kind {
            Kind::Ok => {
                let answer = event.value.unwrap_or_else(|| begun.value.clone());
                let returned = Moment { index: event.index, time_ns: event.time_ns };
                count += 1;
                let answer = (returned, &answer, event.at);
                operations[begun.slot] =
                    operation::<V>(process, &begun, Some(answer), is_nil_unknown)?;
            }
            Kind::Info => {
                open.insert(process, Open { is_unknown: true, ..begun });
            }
            Kind::Fail | Kind::Invoke => {}
        }
    }
    for (process, begun) in open {
        let meant = operation::<V>(process, &begun, None, is_nil_unknown)?;
        count += usize::from(meant.is_some());
        operations[begun.slot] = meant;
    }
    Ok((History::from_operations(operations.into_iter().flatten().collect()), count))
}

fn begin(open: &mut BTreeMap<u64, Open>, event: Event, slot: usize) -> Result<(), ParseError> {
    let Event { at, index, time_ns, process, f, key, value, .. } = event;
    if let Some(before) = open.get(&process) {
        let problem = match before.is_unknown {
            false => {
                format!("process {process} invokes while its operation of {} is open", before.at)
            }
            true => format!(
                "process {process} invokes after the unknown outcome of its operation of {}",
                before.at
            ),
        };
        return Err(ParseError::malformed(at, problem));
    }
    let invoked = Moment { index, time_ns };
    let value = value.unwrap_or_default();
    open.insert(process, Open { slot, at, invoked, f, key, value, is_unknown: false });
    Ok(())
}

/// Takes the operation that a completion ends.
fn end(open: &mut BTreeMap<u64, Open>, event: &Event) -> Result<Open, ParseError> {
    let Event { at, process, .. } = event;
    let begun = open.remove(process).filter(|begun| !begun.is_unknown).ok_or_else(|| {
        let problem = format!("process {process} has no open operation that could end");
        ParseError::malformed(*at, problem)
    })?;
    if !event.f.is_empty() && event.f != begun.f {
        let problem = format!("process {process} ends :{}, but has :{} open", event.f, begun.f);
        return Err(ParseError::malformed(*at, problem));
    }
    if event.kind == Kind::Ok && event.key.is_some() && event.key != begun.key {
        let problem = format!("process {process} ends an operation on another key");
        return Err(ParseError::malformed(*at, problem));
    }
    Ok(begun)
}

type OperationOf<M> = Operation<<M as Model>::Input, <M as Model>::Output>;

/// What the operation means, given when, with what and where in the file it was completed.
fn operation<V: Vocabulary>(
    process: u64,
    begun: &Open,
    completed: Option<(Moment, &Value, Position)>,
    is_nil_unknown: bool,
) -> Result<Option<OperationOf<V>>, ParseError> {
    let named = Named {
        process,
        f: &begun.f,
        key: begun.key.as_ref(),
        asked: &begun.value,
        answered: completed.map(|(_, answer, _)| answer),
        is_nil_unknown,
    };
    let at = completed.map_or(begun.at, |(.., at)| at);
    let meant = V::meaning(&named).map_err(|problem| ParseError::malformed(at, problem))?;
    Ok(meant.map(|(input, output)| Operation {
        process,
        invoked: begun.invoked,
        returned: completed.map(|(returned, ..)| returned),
        input,
        outcome: output.map_or(Outcome::Unknown, Outcome::Ok),
    }))
}
