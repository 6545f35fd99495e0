//! Specimens: code that is wrong on purpose, to show that the tester says so.

pub mod dirty_list;
pub mod dual_write;
pub mod engine;
pub mod recovery;
pub mod repair;
pub mod sequence;
pub mod truncation;
pub mod tutorial_events;
