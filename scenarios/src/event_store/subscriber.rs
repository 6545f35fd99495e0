//! Who wants to hear of every event, and goes on from a checkpoint.

use super::judged::{Asked, Events, Heard};
use super::workload::open;
use squall::Client;
use squall_env::{Either, Position, race};
use squall_protocols::event_store::{
    Checkpoint, EventStore, EventStoreError, Filter, RecordedEvent, Subscription,
};
use std::sync::Arc;
use std::time::Duration;

/// How many events are processed between two checkpoints at most.
const EVENTS_MAX: usize = 4;

/// Processes events until the faults are over and all of them are.
pub(super) async fn follow(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let store: Arc<dyn EventStore> = Arc::new(open(&env).map_err(text)?);
    let filter = if client.draw(0, 2) == 0 { Filter::all() } else { Filter::prefix("stream-") };
    let mut checkpoint = Checkpoint::open(&env, "followed").await.map_err(text)?;
    let begun = checkpoint.position();
    if begun > Position(0) {
        env.sometimes("a subscriber went on from a checkpoint");
    }
    let subscriber = u64::from(env.me().ordinal());
    // What was found is durable.
    let saved = async { Ok(Heard::Saved) };
    let found = client.perform::<Events, EventStoreError>(Asked::Save(subscriber, begun), saved);
    found.await.map_err(text)?;
    let processed = Processed {
        client: &client,
        asked: Asked::Process { subscriber, life: env.random(), filter: filter.clone() },
        upto: std::sync::Mutex::new(begun),
    };
    let mut subscription = Subscription::new(&env, Arc::clone(&store), begun, filter.clone());
    let (processed, env) = (&processed, &env);
    let followed = subscription.follow(&mut checkpoint, EVENTS_MAX, |event| async move {
        // To process takes a while.
        env.sleep(Duration::from_micros(env.random_below(2_000))).await;
        processed.record(&event).await.map_err(text)
    });
    let enough = async {
        client.after_heal().await;
        loop {
            let slice = store.read_all(processed.upto(), 1, &filter).await;
            if slice.is_ok_and(|slice| slice.events.is_empty() && slice.upto == slice.head) {
                return;
            }
            env.sleep(Duration::from_millis(50)).await;
        }
    };
    match race(followed, enough).await {
        Either::Left(stopped) => Err(stopped.map_or_else(text, |never| match never {})),
        Either::Right(()) => Ok(()),
    }
}

struct Processed<'a> {
    client: &'a Client,
    asked: Asked,
    upto: std::sync::Mutex<Position>,
}

impl Processed<'_> {
    fn upto(&self) -> Position {
        *self.upto.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes down that an event comes next.
    async fn record(&self, event: &RecordedEvent) -> Result<(), EventStoreError> {
        let heard = Heard::Next(self.upto(), vec![event.clone()], event.position);
        let told = async { Ok(heard) };
        self.client.perform::<Events, EventStoreError>(self.asked.clone(), told).await?;
        *self.upto.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = event.position;
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
