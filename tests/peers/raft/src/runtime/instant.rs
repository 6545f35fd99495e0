//! Moments of the node's monotonic clock.

use super::scope::current;
use squall_env::Instant;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A moment of the clock of the node whose task is running.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeInstant(pub Instant);

impl openraft_rt::Instant for NodeInstant {
    fn now() -> NodeInstant {
        NodeInstant(current().now())
    }
}

impl Add<Duration> for NodeInstant {
    type Output = NodeInstant;
    fn add(self, duration: Duration) -> NodeInstant {
        NodeInstant(self.0 + duration)
    }
}

impl AddAssign<Duration> for NodeInstant {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

impl Sub<Duration> for NodeInstant {
    type Output = NodeInstant;
    fn sub(self, duration: Duration) -> NodeInstant {
        NodeInstant(self.0 - duration)
    }
}

impl SubAssign<Duration> for NodeInstant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for NodeInstant {
    type Output = Duration;
    fn sub(self, earlier: NodeInstant) -> Duration {
        self.0 - earlier.0
    }
}
