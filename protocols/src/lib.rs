//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`breaker`] | what fails is not called for a while, and then a few calls try it |
//! | [`bus`] | whoever subscribes hears of everything, in order |
//! | [`limiter`] | no more goes through than a rate allows, whatever the clock does |
//! | [`outbox`] | others hear of every change that is durable, and of no other |
//! | [`queue`] | work that was confirmed is done, or kept with the reason why not |
//! | [`raft`] | a state machine on several nodes that goes on as long as a majority runs |
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |
//! | [`store`] | a versioned key-value store with watches and leases, to be replicated |

pub mod breaker;
pub mod bus;
pub mod limiter;
pub mod outbox;
pub mod queue;
pub mod raft;
pub mod register;
pub mod store;
