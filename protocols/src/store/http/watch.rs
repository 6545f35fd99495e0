//! Watches: lines that come one by one.

use super::super::types::{Answer, Event, Keys, Query, Refused};
use super::answer::{Answered, Failure, busy, lines};
use super::connection::Shared;
use super::json::Line;
use crate::raft::{Index, Reply, Request};
use hyper::Response;
use hyper::body::Bytes;
use squall_env::sync::{Gone, Permit, Sender, WatchReceiver, channel};
use squall_env::{Either, mutant, race};
use std::sync::Arc;
use std::time::Duration;

/// So many events are asked for at a time.
const EVENTS: usize = 256;

/// So many lines wait for a client that is slow to take them.
const LINES: usize = 16;

/// After how long without a change a line says so.
const PROGRESS: Duration = Duration::from_secs(5);

/// How long a member that is busy is left in peace.
const PAUSE: Duration = Duration::from_millis(20);

/// Watches these keys from a revision on.
pub(super) async fn watch(
    shared: &Arc<Shared>,
    keys: Keys,
    from: u64,
) -> Result<Response<Answered>, Failure> {
    let permit = shared.watches.try_acquire();
    let permit = permit.ok_or_else(|| busy("there are too many watches"))?;
    // Whether it can be watched from there has to be known before the answer begins.
    match events(shared, &keys, from).await {
        Some(Ok(_) | Err(Refused::Future { .. })) => {}
        Some(Err(refused)) => return Err(refused.into()),
        None => return Err(busy("the member is stopping")),
    }
    let (sender, receiver) = channel(&shared.env, "lines", LINES);
    let applied = shared.applied.clone();
    let shared = Arc::clone(shared);
    let env = shared.env.clone();
    let watching = Watching { shared, keys, next: from, sender, applied, _permit: permit };
    env.spawn("watch", watching.run());
    Ok(lines(receiver))
}

/// What has happened to the keys as far as this member knows; nothing if it has stopped.
async fn events(
    shared: &Shared,
    keys: &Keys,
    from: u64,
) -> Option<Result<(Vec<Event>, u64), Refused>> {
    loop {
        let query = Query::Events { keys: keys.clone(), from, most: EVENTS };
        match shared.member.request(Request::ReadApplied(query)).await {
            Ok(Reply::Answer(Answer::Events { events, next })) => return Some(Ok((events, next))),
            Ok(Reply::Answer(Answer::Refused(refused))) => return Some(Err(refused)),
            Err(squall_env::machine::RequestError::Busy) => shared.env.sleep(PAUSE).await,
            _ => return None,
        }
    }
}

struct Watching {
    shared: Arc<Shared>,
    keys: Keys,
    /// Everything before this revision has been told.
    next: u64,
    sender: Sender<Bytes>,
    applied: WatchReceiver<Index>,
    _permit: Permit,
}

impl Watching {
    async fn run(mut self) {
        let mut closing = self.shared.closing.clone();
        // It ends with the server, or when nobody listens any more.
        race(closing.wait(), self.tell()).await;
    }

    async fn tell(&mut self) -> Result<(), Gone> {
        self.progress().await?;
        loop {
            match events(&self.shared, &self.keys, self.next).await {
                None => return Ok(()),
                Some(Ok((events, next))) => {
                    let any = !events.is_empty();
                    self.tell_events(&events).await?;
                    self.next = next;
                    if any {
                        if mutant!(self.shared.env, "http/watches-past-a-revision") {
                            self.next += 1;
                        }
                        continue;
                    }
                }
                Some(Err(Refused::Future { revision, .. }))
                    if mutant!(self.shared.env, "http/tells-what-is-there-of-the-future") =>
                {
                    self.next = revision;
                    continue;
                }
                // This member has yet to hear of what the client knows.
                Some(Err(Refused::Future { .. })) => {}
                Some(Err(refused)) => return self.sender.send(Failure::from(refused).line()).await,
            }
            let env = self.shared.env.clone();
            match race(self.applied.changed(), env.sleep(PROGRESS)).await {
                Either::Left(changed) => changed?,
                Either::Right(()) => self.progress().await?,
            }
        }
    }

    async fn tell_events(&self, events: &[Event]) -> Result<(), Gone> {
        for events in events.chunk_by(|one, other| one.revision == other.revision) {
            let Some(first) = events.first() else { continue };
            let told = events.iter().map(|event| (&event.change).into()).collect();
            self.line(&Line { revision: first.revision, events: told, error: None }).await?;
        }
        Ok(())
    }

    async fn progress(&self) -> Result<(), Gone> {
        self.line(&Line { revision: self.next.saturating_sub(1), ..Line::default() }).await
    }

    async fn line(&self, line: &Line) -> Result<(), Gone> {
        let mut bytes = serde_json::to_vec(line).unwrap_or_default();
        bytes.push(b'\n');
        self.sender.send(bytes.into()).await
    }
}
