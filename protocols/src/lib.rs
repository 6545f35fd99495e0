//! Distributed patterns, each written once: it runs in the simulated world and in production.
//!
//! | pattern | what it promises |
//! |---|---|
//! | [`register`] | reads and writes of one value on several nodes, as if there were only one |

pub mod register;
