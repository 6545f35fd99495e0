//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`breaker`] | what fails is not called for a while, and then a few calls try it |
//! | [`bulkhead`] | what is slow takes no more places than its own |
//! | [`limiter`] | no more goes through than a rate allows, whatever the clock does |
//! | [`raft`] | a state machine on several nodes that goes on as long as a majority runs |
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |
//! | [`retry`] | what fails is tried again, and what may be done already is not |
//! | [`store`] | a versioned key-value store with watches and leases, to be replicated |
//! | `tower` | most of these that guard calls, as layers of tower, with the feature `tower` |

pub mod breaker;
pub mod bulkhead;
pub mod limiter;
pub mod raft;
pub mod register;
pub mod retry;
pub mod store;
#[cfg(feature = "tower")]
pub mod tower;
