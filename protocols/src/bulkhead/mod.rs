//! Bulkheads: calls of one kind have only so many places, so that a dependency that has become
//! slow takes no more than its own, as a hull is divided so that one leak does not sink the ship
//! (Nygard, Release It!, 2007).
//!
//! *Promises* that of each key no more calls than allowed are under way, that no more wait than
//! allowed, and none longer than it may; that who waits longest goes first; that what happens to
//! one key is of no concern to the others; and that a place comes back whatever becomes of its
//! holder, also of one who was given it and had just stopped waiting. *Needs* somebody who tells it
//! the time of a monotonic clock. *Breaks* if a place is kept by hand and forgotten, and does not
//! help where the calls of different keys share something behind it: a connection, a processor. The
//! scenario `bulkhead/partitions` shows it.
//!
//! ```
//! use squall_env::Instant;
//! use squall_protocols::bulkhead::{Bulkhead, Config, Entry, Rejected};
//! use std::time::Duration;
//!
//! let wait_max = Duration::from_millis(100);
//! let mut bulkhead = Bulkhead::new(Config { calls: 1, waiting: 1, wait_max, keys: 10 });
//! let now = Instant::ORIGIN;
//! let Ok(Entry::Admitted(place)) = bulkhead.enter(&"payments", now) else { panic!() };
//! let Ok(Entry::Waits(ticket)) = bulkhead.enter(&"payments", now) else { panic!() };
//! assert_eq!(bulkhead.enter(&"payments", now).unwrap_err(), Rejected::Full);
//! assert!(bulkhead.enter(&"catalogue", now).is_ok(), "a partition of its own");
//! // The place goes to who waits.
//! assert_eq!(bulkhead.leave(place, now), Some(ticket.number()));
//! ```

mod flaws;
mod machine;
mod shared;

pub use machine::{Bulkhead, Config, Entry, Place, Rejected, Stand, Ticket};
pub use shared::{CallError, Held, SharedBulkhead};
