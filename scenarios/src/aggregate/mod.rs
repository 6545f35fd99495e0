//! Scenarios of aggregates: a bank whose money is moved between accounts.

mod bank;
mod books;

pub use bank::{bank, mutants};
pub use books::{Asked, BOOKS, Bank, Heard};
