//! The one driver of machines.
//!
//! It takes whatever inputs wait, one turn each, and writes the records of all of them as one
//! batch. While that batch syncs it takes further turns into the next one: timers and early
//! messages go on during a slow sync.

use super::handle::{Asked, Handle, Requests};
use super::turn::{Tail, Turn};
use super::{Machine, Mended, RequestId};
use crate::Env;
use crate::address::{Address, Port};
use crate::codec;
use crate::disk::DiskError;
use crate::journal::{Damage, Identity, Journal, JournalError, Position, recover};
use crate::net::Messages;
use crate::platform::{BindError, BoxFuture, Wait};
use crate::shown::{Audit, Exhibit, Held, Image, Shown};
use crate::sync::OneshotSender;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Why a machine did not start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Its journal could not be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its disk failed.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// Its port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Committed records are unreadable and the machine would not go on without them.
    #[error(
        "committed records behind position {} are unreadable: {}; nothing was changed: give the \
         node its files back from a copy, or put a new one in its place if others have the data",
        .0.after.0, .0.reason
    )]
    Damaged(Damage),
    /// Records may be missing that others count on, and the machine would not go on without them.
    #[error(
        "the last records are torn, and nobody can tell whether they were committed; nothing was \
         changed: give the node its files back from a copy, or put a new one in its place if \
         others have the data"
    )]
    Doubtful,
    /// A record or the snapshot is intact but is none of this machine's.
    #[error("the journal holds records of another kind of machine: {0}")]
    Undecodable(String),
}

/// Why a machine stopped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StopReason {
    /// Its disk failed, so nothing is known of what it holds: the node must stop and recover.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
    /// The node's sockets have closed.
    #[error("the node has stopped")]
    Closed,
}

/// How many inputs of one kind are taken before the disk has its say again.
const TURNS_MAX: usize = 256;

/// Recovers the machine called `name` and gives a handle to it and the future that runs it. The
/// name is that of its journal and of its port.
///
/// # Errors
/// [`OpenError`].
pub async fn open<M: Machine>(
    env: &Env,
    name: &'static str,
    config: M::Config,
) -> Result<(Handle<M>, impl Future<Output = Result<(), StopReason>> + use<M>), OpenError> {
    let (mut journal, recovered) = Journal::open(env, name).await?;
    let snapshot = recovered.snapshot.as_ref().map(|(_, bytes)| bytes.as_slice());
    let records = recovered.records.iter().map(Vec::as_slice);
    let mut machine = rebuild::<M>(&config, snapshot, records)?;
    let doubts = recovered.doubts.iter().map(Vec::as_slice);
    mend(&mut machine, recovered.damage.as_ref(), doubts)?;
    if journal.is_broken() {
        // The journal must not show the damage again, and nobody may hear of the new state
        // before it is durable.
        let upto = journal.last();
        replace_snapshot(&machine, &mut journal, upto).await?;
        journal.covered();
    }
    let mut claim = Vec::new();
    machine.claim(&mut claim);
    let claims = !claim.is_empty();
    let last = journal.last().0;
    let live = Shown::new(machine, Tail::behind(last));
    let audit = JournalAudit {
        identity: journal.identity().clone(),
        config: Arc::new(config),
        live: live.clone(),
    };
    env.platform().show(Exhibit::new(name, &live, Some(Arc::new(audit))));
    let messages = env.messages(Port::named(name))?;
    let handle = Handle::new(env, name, live.clone());
    let mut driver = Driver {
        env: env.clone(),
        live,
        turn: Turn::new(env, messages.port(), journal),
        messages,
        requests: Arc::clone(&handle.requests),
        waits_for: None,
        replies: BTreeMap::new(),
        sleep: Wait::default(),
        sleeping_until: None,
        compaction: None,
        claims,
        started: false,
    };
    Ok((handle, async move { poll_fn(|cx| driver.poll(cx)).await }))
}

/// Tells the machine what cannot be read of its records, and what it may have claimed.
fn mend<'a, M: Machine>(
    machine: &mut M,
    damage: Option<&Damage>,
    mut doubts: impl Iterator<Item = &'a [u8]>,
) -> Result<(), OpenError> {
    if let Some(damage) = damage
        && machine.mend(damage) == Mended::Refuse
    {
        return Err(OpenError::Damaged(damage.clone()));
    }
    match doubts.any(|claim| machine.doubt(claim) == Mended::Refuse) {
        false => Ok(()),
        true => Err(OpenError::Doubtful),
    }
}

fn replace_snapshot<M: Machine>(
    machine: &M,
    journal: &mut Journal,
    upto: Position,
) -> BoxFuture<'static, Result<(), DiskError>> {
    let mut doubted = Vec::new();
    machine.doubted(&mut doubted);
    journal.replace_doubted(upto, &doubted, &encode(machine))
}

pub(super) fn rebuild<'a, M: Machine>(
    config: &M::Config,
    snapshot: Option<&[u8]>,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<M, OpenError> {
    let undecodable = |error: postcard::Error| OpenError::Undecodable(error.to_string());
    let snapshot = match snapshot {
        Some(bytes) => Some(postcard::from_bytes(bytes).map_err(undecodable)?),
        None => None,
    };
    let mut machine = M::restore(config, snapshot);
    for bytes in records {
        machine.apply(&postcard::from_bytes(bytes).map_err(undecodable)?);
    }
    Ok(machine)
}

/// The machine that a disk image holds.
pub(crate) fn recover_image<M: Machine>(
    identity: &Identity,
    image: &dyn Image,
    config: &M::Config,
) -> Result<M, OpenError> {
    let files = crate::journal::Files::of(image, &identity.journal);
    let recovered = recover(identity, &files)?;
    let snapshot = recovered.snapshot.map(|(_, bytes)| bytes);
    let mut machine: M = rebuild(config, snapshot, recovered.records.into_iter())?;
    mend(&mut machine, recovered.damage.as_ref(), recovered.doubts.into_iter())?;
    Ok(machine)
}

pub(super) fn encode<M: Machine>(machine: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::append(&machine.snapshot(), &mut bytes).expect("a machine's snapshot can be encoded");
    bytes
}

struct Driver<M: Machine> {
    env: Env,
    live: Shown<M>,
    turn: Turn<M>,
    messages: Messages<M::Message>,
    requests: Arc<Requests<M>>,
    /// How many requests there were when none was left, and the waker that the next one wakes.
    waits_for: Option<(u64, Waker)>,
    replies: BTreeMap<RequestId, OneshotSender<M::Reply>>,
    sleep: Wait,
    sleeping_until: Option<Instant>,
    compaction: Option<BoxFuture<'static, Result<(), DiskError>>>,
    /// Whether the machine claims anything: it always does, or never.
    claims: bool,
    started: bool,
}

impl<M: Machine> Driver<M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StopReason>> {
        if !self.started {
            self.started = true;
            self.take_turn(|machine, turn| machine.on_start(turn));
        }
        let mut hears = true;
        loop {
            // Once none waits, the next message wakes the task, and nobody need ask before.
            if hears {
                hears = match self.poll_messages(cx) {
                    Ok(more) => more,
                    Err(reason) => return Poll::Ready(Err(reason)),
                };
            }
            let mut busy = hears;
            // A turn of one kind may make work for the kinds before it only by way of a timer that
            // has run out already, which is why timers come last but for the disk.
            busy |= self.poll_requests(cx);
            busy |= self.poll_timers(cx);
            if std::mem::take(&mut self.turn.settle) {
                self.take_turn(|machine, turn| machine.on_settled(turn));
                busy = true;
            }
            match self.poll_disk(cx) {
                Ok(more) => busy |= more,
                Err(error) => return Poll::Ready(Err(StopReason::Disk(error))),
            }
            if !busy {
                return Poll::Pending;
            }
        }
    }

    fn take_turn(&mut self, handle: impl FnOnce(&mut M, &mut Turn<M>)) {
        self.take_turn_with(|held, turn| handle(&mut held.value, turn));
    }

    fn take_turn_with(&mut self, handle: impl FnOnce(&mut Held<M>, &mut Turn<M>)) {
        self.turn.now.set(None);
        let mut held = self.live.lock();
        handle(&mut held, &mut self.turn);
        self.turn.hand_over(&mut held.tail);
        drop(held);
        self.end_turn();
    }

    #[inline]
    fn end_turn(&mut self) {
        self.turn.finish();
        self.env.platform().touched(self.live.number());
        self.release();
    }

    fn release(&mut self) {
        let replies = &mut self.replies;
        self.turn.release(&mut |id, reply| {
            if let Some(sender) = replies.remove(&id) {
                sender.send(reply);
            }
        });
    }

    /// Takes what waits, and says whether more does.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Result<bool, StopReason> {
        for _ in 0..TURNS_MAX {
            let from = match self.messages.poll_frame(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(_)) => return Err(StopReason::Closed),
                Poll::Ready(Ok(from)) => from,
            };
            match self.messages.decode() {
                Ok(message) => self.take_message(from, message),
                Err(error) => self.messages.reject(from, error),
            }
        }
        Ok(true)
    }

    /// A turn of the most frequent kind. In a closure the message would be moved once more.
    #[inline]
    fn take_message(&mut self, from: Address, message: M::Message) {
        self.turn.now.set(None);
        let mut held = self.live.lock();
        held.value.on_message(from, message, &mut self.turn);
        self.turn.hand_over(&mut held.tail);
        drop(held);
        self.end_turn();
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) -> bool {
        let made = self.requests.made();
        if let Some((seen, waker)) = &self.waits_for
            && *seen == made
            && waker.will_wake(cx.waker())
        {
            return false;
        }
        for _ in 0..TURNS_MAX {
            let mut queue = self.requests.lock();
            let Some(asked) = queue.waiting.pop_front() else {
                let old = queue.driver.replace(cx.waker().clone());
                let made = self.requests.made();
                drop(queue);
                drop(old);
                self.waits_for = Some((made, cx.waker().clone()));
                return false;
            };
            drop(queue);
            let Asked { id, request, reply } = asked;
            self.replies.insert(id, reply);
            self.take_turn(|machine, turn| machine.on_request(id, request, turn));
        }
        true
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> bool {
        for _ in 0..TURNS_MAX {
            let timers = &self.turn.timers;
            let next = timers.iter().enumerate().min_by_key(|(at, (when, _))| (*when, *at));
            let Some((at, (when, _))) = next else {
                self.forget_sleep();
                return false;
            };
            let when = *when;
            if self.sleeping_until != Some(when) {
                self.forget_sleep();
                self.sleeping_until = Some(when);
            }
            if self.env.platform().poll_sleep(when, &mut self.sleep, cx).is_pending() {
                return false;
            }
            self.sleeping_until = None;
            self.sleep = Wait::default();
            let (_, timer) = self.turn.timers.remove(at);
            self.take_turn(|machine, turn| machine.on_timer(timer, turn));
        }
        true
    }

    fn forget_sleep(&mut self) {
        if self.sleeping_until.take().is_some() {
            self.env.platform().cancel(&mut self.sleep);
            self.sleep = Wait::default();
        }
    }

    fn poll_disk(&mut self, cx: &mut Context<'_>) -> Result<bool, DiskError> {
        self.poll_compaction(cx)?;
        let live = self.claims.then_some(&self.live);
        self.turn
            .journal
            .start_sealed(|into| live.iter().for_each(|live| live.lock().value.claim(into)));
        let Poll::Ready(result) = self.turn.journal.poll(cx) else { return Ok(false) };
        let upto = result?;
        self.release();
        self.take_turn_with(|held, turn| {
            held.tail.durable(upto.0);
            held.value.on_durable(upto, turn);
        });
        Ok(true)
    }

    fn poll_compaction(&mut self, cx: &mut Context<'_>) -> Result<(), DiskError> {
        if self.turn.compact && self.compaction.is_none() {
            self.turn.compact = false;
            let upto = self.turn.journal.last();
            let work = replace_snapshot(&self.live.lock().value, &mut self.turn.journal, upto);
            self.compaction = Some(work);
        }
        let Some(work) = &mut self.compaction else { return Ok(()) };
        if let Poll::Ready(result) = work.as_mut().poll(cx) {
            result?;
            self.turn.journal.covered();
            self.compaction = None;
        }
        Ok(())
    }
}

impl<M: Machine> Drop for Driver<M> {
    fn drop(&mut self) {
        self.forget_sleep();
        let left = {
            let mut queue = self.requests.lock();
            queue.open = false;
            (std::mem::take(&mut queue.waiting), queue.driver.take())
        };
        drop(left);
    }
}

/// Checks that recovery from the disk, together with what is still in flight, gives the live
/// state.
struct JournalAudit<M: Machine> {
    identity: Identity,
    config: Arc<M::Config>,
    live: Shown<M>,
}

impl<M: Machine> Audit for JournalAudit<M> {
    fn audit(&self, image: &dyn Image) -> Result<(), String> {
        let name = &self.identity.journal;
        let files = crate::journal::Files::of(image, name);
        let recovered = recover(&self.identity, &files).map_err(|e| e.to_string())?;
        if let Some(damage) = recovered.damage {
            return Err(format!("{name}: recovery would find damage: {}", damage.reason));
        }
        let live = self.live.lock();
        let tail = &live.tail;
        let reached = recovered.last().0;
        if reached < tail.durable || reached > tail.last {
            return Err(format!(
                "{name}: recovery would reach record {reached}, but {} were reported durable and \
                 {} exist",
                tail.durable, tail.last
            ));
        }
        let snapshot = recovered.snapshot.map(|(_, bytes)| bytes);
        let records = recovered.records.into_iter();
        let mut machine =
            rebuild::<M>(&self.config, snapshot, records).map_err(|e| e.to_string())?;
        for (record, position) in tail.records().zip(tail.durable + 1..) {
            if position > reached {
                machine.apply(&postcard::from_bytes(record).map_err(|e| e.to_string())?);
            }
        }
        if encode(&machine) == encode(&live.value) {
            return Ok(());
        }
        Err(format!("{name}: recovery would give another state than the live one"))
    }
}
