//! A violation is the part of a history that no order explains, in words.

use std::fmt;

use super::minimise::Witness;
use crate::history::{Moment, Operation, Outcome};
use crate::model::Model;

/// A part of a history that is not linearizable by itself and proves that the whole is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation<I, O> {
    operations: Vec<Operation<I, O>>,
    lines: Vec<String>,
    end: Option<Moment>,
    decimals: usize,
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
        Self { operations, lines, end, decimals, is_minimal }
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
            write!(f, ", as of event {index} ({})", seconds(time_ns, self.decimals))?;
        }
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

fn line<M: Model>(
    model: &M,
    operation: &Operation<M::Input, M::Output>,
    decimals: usize,
) -> String {
    let output = match &operation.outcome {
        Outcome::Ok(output) => Some(output),
        Outcome::Fail | Outcome::Unknown => None,
    };
    let what = model.describe(&operation.input, output);
    let process = operation.process;
    let Moment { index, time_ns } = operation.invoked;
    let invoked = seconds(time_ns, decimals);
    match operation.returned {
        Some(returned) => {
            let (until, returned) = (returned.index, seconds(returned.time_ns, decimals));
            format!(
                "process {process} {what}, between event {index} and {until} \
                     ({invoked} to {returned})"
            )
        }
        None => format!("process {process} {what}, from event {index} on ({invoked})"),
    }
}

/// As many decimals as tell all different times apart: 3, 6 or 9.
fn decimals<I, O>(operations: &[Operation<I, O>]) -> usize {
    let mut times: Vec<u64> = Vec::with_capacity(2 * operations.len());
    for operation in operations {
        times.push(operation.invoked.time_ns);
        times.extend(operation.returned.map(|returned| returned.time_ns));
    }
    times.sort_unstable();
    times.dedup();
    let is_told_apart =
        |unit_ns: u64| times.windows(2).all(|pair| pair[0] / unit_ns != pair[1] / unit_ns);
    [(1_000_000, 3), (1_000, 6)]
        .into_iter()
        .find(|&(unit_ns, _)| is_told_apart(unit_ns))
        .map_or(9, |(_, decimals)| decimals)
}

/// Seconds, cut and not rounded, so that the order of the times survives.
fn seconds(time_ns: u64, decimals: usize) -> String {
    let fraction = format!("{:09}", time_ns % 1_000_000_000);
    format!("{}.{} s", time_ns / 1_000_000_000, &fraction[..decimals])
}
