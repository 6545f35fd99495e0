//! The models by name.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{FileError, Finding, Format, Initial, Report, Request, timed};
use crate::history::History;
use crate::linearizable::{Verdict, decide};
use crate::model::append_kv::AppendKv;
use crate::model::cas_register::CasRegister;
use crate::model::counter::Counter;
use crate::model::lease::Lease;
use crate::model::lock::{FencedLock, Mutex};
use crate::model::log::AppendLog;
use crate::model::multi_register::MultiRegister;
use crate::model::queue::{FifoQueue, PriorityQueue};
use crate::model::register::Register;
use crate::model::semaphore::Semaphore;
use crate::model::set::Set;
use crate::model::stack::Stack;
use crate::read::assemble::{HistoryOf, assemble};
use crate::read::edn_maps::EdnMaps;
use crate::read::jepsen_log::JepsenLog;
use crate::read::read_error;
use crate::read::vocabulary::Vocabulary;
use crate::value::Value;

/// The models of linearizability, by the names that a request knows them by.
pub const MODELS: &[&str] = &[
    "register",
    "cas-register",
    "append-kv",
    "multi-register",
    "set",
    "counter",
    "queue",
    "priority-queue",
    "stack",
    "mutex",
    "fenced-lock",
    "semaphore",
    "log",
    "lease",
];

/// The state of a mutex before the first operation, unless the request says otherwise.
fn is_held(given: Option<&Initial>) -> Result<bool, FileError> {
    match Initial::one(given, Value::Text("free".into()))? {
        Value::Text(text) if &*text == "free" => Ok(false),
        Value::Text(text) if &*text == "held" => Ok(true),
        other => Err(FileError::Request(format!("a mutex starts free or held, and not {other}"))),
    }
}

/// Checks a file against the model of a name.
pub(super) fn check(
    input: &mut dyn BufRead,
    format: Format,
    name: &str,
    request: &Request,
) -> Result<Report, FileError> {
    if let Some(level) = &request.level {
        let problem = format!("{name} has no level {level:?}: it is linearizable or not");
        return Err(FileError::Request(problem));
    }
    let initial = request.initial.as_ref();
    let run = Run { input, format, name, request };
    match name {
        "register" => run.with(Register::new(Initial::one(initial, format.zero())?)),
        "cas-register" => run.with(CasRegister::new(Initial::one(initial, format.zero())?)),
        "append-kv" => match Initial::one(initial, Value::Text("".into()))? {
            Value::Text(text) => run.with(AppendKv::new(text)),
            other => {
                Err(FileError::Request(format!("append-kv starts from a string, not {other}")))
            }
        },
        "multi-register" => run.with(match initial {
            None => MultiRegister::new(BTreeMap::new(), format.zero()),
            Some(Initial::One(value)) => MultiRegister::new(BTreeMap::new(), value.clone()),
            Some(Initial::Keys(keys)) => MultiRegister::new(keys.clone(), format.zero()),
        }),
        "mutex" => run.with(Mutex { is_held: is_held(initial)? }),
        "counter" => run.with(Counter::new(Initial::number(initial, 0)?)),
        "semaphore" => run.with(Semaphore::new(Initial::number(initial, 1)?)),
        "lease" => match initial {
            Some(_) => run.with(Lease::new(Initial::number(initial, 0)?)),
            None => Err(FileError::Request("a lease needs its term as initial state".to_owned())),
        },
        _ => {
            Initial::none(initial, name)?;
            match name {
                "set" => run.with(Set::<Value>::new()),
                "queue" | "fifo-queue" => run.with(FifoQueue::<Value>::new()),
                "priority-queue" => run.with(PriorityQueue::<Value>::new()),
                "stack" => run.with(Stack::<Value>::new()),
                "fenced-lock" => run.with(FencedLock::<Value>::new()),
                "log" => run.with(AppendLog::<Value>::new()),
                _ => {
                    let known = MODELS.join(", ");
                    Err(FileError::Request(format!("no model {name:?}; there are {known}")))
                }
            }
        }
    }
}

impl Format {
    /// The value before the first write.
    fn zero(self) -> Value {
        match self {
            Self::JepsenLog => Value::Nil,
            Self::KvLog => Value::Text("".into()),
            _ => Value::Int(0),
        }
    }
}

/// A check with all that it needs but the model.
struct Run<'a> {
    input: &'a mut dyn BufRead,
    format: Format,
    name: &'a str,
    request: &'a Request,
}

impl Run<'_> {
    fn with<V: Vocabulary>(self, model: V) -> Result<Report, FileError> {
        let Self { input, format, name, request } = self;
        let (history, operations) = read::<V>(input, format)?;
        let (decision, elapsed) = timed(|| decide(&model, &history, &request.limits));
        let verdict = decision.verdict(&model, &request.limits);
        let (finding, explanation, timeline) = match verdict {
            Verdict::Ok => (Finding::Valid, String::new(), None),
            Verdict::Violation(violation) => {
                (Finding::Violation, violation.to_string(), Some(violation.timeline()))
            }
            Verdict::Undecided { reason, explored, ordered, operations } => (
                Finding::Undecided,
                format!(
                    "undecided after {explored} steps ({reason:?}): at most {ordered} of \
                     {operations} operations were put into an order"
                ),
                None,
            ),
        };
        Ok(Report {
            model: name.to_owned(),
            level: None,
            finding,
            operations,
            elapsed,
            explanation,
            timeline,
        })
    }
}

fn read<V: Vocabulary>(
    input: &mut dyn BufRead,
    format: Format,
) -> Result<(HistoryOf<V>, usize), FileError> {
    Ok(match format {
        Format::JepsenLog => assemble::<V>(&mut JepsenLog::new(input), false)?,
        Format::KvLog => assemble::<V>(&mut EdnMaps::new(input), false)?,
        Format::EdnVector => assemble::<V>(&mut EdnMaps::new(input), true)?,
        Format::Jsonl => {
            let history = History::read_jsonl(input).map_err(read_error)?;
            let counts = history.counts();
            (history, counts.ok + counts.unknown)
        }
        Format::EdnLines | Format::JsonLines | Format::RwText | Format::DbcopYaml => {
            let problem = format!("files of the format {format} are of transactions alone");
            return Err(FileError::Request(problem));
        }
    })
}
