//! Who ends leases: the member that leads. It remembers by its own monotonic clock since when it
//! has known of each lease's last renewal, which is later than the renewal was committed, and has
//! the lease expire through the log when its time has passed since. Nothing of that is durable: who
//! leads anew gives every lease its whole time once more.

use super::{Command, Lease, LeaseCommand, Store};
use crate::raft::{Raft, Reply, Request, Term};
use squall_env::{Env, Handle, Instant, mutant};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often it looks which leases are due.
const TICK: Duration = Duration::from_millis(100);

/// So many leases expire with one entry of the log.
const EXPIRE_MAX: usize = 256;

/// Lets leases expire while its member leads.
pub(super) struct Lessor {
    env: Env,
    member: Handle<Raft<Store>>,
    /// The term in which it leads.
    term: Option<Term>,
    /// Each lease's last renewal, and when its time is over.
    deadlines: BTreeMap<u64, (u64, Instant)>,
    /// The session with the log, and the number of its last command.
    session: Option<(u64, u64)>,
}

impl Lessor {
    pub(super) fn new(env: &Env, member: Handle<Raft<Store>>) -> Lessor {
        let env = env.clone();
        Lessor { env, member, term: None, deadlines: BTreeMap::new(), session: None }
    }

    /// Goes on for as long as it is polled.
    pub(super) async fn run(mut self) {
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
        let seen = self.member.live().read(|raft| {
            let leases = || raft.state().leases().collect::<Vec<_>>();
            raft.is_leader().then(|| (raft.term(), leases()))
        });
        let Some((term, leases)) = seen else {
            self.term = None;
            return;
        };
        // The clock is read behind the state, so that the time begins after the renewal.
        let now = self.env.now();
        let anew = self.term != Some(term);
        self.term = Some(term);
        let before = std::mem::take(&mut self.deadlines);
        for lease in leases {
            let known = before.get(&lease.id).copied().filter(|_| !anew);
            let deadline = match known {
                Some((renewal, deadline)) if renewal == lease.renewal => deadline,
                Some((_, deadline)) if mutant!(self.env, "store/expires-renewed-leases") => {
                    deadline
                }
                _ if anew => self.inherited(&lease, now),
                _ => now + Duration::from_millis(lease.ttl_ms),
            };
            self.deadlines.insert(lease.id, (lease.renewal, deadline));
        }
    }

    /// When a lease's time is over that was there before this member led.
    fn inherited(&self, lease: &Lease, now: Instant) -> Instant {
        if mutant!(self.env, "store/expires-leases-when-elected") {
            return now;
        }
        if mutant!(self.env, "store/forgets-leases-when-elected") {
            return Instant::NEVER;
        }
        self.env.sometimes("a new leader inherited a lease");
        now + Duration::from_millis(lease.ttl_ms)
    }

    fn due(&self) -> Vec<(u64, u64)> {
        let now = self.env.now();
        let over = self.deadlines.iter().filter(|(_, (_, deadline))| *deadline <= now);
        let leads = over.filter(|_| self.term.is_some());
        leads.map(|(id, (renewal, _))| (*id, *renewal)).collect()
    }

    /// Proposes that leases have expired. What is lost is proposed again at the next look.
    async fn expire(&mut self, leases: Vec<(u64, u64)>) {
        let (session, last) = match self.session {
            Some(session) => session,
            None => match self.member.request(Request::OpenSession).await {
                Ok(Reply::Session(session)) => (session, 0),
                _ => return,
            },
        };
        self.session = Some((session, last + 1));
        let command = Command::Lease(LeaseCommand::Expire(leases));
        let request = Request::Propose { session, sequence: last + 1, command };
        match self.member.request(request).await {
            Ok(Reply::Applied(_)) => self.env.sometimes("leases expired"),
            Ok(Reply::NoSession) => self.session = None,
            _ => {}
        }
    }
}
