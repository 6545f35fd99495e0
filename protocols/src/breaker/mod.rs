//! A circuit breaker: whoever calls something that fails again and again stops calling it for a
//! while, and then tries with a few calls whether it is well again.
//!
//! *Promises* that no call goes through while it is open, that at most so many are under way while
//! it is half-open, that what comes back late from an earlier state changes nothing, and that it
//! never stays half-open for ever: calls that do not come back count as failed. *Needs* somebody
//! who tells it the time of a monotonic clock. *Breaks* if permits are kept by hand and forgotten
//! while it is closed: then their calls are not counted. The scenario `breaker/calls` shows it.
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
mod events;
mod flaws;
mod machine;
mod shared;
mod window;

pub use config::{AfterHalfOpen, Config, ConfigError, Initial, Wait, Window};
pub use events::Event;
pub use machine::{CircuitBreaker, IllegalTransition, Metrics, Permit, Refused, State, Verdict};
pub use shared::{CallError, Leave, Registry, SharedBreaker};
