//! What every store must do, whatever it keeps its events on: the same checks for all backends,
//! here and in other crates.
//!
//! A check is an ordinary async function over a store. [`check`] does all of them; who writes a
//! backend calls it in the simulated world, or on a node of squall-real, or both.

mod claims;
mod expected;

pub use expected::{Given, ROWS, Row, Told};

use super::{EventId, EventStore, Filter, NewEvent};
use squall_env::Env;
use squall_env::platform::BoxFuture;
use std::sync::Arc;

/// Opens the store under test, on the same data each time.
pub type Open =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn EventStore>, String>> + Send + Sync>;

/// A store under test.
pub struct Bench {
    env: Env,
    open: Open,
    /// There is none while it is closed.
    store: Option<Arc<dyn EventStore>>,
    /// What tells the streams and ids of this check from those of others.
    salt: u64,
}

/// Does all checks, one after the other, on one store.
///
/// # Errors
/// The first check that does not hold, and why.
pub async fn check(env: &Env, open: Open) -> Result<(), String> {
    let store = Some(open().await?);
    let mut bench = Bench { env: env.clone(), open, store, salt: 0 };
    for row in ROWS {
        bench.salt = env.random();
        bench.row(row).await.map_err(|why| format!("{}: {why}", row.name))?;
    }
    for (name, claim) in claims::CLAIMS {
        bench.salt = env.random();
        claim(&mut bench).await.map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

impl Bench {
    fn store(&self) -> &dyn EventStore {
        &**self.store.as_ref().expect("the store is open between two checks")
    }

    /// The name of a stream of this check.
    fn stream(&self, name: &str) -> String {
        format!("{name}-{:016x}", self.salt)
    }

    fn id(&self, number: u8) -> EventId {
        EventId(u128::from(self.salt) << 64 | u128::from(number))
    }

    fn event(&self, number: u8) -> NewEvent {
        NewEvent::new(self.id(number), "counted", [number])
    }

    fn events(&self, numbers: &[u8]) -> Vec<NewEvent> {
        numbers.iter().map(|number| self.event(*number)).collect()
    }

    /// Closes the store and opens it again.
    async fn reopen(&mut self) -> Result<(), String> {
        // It is closed only when nobody has it any more.
        self.store = None;
        self.store = Some((self.open)().await?);
        Ok(())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Lets no event through.
fn nothing() -> Filter {
    Filter::stream("a stream that nobody writes")
}
