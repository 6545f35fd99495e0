//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`aggregate`] | what may be done is decided on what has happened, and recorded |
//! | [`breaker`] | what fails is not called for a while, and then a few calls try it |
//! | [`cqrs`] | a command is done once, and views say of which position they are |
//! | [`event_store`] | what happened is appended to streams, and read in one order by everybody |
//! | [`limiter`] | no more goes through than a rate allows, whatever the clock does |
//! | [`raft`] | a state machine on several nodes that goes on as long as a majority runs |
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |
//! | [`specification`] | rules as data, that mean the same in memory and in SQL |
//! | [`store`] | a versioned key-value store with watches and leases, to be replicated |
//! | [`unit_of_work`] | what was read and is to be written takes effect as one, or not at all |

pub mod aggregate;
pub mod breaker;
pub mod cqrs;
pub mod event_store;
pub mod limiter;
pub mod raft;
pub mod register;
pub mod specification;
pub mod store;
pub mod unit_of_work;
