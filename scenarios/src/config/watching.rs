//! Watchers of the store, and what they must hear.

use super::{OPERATION_MAX, OPERATIONS};
use crate::raft::members;
use squall::Client;
use squall_env::platform::BindError;
use squall_env::{NodeId, View};
use squall_protocols::raft::Raft;
use squall_protocols::store::http::{HttpError, Page};
use squall_protocols::store::{Event, Keys, Refused, Store, StoreClient, StoreError, Watcher};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// What a watcher has heard.
#[derive(Default)]
struct Heard {
    /// Before this revision nothing is known to it but a state that it has read.
    from: u64,
    /// Up to here, exclusive, it has heard of everything.
    next: u64,
    /// The events since then.
    events: Vec<Event>,
    /// How often it has begun anew.
    begun: u64,
}

fn all() -> Keys {
    Keys::Prefix("service/".to_owned())
}

/// Asks so many times what has changed, each time after a pause of so many microseconds at most.
pub(super) async fn watch(
    client: Client,
    operations: u64,
    pause_max: u64,
) -> Result<(), BindError> {
    let env = client.env().clone();
    let mut store = StoreClient::open(&env, members(&env))?;
    let heard = env.show("heard", Heard::default());
    let mut watcher = Watcher::new(all(), 1);
    heard.update(&env, |heard| (heard.from, heard.next) = (1, 1));
    while client.next_operation(operations).is_some() {
        env.sleep(Duration::from_micros(env.random_below(pause_max))).await;
        match watcher.poll(&mut store, OPERATION_MAX).await {
            Ok(events) => {
                let revisions = |events: &[Event]| {
                    let ends = events.first().zip(events.last());
                    ends.is_some_and(|(first, last)| first.revision < last.revision)
                };
                if revisions(&events) {
                    env.sometimes("a watcher heard of several revisions at once");
                }
                heard.update(&env, |heard| {
                    heard.next = watcher.next();
                    heard.events.extend(events);
                });
            }
            Err(StoreError::Refused(Refused::Compacted { .. })) => {
                env.sometimes("what a watcher asked for was compacted");
                let Ok((revision, _)) = store.get(all(), OPERATION_MAX).await else { continue };
                watcher = Watcher::new(all(), revision + 1);
                heard.update(&env, |heard| {
                    let (from, begun) = (revision + 1, heard.begun + 1);
                    *heard = Heard { from, next: from, events: Vec::new(), begun };
                });
            }
            // It asks again.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Watches over HTTP until the faults are over.
pub(super) async fn watch_http(client: Client) -> Result<(), Infallible> {
    let env = client.env().clone();
    let mut store = super::http::open(&env);
    let heard = env.show("heard", Heard { from: 1, next: 1, ..Heard::default() });
    let mut watch = store.watch(all(), Some(1));
    while client.next_operation(OPERATIONS).is_some() {
        let limit = Duration::from_micros(env.random_below(1_000_000));
        let told = env.timeout(limit, async {
            loop {
                let line = watch.line().await?;
                let events = line.events.into_iter();
                let events: Option<Vec<Event>> =
                    events.map(|event| event.event(line.revision)).collect();
                heard.update(&env, |heard| {
                    heard.next = line.revision + 1;
                    heard.events.extend(events.unwrap_or_default());
                });
            }
        });
        let Ok(Err::<Infallible, HttpError>(error)) = told.await else { continue };
        if matches!(&error, HttpError::Answer { error, .. } if error.code == "compacted") {
            env.sometimes("what a watcher asked for was compacted");
            let page = store.range("service/", None, None, OPERATION_MAX).await;
            let Ok(Page { revision, .. }) = page else { continue };
            watch = store.watch(all(), Some(revision + 1));
            heard.update(&env, |heard| {
                let (from, begun) = (revision + 1, heard.begun + 1);
                *heard = Heard { from, next: from, events: Vec::new(), begun };
            });
        }
    }
    Ok(())
}

/// What happened at each revision, as the members say of what is committed.
#[derive(Default)]
struct Truth(BTreeMap<u64, Vec<Event>>);

impl Truth {
    fn learn(&mut self, store: &Store) {
        let known = self.0.last_key_value().map_or(0, |(revision, _)| *revision);
        let new = store.events().rev().take_while(|event| event.revision > known);
        for event in new.cloned().collect::<Vec<_>>().into_iter().rev() {
            self.0.entry(event.revision).or_default().push(event);
        }
    }

    fn between(&self, from: u64, next: u64) -> impl Iterator<Item = &Event> {
        self.0.range(from..next.max(from)).flat_map(|(_, events)| events)
    }
}

/// How far a watcher was looked at: how often it had begun, up to which revision, and how many
/// events that were.
type Seen = (u64, u64, usize);

/// Every watcher has heard of exactly what has happened in the revisions that it believes to know.
pub(super) fn hears_once() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut truth = Truth::default();
    let mut seen: BTreeMap<NodeId, Seen> = BTreeMap::new();
    move |view| {
        for member in view.changed::<Raft<Store>>() {
            truth.learn(member.state());
        }
        for heard in view.changed::<Heard>() {
            let before = seen.get(&heard.node).copied().filter(|seen| seen.0 == heard.begun);
            // A watcher that has crashed begins anew, too.
            let before = before.filter(|seen| seen.1 <= heard.next && seen.2 <= heard.events.len());
            let (_, from, count) = before.unwrap_or((0, heard.from, 0));
            let mut wanted = truth.between(from, heard.next);
            for event in &heard.events[count..] {
                if wanted.next() != Some(event) {
                    return Err(format!("{:?} hears {event:?} out of turn", heard.node));
                }
            }
            if let Some(missed) = wanted.next() {
                return Err(format!("{:?} has not heard {missed:?}", heard.node));
            }
            let now = (heard.begun, heard.next, heard.events.len());
            seen.insert(heard.node, now);
        }
        Ok(())
    }
}
