//! One limit for many nodes: its owner lends portions of it, and whoever has one admits from it
//! without asking anybody.
//!
//! *Promises* that on all nodes together and in any time `w`, by the owner's clock, at most
//! `burst + w / interval` come through, whoever crashes, whatever is lost and whoever cannot be
//! reached; and that a node which holds something admits it at once. A portion ends after a
//! [term](Config::term), by the monotonic clock of its borrower and counted from before it asked,
//! so it has ended when its owner thinks so. What was not used by then is lost, unless it was given
//! back in time. *Needs* monotonic clocks that are off by no more than declared and never stand
//! still. *Breaks* if they do, by as much as is lent anew before the borrower notices. A node that
//! cannot reach the owner for longer than a term admits nothing for as long as that lasts.
//!
//! The price is a part of the burst. What is admitted now may have been lent a term ago, so as much
//! as comes in a term has to be kept back: the owner lends only the [rest](Config::lends) at once.
//! A short term costs little of the burst, and a long one survives a longer silence of the owner.
//!
//! The owner keeps nothing on a disk. One that starts anew takes it that all it could lend has just
//! been lent, which is the worst that can be true, and so lends one portion after the other as they
//! come free. Borrowers are served as they come, and the owner knows no fairness among them.
//!
//! The scenario `limiter/leased` shows it.
//!
//! ```
//! use squall_env::Instant;
//! use squall_protocols::limiter::Quota;
//! use squall_protocols::limiter::leased::{Config, Owner, PortionId, Portions};
//! use std::time::Duration;
//!
//! let second = Duration::from_secs(1);
//! let quota = Quota::per(second, 10)?.with_burst(15)?;
//! let config = Config { quota, term: second, portion: 4, drift_max_ppm: 0 };
//! assert_eq!(config.lends()?.burst(), 5, "ten come in a term");
//! let mut owner = Owner::new(config, Instant::ORIGIN)?;
//! let mut portions = Portions::new(config)?;
//!
//! // It might have been there before, so at first it has nothing.
//! let asked = Instant::ORIGIN + second;
//! let id = PortionId { borrower: 7, number: portions.asks() };
//! let lent = owner.lend(id, 4, asked + second / 10).expect("it is a second later");
//! portions.lent(id.number, lent, asked);
//! assert_eq!([(); 5].map(|()| portions.take(asked + second / 2)), {
//!     [true, true, true, true, false]
//! });
//! # Ok::<(), squall_protocols::limiter::LimitError>(())
//! ```

mod client;
mod owner;
mod portions;

pub use client::LeasedLimiter;
pub use owner::{Owner, serve};
pub use portions::Portions;

use super::{LimitError, Quota};
use serde::{Deserialize, Serialize};
use squall_env::platform::{BindError, Closed};
use std::time::Duration;

/// What the owner and all borrowers of a limit have to agree on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// The limit of all nodes together.
    pub quota: Quota,
    /// How long a portion lasts: longer than a question and its answer take, and as long as nodes
    /// are to go on without the owner.
    pub term: Duration,
    /// How much is lent at once, at most.
    pub portion: u32,
    /// How much a clock may be off, in parts per million.
    pub drift_max_ppm: u32,
}

impl Config {
    /// What may be lent: of the burst what is left beside all that comes in a term.
    ///
    /// # Errors
    /// If nothing is left, or portions are empty.
    pub fn lends(&self) -> Result<Quota, LimitError> {
        let kept = self.term.as_nanos().div_ceil(self.quota.interval().as_nanos());
        let kept = u32::try_from(kept).unwrap_or(u32::MAX);
        let burst = self.quota.burst().saturating_sub(kept);
        if burst == 0 || self.portion == 0 {
            return Err(LimitError::Term);
        }
        self.quota.with_burst(burst)
    }

    /// How long a portion lasts by the clock of its borrower, which may be slow while that of the
    /// owner is fast.
    pub fn usable(&self) -> Duration {
        let drift = u128::from(self.drift_max_ppm.min(999_999));
        let usable = self.term.as_nanos() * (1_000_000 - drift) / (1_000_000 + drift);
        Duration::from_nanos(u64::try_from(usable).unwrap_or(u64::MAX))
    }
}

/// Which portion it is: no other has this number of this borrower, who has drawn its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PortionId {
    /// Whose it is.
    pub borrower: u64,
    /// Which of his.
    pub number: u64,
}

/// What a borrower asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask {
    /// For a portion of so much.
    Lend(PortionId, u32),
    /// That a portion is taken back of which only so much was used.
    TakeBack(PortionId, u32),
}

/// What the owner tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tell {
    /// So much is lent.
    Lent(u32),
    /// There is nothing for so many nanoseconds.
    Limited(u64),
    /// What was not used is the owner's again, if it came in time.
    TakenBack,
}

/// Why there is no owner, or no borrower.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The node's sockets have closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}
