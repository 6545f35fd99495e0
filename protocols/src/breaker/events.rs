//! What happens to a breaker.

use super::machine::State;
use std::time::Duration;

/// Something that happened to a breaker. One that is disabled tells nothing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event {
    /// A call went well, and took so long.
    Success(Duration),
    /// A call failed, and took so long.
    Failure(Duration),
    /// What came of a call says nothing.
    Ignored,
    /// A call was refused.
    Refused,
    /// The part of the calls that failed, in per cent, has reached its threshold.
    FailureRateExceeded(f32),
    /// The part of the calls that were slow, in per cent, has reached its threshold.
    SlowRateExceeded(f32),
    /// It went from one state to another.
    Transition {
        /// What it did.
        from: State,
        /// What it does now.
        to: State,
    },
    /// It was made as if it were new.
    Reset,
}

pub(super) type Listener = Box<dyn Fn(&Event) + Send + Sync>;
