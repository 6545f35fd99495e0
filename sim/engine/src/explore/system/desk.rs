//! What a machine touches while it is explored: time stands still, chance is asked for, and what it
//! sends early is kept.

use squall_env::address::{Address, NodeId, Port, Roster};
use squall_env::disk::{Completion, Operation};
use squall_env::platform::{
    BindError, BoxFuture, Clock, Datagrams, Disk, Network, Observer, Platform, Random, Spawner,
    Wait,
};
use squall_env::{Instant, WallTime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// One node's platform.
pub(super) struct Desk {
    me: NodeId,
    roster: Roster,
    mutant: Option<String>,
    turn: Arc<Mutex<TurnAt>>,
}

/// What the turn at hand asked for.
#[derive(Default)]
pub(super) struct TurnAt {
    /// What to answer, and then zeros.
    script: Vec<u64>,
    /// What was answered, each with how many answers there were.
    answered: Vec<(u64, u64)>,
    early: Vec<(Address, Address, Vec<u8>)>,
}

pub(super) type Shared = Arc<Mutex<TurnAt>>;

fn lock(turn: &Mutex<TurnAt>) -> MutexGuard<'_, TurnAt> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(me: NodeId, roster: &Roster, mutant: Option<&str>, turn: &Shared) -> Desk {
        let mutant = mutant.map(str::to_owned);
        Desk { me, roster: roster.clone(), mutant, turn: Arc::clone(turn) }
    }
}

/// Begins a step, in which chance answers like this.
pub(super) fn begin(turn: &Shared, script: &[u64]) {
    *lock(turn) = TurnAt { script: script.to_vec(), ..TurnAt::default() };
}

/// What was sent early since this was last asked.
pub(super) fn early(turn: &Shared) -> Vec<(Address, Address, Vec<u8>)> {
    std::mem::take(&mut lock(turn).early)
}

/// What chance answered in this step, and the next script in their order, if there is one.
pub(super) fn chosen(turn: &Shared) -> (Vec<u64>, Option<Vec<u64>>) {
    let answered = &lock(turn).answered;
    let chosen: Vec<u64> = answered.iter().map(|(answer, _)| *answer).collect();
    let next = answered.iter().rposition(|(answer, count)| answer + 1 < *count).map(|at| {
        let mut script = chosen[..=at].to_vec();
        script[at] += 1;
        script
    });
    (chosen, next)
}

/// How many different numbers a machine draws that asks for 64 random bits.
const RANDOM: u64 = 2;

impl Random for Desk {
    fn next_u64(&self) -> u64 {
        // The least number and one from the middle: what is drawn is told apart and ordered.
        self.choose(RANDOM) << 63 | 1
    }

    fn choose(&self, count: u64) -> u64 {
        let mut turn = lock(&self.turn);
        let at = turn.answered.len();
        let answer = turn.script.get(at).copied().unwrap_or(0);
        turn.answered.push((answer, count));
        answer
    }
}

impl Clock for Desk {
    fn now(&self) -> Instant {
        Instant::default()
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

    fn send(&self, from: Port, to: Address, _: u8, payload: &[u8]) {
        let from = Address::new(self.me, from);
        lock(&self.turn).early.push((from, to, payload.to_vec()));
    }
}

impl Disk for Desk {
    fn submit(&self, _: Operation, _: Completion) {}
}

impl Spawner for Desk {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}

    fn run_blocking(&self, _: Box<dyn FnOnce() + Send>) {}
}

impl Observer for Desk {
    fn mutant(&self, name: &'static str) -> bool {
        self.mutant.as_deref() == Some(name)
    }
}

impl Platform for Desk {
    fn me(&self) -> NodeId {
        self.me
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }
}
