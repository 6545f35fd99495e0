//! Queues: first in first out, and smallest first.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Data, Interval, Model};

mod unique;

/// A queue that starts empty and gives back what was put in first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FifoQueue<V> {
    of: std::marker::PhantomData<fn() -> V>,
}

/// A queue that starts empty and gives back the smallest of what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorityQueue<V> {
    of: std::marker::PhantomData<fn() -> V>,
}

/// What a client asks of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueCall<V> {
    /// Put the element in.
    Enqueue(V),
    /// Take the element out whose turn it is.
    Dequeue,
}

/// What a queue answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueReturn<V> {
    /// The element is in.
    Done,
    /// The element whose turn it was.
    Item(V),
    /// There was none.
    Empty,
}

impl<V> FifoQueue<V> {
    /// A queue that starts empty.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<V> PriorityQueue<V> {
    /// A queue that starts empty.
    pub fn new() -> Self {
        Self { of: std::marker::PhantomData }
    }
}

impl<V: Data> Model for FifoQueue<V> {
    /// The head is at the front.
    type State = VecDeque<V>;
    type Input = QueueCall<V>;
    type Output = QueueReturn<V>;

    fn initial(&self) -> VecDeque<V> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<V>,
        input: &QueueCall<V>,
        output: Option<&QueueReturn<V>>,
    ) -> Option<VecDeque<V>> {
        match (input, output) {
            (QueueCall::Enqueue(item), None | Some(QueueReturn::Done)) => {
                let mut state = state.clone();
                state.push_back(item.clone());
                Some(state)
            }
            (QueueCall::Dequeue, None) => {
                let mut state = state.clone();
                state.pop_front();
                Some(state)
            }
            (QueueCall::Dequeue, Some(QueueReturn::Item(item))) => {
                if state.front() != Some(item) {
                    return None;
                }
                let mut state = state.clone();
                state.pop_front();
                Some(state)
            }
            (QueueCall::Dequeue, Some(QueueReturn::Empty)) => state.is_empty().then(VecDeque::new),
            _ => None,
        }
    }

    fn describe(&self, input: &QueueCall<V>, output: Option<&QueueReturn<V>>) -> String {
        describe(input, output)
    }

    fn describe_state(&self, state: &VecDeque<V>) -> String {
        match state.is_empty() {
            true => "is empty".to_owned(),
            false => format!("holds {state:?}, the first one next"),
        }
    }

    fn decide(&self, part: &[Interval<'_, QueueCall<V>, QueueReturn<V>>]) -> Option<bool> {
        unique::decide(part)
    }

    fn companions(
        &self,
        input: &QueueCall<V>,
        output: Option<&QueueReturn<V>>,
        others: &[(&QueueCall<V>, Option<&QueueReturn<V>>)],
    ) -> Option<Vec<usize>> {
        companions(input, output, others)
    }

    fn state_bytes(&self, state: &VecDeque<V>) -> usize {
        size_of_val(state) + state.len() * size_of::<V>()
    }
}

impl<V: Data> Model for PriorityQueue<V> {
    /// In ascending order.
    type State = Vec<V>;
    type Input = QueueCall<V>;
    type Output = QueueReturn<V>;

    fn initial(&self) -> Vec<V> {
        Vec::new()
    }

    fn step(
        &self,
        state: &Vec<V>,
        input: &QueueCall<V>,
        output: Option<&QueueReturn<V>>,
    ) -> Option<Vec<V>> {
        match (input, output) {
            (QueueCall::Enqueue(item), None | Some(QueueReturn::Done)) => {
                let mut state = state.clone();
                state.insert(state.partition_point(|other| other < item), item.clone());
                Some(state)
            }
            (QueueCall::Dequeue, None) => Some(state.iter().skip(1).cloned().collect()),
            (QueueCall::Dequeue, Some(QueueReturn::Item(item))) => {
                let (first, rest) = state.split_first()?;
                (first == item).then(|| rest.to_vec())
            }
            (QueueCall::Dequeue, Some(QueueReturn::Empty)) => state.is_empty().then(Vec::new),
            _ => None,
        }
    }

    fn describe(&self, input: &QueueCall<V>, output: Option<&QueueReturn<V>>) -> String {
        describe(input, output)
    }

    fn describe_state(&self, state: &Vec<V>) -> String {
        match state.is_empty() {
            true => "is empty".to_owned(),
            false => format!("holds {state:?}, the smallest one next"),
        }
    }

    fn companions(
        &self,
        input: &QueueCall<V>,
        output: Option<&QueueReturn<V>>,
        others: &[(&QueueCall<V>, Option<&QueueReturn<V>>)],
    ) -> Option<Vec<usize>> {
        companions(input, output, others)
    }

    fn state_bytes(&self, state: &Vec<V>) -> usize {
        size_of_val(state) + state.len() * size_of::<V>()
    }
}

fn describe<V: Data>(input: &QueueCall<V>, output: Option<&QueueReturn<V>>) -> String {
    match (input, output) {
        (QueueCall::Enqueue(item), None) => format!("enqueues {item:?}, outcome unknown"),
        (QueueCall::Enqueue(item), Some(QueueReturn::Done)) => format!("enqueues {item:?}"),
        (QueueCall::Dequeue, None) => "dequeues, outcome unknown".to_owned(),
        (QueueCall::Dequeue, Some(QueueReturn::Item(item))) => format!("dequeues {item:?}"),
        (QueueCall::Dequeue, Some(QueueReturn::Empty)) => "finds the queue empty".to_owned(),
        (input, Some(output)) => super::mismatch(input, output),
    }
}

/// An element may go with all who put it in or take it out, unless somebody may have taken any.
fn companions<V: Eq>(
    input: &QueueCall<V>,
    output: Option<&QueueReturn<V>>,
    others: &[(&QueueCall<V>, Option<&QueueReturn<V>>)],
) -> Option<Vec<usize>> {
    let item = item(input, output)?;
    if others.iter().any(|(input, output)| **input == QueueCall::Dequeue && output.is_none()) {
        return None;
    }
    let same = |&at: &usize| self::item(others[at].0, others[at].1) == Some(item);
    Some((0..others.len()).filter(same).collect())
}

/// The element that is put in or taken out.
fn item<'a, V>(input: &'a QueueCall<V>, output: Option<&'a QueueReturn<V>>) -> Option<&'a V> {
    match (input, output) {
        (QueueCall::Enqueue(item), _) | (QueueCall::Dequeue, Some(QueueReturn::Item(item))) => {
            Some(item)
        }
        _ => None,
    }
}
