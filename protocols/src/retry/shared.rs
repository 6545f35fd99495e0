//! Calls that are made again.

use super::backoff::{Backoff, Waits};
use super::budget::Budget;
use super::deadline::Deadline;
use super::flaws::Flaws;
use serde::{Deserialize, Serialize};
use squall_env::{Env, HasOutcome, Outcome};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a call is tried, and how long one waits in between.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// How many tries there are at most, the first among them; none is one.
    pub tries: u32,
    /// The waits between them.
    pub backoff: Backoff,
}

/// Whether it does any harm to do a thing twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Effect {
    /// To do it again changes nothing, as a read, or what is known by a key: it is tried again also
    /// when it may have been done.
    Idempotent,
    /// It is tried again only after an answer that says that it was not done.
    Once,
}

/// Whether a failure goes by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Advice {
    /// Perhaps the next try succeeds.
    Retry,
    /// It may, but not before so long a time.
    RetryAfter(Duration),
    /// The next one would fail as well, as for an argument that is refused.
    GiveUp,
}

/// Why a call is not tried again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The next try would fail as well.
    Futile,
    /// It may have been done, and must not be done twice.
    MayBeDone,
    /// There were as many tries as allowed.
    Tries,
    /// There is no time left for another one.
    Deadline,
    /// Too little goes well for another one.
    Budget,
}

/// Why a call has no result after all its tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no success after {tries} tries ({why:?})")]
pub struct RetryError<E> {
    /// How many tries were made.
    pub tries: u32,
    /// Why there was no other.
    pub why: Why,
    /// What came of the last one that came back.
    pub last: Option<E>,
    outcome: Outcome,
}

impl<E> HasOutcome for RetryError<E> {
    /// Not done only if that is known of every try.
    fn outcome(&self) -> Outcome {
        self.outcome
    }
}

/// Makes calls again that fail, with one budget for all of them. Clones share it.
#[derive(Clone)]
pub struct Retry {
    env: Env,
    policy: Policy,
    budget: Arc<Mutex<Budget>>,
    flaws: Flaws,
}

impl Retry {
    /// Retries with a budget of their own.
    pub fn new(env: &Env, policy: Policy, budget: Budget) -> Retry {
        let budget = Arc::new(Mutex::new(budget));
        Retry { env: env.clone(), policy, budget, flaws: Flaws::of(env) }
    }

    /// The budget, for whoever wants to look at it.
    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call until it succeeds, but not beyond the deadline, which each try is told. What an
    /// error [says of the effect](HasOutcome) decides whether the call may be repeated at all, and
    /// `judge` whether there is any sense in it.
    ///
    /// # Errors
    /// If the last try failed, or was cut off by the deadline.
    pub async fn call<T, E: HasOutcome, F>(
        &self,
        effect: Effect,
        deadline: Deadline,
        judge: impl Fn(&E) -> Advice,
        mut attempt: impl FnMut(Deadline) -> F,
    ) -> Result<T, RetryError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut tries = Tries {
            retry: self,
            effect,
            deadline,
            limit: deadline.left(self.env.now()).duration(),
            waits: self.policy.backoff.waits(),
            made: 0,
            outcome: Outcome::NotDone,
        };
        let mut last = None;
        loop {
            let Some(deadline) = tries.begin() else {
                return Err(tries.end(Why::Deadline, last));
            };
            let Ok(result) = self.env.deadline(deadline.at(), attempt(deadline)).await else {
                tries.outcome = Outcome::Indeterminate;
                return Err(tries.end(Why::Deadline, last));
            };
            let error = match result {
                Ok(result) => {
                    self.budget().succeeded();
                    return Ok(result);
                }
                Err(error) => error,
            };
            let next = tries.failed(error.outcome(), judge(&error));
            last = Some(error);
            match next {
                Ok(wait) => self.env.sleep(wait).await,
                Err(why) => return Err(tries.end(why, last)),
            }
        }
    }
}

/// The tries of one call.
struct Tries<'a> {
    retry: &'a Retry,
    effect: Effect,
    deadline: Deadline,
    /// How much time there was at first.
    limit: Duration,
    waits: Waits,
    made: u32,
    /// What is known of the effect of all of them.
    outcome: Outcome,
}

impl Tries<'_> {
    /// Another one begins, and has so much time, if there is any.
    fn begin(&mut self) -> Option<Deadline> {
        let now = self.retry.env.now();
        if self.deadline.is_over(now) {
            return None;
        }
        if self.retry.flaws.new_deadline {
            self.deadline = Deadline::after(self.limit, now);
        }
        self.made += 1;
        Some(self.deadline)
    }

    /// After how long the next one may begin, or why there is none.
    fn failed(&mut self, outcome: Outcome, advice: Advice) -> Result<Duration, Why> {
        let Tries { retry, effect, .. } = *self;
        if retry.flaws.pays_for_failures {
            retry.budget().succeeded();
        }
        self.outcome = match (self.outcome, outcome) {
            (_, last) if retry.flaws.last_word => last,
            (Outcome::Done, _) | (_, Outcome::Done) => Outcome::Done,
            (Outcome::NotDone, Outcome::NotDone) => Outcome::NotDone,
            _ => Outcome::Indeterminate,
        };
        let after = match advice {
            Advice::GiveUp => return Err(Why::Futile),
            Advice::RetryAfter(after) => after,
            Advice::Retry => Duration::ZERO,
        };
        let may_be_done = outcome != Outcome::NotDone && effect == Effect::Once;
        if may_be_done && !retry.flaws.repeats_effects {
            return Err(Why::MayBeDone);
        }
        if self.made >= retry.policy.tries + u32::from(retry.flaws.one_more) {
            return Err(Why::Tries);
        }
        let wait = self.waits.next_wait(retry.env.random()).max(after);
        if self.deadline.is_over(retry.env.now() + wait) {
            return Err(Why::Deadline);
        }
        if !retry.budget().take() && !retry.flaws.no_budget {
            return Err(Why::Budget);
        }
        Ok(wait)
    }

    fn end<E>(&self, why: Why, last: Option<E>) -> RetryError<E> {
        RetryError { tries: self.made, why, last, outcome: self.outcome }
    }
}
