//! squall's Raft, driven by hand: the machines encode and decode their records and messages as
//! they do everywhere, and what they write is durable as soon as all that waits is delivered.

use crate::state::{Bytes, Count};
use crate::{COMPACTED, KEPT};
use squall_env::codec;
use squall_env::disk::{Completion, Operation};
use squall_env::machine::RequestId;
use squall_env::machine::alone::{Effect, Input, Standing, turns};
use squall_env::platform::{
    BindError, BoxFuture, Clock, Datagrams, Disk, Network, Observer, Platform, Random, Spawner,
    Wait,
};
use squall_env::{Address, Env, Instant, Machine, NodeId, Port, Roster, WallTime};
use squall_protocols::raft::{Config, NAME, Raft, Reply, Request, Timer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

const MEMBERS: u16 = 3;

/// A frame on its way.
struct Letter {
    from: u16,
    to: u16,
    frame: Vec<u8>,
}

/// A node without a world: time stands still unless it is told otherwise.
struct Desk {
    me: NodeId,
    roster: Roster,
    now: Arc<AtomicU64>,
    early: Arc<Mutex<Vec<Letter>>>,
}

impl Random for Desk {
    fn next_u64(&self) -> u64 {
        0
    }
}

impl Clock for Desk {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Relaxed))
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
        let letter =
            Letter { from: self.me.ordinal(), to: to.node.ordinal(), frame: frame.to_vec() };
        self.early.lock().expect("nobody panicked").push(letter);
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
    machine: Raft<Count>,
    standing: Standing<Timer>,
    held: Vec<Effect<Reply<Count>>>,
    inbox: Vec<Letter>,
}

struct Cluster {
    members: Vec<Member>,
    now: Arc<AtomicU64>,
    early: Arc<Mutex<Vec<Letter>>>,
    session: u64,
    requests: u64,
    applied: u64,
}

/// Commits so many entries, with so many under way.
pub fn run(entries: u64, under_way: u64) {
    let mut cluster = Cluster::new();
    let session = cluster.session;
    for made in (0..entries).step_by(under_way as usize) {
        let some = made..entries.min(made + under_way);
        cluster.ask(some.map(|made| {
            let (sequence, command) = (made + 1, Bytes::of(made));
            Request::Propose { session, sequence, command }
        }));
        cluster.settle();
    }
    assert_eq!(cluster.applied, entries, "every proposal was applied");
}

impl Cluster {
    fn new() -> Cluster {
        let (now, early) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<Letter>>>::default());
        let roster = Roster::new("commits").with("member", MEMBERS);
        let nodes: Vec<NodeId> = roster.nodes("member").collect();
        let config =
            Config { snapshot_entries: COMPACTED, tail_entries: KEPT, ..Config::of(nodes.clone()) };
        let member = |me: &NodeId| {
            let (now, early) = (Arc::clone(&now), Arc::clone(&early));
            let env = Env::new(Arc::new(Desk { me: *me, roster: roster.clone(), now, early }));
            let machine = Raft::restore(&config, None);
            let (standing, held) = (Standing::default(), Vec::new());
            Member { env, machine, standing, held, inbox: Vec::new() }
        };
        let members = nodes.iter().map(member).collect();
        let mut cluster = Cluster { members, now, early, session: 0, requests: 0, applied: 0 };
        for at in 0..cluster.members.len() {
            cluster.give(at, [Input::Start]);
        }
        cluster.settle();
        cluster.now.store(60_000_000_000, Ordering::Relaxed);
        cluster.give(0, [Input::Timer(Timer::Election)]);
        cluster.settle();
        assert!(cluster.members[0].machine.is_leader(), "nobody else campaigned");
        cluster.ask([Request::OpenSession].into_iter());
        cluster.settle();
        assert!(cluster.session > 0, "the session is open");
        cluster
    }

    /// Asks the first member for these, which wait for it together.
    fn ask(&mut self, requests: impl Iterator<Item = Request<Count>>) {
        let numbered = requests.zip(self.requests + 1..);
        let asked: Vec<Input<_>> =
            numbered.map(|(request, id)| Input::Request(RequestId(id), request)).collect();
        self.requests += asked.len() as u64;
        self.give(0, asked);
    }

    /// Gives a member inputs that wait for it together, as its driver would.
    fn give(&mut self, at: usize, inputs: impl IntoIterator<Item = Input<Raft<Count>>>) {
        let member = &mut self.members[at];
        let port = Port::named(NAME);
        let taken = turns(&member.env, port, &mut member.machine, &mut member.standing, inputs);
        member.held.extend(taken.effects);
        for letter in self.early.lock().expect("nobody panicked").drain(..) {
            self.members[usize::from(letter.to) - 1].inbox.push(letter);
        }
    }

    /// All that a member has written is durable.
    fn sync(&mut self, at: usize) {
        loop {
            let member = &mut self.members[at];
            let from = member.env.me().ordinal();
            for effect in std::mem::take(&mut member.held) {
                match effect {
                    Effect::Send { to, frame } => {
                        let letter = Letter { from, to: to.node.ordinal(), frame };
                        self.members[usize::from(letter.to) - 1].inbox.push(letter);
                    }
                    Effect::Reply { reply: Reply::Session(session), .. } => self.session = session,
                    Effect::Reply { reply: Reply::Applied(()), .. } => self.applied += 1,
                    Effect::Reply { reply, .. } => panic!("the leader answers {reply:?}"),
                }
            }
            let standing = &mut self.members[at].standing;
            if standing.durable == standing.last {
                return;
            }
            standing.durable = standing.last;
            let upto = standing.last;
            self.give(at, [Input::Durable(upto)]);
        }
    }

    fn opened(&self, letter: &Letter) -> Input<Raft<Count>> {
        let from = self.members[usize::from(letter.from) - 1].env.me();
        let message = codec::decode(&letter.frame).expect("a member's own message");
        Input::Message(Address::new(from, Port::named(NAME)), message)
    }

    /// Delivers all that waits for a member, member after member, until nothing waits.
    fn settle(&mut self) {
        loop {
            let mut rests = true;
            for at in 0..self.members.len() {
                let waiting = std::mem::take(&mut self.members[at].inbox);
                if !waiting.is_empty() {
                    rests = false;
                    let inputs: Vec<Input<_>> =
                        waiting.into_iter().map(|letter| self.opened(&letter)).collect();
                    self.give(at, inputs);
                }
                self.sync(at);
            }
            if rests {
                return;
            }
        }
    }
}
