//! Specimens: code that is wrong on purpose, to show that the tester says so.

pub mod engine;
pub mod recovery;
pub mod repair;
pub mod saga;
pub mod truncation;
