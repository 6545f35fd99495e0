//! Members of Raft one turn at a time: whoever tests decides what arrives, what is synced and which
//! timer runs out.

use serde::{Deserialize, Serialize};
use squall_env::codec;
use squall_env::disk::{Completion, Operation};
use squall_env::machine::alone::{Effect, Input, Standing, recover, snapshot, turn};
use squall_env::machine::{Mended, RequestId};
use squall_env::platform::{
    BindError, BoxFuture, Clock, Datagrams, Disk, Network, Observer, Platform, Random, Spawner,
    Wait,
};
use squall_env::{Address, Env, Instant, Machine, NodeId, Port, Roster, WallTime};
use squall_protocols::raft::{
    Config, Index, Message, NAME, Raft, Reply, Request, StateMachine, Term, Timer,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// The values that were written, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Values(pub Vec<u64>);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Write(pub u64);

impl StateMachine for Values {
    type Command = Write;
    type Output = ();
    type Query = ();
    type Answer = Vec<u64>;
    type Snapshot = Vec<u64>;

    fn apply(&mut self, _: Index, Write(value): Write) {
        self.0.push(value);
    }

    fn query(&self, (): &()) -> Vec<u64> {
        self.0.clone()
    }

    fn snapshot(&self) -> Vec<u64> {
        self.0.clone()
    }

    fn restore(snapshot: Vec<u64>) -> Values {
        Values(snapshot)
    }
}

/// What all members share: the time, and what was sent without waiting for a disk.
#[derive(Default)]
struct Shared {
    now: u64,
    drawn: u64,
    early: Vec<Letter>,
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) message: Message,
}

struct Desk {
    me: NodeId,
    roster: Roster,
    shared: Arc<Mutex<Shared>>,
}

impl Random for Desk {
    fn next_u64(&self) -> u64 {
        let mut shared = self.shared.lock().unwrap();
        shared.drawn = shared.drawn.wrapping_add(0x9e37_79b9_7f4a_7c15);
        shared.drawn
    }

    fn choose(&self, count: u64) -> u64 {
        self.next_u64() % count
    }
}

impl Clock for Desk {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.shared.lock().unwrap().now)
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(0)
    }

    fn poll_sleep(&self, _: Instant, _: &mut Wait, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn slept(&self) -> u64 {
        0
    }

    fn cancel(&self, _: &mut Wait) {}
}

impl Network for Desk {
    fn bind(&self, _: Port) -> Result<Box<dyn Datagrams>, BindError> {
        Err(BindError::Unsupported)
    }

    fn send(&self, _: Port, to: Address, _: u8, frame: &[u8]) {
        let message = codec::decode(frame).expect("a member's own message");
        let letter = Letter { from: self.me.ordinal(), to: to.node.ordinal(), message };
        self.shared.lock().unwrap().early.push(letter);
    }
}

impl Disk for Desk {
    fn submit(&self, _: Operation, _: Completion) {}
}

impl Spawner for Desk {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}

    fn run_blocking(&self, _: Box<dyn FnOnce() + Send>) {}
}

impl Observer for Desk {}

impl Platform for Desk {
    fn me(&self) -> NodeId {
        self.me
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }
}

struct Member {
    env: Env,
    machine: Raft<Values>,
    standing: Standing<Timer>,
    /// What waits for the disk.
    held: Vec<Effect<Reply<Values>>>,
    /// Nothing is synced.
    stalled: bool,
    config: Config,
}

/// A cluster on the bench.
pub(crate) struct Bench {
    members: BTreeMap<u16, Member>,
    shared: Arc<Mutex<Shared>>,
    /// What is on its way, oldest first.
    pub(crate) wire: VecDeque<Letter>,
    /// Who is heard by nobody and hears nobody.
    cut: BTreeSet<u16>,
    pub(crate) replies: BTreeMap<RequestId, Reply<Values>>,
    requests: u64,
}

pub(crate) fn node(ordinal: u16) -> NodeId {
    NodeId::new(0, ordinal)
}

/// So long that nobody remembers any leader.
pub(crate) const LONG: Duration = Duration::from_secs(60);

impl Bench {
    /// A cluster of members 1 to `count`, all of them voters.
    pub(crate) fn of(count: u16) -> Bench {
        Bench::with(count, |_, _| {})
    }

    /// The same, each configured in its own way.
    pub(crate) fn with(count: u16, configure: impl Fn(u16, &mut Config)) -> Bench {
        let shared = Arc::<Mutex<Shared>>::default();
        let roster = Roster::new("bench").with("member", count);
        let mut bench = Bench {
            members: BTreeMap::new(),
            shared: Arc::clone(&shared),
            wire: VecDeque::new(),
            cut: BTreeSet::new(),
            replies: BTreeMap::new(),
            requests: 0,
        };
        for ordinal in 1..=count {
            let mut config = Config::of((1..=count).map(node).collect());
            configure(ordinal, &mut config);
            let (roster, shared) = (roster.clone(), Arc::clone(&shared));
            let env = Env::new(Arc::new(Desk { me: node(ordinal), roster, shared }));
            let machine = Raft::restore(&config, None);
            let (standing, held) = (Standing::default(), Vec::new());
            let member = Member { env, machine, standing, held, stalled: false, config };
            bench.members.insert(ordinal, member);
            bench.give(ordinal, Input::Start);
        }
        bench
    }

    pub(crate) fn at(&self, member: u16) -> &Raft<Values> {
        &self.members[&member].machine
    }

    /// Whether a timer of the member is armed.
    pub(crate) fn is_armed(&self, member: u16, timer: Timer) -> bool {
        self.members[&member].standing.timers.contains(&timer)
    }

    /// One turn, and what it wrote is synced unless the disk is stalled.
    fn give(&mut self, to: u16, input: Input<Raft<Values>>) {
        let port = Port::named(NAME);
        let member = self.members.get_mut(&to).expect("a member");
        let taken = turn(&member.env, port, &mut member.machine, &mut member.standing, input);
        member.held.extend(taken.effects);
        self.wire.extend(std::mem::take(&mut self.shared.lock().unwrap().early));
        if !self.members[&to].stalled {
            self.sync(to);
        }
    }

    /// Everything that the member has written is durable.
    pub(crate) fn sync(&mut self, of: u16) {
        let member = self.members.get_mut(&of).expect("a member");
        for effect in std::mem::take(&mut member.held) {
            match effect {
                Effect::Send { to, frame } => {
                    let message = codec::decode(&frame).expect("a member's own message");
                    let to = to.node.ordinal();
                    self.wire.push_back(Letter { from: of, to, message });
                }
                Effect::Reply { id, reply } => {
                    self.replies.insert(id, reply);
                }
            }
        }
        if member.standing.durable < member.standing.last {
            member.standing.durable = member.standing.last;
            let upto = member.standing.last;
            self.give(of, Input::Durable(upto));
        }
    }

    /// The disk of a member writes nothing from now on, or everything that has waited.
    pub(crate) fn stall(&mut self, member: u16, stalled: bool) {
        self.members.get_mut(&member).expect("a member").stalled = stalled;
        if !stalled {
            self.sync(member);
        }
    }

    /// The member stops and starts again with what it had written.
    pub(crate) fn restart(&mut self, ordinal: u16) {
        let member = self.members.get_mut(&ordinal).expect("a member");
        let snapshot = member.machine.snapshot();
        member.machine = Raft::restore(&member.config, Some(snapshot));
        member.standing.timers.clear();
        member.held.clear();
        self.wire.retain(|letter| letter.to != ordinal);
        self.give(ordinal, Input::Start);
    }

    /// What the member's disk holds.
    pub(crate) fn saved(&self, member: u16) -> Vec<u8> {
        snapshot(self.at(member))
    }

    /// The member stops and starts again with what its disk held once, and what it claims now.
    pub(crate) fn forget(&mut self, ordinal: u16, saved: &[u8]) {
        let member = self.members.get_mut(&ordinal).expect("a member");
        let mut claim = Vec::new();
        member.machine.claim(&mut claim);
        let none = std::iter::empty();
        member.machine = recover(&member.config, Some(saved), none).expect("a snapshot");
        assert_eq!(member.machine.doubt(&claim), Mended::Rejoin);
        member.standing.timers.clear();
        member.held.clear();
        self.wire.retain(|letter| letter.to != ordinal);
        self.give(ordinal, Input::Start);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.shared.lock().unwrap().now += time.as_nanos() as u64;
    }

    /// A timer runs out, if it is armed.
    pub(crate) fn fire(&mut self, member: u16, timer: Timer) {
        if self.is_armed(member, timer) {
            self.give(member, Input::Timer(timer));
        }
    }

    pub(crate) fn send(&mut self, from: u16, to: u16, message: Message) {
        let from = Address::new(node(from), Port::named(NAME));
        self.give(to, Input::Message(from, message));
    }

    pub(crate) fn ask(&mut self, member: u16, request: Request<Values>) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.give(member, Input::Request(id, request));
        id
    }

    /// Nobody hears these members, and they hear nobody; all the others hear each other.
    pub(crate) fn cut(&mut self, members: &[u16]) {
        self.cut = members.iter().copied().collect();
    }

    fn is_cut(&self, letter: &Letter) -> bool {
        self.cut.contains(&letter.from) || self.cut.contains(&letter.to)
    }

    /// Delivers what is on its way, and what is sent because of it, until there is nothing more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let Some(letter) = self.wire.pop_front() else { return };
            if !self.is_cut(&letter) {
                self.send(letter.from, letter.to, letter.message);
            }
        }
        panic!("the members never come to rest");
    }

    /// The member campaigns after nobody was heard for long.
    pub(crate) fn campaign(&mut self, member: u16) {
        self.pass(LONG);
        self.fire(member, Timer::Election);
        self.settle();
    }

    /// The leader tells the others that it is there, and how far it has committed.
    pub(crate) fn beat(&mut self, leader: u16) {
        self.fire(leader, Timer::Heartbeat);
        self.settle();
    }

    /// Opens a session at the leader, and writes these values.
    pub(crate) fn write(&mut self, leader: u16, values: &[u64]) -> Vec<RequestId> {
        let opened = self.ask(leader, Request::OpenSession);
        self.settle();
        let Some(Reply::Session(session)) = self.replies.get(&opened).cloned() else {
            panic!("no session: {:?}", self.replies.get(&opened));
        };
        let mut ids = Vec::new();
        for (value, sequence) in values.iter().zip(1..) {
            let command = Write(*value);
            ids.push(self.ask(leader, Request::Propose { session, sequence, command }));
            self.settle();
        }
        ids
    }

    /// Proposes a value in a session that is open.
    pub(crate) fn propose(&mut self, leader: u16, session: u64, sequence: u64, value: u64) {
        self.ask(leader, Request::Propose { session, sequence, command: Write(value) });
    }

    pub(crate) fn leaders(&self) -> Vec<u16> {
        let leads = |(ordinal, member): (&u16, &Member)| {
            if member.machine.is_leader() { Some(*ordinal) } else { None }
        };
        self.members.iter().filter_map(leads).collect()
    }

    pub(crate) fn terms(&self, member: u16) -> Vec<Term> {
        self.at(member).log().entries().map(|entry| entry.term).collect()
    }

    /// What the member sends to another in answer to this, if anything.
    pub(crate) fn answer(&mut self, from: u16, to: u16, message: Message) -> Option<Message> {
        self.wire.clear();
        self.send(from, to, message);
        let answers = self.wire.drain(..).filter(|letter| letter.to == from);
        answers.map(|letter| letter.message).next_back()
    }
}
