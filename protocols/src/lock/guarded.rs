//! The way to a resource that is guarded by tokens.

use super::fence::{GuardedAsk, GuardedTell, Resource, SERVICE, Stale};
use super::types::Token;
use squall_env::platform::BindError;
use squall_env::request::Caller;
use squall_env::{Address, Env, HasOutcome, NodeId, Outcome, Port, Shown};
use std::time::Duration;

/// For how long it is not asked again after it had no room.
const PAUSE: Duration = Duration::from_millis(50);

/// For how long one request is waited for at first: twice as long after each that nobody answered.
const PATIENCE: Duration = Duration::from_millis(200);

/// Why a guarded resource has not done what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GuardedError {
    /// The token is too small. Nothing was done, and nothing under this token ever will be.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// The token is too small by now, and nobody knows of an earlier try of the same.
    #[error("{0}; it may have been done before")]
    Late(Stale),
    /// No answer came in time. It may have been done.
    #[error("no answer came in time; it may have been done")]
    Unanswered,
}

impl HasOutcome for GuardedError {
    fn outcome(&self) -> Outcome {
        match self {
            GuardedError::Stale(_) => Outcome::NotDone,
            GuardedError::Late(_) | GuardedError::Unanswered => Outcome::Indeterminate,
        }
    }
}

/// The greatest token of a write of which this node was told that it is done, on show under the
/// name `guarded`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written(pub Token);

/// The way to a guarded resource.
pub struct GuardedClient<R: Resource> {
    env: Env,
    caller: Caller<GuardedAsk<R::Write>, GuardedTell<R::Value>>,
    resource: Address,
    written: Shown<Written>,
}

impl<R: Resource> GuardedClient<R> {
    /// The resource that this node guards.
    ///
    /// # Errors
    /// If the node has stopped.
    pub fn open(env: &Env, resource: NodeId) -> Result<GuardedClient<R>, BindError> {
        let resource = Address::new(resource, Port::named(SERVICE));
        let written = env.show("guarded", Written::default());
        Ok(GuardedClient { env: env.clone(), caller: Caller::open(env)?, resource, written })
    }

    /// Looks at the resource without a token.
    ///
    /// # Errors
    /// If nobody answers within `limit`.
    pub async fn look(&self, limit: Duration) -> Result<R::Value, GuardedError> {
        self.value(GuardedAsk::Look, limit).await
    }

    /// What is done under this token from now on: once for each token, since its writes are
    /// numbered.
    pub fn under(&self, token: Token) -> Under<'_, R> {
        Under { client: self, token, writes: 0 }
    }

    async fn value(
        &self,
        ask: GuardedAsk<R::Write>,
        limit: Duration,
    ) -> Result<R::Value, GuardedError> {
        match self.ask(ask, limit).await? {
            GuardedTell::Value(value) => Ok(value),
            // No guard of this program answers so.
            _ => Err(GuardedError::Unanswered),
        }
    }

    /// Asks again and again: whatever is asked may be asked twice.
    async fn ask(
        &self,
        ask: GuardedAsk<R::Write>,
        limit: Duration,
    ) -> Result<GuardedTell<R::Value>, GuardedError> {
        let until = self.env.now() + limit;
        let mut repeated = false;
        loop {
            let left = until - self.env.now();
            if left.is_zero() {
                return Err(GuardedError::Unanswered);
            }
            let asked = self.caller.call_again(self.resource, ask.clone(), PATIENCE, left);
            let heard = asked.await.map_err(|_| GuardedError::Unanswered)?;
            repeated |= heard.sent > 1;
            match heard.response {
                GuardedTell::Stale(stale) if repeated => return Err(GuardedError::Late(stale)),
                GuardedTell::Stale(stale) => return Err(stale.into()),
                GuardedTell::Busy => self.env.sleep(PAUSE.min(left)).await,
                told => return Ok(told),
            }
        }
    }
}

/// What a holder of a lock does to a guarded resource.
pub struct Under<'a, R: Resource> {
    client: &'a GuardedClient<R>,
    token: Token,
    writes: u64,
}

impl<R: Resource> Under<'_, R> {
    /// Reads in order to write: from now on nobody writes under a smaller token.
    ///
    /// # Errors
    /// [`GuardedError::Stale`] if somebody has held the lock since; or if nobody answers within
    /// `limit`.
    pub async fn read(&mut self, limit: Duration) -> Result<R::Value, GuardedError> {
        self.client.value(GuardedAsk::Read(self.token), limit).await
    }

    /// Writes, once however often it has to be asked for.
    ///
    /// # Errors
    /// [`GuardedError::Stale`] if somebody has held the lock since. If nobody answers within
    /// `limit`, it may have been done, or be done yet.
    pub async fn write(&mut self, write: R::Write, limit: Duration) -> Result<(), GuardedError> {
        self.writes += 1;
        let ask = GuardedAsk::Write(self.token, self.writes, write);
        match self.client.ask(ask, limit).await? {
            GuardedTell::Written => {
                let token = self.token;
                let shown = &self.client.written;
                shown.update(&self.client.env, |written| written.0 = written.0.max(token));
                Ok(())
            }
            _ => Err(GuardedError::Unanswered),
        }
    }
}
