//! Who ends what has its time in a state machine that reads no clock: the member that leads. It
//! remembers by its own monotonic clock since when it has known of each term's last renewal, which
//! is later than the renewal was committed, and has the term expire through the log when its time
//! has passed since. Nothing of that is durable: who leads anew gives every term its whole time
//! once more.

use super::log::Term;
use super::machine::{Raft, Reply, Request};
use super::state_machine::StateMachine;
use squall_env::{Env, Handle, Instant, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it looks what is due.
const TICK: Duration = Duration::from_millis(100);

/// So many terms expire with one entry of the log.
const EXPIRE_MAX: usize = 256;

/// A state machine in which something runs out, as leases do.
pub trait Expires: StateMachine {
    /// What names it.
    type Key: Ord + Clone + Send + 'static;

    /// Everything that has its time now: its name, the number of its last renewal, which never
    /// comes again, and how long it lasts since then.
    fn terms(&self) -> Vec<(Self::Key, u64, Duration)>;

    /// The command that ends these, each if that was its last renewal.
    fn expire(due: Vec<(Self::Key, u64)>) -> Self::Command;
}

/// Lets terms run out while its member leads.
pub struct Lessor<S: Expires> {
    env: Env,
    member: Handle<Raft<S>>,
    /// The term of Raft in which it leads.
    term: Option<Term>,
    /// Each one's last renewal, and when its time is over.
    deadlines: BTreeMap<S::Key, (u64, Instant)>,
    /// The session with the log, and the number of its last command.
    session: Option<(u64, u64)>,
}

impl<S: Expires> Lessor<S> {
    /// The lessor on the node of this member.
    pub fn new(env: &Env, member: Handle<Raft<S>>) -> Lessor<S> {
        let env = env.clone();
        Lessor { env, member, term: None, deadlines: BTreeMap::new(), session: None }
    }

    /// Goes on for as long as it is polled.
    pub async fn run(mut self) {
        loop {
            self.env.sleep(TICK).await;
            self.look();
            let due = self.due();
            for due in due.chunks(EXPIRE_MAX) {
                self.expire(due.to_vec()).await;
            }
        }
    }

    /// Learns of renewals. What it looks at may be known to this member alone; but it only decides
    /// what is proposed, and the log decides the rest.
    fn look(&mut self) {
        let seen = self
            .member
            .live()
            .read(|raft| raft.is_leader().then(|| (raft.term(), raft.state().terms())));
        let Some((term, terms)) = seen else {
            self.term = None;
            return;
        };
        // The clock is read behind the state, so that the time begins after the renewal.
        let now = self.env.now();
        let anew = self.term != Some(term);
        self.term = Some(term);
        let before = std::mem::take(&mut self.deadlines);
        for (key, renewal, lasts) in terms {
            let known = before.get(&key).copied().filter(|_| !anew);
            let deadline = match known {
                Some((known, deadline)) if known == renewal => deadline,
                Some((_, deadline)) if mutant!(self.env, "store/expires-renewed-leases") => {
                    deadline
                }
                _ if anew => self.inherited(lasts, now),
                _ => now + lasts,
            };
            self.deadlines.insert(key, (renewal, deadline));
        }
    }

    /// When the time of something is over that was there before this member led.
    fn inherited(&self, lasts: Duration, now: Instant) -> Instant {
        if mutant!(self.env, "store/expires-leases-when-elected") {
            return now;
        }
        if mutant!(self.env, "store/forgets-leases-when-elected") {
            return Instant::NEVER;
        }
        self.env.sometimes("a new leader inherited a lease");
        now + lasts
    }

    fn due(&self) -> Vec<(S::Key, u64)> {
        let now = self.env.now();
        let over = self.deadlines.iter().filter(|(_, (_, deadline))| *deadline <= now);
        let leads = over.filter(|_| self.term.is_some());
        leads.map(|(key, (renewal, _))| (key.clone(), *renewal)).collect()
    }

    /// Proposes that these have expired. What is lost is proposed again at the next look.
    async fn expire(&mut self, due: Vec<(S::Key, u64)>) {
        let (session, last) = match self.session {
            Some(session) => session,
            None => match self.member.request(Request::OpenSession).await {
                Ok(Reply::Session(session)) => (session, 0),
                _ => return,
            },
        };
        self.session = Some((session, last + 1));
        let command = S::expire(due);
        let request = Request::Propose { session, sequence: last + 1, command };
        match self.member.request(request).await {
            Ok(Reply::Applied(_)) => self.env.sometimes("leases expired"),
            Ok(Reply::NoSession) => self.session = None,
            _ => {}
        }
    }
}
