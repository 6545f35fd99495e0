//! tikv's `raft` on [`Env`]: a `RawNode` in one task, which persists what each `Ready` brings
//! before it sends what may go only after that.
//!
//! The crate draws its election timeouts from the thread's generator, anew whenever term or role
//! change. Whatever it drew is replaced by a draw of the node's before anything looks at it.

mod storage;

use crate::register::{
    Applied, Ask, History, Standing, Store, Tell, Write, loaded, members, numbered, service,
    show_applied,
};
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType};
use raft::{Config, RawNode, SnapshotStatus, StateRole};
use squall::Scenario;
use squall_env::disk::DiskError;
use squall_env::journal::JournalError;
use squall_env::platform::{BindError, Closed};
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Address, Either, Env, Instant, Messages, Port, Shown, race};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use storage::{Durable, Log};

const PORT: Port = Port::named("tikv-raft");
const TICK: Duration = Duration::from_millis(50);
const HEARTBEAT_TICKS: usize = 5;
const ELECTION_TICKS: usize = 20;

/// After so many ticks a snapshot that was sent counts as lost.
const SNAPSHOT_TICKS: u32 = 20;

/// After so many applied entries there is another snapshot.
const SNAPSHOT_ENTRIES: u64 = 10;

/// So many requests wait at most; nobody hears of the older ones.
const WAITING_MAX: usize = 1_024;

/// A register on a cluster of three to five members of tikv's `raft`.
pub fn scenario() -> Scenario {
    loaded(Scenario::new("peer/tikv-raft").nodes("member", 3..=5, member))
}

/// Why a member stopped.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Raft(#[from] raft::Error),
    #[error(transparent)]
    Protobuf(#[from] protobuf::ProtobufError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct Member {
    env: Env,
    node: RawNode<Log>,
    durable: Durable,
    peers: Messages<Vec<u8>>,
    store: Store,
    applied: u64,
    standing: Shown<Standing>,
    history: Shown<History>,
    /// The election timeout in ticks, and the term and role for which it was drawn.
    timeout: (usize, u64, StateRole),
    /// To whom a snapshot is under way, and for how many more ticks.
    snapshots: BTreeMap<u64, u32>,
    writes: BTreeMap<u64, ReplyTo<Tell>>,
    /// Reads by their numbers, with the index that must be applied once it is known.
    reads: BTreeMap<u64, (Option<u64>, ReplyTo<Tell>)>,
}

async fn member(env: Env) -> Result<(), MemberError> {
    let mut service = service(&env)?;
    let mut member = Member::open(&env).await?;
    env.ready();
    let mut next = env.now() + TICK;
    loop {
        match member.wait(next, &mut service).await? {
            Event::Tick => {
                member.tick();
                next = env.now() + TICK;
            }
            Event::Message(message) => member.step(message),
            Event::Ask(ask, back) => member.ask(ask, back),
        }
        member.settle();
        while member.node.has_ready() {
            member.handle().await?;
            member.settle();
        }
        member.answer_reads();
        if member.applied >= member.durable.snapshot_index() + SNAPSHOT_ENTRIES {
            member.snapshot().await?;
        }
    }
}

enum Event {
    Tick,
    Message(Vec<u8>),
    Ask(Ask, ReplyTo<Tell>),
}

impl Member {
    async fn open(env: &Env) -> Result<Member, MemberError> {
        let standing = env.show("standing", Standing::default());
        let history = env.show("history", History::default());
        let voters = (1..=members(env).len() as u64).collect();
        let (durable, log, store) = Durable::open(env, voters).await?;
        let applied = log.snapshot_index();
        history.update(env, |history| history.restored((applied > 0).then_some(applied)));
        let config = Config {
            id: u64::from(env.me().ordinal()),
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied,
            max_size_per_msg: 64 << 10,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, log, &logger)?;
        let mut member = Member {
            env: env.clone(),
            node,
            durable,
            peers: env.messages(PORT)?,
            store,
            applied,
            standing,
            history,
            timeout: (0, 0, StateRole::Follower),
            snapshots: BTreeMap::new(),
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
        };
        member.draw_timeout();
        member.settle();
        Ok(member)
    }

    async fn wait(
        &mut self,
        next: Instant,
        service: &mut Responder<Ask, Tell>,
    ) -> Result<Event, MemberError> {
        let arriving = race(self.peers.receive(), service.receive());
        Ok(match race(arriving, self.env.sleep_until(next)).await {
            Either::Left(Either::Left(received)) => Event::Message(received?.1),
            Either::Left(Either::Right(asked)) => {
                let (ask, back) = asked?;
                Event::Ask(ask, back)
            }
            Either::Right(()) => Event::Tick,
        })
    }

    fn draw_timeout(&mut self) {
        let raft = &self.node.raft;
        let ticks = ELECTION_TICKS + self.env.random_below(ELECTION_TICKS as u64) as usize;
        self.timeout = (ticks, raft.term, raft.state);
    }

    /// Puts the node's own election timeout in the place of the crate's, and shows where it stands.
    fn settle(&mut self) {
        let (term, role) = (self.node.raft.term, self.node.raft.state);
        let (_, old_term, old_role) = self.timeout;
        if (term, role) != (old_term, old_role) {
            self.draw_timeout();
        }
        self.node.raft.set_randomized_election_timeout(self.timeout.0);
        let now = Standing { term, leads: role == StateRole::Leader };
        if self.standing.read(|before| *before != now) {
            self.standing.update(&self.env, |standing| *standing = now);
        }
    }

    fn tick(&mut self) {
        self.node.tick();
        let lost = self.snapshots.extract_if(.., |_, ticks| {
            *ticks -= 1;
            *ticks == 0
        });
        for (peer, _) in lost {
            self.node.report_snapshot(peer, SnapshotStatus::Failure);
        }
    }

    fn step(&mut self, bytes: Vec<u8>) {
        // What does not concern the term any more is refused, and that is all.
        if let Ok(message) = Message::parse_from_bytes(&bytes) {
            let _ = self.node.step(message);
        }
    }

    fn ask(&mut self, ask: Ask, back: ReplyTo<Tell>) {
        if self.node.raft.state != StateRole::Leader {
            let leader = self.node.raft.leader_id;
            back.reply(Tell::NotLeader((leader != raft::INVALID_ID).then_some(leader)));
            return;
        }
        match ask {
            Ask::Write(Write(value)) => {
                match self.node.propose(Vec::new(), value.to_le_bytes().to_vec()) {
                    Ok(()) => drop(self.writes.insert(value, back)),
                    Err(_) => back.reply(Tell::NotLeader(None)),
                }
            }
            Ask::Read => {
                let number = self.env.random();
                self.node.read_index(number.to_le_bytes().to_vec());
                self.reads.insert(number, (None, back));
            }
        }
        if self.writes.len() > WAITING_MAX {
            self.writes.pop_first();
        }
        if self.reads.len() > WAITING_MAX {
            self.reads.pop_first();
        }
    }

    /// Does what the node wants done, in the order that its documentation gives.
    async fn handle(&mut self) -> Result<(), MemberError> {
        let mut ready = self.node.ready();
        self.send(ready.take_messages())?;
        if !ready.snapshot().is_empty() {
            let snapshot = ready.snapshot();
            self.store = storage::state_of(snapshot)?;
            self.applied = snapshot.get_metadata().index;
            let index = self.applied;
            self.history.update(&self.env, |history| history.restored(Some(index)));
            self.durable.install(self.node.mut_store(), snapshot)?;
        }
        self.apply(ready.take_committed_entries());
        for state in ready.take_read_states() {
            let number = state.request_ctx.try_into().map(u64::from_le_bytes);
            if let Some((index, _)) = number.ok().and_then(|n| self.reads.get_mut(&n)) {
                *index = Some(state.index);
            }
        }
        self.durable.append(self.node.mut_store(), ready.entries())?;
        if let Some(hard) = ready.hs() {
            self.durable.set_hard_state(self.node.mut_store(), hard.clone())?;
        }
        if ready.must_sync() {
            self.durable.commit().await?;
        }
        self.send(ready.take_persisted_messages())?;
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.durable.set_commit(self.node.mut_store(), commit)?;
        }
        self.send(light.take_messages())?;
        self.apply(light.take_committed_entries());
        self.node.advance_apply();
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>) -> Result<(), MemberError> {
        for message in messages {
            let Some(node) = numbered(&self.env, message.to) else { continue };
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.snapshots.insert(message.to, SNAPSHOT_TICKS);
            }
            self.peers.send(Address::new(node, PORT), &message.write_to_bytes()?);
        }
        Ok(())
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.applied = entry.index;
            let write = <[u8; 8]>::try_from(entry.get_data()).map(u64::from_le_bytes);
            let content = match write {
                Ok(value) => Write(value).to_string(),
                Err(_) => "nothing".to_owned(),
            };
            let applied = Applied { index: entry.index, term: entry.term, content };
            show_applied(&self.env, &self.history, applied);
            if let Ok(value) = write {
                self.store.apply(Write(value));
                if let Some(back) = self.writes.remove(&value) {
                    back.reply(Tell::Written);
                }
            }
        }
    }

    /// Answers the reads whose index is applied. Who leads no more answers none.
    fn answer_reads(&mut self) {
        if self.node.raft.state != StateRole::Leader {
            self.reads.clear();
        }
        let (applied, value) = (self.applied, self.store.value());
        let ready = |_: &u64, (index, _): &mut (Option<u64>, ReplyTo<Tell>)| {
            index.is_some_and(|index| index <= applied)
        };
        for (_, (_, back)) in self.reads.extract_if(.., ready) {
            back.reply(Tell::Value(value));
        }
    }

    async fn snapshot(&mut self) -> Result<(), MemberError> {
        let (applied, store) = (self.applied, &self.store);
        self.durable.snapshot(self.node.mut_store(), applied, store).await
    }
}
