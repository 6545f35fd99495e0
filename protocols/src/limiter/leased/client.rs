//! A limiter that admits from portions of a limit which another node owns.

use super::super::flaws::Flaws;
use super::{Ask, Config, LeaseError, PortionId, Portions, Tell};
use crate::limiter::Limited;
use squall_env::request::{Caller, Heard};
use squall_env::sync::{Receiver, Sender, channel};
use squall_env::{Address, Env, Instant, NodeId, Port};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long a borrower waits for the first answer, and then twice as long each time.
const TRY: Duration = Duration::from_millis(250);

/// A limiter that admits from portions of a limit which another node owns, and asks for more in the
/// background before they are used up. Clones are the same limiter. What it holds when the node
/// stops is lost to all for the rest of its term, unless it is [given
/// back](LeasedLimiter::give_back).
#[derive(Clone)]
pub struct LeasedLimiter {
    shared: Arc<Shared>,
    /// Says to the background that more is wanted.
    wants: Arc<Sender<()>>,
}

/// What the limiter and its background share.
struct Shared {
    env: Env,
    config: Config,
    owner: Address,
    caller: Caller<Ask, Tell>,
    borrower: u64,
    flaws: Flaws,
    inner: Mutex<Inner>,
}

struct Inner {
    portions: Portions,
    /// When the owner will have something, as far as it has said.
    retry_at: Instant,
}

impl LeasedLimiter {
    /// A limiter that borrows from the node that [owns](super::serve) the limit of this name, with
    /// the same configuration. It holds nothing until it was asked for the first time.
    ///
    /// # Errors
    /// If the configuration leaves nothing to lend, or the node has stopped.
    pub fn open(
        env: &Env,
        name: &str,
        owner: NodeId,
        config: Config,
    ) -> Result<LeasedLimiter, LeaseError> {
        let flaws = Flaws::of(env);
        let portions = Portions::new(config)?.with_flaws(flaws);
        let inner = Mutex::new(Inner { portions, retry_at: Instant::ORIGIN });
        let (env, owner) = (env.clone(), Address::new(owner, Port::named(name)));
        let (caller, borrower) = (Caller::open(&env)?, env.random());
        let (wants, wanted) = channel(&env, "portions", 1);
        let shared = Shared { env, config, owner, caller, borrower, flaws, inner };
        let shared = Arc::new(shared);
        shared.env.spawn("portions", Arc::clone(&shared).borrow(wanted));
        Ok(LeasedLimiter { shared, wants: Arc::new(wants) })
    }

    /// Whether one may come through now, from what is held here; if so, it has. Nobody is asked
    /// first.
    ///
    /// # Errors
    /// If nothing is held now. How long to wait is a guess.
    pub fn check(&self) -> Result<(), Limited> {
        let env = &self.shared.env;
        let now = env.now();
        let (admitted, is_low, retry_at) = {
            let mut inner = self.shared.lock();
            if inner.portions.forget(now) > 0 {
                env.sometimes("a portion ended before it was used up");
            }
            let admitted = inner.portions.take(now);
            (admitted, inner.portions.is_low(now), inner.retry_at)
        };
        if is_low {
            // If that is known already, it is enough.
            let _ = self.wants.try_send(());
        }
        match admitted {
            true => Ok(()),
            false if retry_at > now => Err(Limited { retry_after: retry_at - now }),
            false => Err(Limited { retry_after: TRY }),
        }
    }

    /// Waits until one may come through, but not beyond `until`. Those who wait are served in no
    /// order.
    ///
    /// # Errors
    /// If it would have to wait longer than that, as far as can be told: it then does not wait.
    pub async fn ready(&self, until: Instant) -> Result<(), Limited> {
        loop {
            match self.check() {
                Ok(()) => return Ok(()),
                Err(limited) if self.shared.env.now() + limited.retry_after > until => {
                    return Err(limited);
                }
                Err(limited) => self.shared.env.sleep(limited.retry_after).await,
            }
        }
    }

    /// How many may come through now.
    pub fn left(&self) -> u32 {
        self.shared.lock().portions.left(self.shared.env.now())
    }

    /// Gives up what is held here, so that others can have it: before the node stops, or when
    /// nothing is expected for a while. What does not reach the owner is lost.
    pub async fn give_back(&self) {
        let shared = &self.shared;
        let given_up = shared.lock().portions.give_up(shared.env.now());
        for (number, used) in given_up {
            let id = PortionId { borrower: shared.borrower, number };
            let (ask, limit) = (Ask::TakeBack(id, used), shared.config.usable());
            let told = shared.caller.call_again(shared.owner, ask, TRY, limit).await;
            if told.is_ok() {
                shared.env.sometimes("a portion was given back");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for more when it is wanted, as long as there is a limiter.
    async fn borrow(self: Arc<Shared>, mut wanted: Receiver<()>) {
        while wanted.receive().await.is_some() {
            while self.lock().portions.is_low(self.env.now()) {
                match self.ask().await {
                    Some(retry_at) => self.env.sleep_until(retry_at).await,
                    None => break,
                }
            }
        }
    }

    /// Asks once. When to ask again, if the owner has nothing.
    async fn ask(&self) -> Option<Instant> {
        let (number, asked) = (self.lock().portions.asks(), self.env.now());
        let id = PortionId { borrower: self.borrower, number };
        let ask = Ask::Lend(id, self.config.portion);
        // What comes later than that has ended already.
        let limit = self.config.usable();
        let told = self.caller.call_again(self.owner, ask, TRY, limit).await;
        let now = self.env.now();
        let asked = if self.flaws.from_the_answer { now } else { asked };
        let mut inner = self.lock();
        match told {
            Ok(Heard { response: Tell::Lent(cells), .. }) => {
                if inner.portions.left(now) > 0 {
                    self.env.sometimes("a portion came before the last one was used up");
                }
                inner.portions.lent(number, cells, asked);
                None
            }
            Ok(Heard { response: Tell::Limited(nanos), .. }) => {
                inner.portions.refused();
                inner.retry_at = now + Duration::from_nanos(nanos);
                Some(inner.retry_at)
            }
            // Nobody answers so but another program.
            Ok(Heard { response: Tell::TakenBack, .. }) | Err(_) => {
                self.env.sometimes("an owner could not be reached");
                inner.portions.refused();
                None
            }
        }
    }
}
