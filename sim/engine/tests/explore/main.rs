//! The explorer, on plain models and on systems of machines.

mod models;
mod systems;
