//! A semaphore hands out a fixed number of permits.

use serde::{Deserialize, Serialize};

use super::Model;

/// The model of a semaphore whose permits are all free at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semaphore {
    /// How many permits there are.
    pub permits: u64,
}

/// What a client asks of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SemaphoreCall {
    /// Take so many permits at once, which must be free.
    Acquire(u64),
    /// Give so many permits back, which must be taken.
    Release(u64),
}

/// What a semaphore answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SemaphoreReturn {
    /// The permits are taken or given back.
    Done,
    /// There are too few free permits, so none is taken.
    Refused,
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub fn new(permits: u64) -> Self {
        Self { permits }
    }
}

impl Model for Semaphore {
    /// How many permits are free.
    type State = u64;
    type Input = SemaphoreCall;
    type Output = SemaphoreReturn;

    fn initial(&self) -> u64 {
        self.permits
    }

    fn step(
        &self,
        free: &u64,
        input: &SemaphoreCall,
        output: Option<&SemaphoreReturn>,
    ) -> Option<u64> {
        match (input, output) {
            (SemaphoreCall::Acquire(count), None) => {
                Some(free.checked_sub(*count).unwrap_or(*free))
            }
            (SemaphoreCall::Acquire(count), Some(SemaphoreReturn::Done)) => {
                free.checked_sub(*count)
            }
            (SemaphoreCall::Acquire(count), Some(SemaphoreReturn::Refused)) => {
                (count > free).then_some(*free)
            }
            (SemaphoreCall::Release(count), None | Some(SemaphoreReturn::Done)) => {
                free.checked_add(*count).filter(|free| *free <= self.permits)
            }
            (SemaphoreCall::Release(_), Some(SemaphoreReturn::Refused)) => None,
        }
    }

    fn describe(&self, input: &SemaphoreCall, output: Option<&SemaphoreReturn>) -> String {
        let (asked, count) = match input {
            SemaphoreCall::Acquire(count) => ("acquires", count),
            SemaphoreCall::Release(count) => ("releases", count),
        };
        let permits = if *count == 1 { "permit" } else { "permits" };
        match output {
            None => format!("{asked} {count} {permits}, outcome unknown"),
            Some(SemaphoreReturn::Done) => format!("{asked} {count} {permits}"),
            Some(SemaphoreReturn::Refused) => format!("is refused {count} {permits}"),
        }
    }

    fn describe_state(&self, free: &u64) -> String {
        format!("has {free} of {} permits free", self.permits)
    }
}
