//! What [`Locks`] promises, as a suite for every implementation: run it against a server to which
//! nothing happens meanwhile. It takes a few seconds.

use super::types::{Acquire, AcquisitionId, Claim, Locks, LocksError, Refused, Standing, Token};
use squall_env::Env;
use std::sync::Arc;
use std::time::Duration;

/// What an implementation promises beyond mutual exclusion and tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promises {
    /// Who waits gets the lock in the order of arrival, and finds that he has it when he looks.
    pub queue: bool,
    /// What was ended before it arrived takes nothing.
    pub remembers_the_ended: bool,
    /// How much later than its time a lease ends at most.
    pub late: Duration,
}

/// A promise is broken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{promise}: {what}")]
pub struct Broken {
    /// Which.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
}

/// How long an answer may take in all.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long leases last that are not to run out.
const LONG_MS: u64 = 60_000;

/// How long leases last that are.
const SHORT: Duration = Duration::from_millis(600);

/// Tests an implementation with locks and owners that are drawn, so that it may be tested again.
///
/// # Errors
/// The first promise that is broken.
pub async fn check(env: &Env, locks: Arc<dyn Locks>, promises: Promises) -> Result<(), Broken> {
    let bench = Bench { env: env.clone(), locks, promises, run: env.random() };
    bench.excludes().await?;
    bench.repeats().await?;
    bench.releases_its_own().await?;
    bench.hands_over().await?;
    bench.remembers().await?;
    bench.renews().await?;
    bench.runs_out().await
}

struct Bench {
    env: Env,
    locks: Arc<dyn Locks>,
    promises: Promises,
    run: u64,
}

fn ensure(holds: bool, promise: &'static str, what: impl Fn() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { promise, what: what() }) }
}

/// What was answered, if it was that the lock is held.
fn token(promise: &'static str, standing: Standing) -> Result<Token, Broken> {
    match standing {
        Standing::Held(token) => Ok(token),
        other => Err(Broken { promise, what: format!("the lock is not held, but {other:?}") }),
    }
}

impl Bench {
    /// Asks for one of the bench's locks, for one of several owners.
    fn ask(&self, name: &str, number: u64, ttl_ms: u64, wait_ms: u64) -> Acquire {
        // An acquisition is of one lock.
        let owner = name
            .bytes()
            .fold(self.run, |owner, byte| owner.rotate_left(8).wrapping_add(u64::from(byte)));
        let id = AcquisitionId { owner, number };
        let claim = Claim { name: format!("{name}-{:x}", self.run), id };
        Acquire { claim, ttl_ms, wait_ms }
    }

    /// Who waits, and does not lose a lease.
    fn patient(&self, name: &str, number: u64) -> Acquire {
        self.ask(name, number, LONG_MS, LONG_MS)
    }

    async fn acquire(&self, ask: &Acquire) -> Result<Standing, Broken> {
        let acquired = self.answered(|limit| self.locks.acquire(ask, limit)).await?;
        acquired.map_err(|refused| Broken {
            promise: "whoever may wait is not refused",
            what: refused.to_string(),
        })
    }

    async fn release(&self, claim: &Claim) -> Result<bool, Broken> {
        let released = self.answered(|limit| self.locks.release(claim, limit)).await?;
        Ok(released.unwrap_or_default())
    }

    async fn renew(&self, ask: &Acquire) -> Result<bool, Broken> {
        let renewed = self.answered(|limit| self.locks.renew(ask, limit)).await?;
        Ok(renewed.unwrap_or_default())
    }

    async fn look(&self, claim: &Claim) -> Result<Standing, Broken> {
        let looked = self.answered(|limit| self.locks.look(claim, limit)).await?;
        Ok(looked.unwrap_or(Standing::Ended))
    }

    /// Asks until there is an answer.
    async fn answered<T, F>(
        &self,
        ask: impl Fn(Duration) -> F,
    ) -> Result<Result<T, Refused>, Broken>
    where
        F: Future<Output = Result<T, LocksError>>,
    {
        let until = self.env.now() + ANSWER_MAX;
        loop {
            match ask(Duration::from_secs(1)).await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(LocksError::Refused(refused)) => return Ok(Err(refused)),
                Err(error) if self.env.now() >= until => {
                    let promise = "a server that is well answers";
                    return Err(Broken { promise, what: error.to_string() });
                }
                Err(_) => self.env.sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn excludes(&self) -> Result<(), Broken> {
        let promise = "one acquisition at a time holds a lock";
        let (first, second) = (self.patient("excludes", 1), self.patient("excludes", 2));
        token(promise, self.acquire(&first).await?)?;
        let at_once = self.ask("excludes", 3, LONG_MS, 0);
        let told = self.answered(|limit| self.locks.acquire(&at_once, limit)).await?;
        ensure(told == Err(Refused::Taken), promise, || format!("another was told {told:?}"))?;
        let told = self.acquire(&second).await?;
        ensure(told == Standing::Waiting, promise, || format!("who waits was told {told:?}"))?;
        let other = self.acquire(&self.patient("excludes-another", 4)).await?;
        token("locks of other names are other locks", other).map(drop)
    }

    async fn repeats(&self) -> Result<(), Broken> {
        let promise = "to ask for an acquisition twice is to ask for it once";
        let ask = self.patient("repeats", 1);
        let first = token(promise, self.acquire(&ask).await?)?;
        let again = token(promise, self.acquire(&ask).await?)?;
        ensure(first == again, promise, || format!("token {first}, and then {again}"))
    }

    async fn releases_its_own(&self) -> Result<(), Broken> {
        let promise = "to release or renew touches no lease but the own";
        let (first, second) = (self.patient("own", 1), self.patient("own", 2));
        token(promise, self.acquire(&first).await?)?;
        for stranger in [&second, &self.patient("own-and-free", 3)] {
            let told = (self.renew(stranger).await?, self.release(&stranger.claim).await?);
            ensure(told == (false, false), promise, || format!("a stranger was told {told:?}"))?;
        }
        ensure(self.renew(&first).await?, promise, || "the holder has lost the lock".to_owned())
    }

    async fn hands_over(&self) -> Result<(), Broken> {
        let promise = "who comes after has a greater token";
        let asks = [1, 2, 3].map(|number| self.patient("order", number));
        let mut last = token(promise, self.acquire(&asks[0]).await?)?;
        for ask in &asks[1..] {
            self.acquire(ask).await?;
        }
        for pair in asks.windows(2) {
            let was_held = self.release(&pair[0].claim).await?;
            ensure(was_held, promise, || "the holder did not hold it".to_owned())?;
            if self.promises.queue {
                let promise = "who waits longest is next";
                token(promise, self.look(&pair[1].claim).await?)?;
            }
            let next = token(promise, self.acquire(&pair[1]).await?)?;
            ensure(next > last, promise, || format!("token {last}, and then {next}"))?;
            last = next;
            // A late release is a late release of nothing.
            let again = self.release(&pair[0].claim).await?;
            ensure(!again, promise, || "a lock was released twice".to_owned())?;
            ensure(self.renew(&pair[1]).await?, promise, || "it was taken away".to_owned())?;
        }
        Ok(())
    }

    async fn remembers(&self) -> Result<(), Broken> {
        let promise = "what has ended does not begin again";
        if !self.promises.remembers_the_ended {
            return Ok(());
        }
        for (number, arrives_first) in [(1, true), (2, false)] {
            let ask = self.patient("remembers", number);
            if arrives_first {
                token(promise, self.acquire(&ask).await?)?;
            }
            self.release(&ask.claim).await?;
            let told = self.acquire(&ask).await?;
            ensure(told == Standing::Ended, promise, || format!("it was told {told:?}"))?;
        }
        Ok(())
    }

    /// A lease that is renewed outlasts its time.
    async fn renews(&self) -> Result<(), Broken> {
        let promise = "a lease that is renewed goes on";
        let ttl_ms = SHORT.as_millis() as u64;
        let (ask, other) = (self.ask("renews", 1, ttl_ms, LONG_MS), self.patient("renews", 2));
        token(promise, self.acquire(&ask).await?)?;
        for _ in 0..4 {
            self.env.sleep(SHORT / 3).await;
            ensure(self.renew(&ask).await?, promise, || "it was lost".to_owned())?;
        }
        let told = self.acquire(&other).await?;
        ensure(told == Standing::Waiting, promise, || format!("another was told {told:?}"))?;
        self.release(&ask.claim).await.map(drop)
    }

    /// A lease that is not renewed ends when its time is over, and not before.
    async fn runs_out(&self) -> Result<(), Broken> {
        let promise = "a lease lasts as long as was promised, and not for ever";
        let ttl_ms = SHORT.as_millis() as u64;
        let (ask, other) = (self.ask("ends", 1, ttl_ms, LONG_MS), self.patient("ends", 2));
        let before = token(promise, self.acquire(&ask).await?)?;
        let answered = self.env.now();
        // Asked again, it lasts anew.
        let renewed = self.env.now();
        token(promise, self.acquire(&ask).await?)?;
        let after = loop {
            if let Standing::Held(token) = self.acquire(&other).await? {
                break token;
            }
            let waited = self.env.now() - answered;
            let is_over = waited > SHORT + self.promises.late;
            ensure(!is_over, promise, || format!("it still lasts after {waited:?}"))?;
            self.env.sleep(Duration::from_millis(5)).await;
        };
        let lasted = self.env.now() - renewed;
        // Two clocks are compared.
        let least = SHORT - SHORT / 20;
        ensure(lasted >= least, promise, || format!("it ended after {lasted:?}"))?;
        ensure(after > before, promise, || format!("token {before}, and then {after}"))?;
        let (held, told) = (self.renew(&ask).await?, self.look(&ask.claim).await?);
        let is_gone = !held && !matches!(told, Standing::Held(_));
        ensure(is_gone, promise, || format!("who lost it is told {told:?}"))
    }
}
