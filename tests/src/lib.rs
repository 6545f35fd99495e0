//! What the README shows, compiled; the tests themselves are in `it`.

#[doc = include_str!("../../README.md")]
pub mod readme {}
