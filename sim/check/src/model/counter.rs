//! A counter that is added to and read.

use serde::{Deserialize, Serialize};

use super::Model;

/// The model of one counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// The count before the first operation.
    pub initial: i64,
}

/// What a client asks of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CounterCall {
    /// Return the count.
    Read,
    /// Add to the count; a negative number counts down.
    Add(i64),
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CounterReturn {
    /// The count, in answer to a read, or after an addition if the system tells it.
    Value(i64),
    /// The addition is done.
    Done,
}

impl Counter {
    /// A counter that starts at `initial`.
    pub fn new(initial: i64) -> Self {
        Self { initial }
    }
}

impl Model for Counter {
    type State = i64;
    type Input = CounterCall;
    type Output = CounterReturn;

    fn initial(&self) -> i64 {
        self.initial
    }

    /// The count wraps around at the ends of 64 bits.
    fn step(
        &self,
        state: &i64,
        input: &CounterCall,
        output: Option<&CounterReturn>,
    ) -> Option<i64> {
        let after = match input {
            CounterCall::Read => *state,
            CounterCall::Add(amount) => state.wrapping_add(*amount),
        };
        match (input, output) {
            (_, None) | (CounterCall::Add(_), Some(CounterReturn::Done)) => Some(after),
            (_, Some(CounterReturn::Value(value))) => (*value == after).then_some(after),
            (CounterCall::Read, Some(CounterReturn::Done)) => None,
        }
    }

    fn describe(&self, input: &CounterCall, output: Option<&CounterReturn>) -> String {
        match (input, output) {
            (CounterCall::Read, None) => "reads, outcome unknown".to_owned(),
            (CounterCall::Add(amount), None) => format!("adds {amount}, outcome unknown"),
            (CounterCall::Read, Some(CounterReturn::Value(value))) => format!("reads {value}"),
            (CounterCall::Add(amount), Some(CounterReturn::Done)) => format!("adds {amount}"),
            (CounterCall::Add(amount), Some(CounterReturn::Value(value))) => {
                format!("adds {amount}, which makes {value}")
            }
            (input, Some(output)) => super::mismatch(input, output),
        }
    }

    fn describe_state(&self, state: &i64) -> String {
        format!("stands at {state}")
    }

    fn is_read_only(&self, input: &CounterCall) -> bool {
        matches!(input, CounterCall::Read | CounterCall::Add(0))
    }

    fn may_omit<'a>(
        &self,
        input: &'a CounterCall,
        _output: Option<&'a CounterReturn>,
        kept: &mut dyn Iterator<Item = (&'a CounterCall, Option<&'a CounterReturn>)>,
    ) -> bool {
        // The operation does not change the count, or nobody looks at it any more.
        let mut is_seen = false;
        for (_, output) in kept {
            is_seen |= matches!(output, Some(CounterReturn::Value(_)));
        }
        self.is_read_only(input) || !is_seen
    }
}
