//! Scenarios of the event store.

mod judged;
mod subscriber;
mod workload;

pub use judged::{Asked, Events, Heard, KEPT};
pub(crate) use workload::SETTLE;

use crate::tolerance;
use squall::{FINISHES, Most, Scenario, Tolerance};
use squall_env::{Env, NodeId, View};
use squall_protocols::event_store::{Progress, SegmentConfig, ServeError, invariants, serve};
use std::time::Duration;

const STAYS: &str = "what readers see of a store stays";
const DURABLE: &str = "what readers see is durable";
/// The name of the log.
const NAME: &str = "events";

/// Segments so small that there are several of them.
const SEGMENT_BYTES_MAX: u64 = 4096;

/// All ids are remembered: an append that is sent again without an exact version is known again.
async fn remembers(env: Env) -> Result<(), ServeError> {
    let config = SegmentConfig { segment_bytes_max: SEGMENT_BYTES_MAX, recent_ids_max: 1 << 14 };
    serve(env, NAME, config).await
}

/// Hardly any ids are: they have to be read.
async fn forgets(env: Env) -> Result<(), ServeError> {
    let config = SegmentConfig { segment_bytes_max: SEGMENT_BYTES_MAX, recent_ids_max: 2 };
    serve(env, NAME, config).await
}

/// What a store of one node survives: anything but a disk that forgets what it has synced.
pub(crate) fn tolerance() -> Tolerance {
    tolerance::of_durable(&["store", "client"])
}

pub(crate) fn properties(scenario: Scenario) -> Scenario {
    scenario
        .always(STAYS, invariants::visible_stays)
        .audit(DURABLE, || invariants::visible_is_durable(NAME))
        .inspect("events", events)
        // Over the slowest links a client takes a second for each of its operations.
        .finishes_within(Duration::from_secs(90))
}

fn events(view: &View<'_>) -> Vec<(NodeId, String)> {
    let words = |store: &Progress| {
        let Progress { visible, appended } = store;
        format!("{} visible of {}", visible.0, appended.0)
    };
    view.up::<Progress>().map(|store| (store.node, words(&store))).collect()
}

/// Appends of every kind, deletions, readers and subscribers.
pub fn streams() -> Scenario {
    let scenario = Scenario::new("event_store/streams")
        .nodes("store", 1..=1, remembers)
        .clients("client", 2..=3, workload::all)
        .clients("subscriber", 1..=2, subscriber::follow)
        .tolerates(tolerance().impaired("subscriber", Most::Any));
    properties(scenario)
        .sometimes("an append was done before")
        .sometimes("an append was refused")
        .sometimes("a batch over two streams was done")
        .sometimes("a subscriber went on from a checkpoint")
        .check(Events::new(KEPT, judged::verdict))
}

/// Appends with exact versions alone, to a store that remembers hardly any ids.
pub fn exact() -> Scenario {
    let scenario = Scenario::new("event_store/exact")
        .nodes("store", 1..=1, forgets)
        .clients("client", 2..=4, workload::exact)
        .tolerates(tolerance());
    properties(scenario)
        .sometimes("an append was done before")
        .sometimes("an append was refused")
        .check(Events::new(KEPT, judged::verdict))
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    const SHOWS: &str = "event_store/shows-what-is-not-durable";
    let name = |switch: &str| format!("mutant/{}", switch.replace('/', "-"));
    let of = |scenario: Scenario, switch: &'static str, breaks| {
        scenario.mutant(&name(switch), switch, breaks)
    };
    vec![
        of(exact(), "event_store/appends-without-expected-version", KEPT),
        of(exact(), "event_store/knows-ids-from-memory-alone", KEPT),
        of(exact(), "event_store/acknowledges-before-durable", KEPT),
        of(streams(), "event_store/batch-in-parts", KEPT),
        of(streams(), "event_store/passes-over-undurable", KEPT),
        of(streams(), SHOWS, DURABLE),
        // The same bug, by what is shown after a crash.
        streams().mutant("mutant/event_store-shows-what-goes-again", SHOWS, STAYS),
        of(streams(), "event_store/checkpoint-before-processing", KEPT),
        of(streams(), "event_store/checkpoint-ahead", KEPT),
        of(exact(), "log/refuses-torn-tail", FINISHES),
        of(exact(), "log/appends-behind-torn-tail", FINISHES),
    ]
}
