//! A circuit breaker: whoever calls something that fails again and again stops calling it for a
//! while, and then tries with a few calls whether it is well again.
//!
//! *Promises* that no call goes through while it is open, that at most so many are under way while
//! it is half-open, that what comes back late from an earlier state changes nothing, and that it
//! never stays half-open for ever: calls that do not come back count as failed, after
//! [`Config::lost_after`] and whether their callers have given them up or not. *Needs* somebody who
//! tells it the time of a monotonic clock. *Breaks* if permits are kept by hand and forgotten while
//! it is closed: then their calls are not counted. The scenario `breaker/calls` shows it, for
//! windows of calls and of time, and for calls that fail, are slow, or never come back. Many
//! breakers of one service open together when it fails, and all try it again at the same moment
//! unless chance has a part in their [`Wait`], as in the scenario `breaker/herd`.
//!
//! With a [`Fallback`] what is refused is put off. It *promises* that a call which it says is
//! queued is made, also if the node crashes, and that it is made under the same key however often.
//! It *needs* a disk that keeps what it has synced, and a callee that does each key once. It
//! *breaks* if the callee forgets keys. The scenario `breaker/fallback` shows it.
//!
//! ```
//! use squall_env::Instant;
//! use squall_protocols::breaker::{CircuitBreaker, Config, State, Verdict};
//! use std::time::Duration;
//!
//! let config = Config::consecutive(3, Duration::from_secs(30));
//! let mut now = Instant::ORIGIN;
//! let mut breaker = CircuitBreaker::new(config, 0, now)?;
//! for _ in 0..3 {
//!     let permit = breaker.acquire(now)?;
//!     breaker.record(permit, Verdict::Failure, now);
//! }
//! assert!(breaker.acquire(now).is_err());
//! now += Duration::from_secs(30);
//! let permit = breaker.acquire(now)?;
//! breaker.record(permit, Verdict::Success, now);
//! assert_eq!(breaker.state(now), State::Closed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
pub mod deferred;
mod events;
mod fallback;
mod flaws;
mod machine;
mod shared;
mod window;

pub use config::{AfterHalfOpen, Config, ConfigError, Initial, WINDOW_MAX, Wait, Window};
pub use events::Event;
pub use fallback::{Accepted, Fallback, FallbackError, Then};
pub use machine::{CircuitBreaker, IllegalTransition, Metrics, Permit, Refused, State, Verdict};
pub use shared::{CallError, Leave, Registry, SharedBreaker};
