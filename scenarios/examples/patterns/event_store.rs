//! A number that clients raise by one: each reads the last event, and appends the next one if
//! nobody was faster. A reader hears of every event, once and in order.

use super::faults_and_losses;
use squall::{Client, Scenario};
use squall_env::{Env, View};
use squall_protocols::event_store::{
    self, EventId, EventStore, Expected, Filter, NewEvent, Position, RecordedEvent, RemoteStore,
    SegmentConfig, Subscription,
};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

/// What the reader has heard.
struct Heard(Vec<u64>);

/// What has to hold.
pub(crate) const PROPERTY: &str = "every number is there once and in order";

pub(crate) fn scenario() -> Scenario {
    Scenario::new("example/event_store")
        .nodes("store", 1..=1, |env| event_store::serve(env, "events", SegmentConfig::default()))
        .nodes("reader", 1..=1, read)
        .clients("client", 2..=3, raise)
        .tolerates(faults_and_losses(&["store", "client"]))
        .always(PROPERTY, || {
            |view: &View<'_>| {
                view.up::<Heard>().try_for_each(|heard| {
                    match heard.0.iter().copied().eq(1..=heard.0.len() as u64) {
                        true => Ok(()),
                        false => Err(format!("{:?}", heard.0)),
                    }
                })
            }
        })
        .finishes_within(Duration::from_secs(60))
}

fn open(env: &Env) -> Result<RemoteStore, String> {
    RemoteStore::open(env, env.peers("store")[0], LIMIT).map_err(|error| error.to_string())
}

fn number(event: &RecordedEvent) -> u64 {
    event.data.as_slice().try_into().map_or(0, u64::from_le_bytes)
}

async fn raise(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let store = open(&env)?;
    while client.next_operation(8).is_some() {
        let Ok(slice) = store.read("number", 0, 1_000).await else { continue };
        let expected = slice.last.map_or(Expected::NoStream, Expected::Exact);
        let next = slice.events.last().map_or(0, number) + 1;
        let raised = NewEvent::new(EventId::random(&env), "raised", next.to_le_bytes());
        // Whoever was too late, or knows nothing, reads again.
        let _ = store.append("number", expected, vec![raised]).await;
    }
    Ok(())
}

async fn read(env: Env) -> Result<(), String> {
    let store: Arc<dyn EventStore> = Arc::new(open(&env)?);
    let mut events = Subscription::new(&env, store, Position(0), Filter::stream("number"));
    let heard = env.show("heard", Heard(Vec::new()));
    env.ready();
    loop {
        // A store that is not there is asked again.
        let Ok(batch) = events.next(10, LIMIT).await else { continue };
        heard.update(&env, |heard| heard.0.extend(batch.events.iter().map(number)));
    }
}
