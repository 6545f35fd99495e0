//! A resource that takes nothing from those who held a lock before.

use super::machine::ServeError;
use super::types::Token;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::machine::{RequestId, serve_requests};
use squall_env::{Env, Machine, Never, Port, Turn, mutant, open};
use std::fmt::Debug;

/// The name of a guarded resource's journal.
pub const GUARDED: &str = "guarded";

/// Where a guarded resource takes what clients ask.
pub(super) const SERVICE: &str = "guarded service";

/// After so many records a guarded resource replaces its journal by a snapshot.
const RECORDS_MAX: u64 = 64;

/// The greatest token that a resource has seen. Smaller ones are refused, equal ones are not
/// (Kleppmann, 2016).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Fence {
    greatest: Token,
}

/// The token is of somebody who held the lock before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("somebody has held the lock since, under token {greatest}")]
pub struct Stale {
    /// The greatest token that the resource has seen.
    pub greatest: Token,
}

impl Fence {
    /// The greatest token that was seen.
    pub fn greatest(&self) -> Token {
        self.greatest
    }

    /// Lets this token through, and none that is smaller from now on.
    ///
    /// # Errors
    /// [`Stale`] if a greater one was seen.
    pub fn admit(&mut self, token: Token) -> Result<(), Stale> {
        self.allows(token)?;
        self.greatest = token;
        Ok(())
    }

    /// Whether this token would be let through.
    ///
    /// # Errors
    /// [`Stale`] if a greater one was seen.
    pub fn allows(&self, token: Token) -> Result<(), Stale> {
        match token < self.greatest {
            true => Err(Stale { greatest: self.greatest }),
            false => Ok(()),
        }
    }
}

/// What is guarded. Equal states must encode equally.
pub trait Resource:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + 'static
{
    /// What changes it.
    type Write: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What is seen of it.
    type Value: Debug + Serialize + DeserializeOwned + Send + 'static;

    /// Changes it.
    fn write(&mut self, write: &Self::Write);

    /// What is there.
    fn value(&self) -> Self::Value;
}

/// A resource that requires a token with everything that is done to it, as a machine of its own. It
/// keeps the greatest token durable, and raises it for reads, too: what somebody read in order to
/// write stays as it is until he writes, or he is refused.
#[derive(Debug)]
pub struct Guarded<R: Resource> {
    state: State<R>,
    since_snapshot: u64,
}

/// What a guarded resource keeps.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State<R> {
    fence: Fence,
    /// The last write: a later one under the same token has a greater number.
    last: (Token, u64),
    resource: R,
}

/// A change of a guarded resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Record<W> {
    /// Somebody has shown this token.
    Seen(Token),
    /// Something was written under this token and number.
    Written(Token, u64, W),
}

/// What is asked of a guarded resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum GuardedAsk<W> {
    /// What is there, of whom holds no lock.
    Look,
    /// What is there, of whom is going to write.
    Read(Token),
    /// A write, its number under this token, and what is to be written.
    Write(Token, u64, W),
}

/// What a guarded resource tells.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum GuardedTell<V> {
    /// What is there.
    Value(V),
    /// It is written.
    Written,
    /// Nothing was done.
    Stale(Stale),
    /// There is no room for the request; nothing was done.
    Busy,
}

impl<R: Resource> Guarded<R> {
    /// The greatest token that it has seen.
    pub fn fence(&self) -> Fence {
        self.state.fence
    }

    /// The token and the number of the last write.
    pub fn last(&self) -> (Token, u64) {
        self.state.last
    }

    /// What is guarded.
    pub fn resource(&self) -> &R {
        &self.state.resource
    }

    fn keep(&mut self, record: Record<R::Write>, turn: &mut Turn<Guarded<R>>) {
        if mutant!(turn, "lock/guards-in-memory") {
            return self.apply(&record);
        }
        turn.persist(self, record);
        self.since_snapshot += 1;
        if self.since_snapshot >= RECORDS_MAX {
            self.since_snapshot = 0;
            turn.compact();
        }
    }

    fn serve(
        &mut self,
        ask: GuardedAsk<R::Write>,
        turn: &mut Turn<Guarded<R>>,
    ) -> Result<GuardedTell<R::Value>, Stale> {
        let guards = !mutant!(turn, "lock/guards-nothing");
        match ask {
            GuardedAsk::Look => {}
            GuardedAsk::Read(token) => {
                self.state.fence.allows(token)?;
                let raises = !mutant!(turn, "lock/reads-without-raising-the-fence");
                if token > self.state.fence.greatest() && raises {
                    self.keep(Record::Seen(token), turn);
                }
            }
            GuardedAsk::Write(token, number, write) => {
                if guards {
                    self.state.fence.allows(token)?;
                }
                // What has been written is not written again.
                if (token, number) > self.state.last || !guards {
                    self.keep(Record::Written(token, number, write), turn);
                }
                return Ok(GuardedTell::Written);
            }
        }
        Ok(GuardedTell::Value(self.state.resource.value()))
    }
}

impl<R: Resource> Machine for Guarded<R> {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = GuardedAsk<R::Write>;
    type Reply = GuardedTell<R::Value>;
    type Record = Record<R::Write>;
    type Snapshot = State<R>;

    fn restore((): &(), snapshot: Option<State<R>>) -> Guarded<R> {
        Guarded { state: snapshot.unwrap_or_default(), since_snapshot: 0 }
    }

    fn apply(&mut self, record: &Record<R::Write>) {
        let state = &mut self.state;
        match record {
            Record::Seen(token) => state.fence.greatest = *token,
            Record::Written(token, number, write) => {
                state.fence.greatest = *token;
                state.last = (*token, *number);
                state.resource.write(write);
            }
        }
    }

    fn snapshot(&self) -> State<R> {
        self.state.clone()
    }

    fn on_request(
        &mut self,
        id: RequestId,
        ask: GuardedAsk<R::Write>,
        turn: &mut Turn<Guarded<R>>,
    ) {
        turn.trace(|| format!("is asked {ask:?}"));
        let told = self.serve(ask, turn).unwrap_or_else(|stale| {
            turn.sometimes("a stale holder was refused");
            GuardedTell::Stale(stale)
        });
        turn.reply(id, told);
    }
}

/// A node that guards a resource.
///
/// # Errors
/// If it cannot be opened or has to stop; the node should then be started anew.
pub async fn guard<R: Resource>(env: Env) -> Result<(), ServeError> {
    let (resource, run) = open::<Guarded<R>>(&env, GUARDED, ()).await?;
    let answer = |ask, back| resource.clone().answer(ask, back, Some(GuardedTell::Busy));
    serve_requests(&env, run, Port::named(SERVICE), answer).await
}
