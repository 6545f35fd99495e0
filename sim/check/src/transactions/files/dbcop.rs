//! The YAML of dbcop: a list of sessions; a session is a list of transactions with `events` and
//! `success`; an event has `write`, `variable`, `value` and `success`.

use std::io::BufRead;

use super::yaml::{self, Node, Yaml};
use crate::read::ParseError;
use crate::transactions::history::{Fate, Kind, Micro, Transaction, Transactions};
use crate::value::Value;

pub(super) fn read(input: impl BufRead) -> Result<Transactions, ParseError> {
    let mut transactions = Transactions::new(Kind::RwRegister);
    let file = yaml::parse(input)?;
    if matches!(file.value, Yaml::Null) {
        return Ok(transactions);
    }
    for (process, session) in (0..).zip(file.list("a list of sessions")?) {
        if matches!(session.value, Yaml::Null) {
            continue;
        }
        for (number, transaction) in (0..).zip(session.list("a list of transactions")?) {
            let (fate, micros) = read_transaction(transaction)?;
            let transaction_read = Transaction {
                process: Some(process),
                number: Some(number),
                invoked: None,
                returned: None,
                fate,
                micros,
            };
            transactions
                .push(transaction_read)
                .map_err(|unfit| ParseError::malformed(transaction.at, unfit.to_string()))?;
        }
    }
    Ok(transactions)
}

fn read_transaction(node: &Node) -> Result<(Fate, Vec<Micro>), ParseError> {
    let entries = node.entries("a transaction", &["events", "success"])?;
    let &[Some(events), success] = entries.as_slice() else {
        return Err(ParseError::malformed(node.at, "a transaction without events".to_owned()));
    };
    let is_success = success.map_or(Ok(true), Node::bool)?;
    let mut micros = Vec::new();
    if !matches!(events.value, Yaml::Null) {
        for event in events.list("a list of events")? {
            micros.extend(read_event(event)?);
        }
    }
    Ok((if is_success { Fate::Committed } else { Fate::Aborted }, micros))
}

/// The operation, unless it did not succeed.
fn read_event(node: &Node) -> Result<Option<Micro>, ParseError> {
    let entries = node.entries("an event", &["write", "variable", "value", "success"])?;
    let &[Some(write), Some(variable), Some(value), success] = entries.as_slice() else {
        let problem = "an event without write, variable or value".to_owned();
        return Err(ParseError::malformed(node.at, problem));
    };
    let is_success = success.map_or(Ok(true), Node::bool)?;
    let (key, value) = (Value::Int(variable.integer()?), Value::Int(value.integer()?));
    let micro = if write.bool()? { Micro::Write(key, value) } else { Micro::Read(key, value) };
    Ok(is_success.then_some(micro))
}
