//! What callers have between themselves and a service: our breaker, or another one.

use super::watched::Watched;
use squall_env::{Env, Instant};
use squall_protocols::breaker::{Config, Leave, SharedBreaker, State, Verdict};

/// A breaker as its callers see it.
pub(crate) trait Guard: Clone + Send + Sync + 'static {
    /// Leave to call. Dropped, the call was given up.
    type Leave<'a>: Send;

    /// A breaker that tells what happens to it.
    fn new(env: &Env, config: Config, watched: Watched) -> Self;

    /// Leave to call, if there is any.
    fn acquire(&self) -> Option<Self::Leave<'_>>;

    /// Its state, and since when.
    fn state(&self) -> (State, Instant);

    /// What came of a call.
    fn record(&self, leave: Self::Leave<'_>, verdict: Verdict);
}

/// The breaker of the library.
#[derive(Clone)]
pub(crate) struct Ours(SharedBreaker);

impl Guard for Ours {
    type Leave<'a> = Leave<'a>;

    fn new(env: &Env, config: Config, watched: Watched) -> Ours {
        let breaker = SharedBreaker::new(env, config).expect("the configuration makes sense");
        Ours(breaker.with_listener(move |event| watched.heard(event)))
    }

    fn acquire(&self) -> Option<Leave<'_>> {
        self.0.acquire().ok()
    }

    fn state(&self) -> (State, Instant) {
        let now = self.0.now();
        let mut breaker = self.0.lock();
        (breaker.state(now), breaker.since())
    }

    fn record(&self, leave: Leave<'_>, verdict: Verdict) {
        leave.record(verdict);
    }
}
