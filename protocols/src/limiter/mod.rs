//! Rate limiters: what comes too fast waits or is refused.
//!
//! *Promise*, as [`Gcra`] (a token bucket in one number), that in any time at most the burst and
//! what the rate makes of that time goes through, in whatever order the times come that they are
//! told. [`SlidingLog`] promises so many in any window, exactly, in whatever order as well;
//! [`SlidingCounter`] promises about as many, with two counts; [`FixedWindow`] only so many from
//! each first hit on. [`AtomicGcra`] is for threads that share one; [`Keyed`] has one for each of
//! many keys, [`Sharded`] lets threads that ask for different keys not wait for each other, and
//! [`SharedLimiter`] has them for the tasks of a node. *Need* somebody who tells them the time of a
//! monotonic clock. *Break* if there are several processes and each has one of its own: then so
//! many times the rate goes through, and what is [`leased`] from one of them helps; and if they are
//! told the time of a clock that is set: when it is put forward a burst more goes through, and when
//! it is put back nothing does until it is where it was. The scenarios `limiter/keyed` and
//! `limiter/sliding-log` show it of the first two.
//!
//! ```
//! use squall_env::Instant;
//! use squall_protocols::limiter::{Decision, Gcra, Quota};
//! use std::time::Duration;
//!
//! let mut limiter = Gcra::new(Quota::per(Duration::from_secs(1), 2)?);
//! let now = Instant::ORIGIN;
//! assert_eq!(limiter.check(now), Decision::Allowed);
//! assert_eq!(limiter.check(now), Decision::Allowed);
//! let retry_at = now + Duration::from_millis(500);
//! assert_eq!(limiter.check(now), Decision::Limited { retry_at });
//! assert_eq!(limiter.check(retry_at), Decision::Allowed);
//! # Ok::<(), squall_protocols::limiter::LimitError>(())
//! ```

mod atomic;
mod flaws;
mod gcra;
mod keyed;
mod kind;
pub mod leased;
mod sharded;
mod shared;
mod sliding_log;
mod windows;

pub use atomic::AtomicGcra;
pub use gcra::{Gcra, Quota};
pub use keyed::Keyed;
pub use kind::Limiter;
pub use sharded::Sharded;
pub use shared::{Limited, SharedLimiter};
pub use sliding_log::SlidingLog;
pub use windows::{FixedWindow, SlidingCounter};

use squall_env::Instant;

/// What a limiter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "what is limited must not go on"]
pub enum Decision {
    /// Go on: it has been counted.
    Allowed,
    /// Not now.
    Limited {
        /// When it would be allowed, if nothing else came until then.
        retry_at: Instant,
    },
}

impl Decision {
    /// Whether to go on.
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }
}

/// What cannot be limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitError {
    /// Nothing would ever go through, or everything would.
    #[error("a quota has at least one cell, and cells at least a nanosecond apart")]
    Quota,
    /// In the term of a portion comes as much as may come at once, or portions are empty.
    #[error("more comes at once than in the term of a portion, and a portion is not empty")]
    Term,
    /// More at once than ever go through.
    #[error("at most {burst} go through at once")]
    Capacity {
        /// How many do.
        burst: u32,
    },
}
