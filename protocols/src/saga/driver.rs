//! The work on one saga: intent, call, outcome, until it is over or stuck.

use super::definition::Definition;
use super::effects::{Answer, Call};
use super::event::{Entry, Event, SagaId};
use super::log::LogError;
use super::orchestrator::Inner;
use super::state::{Ask, Halt, Next, State, Unreadable};
use squall_env::mutant;
use squall_env::platform::BoxFuture;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long to wait before the log is asked again that gave no answer.
const LOG_PAUSE: Duration = Duration::from_millis(100);

/// How the work on a saga ended.
#[derive(Debug)]
pub(super) enum End {
    /// The saga is over.
    Over,
    /// It stands still, when its log has so many entries.
    Stuck(u64, Halt),
    /// Nothing is under way and there is nothing to do, when its log has so many entries.
    Idle(u64),
    /// Nobody can go on with it here, when its log has so many entries.
    Unreadable(u64, Unreadable),
    /// Somebody else owns it.
    Overtaken,
}

pub(super) struct Driver {
    inner: Arc<Inner>,
    saga: SagaId,
    token: u64,
    state: State,
    definition: Definition,
    /// What is under way.
    calls: Vec<(Ask, BoxFuture<'static, Answer>)>,
}

impl Driver {
    pub(super) async fn run(inner: Arc<Inner>, saga: SagaId, token: u64) -> End {
        let log = read(&inner, saga).await;
        let (state, definition) = match inner.look(&log) {
            Ok(found) => found,
            Err(why) => return End::Unreadable(log.len() as u64, why),
        };
        let mut driver = Driver { inner, saga, token, state, definition, calls: Vec::new() };
        match driver.work().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn work(&mut self) -> Result<End, End> {
        while self.state.token() != self.token {
            if self.state.token() > self.token {
                return Ok(End::Overtaken);
            }
            if self.state.ending().is_some() {
                return Ok(End::Over);
            }
            self.inner.env.trace(|| format!("takes {} over", self.saga));
            self.record(vec![Event::Claimed]).await?;
        }
        loop {
            match self.state.next(&self.definition) {
                Next::Over(_) => return Ok(End::Over),
                Next::Stuck(halt) => return Ok(End::Stuck(self.state.version(), halt)),
                Next::Record(event) => {
                    self.inner.env.trace(|| format!("{}: {event:?}", self.saga));
                    let turns_back = matches!(event, Event::TurnedBack { .. });
                    if self.record(vec![event]).await? && turns_back {
                        // What is on its way meets the tombstone of its undo.
                        self.calls.clear();
                    }
                }
                Next::Ask(asks) if asks.is_empty() => {
                    let Some((ask, answer)) = first(&mut self.calls).await else {
                        return Ok(End::Idle(self.state.version()));
                    };
                    self.answered(ask, answer).await?;
                }
                Next::Ask(asks) => {
                    if mutant!(self.inner.env, "saga/calls-before-its-intent") {
                        for ask in &asks {
                            self.call(*ask).await;
                        }
                    }
                    if self.record(asks.iter().map(Ask::intent).collect()).await? {
                        for ask in asks {
                            let call = self.call(ask);
                            self.calls.push((ask, call));
                        }
                    }
                }
            }
        }
    }

    /// Records what came of a call. Somebody else may write into the log, too, and then it is
    /// recorded behind that, unless it has lost its meaning.
    async fn answered(&mut self, ask: Ask, answer: Answer) -> Result<(), End> {
        let step = ask.step;
        self.inner.env.trace(|| format!("{}: {ask:?} is answered {answer:?}", self.saga));
        let event = match (answer, ask.is_undo) {
            (Answer::Done(output), false) => Event::Done { step, output },
            (Answer::Refused(reason), false) => Event::Refused { step, reason },
            (Answer::Unknown, false) => Event::Unknown { step },
            (Answer::Done(_), true) => Event::Undone { step },
            (Answer::Refused(reason), true) => Event::NotUndone { step, reason: Some(reason) },
            (Answer::Unknown, true) => Event::NotUndone { step, reason: None },
            (Answer::Overtaken, _) => return Err(End::Overtaken),
        };
        while self.state.is_open(step, ask.is_undo) && !self.record(vec![event.clone()]).await? {}
        Ok(())
    }

    /// Appends to the log, and says whether that was done: if somebody else came before, the state
    /// is another one.
    async fn record(&mut self, events: Vec<Event>) -> Result<bool, End> {
        let token = self.token;
        let entries: Vec<Entry> = events.into_iter().map(|event| Entry { token, event }).collect();
        loop {
            let expected = self.state.version();
            match self.inner.log.append(self.saga, expected, entries.clone()).await {
                Ok(()) => {
                    for entry in &entries {
                        self.state.apply(entry).map_err(|why| End::Unreadable(expected, why))?;
                    }
                    return Ok(true);
                }
                Err(LogError::Conflict) => return self.reload(&entries).await,
                Err(LogError::Unavailable(_)) => {
                    self.inner.env.sometimes("a saga's log was asked again");
                    self.inner.env.sleep(LOG_PAUSE).await;
                }
            }
        }
    }

    /// Reads the log anew, and says whether these entries stand where they were to be appended: an
    /// append that was not answered may have been done.
    async fn reload(&mut self, mine: &[Entry]) -> Result<bool, End> {
        let log = read(&self.inner, self.saga).await;
        let at = self.state.version() as usize;
        let is_there = log.get(at..at + mine.len()).is_some_and(|stored| {
            stored.iter().zip(mine).all(|(stored, mine)| *stored == mine.encode())
        });
        let unreadable = |why| End::Unreadable(log.len() as u64, why);
        self.state = self.inner.look(&log).map_err(unreadable)?.0;
        if self.state.token() > self.token {
            self.inner.env.sometimes("an owner of a saga was overtaken");
            return Err(End::Overtaken);
        }
        Ok(is_there)
    }

    fn call(&self, ask: Ask) -> BoxFuture<'static, Answer> {
        let name = |step| self.definition.name_of(step).to_owned();
        let done = self.state.completed().iter();
        let call = Call {
            saga: self.saga,
            step: name(ask.step),
            is_undo: ask.is_undo,
            kind: self.definition.kind_of(ask.step),
            token: self.token,
            input: self.state.beginning().input.clone(),
            outputs: done.map(|(step, output)| (name(*step), output.clone())).collect(),
        };
        let (inner, call_max) = (Arc::clone(&self.inner), self.definition.call_max(ask.step));
        Box::pin(async move {
            inner.env.sleep(ask.pause).await;
            if mutant!(inner.env, "saga/waits-for-ever-for-an-answer") {
                return inner.participants.call(call).await;
            }
            let answer = inner.env.timeout(call_max, inner.participants.call(call)).await;
            answer.unwrap_or(Answer::Unknown)
        })
    }
}

/// Reads a saga's log, however often it has to ask.
async fn read(inner: &Inner, saga: SagaId) -> Vec<Vec<u8>> {
    loop {
        match inner.log.read(saga).await {
            Ok(log) => return log,
            Err(_) => inner.env.sleep(LOG_PAUSE).await,
        }
    }
}

/// Waits for the first of the calls to be answered; nothing if there are none.
async fn first(calls: &mut Vec<(Ask, BoxFuture<'static, Answer>)>) -> Option<(Ask, Answer)> {
    if calls.is_empty() {
        return None;
    }
    poll_fn(|cx| {
        let ready =
            calls.iter_mut().enumerate().find_map(|(at, (_, call))| match call.as_mut().poll(cx) {
                Poll::Ready(answer) => Some((at, answer)),
                Poll::Pending => None,
            });
        ready.map_or(Poll::Pending, |(at, answer)| {
            let (ask, _) = calls.remove(at);
            Poll::Ready(Some((ask, answer)))
        })
    })
    .await
}
