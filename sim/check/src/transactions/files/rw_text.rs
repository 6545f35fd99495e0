//! Reads and writes of registers as IsoVista and PolySI write them:
//! `w(key,value,session,transaction)`, one a line.
//!
//! The operations of a transaction follow each other. Transaction -1 stands for a write that was
//! aborted.

use std::collections::BTreeSet;
use std::io::BufRead;

use super::text;
use crate::read::lines::Lines;
use crate::read::{ParseError, Position};
use crate::transactions::history::{Fate, Kind, Micro, Transaction, Transactions};
use crate::transactions::options::Initial;
use crate::value::Value;

/// The number of transactions that were aborted.
const ABORTED: i64 = -1;

/// One line.
struct Operation {
    is_write: bool,
    key: i64,
    value: i64,
    session: i64,
    txn: i64,
}

pub(super) fn read(input: impl BufRead, initial: &Initial) -> Result<Transactions, ParseError> {
    let mut transactions = Transactions::new(Kind::RwRegister);
    let mut lines = Lines::new(input);
    let mut met: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut current: Option<(i64, i64)> = None;
    let mut micros: Vec<Micro> = Vec::new();
    let mut at = Position::START;
    loop {
        let next = match lines.next_line()? {
            Some((line, bytes)) => {
                at.line = line;
                let line = text(line, bytes)?;
                if line.trim().is_empty() {
                    continue;
                }
                Some(parse(line).map_err(|(column, problem)| {
                    let column = column as u64;
                    ParseError::malformed(Position { column, ..at }, problem)
                })?)
            }
            None => None,
        };
        let name = next.as_ref().map(|next| (next.session, next.txn));
        let is_over = name != current || name.is_some_and(|(_, txn)| txn == ABORTED);
        if let Some(name) = current.filter(|_| is_over) {
            finish(&mut transactions, name, std::mem::take(&mut micros), initial)
                .map_err(|unfit| ParseError::malformed(at, unfit))?;
        }
        let (Some(next), Some((session, txn))) = (next, name) else { return Ok(transactions) };
        if name != current && txn != ABORTED && !met.insert((session, txn)) {
            let problem = format!(
                "transaction {txn} of session {session} goes on after another one has begun"
            );
            return Err(ParseError::malformed(at, problem));
        }
        current = name;
        let (key, value) = (Value::Int(next.key), Value::Int(next.value));
        micros.push(if next.is_write { Micro::Write(key, value) } else { Micro::Read(key, value) });
    }
}

fn finish(
    transactions: &mut Transactions,
    (session, txn): (i64, i64),
    micros: Vec<Micro>,
    initial: &Initial,
) -> Result<(), String> {
    let sets_up =
        |micro: &Micro| matches!(micro, Micro::Write(key, value) if initial.of(key) == value);
    if (session, txn) == (0, 0) && transactions.is_empty() && micros.iter().all(sets_up) {
        return Ok(());
    }
    let process = u64::try_from(session)
        .map_err(|_| format!("session {session}, but sessions count from 0"))?;
    let fate = if txn == ABORTED { Fate::Aborted } else { Fate::Committed };
    let transaction = Transaction {
        process: Some(process),
        number: Some(txn),
        invoked: None,
        returned: None,
        fate,
        micros,
    };
    transactions.push(transaction).map_err(|unfit| unfit.to_string())
}

/// An operation, or the column and what is wrong there.
fn parse(line: &str) -> Result<Operation, (usize, String)> {
    let mut rest = Rest { line, at: 0 };
    rest.skip_blanks();
    let verb = rest.at;
    let is_write = match rest.take() {
        Some('w') => true,
        Some('r') => false,
        _ => return Err((verb + 1, "neither r(...) nor w(...)".to_owned())),
    };
    rest.expect('(')?;
    let key = rest.number()?;
    rest.expect(',')?;
    let value = rest.number()?;
    rest.expect(',')?;
    let session = rest.number()?;
    rest.expect(',')?;
    let txn = rest.number()?;
    rest.expect(')')?;
    rest.skip_blanks();
    match rest.take() {
        None => Ok(Operation { is_write, key, value, session, txn }),
        Some(other) => Err((rest.at, format!("{other:?} after the end of an operation"))),
    }
}

/// What is left of a line.
struct Rest<'a> {
    line: &'a str,
    /// How many characters were taken.
    at: usize,
}

impl Rest<'_> {
    fn peek(&self) -> Option<char> {
        self.line.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.line = &self.line[next.len_utf8()..];
        self.at += 1;
        Some(next)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.take();
        }
    }

    fn expect(&mut self, expected: char) -> Result<(), (usize, String)> {
        self.skip_blanks();
        let found = self.peek();
        if found == Some(expected) {
            self.take();
            return Ok(());
        }
        let found = found.map_or("the end of the line".to_owned(), |found| format!("{found:?}"));
        Err((self.at + 1, format!("{found} where {expected:?} should be")))
    }

    fn number(&mut self) -> Result<i64, (usize, String)> {
        self.skip_blanks();
        let length = self.line.find(|one: char| !(one.is_ascii_digit() || one == '-'));
        let text = &self.line[..length.unwrap_or(self.line.len())];
        let number = text
            .parse()
            .map_err(|_| (self.at + 1, format!("{text:?} where a number should be")))?;
        self.at += text.len();
        self.line = &self.line[text.len()..];
        Ok(number)
    }
}
