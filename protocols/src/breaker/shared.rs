//! Breakers that tasks of a node share.

use super::config::{Config, ConfigError};
use super::events::Event;
use super::flaws::Flaws;
use super::machine::{CircuitBreaker, Permit, Refused, Verdict};
use squall_env::{Env, HasOutcome, Instant, Outcome};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A breaker that tasks of a node share, and that tells the time by the node's clock.
#[derive(Clone)]
pub struct SharedBreaker {
    env: Env,
    inner: Arc<Mutex<CircuitBreaker>>,
    flaws: Flaws,
}

/// Why a call through a breaker has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError<E> {
    /// It was not made.
    #[error(transparent)]
    Refused(Refused),
    /// It was made and failed.
    #[error("{0}")]
    Failed(E),
}

impl<E: HasOutcome> HasOutcome for CallError<E> {
    fn outcome(&self) -> Outcome {
        match self {
            CallError::Refused(refused) => refused.outcome(),
            CallError::Failed(error) => error.outcome(),
        }
    }
}

/// Leave to call. If it is dropped, the call was never made, or given up: it goes back unused.
#[must_use = "the leave goes back at once"]
pub struct Leave<'a> {
    breaker: &'a SharedBreaker,
    permit: Option<Permit>,
}

impl Leave<'_> {
    /// Says what came of the call.
    pub fn record(mut self, verdict: Verdict) {
        if let Some(permit) = self.permit.take() {
            self.breaker.lock().record(permit, verdict, self.breaker.now());
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.lock().release(permit, self.breaker.now());
        }
    }
}

impl SharedBreaker {
    /// A new breaker that tasks share.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(env: &Env, config: Config) -> Result<SharedBreaker, ConfigError> {
        let (env, flaws) = (env.clone(), Flaws::of(env));
        let breaker = CircuitBreaker::new(config, env.random(), now(&env, flaws))?;
        let inner = Arc::new(Mutex::new(breaker.with_flaws(flaws)));
        Ok(SharedBreaker { env, inner, flaws })
    }

    /// The same, which tells from now on what happens to it. The listener must not turn to the
    /// breaker itself, which is held while it listens.
    #[must_use]
    pub fn with_listener(self, listener: impl Fn(&Event) + Send + Sync + 'static) -> SharedBreaker {
        self.lock().listen(Box::new(listener));
        self
    }

    /// The breaker, for whoever wants to look at it or to change its state. No call may be made
    /// while it is held.
    pub fn lock(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock by which it tells the time.
    pub fn now(&self) -> Instant {
        now(&self.env, self.flaws)
    }

    /// Leave to call.
    ///
    /// # Errors
    /// If the breaker refuses.
    pub fn acquire(&self) -> Result<Leave<'_>, Refused> {
        let permit = self.lock().acquire(self.now())?;
        Ok(Leave { breaker: self, permit: Some(permit) })
    }

    /// Makes a call if the breaker lets it through. `judge` says what an error says about whoever
    /// is called. A call that is given up before its end says nothing.
    ///
    /// # Errors
    /// If the breaker refuses, or the call fails.
    pub async fn call<T, E>(
        &self,
        judge: impl FnOnce(&E) -> Verdict,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let leave = self.acquire().map_err(CallError::Refused)?;
        match call.await {
            Ok(result) => {
                leave.record(Verdict::Success);
                Ok(result)
            }
            Err(error) => {
                leave.record(judge(&error));
                Err(CallError::Failed(error))
            }
        }
    }
}

fn now(env: &Env, flaws: Flaws) -> Instant {
    if flaws.wall_clock {
        let nanos = u64::try_from(env.wall().as_unix_nanos()).unwrap_or_default();
        return Instant::from_nanos(nanos);
    }
    env.now()
}

type NamedListener = Arc<dyn Fn(&str, &Event) + Send + Sync>;

/// Breakers by name, one for each dependency, all alike; at most so many.
pub struct Registry {
    env: Env,
    config: Config,
    most: usize,
    breakers: BTreeMap<String, (u64, SharedBreaker)>,
    used: u64,
    listener: Option<NamedListener>,
}

impl Registry {
    /// No breakers yet, and `most` at a time: for one more, that goes which was asked for the
    /// longest ago.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(env: &Env, config: Config, most: usize) -> Result<Registry, ConfigError> {
        let config = config.checked()?;
        let most = most.max(1);
        let breakers = BTreeMap::new();
        Ok(Registry { env: env.clone(), config, most, breakers, used: 0, listener: None })
    }

    /// The same, which tells what happens to the breakers that it makes from now on, and to which.
    #[must_use]
    pub fn with_listener(
        mut self,
        listener: impl Fn(&str, &Event) + Send + Sync + 'static,
    ) -> Registry {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The breaker of this name. One that had to go is not the same any more when it is asked for
    /// again, and who still has it goes on with it.
    pub fn get(&mut self, name: &str) -> SharedBreaker {
        self.used += 1;
        if let Some((used, breaker)) = self.breakers.get_mut(name) {
            *used = self.used;
            return breaker.clone();
        }
        if self.breakers.len() >= self.most {
            let oldest = self.breakers.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.breakers.remove(&oldest);
            }
        }
        let mut breaker = SharedBreaker::new(&self.env, self.config.clone())
            .expect("the configuration was checked");
        if let Some(listener) = self.listener.clone() {
            let name = name.to_owned();
            breaker = breaker.with_listener(move |event| listener(&name, event));
        }
        self.breakers.insert(name.to_owned(), (self.used, breaker.clone()));
        breaker
    }

    /// The names of the breakers that there are, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.breakers.keys().map(String::as_str)
    }
}
