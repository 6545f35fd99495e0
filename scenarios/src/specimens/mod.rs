//! Specimens: code that is wrong on purpose, to show that the tester says so.
//!
#![doc = include_str!("found.md")]
//!
#![doc = include_str!("published.md")]

pub mod dirty_list;
pub mod dual_write;
pub mod engine;
pub mod gaps;
pub mod handlers;
pub mod live;
pub mod locks;
pub mod microservices;
pub mod outbox;
pub mod queue;
pub mod recovery;
pub mod repair;
pub mod revision;
pub mod saga;
pub mod saga_demo;
pub mod sequence;
pub mod torn_tail;
pub mod truncation;
pub mod tutorial_events;

pub(crate) mod breaker;

use squall::Scenario;

/// Those that stand beside a pattern.
pub fn of_patterns() -> impl Iterator<Item = Scenario> {
    let small = [
        recovery::forgets(),
        repair::gives_up(),
        revision::goes_back(),
        torn_tail::appends_behind(),
        truncation::from_the_front(),
        dirty_list::dirty_list(),
        dual_write::dual_write(),
        dual_write::inserts_twice(),
        live::hands_out(),
        live::compares(),
        saga::in_memory(),
        sequence::skips(),
        tutorial_events::overdraws(),
        tutorial_events::forgets(),
        tutorial_events::numbers_anew(),
    ];
    let small = small.into_iter();
    let small = small.chain(gaps::specimens()).chain(handlers::specimens());
    let small = small.chain(saga_demo::specimens()).chain(microservices::specimens());
    small.chain(locks::specimens()).chain(queue::specimens()).chain(outbox::specimens())
}
