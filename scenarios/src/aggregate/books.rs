//! What tellers did and were told, and whether the books agree.

use crate::whole::Whole;
use serde::{Deserialize, Serialize};
use squall_check::{History, Outcome};
use squall_protocols::aggregate::Aggregate;
use squall_protocols::aggregate::bank::{Account, Event};
use squall_protocols::event_store::{RecordedEvent, Schema};
use std::collections::BTreeMap;

/// The property of accounts, transfers and snapshots.
pub const BOOKS: &str = "the books agree with what tellers were told";

/// What a teller asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Asked {
    /// To open an account with so many cents.
    Open(String, u64),
    /// To move so many cents from one to another. Nobody else moves as many.
    Move(String, String, u64),
    /// The state of an account.
    Load(String),
    /// All that happened.
    Everything,
}

/// What a teller is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Heard {
    /// It is done.
    Done,
    /// It is not done, and why.
    Refused(String),
    /// The number of its last event, what is on it, and how often that has moved.
    Loaded(Option<u64>, u64, u64),
    /// This is all.
    Log(Vec<RecordedEvent>),
}

/// The history of a bank, judged as a whole.
pub type Bank = Whole<Asked, Heard>;

/// Of each stream what its events were, as today's code reads them.
type Streams = BTreeMap<String, Vec<Event>>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Whether the books agree with all that tellers were told.
pub(super) fn verdict(history: &History<Asked, Heard>) -> Result<(), String> {
    let logs = history.operations().iter().filter_map(|operation| match &operation.outcome {
        Outcome::Ok(Heard::Log(log)) => Some(log),
        _ => None,
    });
    let logs: Vec<_> = logs.collect();
    for log in &logs {
        adds_up(log)?;
    }
    let Some(log) = logs.iter().max_by_key(|log| log.len()) else { return Ok(()) };
    let mut streams = Streams::new();
    for event in *log {
        streams.entry(event.stream.clone()).or_default().push(read(event)?);
    }
    for operation in history.operations() {
        agrees(&operation.input, &operation.outcome, &streams)?;
    }
    Ok(())
}

fn read(event: &RecordedEvent) -> Result<Event, String> {
    let read = Schema::<Event>::new().read(event).map_err(|error| error.to_string())?;
    read.ok_or_else(|| format!("{event:?} is no event of an account"))
}

/// Whatever was read: what is on all accounts is what they were opened with, no account was ever
/// overdrawn, and what left one has reached another in the same moment.
fn adds_up(log: &[RecordedEvent]) -> Result<(), String> {
    let mut balances: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut opened, mut under_way) = (0, None);
    for recorded in log {
        let balance = balances.entry(&recorded.stream).or_default();
        match read(recorded)? {
            Event::AccountOpened { initial_deposit, .. } => {
                ensure(recorded.version == 0, || format!("{recorded:?} is opened again"))?;
                *balance += initial_deposit;
                opened += initial_deposit;
            }
            Event::Withdrawn { cents } => {
                let left = balance.checked_sub(cents);
                *balance = left.ok_or_else(|| format!("{} is overdrawn", recorded.stream))?;
                ensure(under_way.is_none(), || format!("{under_way:?} cents are lost"))?;
                under_way = Some(cents);
            }
            Event::Deposited { cents } => {
                *balance += cents;
                let from = under_way.take();
                ensure(from == Some(cents), || format!("{cents} cents came out of {from:?}"))?;
            }
        }
    }
    ensure(under_way.is_none(), || format!("{under_way:?} cents were seen nowhere"))?;
    let total: u64 = balances.values().sum();
    ensure(total == opened, || format!("of {opened} cents there are {total}"))
}

fn agrees(asked: &Asked, heard: &Outcome<Heard>, streams: &Streams) -> Result<(), String> {
    let nothing = Vec::new();
    let events = |stream: &String| streams.get(stream).unwrap_or(&nothing);
    match asked {
        Asked::Move(from, to, cents) => {
            let out = Event::Withdrawn { cents: *cents };
            let came = Event::Deposited { cents: *cents };
            let out = events(from).iter().filter(|event| **event == out).count();
            let came = events(to).iter().filter(|event| **event == came).count();
            let right = match heard {
                Outcome::Ok(Heard::Done) => (out, came) == (1, 1),
                Outcome::Ok(_) | Outcome::Fail => (out, came) == (0, 0),
                Outcome::Unknown => out == came && out <= 1,
            };
            ensure(right, || format!("{asked:?} was told {heard:?}: {out} times out, {came} in"))
        }
        Asked::Load(stream) => {
            let Outcome::Ok(Heard::Loaded(last, balance, movements)) = heard else {
                return Ok(());
            };
            let count = last.map_or(0, |last| last as usize + 1);
            let Some(before) = events(stream).get(..count) else {
                return Err(format!("{stream} was loaded with {last:?}, which nobody has"));
            };
            let mut account = Account::default();
            before.iter().for_each(|event| account.evolve(event));
            ensure((account.balance(), account.movements()) == (*balance, *movements), || {
                format!("{stream} was loaded as {heard:?}, and its events make it {account:?}")
            })
        }
        Asked::Open(stream, cents) => {
            let Outcome::Ok(Heard::Done) = heard else { return Ok(()) };
            let first = events(stream).first();
            let right = matches!(
                first,
                Some(Event::AccountOpened { initial_deposit, .. }) if initial_deposit == cents
            );
            ensure(right, || format!("{stream} was opened, and begins with {first:?}"))
        }
        Asked::Everything => Ok(()),
    }
}
