//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`breaker`] | what fails is not called for a while, and then a few calls try it |
//! | [`event_store`] | what happened is appended to streams, and read in one order by everybody |
//! | [`limiter`] | no more goes through than a rate allows, whatever the clock does |
//! | [`lock`] | a lock that ends by itself, with tokens by which late holders are told |
//! | [`raft`] | a state machine on several nodes that goes on as long as a majority runs |
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |
//! | [`saga`] | steps on several services that are all done, or all undone, or visibly stuck |
//! | [`store`] | a versioned key-value store with watches and leases, to be replicated |

pub mod breaker;
pub mod event_store;
pub mod limiter;
pub mod lock;
pub mod raft;
pub mod register;
pub mod saga;
pub mod store;
