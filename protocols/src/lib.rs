//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`aggregate`] | what may be done is decided on what has happened, and recorded |
//! | [`breaker`] | what fails is not called for a while, and then a few calls try it |
//! | [`bulkhead`] | what is slow takes no more places than its own |
//! | [`bus`] | whoever subscribes hears of everything, in order |
//! | [`cqrs`] | a command is done once, and views say of which position they are |
//! | [`event_store`] | what happened is appended to streams, and read in one order by everybody |
//! | [`limiter`] | no more goes through than a rate allows, whatever the clock does |
//! | [`lock`] | a lock that ends by itself, with tokens by which late holders are told |
//! | [`outbox`] | others hear of every change that is durable, and of no other |
//! | [`queue`] | work that was confirmed is done, or kept with the reason why not |
//! | [`raft`] | a state machine on several nodes that goes on as long as a majority runs |
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |
//! | [`retry`] | what fails is tried again, and what may be done already is not |
//! | [`saga`] | steps on several services that are all done, or all undone, or visibly stuck |
//! | [`specification`] | rules as data, that mean the same in memory and in SQL |
//! | [`store`] | a versioned key-value store with watches and leases, to be replicated |
//! | [`unit_of_work`] | what was read and is to be written takes effect as one, or not at all |
//! | `tower` | most of these that guard calls, as layers of tower, with the feature `tower` |

pub mod aggregate;
pub mod breaker;
pub mod bulkhead;
pub mod bus;
pub mod cqrs;
pub mod event_store;
mod later;
pub mod limiter;
pub mod lock;
pub mod outbox;
pub mod queue;
pub mod raft;
pub mod register;
pub mod retry;
pub mod saga;
pub mod specification;
#[cfg(feature = "sqlite")]
mod sqlite;
pub mod store;
#[cfg(feature = "tower")]
pub mod tower;
pub mod unit_of_work;
