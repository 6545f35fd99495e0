//! A lock that is leased: whoever holds it loses it by itself some time after it was last heard of,
//! and whoever comes after has a greater token.
//!
//! *Promises* that no two clients believe at the same time that they hold a lock, as long as clocks
//! run within the bound that [`Config`] declares; that tokens only go up, over restarts and changes
//! of leaders; that who waits gets the lock in the order of arrival, and after a crash of its
//! holder when its time is over; and that a resource which is [`Guarded`] takes no write of anybody
//! who held the lock before, whatever clocks do and however long a holder stands still. *Needs* a
//! disk that keeps what it has synced, or for the locks on Raft a majority of such nodes. *Breaks*
//! if a holder trusts the lock alone: it may be held up between its last look at the clock and its
//! effect (Kleppmann, 2016). The scenarios `lock/single`, `lock/raft` and, with clocks beyond every
//! bound, `lock/fenced` show it.
//!
//! Leases are those of Gray and Cheriton ("Leases: An Efficient Fault-Tolerant Mechanism for
//! Distributed File Cache Consistency", SOSP 1989): a holder counts its time from when it asked,
//! and a server that starts anew gives each lease its whole time once more. Tokens are those of
//! Kleppmann ("How to do distributed locking", 2016), and the sequencers of Burrows ("The Chubby
//! lock service for loosely-coupled distributed systems", OSDI 2006).
//!
//! Who holds what is a value:
//!
//! ```
//! use squall_protocols::lock::{
//!     Acquire, AcquisitionId, Claim, Command, Fence, Standing, Table, Token,
//! };
//!
//! let claim = |number| Claim { name: "account".into(), id: AcquisitionId { owner: 1, number } };
//! let ask = |number| Acquire { claim: claim(number), ttl_ms: 30_000, wait_ms: 5_000 };
//! let mut locks = Table::default();
//! locks.execute(&Command::Acquire(ask(1)))?;
//! locks.execute(&Command::Acquire(ask(2)))?;
//! assert_eq!(locks.standing(&claim(1)), Standing::Held(Token(1)));
//! assert_eq!(locks.standing(&claim(2)), Standing::Waiting);
//!
//! // Nobody has heard of the first holder for 30 s: the lock goes on, under a greater token.
//! let over = locks.terms().next().map(|term| (term.claim, term.turn));
//! locks.execute(&Command::Expire(over.into_iter().collect()))?;
//! assert_eq!(locks.standing(&claim(2)), Standing::Held(Token(2)));
//!
//! // It only stood still. What both of them write to has seen the greater token.
//! let mut fence = Fence::default();
//! fence.admit(Token(2))?;
//! assert!(fence.admit(Token(1)).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! And this is how a service uses a lock:
//!
//! ```
//! use squall_env::{Either, Env, race};
//! use squall_protocols::lock::{AcquireError, LockClient, Token};
//! use std::time::Duration;
//!
//! async fn bill(env: &Env, locks: &LockClient, number: u64) -> Result<(), AcquireError> {
//!     let (name, by) = (format!("account_lock:{number}"), env.now() + Duration::from_secs(5));
//!     let lease = locks.acquire(&name, Duration::from_secs(30), by).await?;
//!     match race(lease.lost(), charge(number, lease.token())).await {
//!         Either::Left(_) => {} // Somebody else may hold it: stop.
//!         Either::Right(()) => drop(lease.release().await),
//!     }
//!     Ok(())
//! }
//!
//! /// Whoever is asked to charge refuses tokens that are smaller than one that he has seen.
//! async fn charge(number: u64, token: Token) {}
//! ```

mod beliefs;
mod client;
pub mod contract;
mod deadlines;
mod fence;
mod guarded;
pub mod invariants;
mod lease;
mod machine;
mod raft;
mod single;
mod table;
#[cfg(test)]
mod tests;
mod types;

pub use beliefs::{Asking, Belief, Beliefs};
pub use client::{AcquireError, Config, LockClient};
pub use fence::{
    Fence, GUARDED, Guarded, GuardedAsk, GuardedTell, Record, Resource, Stale, State, guard,
};
pub use guarded::{GuardedClient, GuardedError, Under, Written};
pub use lease::{Lease, Lost, ReleaseError};
pub use machine::{Ask, Due, LockServer, NAME, ServeError, Tell, serve};
pub use raft::{OnRaft, serve_on_raft};
pub use single::Single;
pub use table::{
    Command, ENDED_MAX, LOCKS_MAX, NAME_BYTES_MAX, Output, TTL_MAX_MS, TTL_MIN_MS, Table, Term,
    WAITERS_MAX,
};
pub use types::{Acquire, AcquisitionId, Claim, Locks, LocksError, Refused, Standing, Token};
