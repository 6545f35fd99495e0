//! Until when an answer is worth anything, wherever it is made.

use serde::{Deserialize, Serialize};
use squall_env::Instant;
use std::time::Duration;

/// Until when somebody waits for the result of what he has asked for, by the clock of this node. It
/// is only ever shortened.
///
/// Nodes do not share a clock, so what travels is the time that is [left](Deadline::left), as in
/// gRPC's `grpc-timeout`. What the network takes is not part of it: the next node waits for that
/// much longer than anybody needs, and never shorter than it should.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Deadline(Instant);

/// What is left of a deadline, as it travels in a request.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Left {
    nanos: u64,
}

impl Deadline {
    /// One that is never over.
    pub const NEVER: Deadline = Deadline(Instant::NEVER);

    /// In so long a time from now.
    pub fn after(limit: Duration, now: Instant) -> Deadline {
        Deadline(now + limit)
    }

    /// The same, or in so long a time if that is sooner.
    #[must_use]
    pub fn within(self, limit: Duration, now: Instant) -> Deadline {
        Deadline(self.0.min(now + limit))
    }

    /// When it is over.
    pub fn at(self) -> Instant {
        self.0
    }

    /// Whether it is over.
    pub fn is_over(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// What is left of it, for a request to somebody else.
    pub fn left(self, now: Instant) -> Left {
        let left = self.0.since(now).as_nanos();
        Left { nanos: u64::try_from(left).unwrap_or(u64::MAX) }
    }
}

impl Left {
    /// How long that is.
    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The deadline of a request that has come now.
    pub fn from_now(self, now: Instant) -> Deadline {
        Deadline(now + self.duration())
    }
}
