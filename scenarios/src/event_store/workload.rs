//! What clients of an event store ask.

use super::judged::{Asked, Events, Heard};
use squall::{Client, Operation};
use squall_env::platform::BindError;
use squall_env::{Env, HasOutcome, Outcome, Position};
use squall_protocols::event_store::{
    Append, EventId, EventStore, EventStoreError, Expected, Filter, NewEvent, RecordedEvent,
    RemoteStore,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 14;

/// How long one request may take.
pub(super) const REQUEST_MAX: Duration = Duration::from_millis(1_200);

/// How many streams are fought over.
const STREAMS: u64 = 2;

/// What a client believes.
struct Believed {
    env: Env,
    store: RemoteStore,
    /// The last event of each stream.
    last: BTreeMap<String, Option<u64>>,
    head: Position,
}

/// The store of a scenario.
pub(super) fn open(env: &Env) -> Result<RemoteStore, BindError> {
    RemoteStore::open(env, env.peers("store")[0], REQUEST_MAX)
}

/// Appends of every kind, deletions and reads.
pub(super) async fn all(client: Client) -> Result<(), BindError> {
    work(client, |operation, believed| match operation.draw(1, 12) {
        0..=2 => exact_append(operation, believed),
        3 => vec![first_append(operation, believed)],
        4 => one(format!("any-{}", operation.draw(4, STREAMS)), Expected::Any, operation, believed),
        5 => {
            let stream = format!("any-{}", operation.draw(4, STREAMS));
            one(stream, Expected::StreamExists, operation, believed)
        }
        6..=7 => {
            // At most one event of this kind is decided on with what was known before.
            let expected = Expected::Condition(Filter::prefix("seat-"), believed.head);
            one(format!("seat-{}", operation.draw(4, STREAMS)), expected, operation, believed)
        }
        8 => {
            let deletes = operation.draw(5, 4) == 0;
            let stream = format!("gone-{}", operation.draw(4, 4));
            let mut append = Append::new(stream, Expected::Any, events(operation, believed));
            if deletes {
                let id = EventId::random(&believed.env);
                let soft = operation.draw(6, 2) == 0;
                let marker = [NewEvent::tombstone(id), NewEvent::soft_deletion(id)];
                append.events = marker.into_iter().skip(usize::from(soft)).take(1).collect();
            }
            vec![append]
        }
        _ => Vec::new(),
    })
    .await
}

/// Appends with exact versions, and reads.
pub(super) async fn exact(client: Client) -> Result<(), BindError> {
    work(client, |operation, believed| match operation.draw(1, 8) {
        0..=5 => exact_append(operation, believed),
        6 => vec![first_append(operation, believed)],
        _ => Vec::new(),
    })
    .await
}

fn one(
    stream: String,
    expected: Expected,
    operation: Operation,
    believed: &Believed,
) -> Vec<Append> {
    vec![Append::new(stream, expected, events(operation, believed))]
}

/// One to three new events, small ones and large ones.
fn events(operation: Operation, believed: &Believed) -> Vec<NewEvent> {
    let event = |_| {
        let bytes = [8, 8, 700][believed.env.random_below(3) as usize];
        NewEvent::new(EventId::random(&believed.env), "counted", vec![bytes as u8; bytes])
    };
    (0..1 + operation.draw(10, 3)).map(event).collect()
}

/// To one stream or two at once, behind what is believed to be the last event.
fn exact_append(operation: Operation, believed: &Believed) -> Vec<Append> {
    let first = operation.draw(4, STREAMS);
    let append = |number: u64| {
        let stream = format!("stream-{number}");
        let last = believed.last.get(&stream).copied().flatten();
        let expected = last.map_or(Expected::NoStream, Expected::Exact);
        Append::new(stream, expected, events(operation, believed))
    };
    let both = operation.draw(7, 3) == 0;
    let streams = if both { vec![first, (first + 1) % STREAMS] } else { vec![first] };
    streams.into_iter().map(append).collect()
}

/// To a stream that another client may want to begin, too.
fn first_append(operation: Operation, believed: &Believed) -> Append {
    let stream = format!("new-{}", operation.number() / 3);
    Append::new(stream, Expected::NoStream, events(operation, believed))
}

async fn work(
    client: Client,
    draw: impl Fn(Operation, &Believed) -> Vec<Append>,
) -> Result<(), BindError> {
    let env = client.env().clone();
    let store = open(&env)?;
    let mut believed =
        Believed { env: env.clone(), store, last: BTreeMap::new(), head: Position(0) };
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 5) == 0 { 1_000_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(2, pause_max))).await;
        let appends = draw(operation, &believed);
        if !appends.is_empty() {
            append(&client, &mut believed, appends, 1 + operation.draw(8, 3)).await;
        } else if operation.draw(9, 2) == 0 {
            let stream = format!("stream-{}", operation.draw(4, STREAMS));
            read_stream(&client, &mut believed, &stream).await;
        } else {
            read(&client, &mut believed, operation).await;
        }
    }
    client.after_heal().await;
    while read_everything(&client, &believed.store).await.is_err() {}
    Ok(())
}

/// Appends, and sends the same again if there is no answer.
async fn append(client: &Client, believed: &mut Believed, appends: Vec<Append>, tries: u64) {
    let store = &believed.store;
    let send = async {
        let mut left = tries;
        loop {
            left -= 1;
            match store.append_all(appends.clone()).await {
                Ok(done) => return Ok(Heard::Appended(done)),
                Err(EventStoreError::Refused(refused)) if refused.outcome() == Outcome::NotDone => {
                    return Ok(Heard::Refused(refused.to_string()));
                }
                Err(error @ EventStoreError::Refused(_)) => return Err(error),
                Err(error) if left == 0 => return Err(error),
                Err(_) => {}
            }
        }
    };
    let asked = Asked::Append(appends.clone());
    let heard = client.perform::<Events, EventStoreError>(asked, send).await;
    match heard {
        Ok(Heard::Appended(done)) => {
            if done.len() > 1 {
                believed.env.sometimes("a batch over two streams was done");
            }
            for (append, done) in appends.iter().zip(done) {
                if done.repeated {
                    believed.env.sometimes("an append was done before");
                }
                let last = done.versions.end.checked_sub(1);
                believed.last.insert(append.stream.clone(), last);
                believed.head = believed.head.max(done.position);
            }
        }
        Ok(Heard::Refused(_)) => {
            believed.env.sometimes("an append was refused");
            for append in appends {
                read_stream(client, believed, &append.stream).await;
            }
        }
        _ => {}
    }
}

async fn read_stream(client: &Client, believed: &mut Believed, stream: &str) {
    let known = believed.last.get(stream).copied().flatten().unwrap_or_default();
    let from = known.saturating_sub(2);
    let ask = async { Ok(Heard::Stream(believed.store.read(stream, from, 20).await?)) };
    let asked = Asked::ReadStream(stream.to_owned(), from);
    let heard = client.perform::<Events, EventStoreError>(asked, ask).await;
    if let Ok(Heard::Stream(slice)) = heard {
        believed.last.insert(stream.to_owned(), slice.last);
    }
}

async fn read(client: &Client, believed: &mut Believed, operation: Operation) {
    let after = Position(operation.draw(11, believed.head.0 + 1));
    let filter = match operation.draw(12, 3) {
        0 => Filter::all(),
        1 => Filter::prefix("stream-"),
        _ => Filter::prefix("seat-").kinds(["counted"]),
    };
    let max = 1 + operation.draw(13, 8) as usize;
    let ask = async { Ok(Heard::Slice(believed.store.read_all(after, max, &filter).await?)) };
    let asked = Asked::Read(after, filter.clone());
    let heard = client.perform::<Events, EventStoreError>(asked, ask).await;
    if let Ok(Heard::Slice(slice)) = heard
        && slice.upto == slice.head
    {
        believed.head = slice.head;
    }
}

/// Everything there is, read in parts.
pub(super) async fn read_everything(
    client: &Client,
    store: &dyn EventStore,
) -> Result<(), EventStoreError> {
    let read = async {
        let mut log: Vec<RecordedEvent> = Vec::new();
        loop {
            let after = log.last().map_or(Position(0), |event| event.position);
            let slice = store.read_all(after, 50, &Filter::all()).await?;
            log.extend(slice.events);
            if slice.upto == slice.head {
                return Ok(Heard::Log(log));
            }
        }
    };
    client.perform::<Events, EventStoreError>(Asked::Everything, read).await.map(drop)
}
