//! Retries that do not make things worse: what may have been done is not done twice, whoever fails
//! together does not come back together, and something that is overloaded is not called more often
//! than if nobody retried.
//!
//! *Promises* that a call which may have taken effect is repeated only if it is
//! [declared](Effect::Idempotent) to do no harm then, that there are no more tries than the policy,
//! the [`Budget`] and the [`Deadline`] allow, and that what it says of the effect is true of all
//! tries together. *Needs* errors that know [what they say](squall_env::HasOutcome) of the effect.
//! *Breaks* if calls that retry call others that retry as well and have no budgets: three tries at
//! each of two hops are nine. With budgets a hop adds its own and a part of what goes well to what
//! comes to it, and the next one does so to that. The scenario `retry/two-hops` shows it, and that
//! nobody works there for a caller whose deadline is over. The scenario `retry/overload` shows the
//! metastable failure (Bronson and others, "Metastable Failures in Distributed Systems", HotOS
//! 2021): a service that was overloaded for a moment recovers once it is not any more.
//!
//! ```
//! use squall_protocols::retry::{Backoff, Budget, Jitter};
//! use std::time::Duration;
//!
//! let ms = Duration::from_millis;
//! let backoff = Backoff { first: ms(100), most: ms(300), jitter: Jitter::None };
//! let mut waits = backoff.waits();
//! assert_eq!([(); 4].map(|()| waits.next_wait(0)), [ms(100), ms(200), ms(300), ms(300)]);
//!
//! // One retry for ten calls that went well, and two at first.
//! let mut budget = Budget::new(2, 100);
//! assert_eq!([(); 3].map(|()| budget.take()), [true, true, false]);
//! for _ in 0..10 {
//!     budget.succeeded();
//! }
//! assert_eq!([(); 2].map(|()| budget.take()), [true, false]);
//! ```

mod backoff;
mod budget;
mod deadline;
mod flaws;
mod shared;

pub use backoff::{Backoff, Jitter, Waits};
pub use budget::Budget;
pub use deadline::{Deadline, Left};
pub use shared::{Advice, Effect, Policy, Retry, RetryError, Why};
