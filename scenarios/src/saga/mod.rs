//! Orders as sagas: on a stock, an account and a shipper, run by one of two nodes.

pub(crate) mod books;
mod demo;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod oracle;
pub(crate) mod services;

pub use demo::demo;

use crate::tolerance;
use books::{Payments, Shipping, Stock};
use squall::Scenario;
use squall_env::Env;
use squall_protocols::event_store::{self, SegmentConfig};
use squall_protocols::lock;
use std::time::Duration;

const CONSERVED: &str = "pieces and money are neither made nor lost";
const ONCE: &str = "every effect is there at most once";
const IN_ORDER: &str = "what comes after something is not there without it";
const AGREES: &str = "what clients are told of orders that are over is in the books";
const FENCED: &str = "services take nothing from owners that were overtaken";
const REVERSE: &str = "steps are undone once, in reverse, one after the other";
const READABLE: &str = "orders that were started can be read";
const SETTLED: &str = "every order is all done, all undone, or reported stuck";

async fn events(env: Env) -> Result<(), event_store::ServeError> {
    event_store::serve(env, "events", SegmentConfig::default()).await
}

/// The nodes that orders need. Services take some requests late if that is wanted.
fn system<const LATE: bool>(name: &str) -> Scenario {
    Scenario::new(name)
        .nodes("events", 1..=1, events)
        .nodes("locks", 1..=1, lock::serve)
        .nodes("stock", 1..=1, |env| services::serve::<_, LATE>(env, Stock::default()))
        .nodes("payments", 1..=1, |env| services::serve::<_, LATE>(env, Payments::default()))
        .nodes("shipping", 1..=1, |env| services::serve::<_, LATE>(env, Shipping::default()))
        .nodes("orchestrator", 2..=2, node::serve)
}

/// Orders with all that one durable node of each kind survives, and two nodes that run sagas, of
/// which one at a time owns them.
pub fn orders() -> Scenario {
    let roles = ["events", "locks", "stock", "payments", "shipping", "orchestrator", "client"];
    system::<true>("saga/orders")
        .clients("client", 1..=2, load::load)
        .tolerates(tolerance::of_durable(&roles))
        .always(CONSERVED, || oracle::conserved)
        .always(ONCE, || oracle::once)
        .always(IN_ORDER, || oracle::in_order)
        .always(AGREES, || oracle::agrees)
        .always(FENCED, oracle::fenced)
        .always(REVERSE, oracle::undone_in_reverse)
        .always(READABLE, || oracle::readable)
        .eventually(SETTLED, Duration::from_secs(60), oracle::settled)
        .sometimes("an order was completed")
        .sometimes("an order was refused and undone")
        .sometimes("an order was undone because nobody knew")
        .sometimes("an order was cancelled")
        .sometimes("an operator skipped a step")
        .sometimes("a saga got stuck")
        .sometimes("a saga could not be read")
        .sometimes("a step came later than its undo")
        .sometimes("an owner of a saga was overtaken")
        .sometimes("a service turned an owner away that was overtaken")
        .sometimes("a saga's log was asked again")
        .sometimes("a saga was run by another version than new ones begin with")
        .finishes_within(Duration::from_secs(90))
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        orders().mutant(&format!("mutant/{}", switch.replace('/', "-")), switch, breaks)
    };
    vec![
        mutant("saga/does-again-what-was-done", ONCE),
        mutant("saga/records-an-effect-before-its-key", ONCE),
        mutant("saga/leaves-unknown-steps", AGREES),
        mutant("saga/undoes-without-tombstone", AGREES),
        mutant("saga/forgets-refusals", AGREES),
        mutant("saga/hides-a-stuck-undo", AGREES),
        mutant("saga/calls-before-its-intent", AGREES),
        mutant("saga/takes-a-missing-undo-for-done", AGREES),
        mutant("saga/refunds-again-what-was-undone", CONSERVED),
        mutant("saga/undoes-what-is-done-after-a-restart", CONSERVED),
        mutant("saga/decides-before-all-is-done", IN_ORDER),
        mutant("saga/runs-by-the-version-of-the-day", AGREES),
        mutant("saga/undoes-in-forward-order", REVERSE),
        mutant("saga/undoes-all-at-once", REVERSE),
        mutant("saga/undoes-again-after-restart", REVERSE),
        mutant("saga/admits-overtaken-owners", FENCED),
        mutant("saga/appends-whatever-was-before", READABLE),
        mutant("saga/stops-at-the-first-bad-saga", SETTLED),
        mutant("saga/never-ends-what-did-nothing", SETTLED),
        mutant("saga/waits-for-ever-for-an-answer", SETTLED),
    ]
}
