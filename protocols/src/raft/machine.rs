//! A member of the cluster.

use super::applied::{Applied, Image};
use super::config::Config;
use super::configuration::{Change, ChangeError, Configuration};
use super::doubt::Doubt;
use super::elections::Role;
use super::log::{Entry, Index, Log, Payload, Term};
use super::members::Members;
use super::message::Message;
use super::reads::Asked;
use super::record::{HardState, Record, Snapshot};
use super::snapshots::Incoming;
use super::state_machine::StateMachine;
use squall_env::journal::Damage;
use squall_env::machine::{Mended, RequestId};
use squall_env::{Address, Instant, Machine, NodeId, Position, Turn, mutant};
use std::collections::{BTreeMap, VecDeque};

/// The name of the member's journal and port.
pub const NAME: &str = "raft";

/// What the own node asks of its member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<S: StateMachine> {
    /// Open a session.
    OpenSession,
    /// Replicate a command and apply it, once however often it is proposed.
    Propose {
        /// The session, which was opened before.
        session: u64,
        /// One more than that of the session's last command, which is no longer under way.
        sequence: u64,
        /// The command.
        command: S::Command,
    },
    /// Answer a question from a state that holds every command that was answered before.
    Read(S::Query),
    /// Answer a question from what this member has applied, whoever leads.
    ReadApplied(S::Query),
    /// Wait until this member has applied an entry behind this one.
    AwaitApplied(Index),
    /// Wait until this member has what it once let others count on.
    AwaitRepaired,
    /// Have another member lead (section 3.10). It takes no longer than an election timeout, in
    /// which the leader takes no proposals.
    Transfer(NodeId),
    /// Change who is a member (chapter 4). A node has to have caught up as a learner before it
    /// may vote.
    Change(Vec<Change>),
    /// Tell who is a member.
    Members,
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<S: StateMachine> {
    /// The session is open.
    Session(u64),
    /// The command is committed and applied.
    Applied(S::Output),
    /// The session is not open, or a later command of it was applied.
    NoSession,
    /// The question's answer.
    Answer(S::Answer),
    /// This member has applied the log up to here.
    AppliedUpTo(Index),
    /// This member has what it once let others count on.
    Repaired,
    /// Nothing was done: another member leads, perhaps this one.
    NotLeader(Option<NodeId>),
    /// Nothing was done: too much waits to be committed, the log is full, or another member is to
    /// lead.
    Busy,
    /// Nothing was done: the command has more bytes than a command may have.
    TooLarge,
    /// This proposal was never committed and never will be: another leader's entry took its place.
    Overwritten,
    /// This member leads no more.
    Transferred,
    /// This member did not come to hand over in time.
    NotTransferred,
    /// Nobody here knows what became of it: a snapshot took the place of the proposal's entry, or
    /// another member leads, under which a change may go on.
    Unknown,
    /// The members are those that were wanted, and no change is under way.
    Changed,
    /// The members are those that they were.
    NotChanged(ChangeError),
    /// Who is a member.
    Members(Configuration),
}

/// The timers of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// Nobody has been heard of for too long.
    Election,
    /// The followers want to hear from their leader.
    Heartbeat,
    /// A leader looks whether a quorum still answers (section 6.2).
    Quorum,
    /// Another member was to lead by now.
    Transfer,
}

/// A member of the cluster. `S` is what the cluster replicates.
pub struct Raft<S: StateMachine> {
    pub(super) config: Config,
    pub(super) hard: HardState,
    pub(super) log: Log,
    /// The snapshot: what the entries make that are gone from the log.
    pub(super) base: Applied<S>,
    pub(super) members: Members,
    // From here on everything is lost in a crash.
    /// What it may have forgotten; the journal remembers it.
    pub(super) doubt: Option<Doubt>,
    pub(super) role: Role<S>,
    pub(super) leader: Option<NodeId>,
    /// How many elections in a row have come to nothing, as far as is known here: nothing was
    /// committed since. See [`Raft::patience`].
    pub(super) setbacks: u32,
    /// When the leader was heard of last.
    pub(super) heard: Option<Instant>,
    pub(super) commit: Index,
    pub(super) applied: Index,
    /// What the entries make that are applied.
    pub(super) live: Applied<S>,
    /// How many bytes the entries have that are applied and still in the log.
    pub(super) applied_bytes: usize,
    /// A snapshot that is on its way to this member.
    pub(super) incoming: Option<Incoming>,
    pub(super) durable: Durable,
    /// Proposals that wait for their entry to be applied, with the term in which it was appended.
    pub(super) proposed: BTreeMap<Index, (Term, RequestId)>,
    /// Requests that wait for an entry behind one to be applied.
    pub(super) awaiting: Vec<(Index, RequestId)>,
    /// Requests that wait for the end of doubts.
    pub(super) awaiting_repair: Vec<RequestId>,
}

/// How far the own log is durable.
#[derive(Default)]
pub(super) struct Durable {
    pub(super) index: Index,
    /// The last index after each record that is on its way to the disk.
    under_way: VecDeque<(Position, Index)>,
    /// The record of the vote for itself.
    pub(super) vote: Position,
}

impl Durable {
    /// Entries behind `previous` up to `last` are on their way. What stood there before is gone,
    /// so that a sync that is under way says nothing of those that took its place.
    pub(super) fn replaced(&mut self, previous: Index, last: Index, at: Position) {
        self.index = self.index.min(previous);
        for (_, index) in &mut self.under_way {
            *index = (*index).min(previous);
        }
        self.under_way.push_back((at, last));
    }

    fn reached(&mut self, upto: Position) {
        while let Some((_, index)) = self.under_way.pop_front_if(|(at, _)| *at <= upto) {
            self.index = index;
        }
    }
}

impl<S: StateMachine> Raft<S> {
    /// The latest term that it has seen.
    pub fn term(&self) -> Term {
        self.hard.term
    }

    /// For whom it voted in its term.
    pub fn vote(&self) -> Option<NodeId> {
        self.hard.vote
    }

    /// Whether it leads its term.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Who leads its term, if it has heard so and not missed it for too long.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// How far it knows the log to be committed.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// How far it has applied the log.
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it has applied so far.
    pub fn state(&self) -> &S {
        &self.live.machine
    }

    /// That, and the sessions.
    pub fn image(&self) -> Image<S> {
        self.live.image()
    }

    /// Who takes part: the latest configuration in the log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        self.members.latest()
    }

    /// The entry that says so, or 0 if the snapshot does.
    pub fn configuration_index(&self) -> Index {
        self.members.latest_index()
    }

    /// Who took part when the last entry that is applied was committed.
    pub fn applied_configuration(&self) -> &Configuration {
        self.members.at(self.applied)
    }

    pub(super) fn address(&self, node: NodeId, turn: &Turn<Self>) -> Address {
        Address::new(node, turn.my_address().port)
    }

    pub(super) fn others(&self, turn: &Turn<Self>) -> Vec<NodeId> {
        if let Role::Leader(leadership) = &self.role {
            return leadership.progress.keys().copied().collect();
        }
        let me = turn.me();
        self.configuration().members().into_iter().filter(|node| *node != me).collect()
    }

    pub(super) fn persist_hard(&mut self, hard: HardState, turn: &mut Turn<Self>) -> Position {
        turn.trace(|| format!("persists {hard:?}"));
        turn.persist(self, Record::HardState(hard))
    }

    pub(super) fn persist_entries(
        &mut self,
        previous: Index,
        entries: Vec<Entry>,
        turn: &mut Turn<Self>,
    ) {
        let keeps = mutant!(turn, "raft/keeps-overwritten-configurations");
        let before = keeps.then(|| self.members.clone());
        let caches = previous < self.log.last_index()
            && mutant!(turn, "raft/keeps-overwritten-entries-in-memory");
        let cached = caches.then(|| self.log.clone());
        let at = turn.persist(self, Record::Entries { previous, entries });
        if let Some(before) = before {
            self.members.keep(before);
        }
        if let Some(cached) = cached {
            self.keep_overwritten(cached);
        }
        self.durable.replaced(previous, self.log.last_index(), at);
    }

    /// Applies what is committed, in order, and answers those who proposed it.
    pub(super) fn apply_committed(&mut self, turn: &mut Turn<Self>) {
        self.apply_entries(turn);
        self.tell_applied(turn);
        self.compact(turn);
    }

    fn apply_entries(&mut self, turn: &mut Turn<Self>) {
        while self.applied < self.commit {
            let index = self.applied + 1;
            let Some(entry) = self.log.entry(index) else { return };
            let (term, again) = (entry.term, mutant!(turn, "raft/applies-again"));
            let reply = self.live.apply(index, &entry.payload, again);
            self.applied_bytes += entry.size();
            self.applied = index;
            if let Some((proposed, id)) = self.proposed.remove(&index) {
                turn.reply(id, if proposed == term { reply } else { Reply::Overwritten });
            }
        }
    }
}

impl<S: StateMachine> Machine for Raft<S> {
    type Config = Config;
    type Timer = Timer;
    type Message = Message;
    type Request = Request<S>;
    type Reply = Reply<S>;
    type Record = Record<S>;
    type Snapshot = Snapshot<S>;

    fn restore(config: &Config, snapshot: Option<Snapshot<S>>) -> Raft<S> {
        let (hard, log, members, base) = match snapshot {
            None => (
                HardState::default(),
                Log::default(),
                Members::of(None, &config.voters),
                Applied::nothing(),
            ),
            Some(Snapshot { hard, base: (index, term), configuration, image, entries }) => {
                let mut log = Log::behind(index, term);
                log.replace(index, &entries);
                let mut members = Members::of(configuration, &config.voters);
                members.replaced(index, &entries);
                (hard, log, members, Applied::of(image))
            }
        };
        let start = log.base().0;
        Raft {
            config: config.clone(),
            hard,
            log,
            members,
            doubt: None,
            role: Role::Follower,
            leader: None,
            setbacks: 0,
            heard: None,
            commit: start,
            applied: start,
            live: Applied::of(base.image()),
            base,
            applied_bytes: 0,
            incoming: None,
            durable: Durable::default(),
            proposed: BTreeMap::new(),
            awaiting: Vec::new(),
            awaiting_repair: Vec::new(),
        }
    }

    fn apply(&mut self, record: &Record<S>) {
        match record {
            Record::HardState(hard) => self.hard = *hard,
            Record::Entries { previous, entries } => {
                self.log.replace(*previous, entries);
                self.members.replaced(*previous, entries);
            }
            Record::Compacted { last_index } => self.apply_compacted(*last_index),
            Record::Installed { last_index, last_term, configuration, image } => {
                let last = (*last_index, *last_term);
                self.apply_installed(last, configuration.clone(), image.clone());
            }
            Record::Founded(configuration) => {
                self.members.found(configuration.clone());
            }
        }
    }

    fn snapshot(&self) -> Snapshot<S> {
        let entries = self.log.entries().cloned().collect();
        Snapshot {
            hard: self.hard,
            base: self.log.base(),
            configuration: self.members.base().cloned(),
            image: self.base.image(),
            entries,
        }
    }

    fn mend(&mut self, damage: &Damage) -> Mended {
        damage.claim.as_ref().map_or(Mended::Refuse, |claim| self.take_claim(claim))
    }

    fn claim(&self, into: &mut Vec<u8>) {
        if self.config.doubts_torn_tails {
            self.encode_claim(into);
        }
    }

    fn doubt(&mut self, claim: &[u8]) -> Mended {
        self.take_claim(claim)
    }

    fn doubted(&self, into: &mut Vec<u8>) {
        if self.is_doubtful() {
            self.encode_claim(into);
        }
    }

    fn on_start(&mut self, turn: &mut Turn<Self>) {
        if self.is_doubtful() {
            turn.sometimes("a member could not read the end of its log");
        }
        if self.log.base().0 > 0 {
            turn.sometimes("a restart recovered from a snapshot");
        }
        if mutant!(turn, "raft/restarts-with-an-empty-state") {
            self.live = Applied::nothing();
        }
        if mutant!(turn, "raft/restarts-with-the-first-members") {
            self.members = Members::of(None, &self.config.voters);
        }
        if self.members.base().is_none() && !self.config.voters.is_empty() {
            let first = Configuration::of(self.config.voters.iter().copied());
            turn.persist(self, Record::Founded(first));
        }
        self.durable.index = self.log.last_index();
        let is_new = self.hard == HardState::default();
        if !is_new && !mutant!(turn, "raft/restarts-without-its-promise") {
            // Nobody knows any more when a leader was heard last.
            self.heard = Some(turn.now());
        }
        self.wait_for_leader(turn);
    }

    fn on_message(&mut self, from: Address, message: Message, turn: &mut Turn<Self>) {
        // Whoever is not in the own configuration may be in the next one (section 4.1).
        let node = from.node;
        match message {
            Message::RequestVote { term, last_index, last_term, campaign } => {
                self.on_request_vote(node, term, (last_term, last_index), campaign, turn);
            }
            Message::Vote { term, granted, pre_vote } => {
                self.on_vote(node, term, granted, pre_vote, turn);
            }
            Message::AppendEntries { .. } => self.on_append_entries(from, message, turn),
            Message::Appended { term, matched, round } => {
                self.on_appended(node, term, matched, round, turn);
            }
            Message::Refused { term, previous_index, hint_index, hint_term, round } => {
                let hint = (hint_index, hint_term);
                self.on_refused(node, term, previous_index, hint, round, turn);
            }
            Message::InstallSnapshot { term, part, round } => {
                self.on_install_snapshot(from, term, part, round, turn);
            }
            Message::Received { term, last_index, received, round } => {
                self.on_received(node, term, (last_index, received), round, turn);
            }
            Message::TimeoutNow { term } => self.on_timeout_now(node, term, turn),
            Message::AskEnd { round } => self.on_ask_end(node, round, turn),
            Message::End { term, last_index, last_term, round } => {
                self.on_end(node, term, (last_term, last_index), round, turn);
            }
            Message::Forgot { term, last_index } => self.on_forgot(node, term, last_index, turn),
        }
        self.tell_repaired(turn);
    }

    fn on_request(&mut self, id: RequestId, request: Request<S>, turn: &mut Turn<Self>) {
        match request {
            Request::OpenSession => self.propose(id, Payload::OpenSession, turn),
            Request::Propose { session, sequence, command } => {
                let command = postcard::to_stdvec(&command).expect("a command can be encoded");
                self.propose(id, Payload::Command { session, sequence, command }, turn);
            }
            Request::Read(query) => self.read(id, Asked::Query(query), turn),
            Request::ReadApplied(query) => self.read_applied(id, &query, turn),
            Request::AwaitApplied(behind) => self.await_applied(id, behind, turn),
            Request::AwaitRepaired => self.await_repaired(id, turn),
            Request::Transfer(to) => self.transfer(id, to, turn),
            Request::Change(changes) => self.change(id, &changes, turn),
            Request::Members => self.read(id, Asked::Members, turn),
        }
    }

    fn on_timer(&mut self, timer: Timer, turn: &mut Turn<Self>) {
        match timer {
            Timer::Election => self.on_election_timeout(turn),
            Timer::Heartbeat => self.on_heartbeat_due(turn),
            Timer::Quorum => self.on_quorum_due(turn),
            Timer::Transfer => self.on_transfer_overdue(turn),
        }
    }

    fn on_settled(&mut self, turn: &mut Turn<Self>) {
        if self.is_leader() {
            self.replicate_all(turn);
        }
    }

    fn on_durable(&mut self, upto: Position, turn: &mut Turn<Self>) {
        self.durable.reached(upto);
        self.count_own_vote(upto, turn);
        self.advance_commit(turn);
    }
}
