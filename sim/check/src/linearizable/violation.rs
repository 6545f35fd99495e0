//! A violation is the part of a history that no order explains, in words.

use std::fmt;

use super::minimise::Witness;
use super::timeline::{self, Row};
use super::why::{self, Why};
use crate::history::{Moment, Operation, Outcome};
use crate::model::Model;

/// A part of a history that is not linearizable by itself and proves that the whole is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation<I, O> {
    operations: Vec<Operation<I, O>>,
    lines: Vec<String>,
    reasons: Vec<String>,
    rows: Vec<Row>,
    end: Option<Moment>,
    decimals: Option<usize>,
    is_minimal: bool,
}

impl<I: Clone, O: Clone> Violation<I, O> {
    pub(super) fn new<M>(model: &M, witness: &Witness<'_, I, O>) -> Self
    where
        M: Model<Input = I, Output = O>,
    {
        let mut operations = Vec::with_capacity(witness.spans.len());
        for span in &witness.spans {
            let mut operation = span.operation.clone();
            if span.completed.is_none() {
                operation.returned = None;
                operation.outcome = Outcome::Unknown;
            }
            operations.push(operation);
        }
        let decimals = decimals(&operations);
        let lines = operations.iter().map(|operation| line(model, operation, decimals)).collect();
        let Witness { end, is_minimal, .. } = *witness;
        let Why { order, blocked, reasons } = why::why(model, &operations);
        let row = |(at, operation): (usize, &Operation<I, O>)| Row {
            process: operation.process,
            invoked: operation.invoked.index,
            returned: operation.returned.map(|returned| returned.index),
            what: describe(model, operation),
            place: order.iter().position(|&other| other == at).map(|place| place + 1),
            is_blocked: blocked.contains(&at),
        };
        let rows = operations.iter().enumerate().map(row).collect();
        Self { operations, lines, reasons, rows, end, decimals, is_minimal }
    }
}

impl<I, O> Violation<I, O> {
    /// The operations in the order of their invocation.
    ///
    /// Operations that were still open when the history became impossible are open here too,
    /// whatever became of them later.
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// One sentence for each operation, such as "process 3 reads 4, between event 10 and 14
    /// (13.481 s to 14.204 s)".
    pub fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }

    /// Why no order is allowed, in sentences: the order that comes furthest, and for each operation
    /// that could come next, what is in its way.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// The operations drawn over time, as a page of HTML that needs nothing else.
    ///
    /// Those that the order which comes furthest has a place for are numbered by it; those that
    /// could come next and do not fit are marked.
    pub fn timeline(&self) -> String {
        timeline::page(&self.rows, &self.lines, &self.reasons)
    }

    /// The drawing of [`Violation::timeline`] alone, as an `svg` element for a page that has its
    /// own styles: `ok`, `open` and `blocked` are the classes of bars, `lane` that of lines.
    pub fn drawing(&self) -> String {
        timeline::drawing(&self.rows)
    }

    /// The return at which the history became impossible.
    ///
    /// It is `None` only if the model rejects a history in which nothing completed.
    pub fn end(&self) -> Option<Moment> {
        self.end
    }

    /// Whether no one more operation can be left out, as far as the model allows leaving any out.
    ///
    /// It is false if [`Limits::minimise_steps`](super::Limits::minimise_steps) ran out first.
    pub fn is_minimal(&self) -> bool {
        self.is_minimal
    }
}

impl<I, O> fmt::Display for Violation<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operations.len() {
            1 => write!(f, "no order allows this operation")?,
            count => write!(f, "no order of these {count} operations is allowed")?,
        }
        if let Some(Moment { index, time_ns }) = self.end {
            write!(f, ", as of event {index}")?;
            if let Some(decimals) = self.decimals {
                write!(f, " ({})", seconds(time_ns, decimals))?;
            }
        }
        for line in self.lines.iter().chain(&self.reasons) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// The operation as the end of a sentence.
pub(super) fn describe<M: Model>(model: &M, operation: &Operation<M::Input, M::Output>) -> String {
    let output = match &operation.outcome {
        Outcome::Ok(output) => Some(output),
        Outcome::Fail | Outcome::Unknown => None,
    };
    model.describe(&operation.input, output)
}

fn line<M: Model>(
    model: &M,
    operation: &Operation<M::Input, M::Output>,
    decimals: Option<usize>,
) -> String {
    let what = describe(model, operation);
    let process = operation.process;
    let from = operation.invoked;
    let time = |moment: Moment| decimals.map(|decimals| seconds(moment.time_ns, decimals));
    match operation.returned {
        Some(until) => {
            let times = match (time(from), time(until)) {
                (Some(from), Some(until)) => format!(" ({from} to {until})"),
                _ => String::new(),
            };
            let (from, until) = (from.index, until.index);
            format!("process {process} {what}, between event {from} and {until}{times}")
        }
        None => {
            let times = time(from).map(|from| format!(" ({from})")).unwrap_or_default();
            format!("process {process} {what}, from event {} on{times}", from.index)
        }
    }
}

/// As many decimals as tell all different times apart: 3, 6 or 9; `None` if there are no times.
fn decimals<I, O>(operations: &[Operation<I, O>]) -> Option<usize> {
    let mut times: Vec<u64> = Vec::with_capacity(2 * operations.len());
    for operation in operations {
        times.push(operation.invoked.time_ns);
        times.extend(operation.returned.map(|returned| returned.time_ns));
    }
    times.sort_unstable();
    times.dedup();
    if times == [0] {
        return None;
    }
    let is_told_apart =
        |unit_ns: u64| times.windows(2).all(|pair| pair[0] / unit_ns != pair[1] / unit_ns);
    let decimals = [(1_000_000, 3), (1_000, 6)]
        .into_iter()
        .find(|&(unit_ns, _)| is_told_apart(unit_ns))
        .map_or(9, |(_, decimals)| decimals);
    Some(decimals)
}

/// Seconds, cut and not rounded, so that the order of the times survives.
fn seconds(time_ns: u64, decimals: usize) -> String {
    let fraction = format!("{:09}", time_ns % 1_000_000_000);
    format!("{}.{} s", time_ns / 1_000_000_000, &fraction[..decimals])
}
