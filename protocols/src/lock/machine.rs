//! One durable server that keeps locks.

use super::deadlines::Deadlines;
use super::table::{Command, Table};
use super::types::{Acquire, Claim, Refused, Standing, Token};
use serde::{Deserialize, Serialize};
pub use squall_env::machine::ServeError;
use squall_env::machine::{RequestId, serve_requests};
use squall_env::{Env, Machine, Never, Port, Turn, mutant, open};

/// The name of the server's journal.
pub const NAME: &str = "lock";

/// Where the server takes what clients ask.
pub(super) const SERVICE: &str = "lock service";

/// After so many records the server replaces its journal by a snapshot.
const RECORDS_MAX: u64 = 256;

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// For a lock.
    Acquire(Acquire),
    /// What has become of an acquisition.
    Look(Claim),
    /// That a lease lasts anew.
    Renew(Claim),
    /// That an acquisition ends.
    Release(Claim),
}

/// What the server tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tell {
    /// What the acquisition has come to.
    Standing(Standing),
    /// Whether it held the lock.
    Held(bool),
    /// It is refused.
    Refused(Refused),
    /// The server has no room for the request; nothing was done.
    Busy,
}

/// The server. Its table is durable; when leases run out it knows by its own monotonic clock alone,
/// and a server that starts anew gives each of them its whole time once more: a client may have
/// heard of a renewal just before (Gray and Cheriton, 1989, have a server that has lost its leases
/// wait for as long as the longest could last).
#[derive(Debug)]
pub struct LockServer {
    table: Table,
    deadlines: Deadlines,
    since_snapshot: u64,
    /// For a mutant: the last token of the boot before.
    before: u64,
    /// For a mutant: the token of whoever released a lock last.
    handed_on: Option<Token>,
}

/// Something has run out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due;

impl LockServer {
    /// Who holds which lock.
    pub fn table(&self) -> &Table {
        &self.table
    }

    fn change(&mut self, command: Command, turn: &mut Turn<LockServer>) {
        turn.trace(|| format!("persists {command:?}"));
        turn.persist(self, command);
        self.since_snapshot += 1;
        turn.watermark("records since a snapshot", self.since_snapshot);
        if self.since_snapshot >= RECORDS_MAX {
            self.since_snapshot = 0;
            turn.compact();
        }
    }

    /// Learns which times run with a lock, and wakes up when the first of all is over.
    fn follow(&mut self, name: &str, turn: &mut Turn<LockServer>) {
        self.deadlines.follow(name, self.table.terms_of(name), turn.now());
        self.wake(turn);
    }

    fn wake(&self, turn: &mut Turn<LockServer>) {
        match self.deadlines.first() {
            Some(first) => turn.arm(Due, first - turn.now()),
            None => turn.disarm(&Due),
        }
    }

    fn acquire(&mut self, ask: Acquire, turn: &mut Turn<LockServer>) -> Tell {
        let claim = ask.claim.clone();
        match self.table.settled(&ask) {
            Ok(Some(standing)) => {
                // That a lease lasts anew need not be durable: after a restart all of them do.
                self.deadlines.renew(&claim, turn.now());
                self.wake(turn);
                return self.tell(standing, turn);
            }
            Ok(None) => {}
            Err(refused) => return Tell::Refused(refused),
        }
        self.change(Command::Acquire(ask), turn);
        self.follow(&claim.name, turn);
        let standing = self.table.standing(&claim);
        if standing == Standing::Waiting {
            turn.sometimes("somebody waits for a lock");
        }
        self.tell(standing, turn)
    }

    fn tell(&self, standing: Standing, turn: &Turn<LockServer>) -> Tell {
        let Standing::Held(token) = standing else { return Tell::Standing(standing) };
        let mut token = token;
        if mutant!(turn, "lock/reuses-tokens-after-a-restart") {
            token = Token(token.0 - self.before);
        }
        if mutant!(turn, "lock/hands-the-token-on-with-the-lock") {
            token = self.handed_on.unwrap_or(token);
        }
        Tell::Standing(Standing::Held(token))
    }

    fn renew(&mut self, claim: &Claim, turn: &mut Turn<LockServer>) -> Tell {
        let holds = matches!(self.table.standing(claim), Standing::Held(_));
        if holds {
            self.deadlines.renew(claim, turn.now());
            self.wake(turn);
        }
        Tell::Held(holds)
    }

    fn release(&mut self, claim: Claim, turn: &mut Turn<LockServer>) -> Tell {
        let mut claim = claim;
        if mutant!(turn, "lock/releases-whoever-holds") {
            let mut held = self.table.held();
            let holder = held.find(|held| held.0 == claim.name).map(|held| held.2);
            claim.id = holder.unwrap_or(claim.id);
        }
        let standing = self.table.standing(&claim);
        let name = claim.name.clone();
        self.change(Command::Release(claim), turn);
        self.follow(&name, turn);
        if let Standing::Held(token) = standing {
            self.handed_on = Some(token);
        }
        Tell::Held(matches!(standing, Standing::Held(_)))
    }
}

impl Machine for LockServer {
    type Config = ();
    type Timer = Due;
    type Message = Never;
    type Request = Ask;
    type Reply = Tell;
    type Record = Command;
    type Snapshot = Table;

    fn restore((): &(), snapshot: Option<Table>) -> LockServer {
        LockServer {
            table: snapshot.unwrap_or_default(),
            deadlines: Deadlines::default(),
            since_snapshot: 0,
            before: 0,
            handed_on: None,
        }
    }

    fn apply(&mut self, record: &Command) {
        // Only what is not refused was persisted.
        let _ = self.table.execute(record);
    }

    fn snapshot(&self) -> Table {
        self.table.clone()
    }

    fn on_start(&mut self, turn: &mut Turn<LockServer>) {
        self.before = self.table.last_token().0;
        self.table.last_is_first = mutant!(turn, "lock/serves-the-last-first");
        if mutant!(turn, "lock/forgets-leases-in-a-restart") {
            let all = self.table.terms().map(|term| (term.claim, term.turn)).collect();
            self.change(Command::Expire(all), turn);
        }
        let now = turn.now();
        let mut terms: Vec<_> = self.table.terms().collect();
        if mutant!(turn, "lock/shortens-leases-in-a-restart") {
            terms.iter_mut().for_each(|term| term.lasts_ms /= 8);
        }
        if !terms.is_empty() {
            turn.sometimes("a server started anew with leases");
        }
        self.deadlines = Deadlines::of(terms.into_iter(), now);
        self.wake(turn);
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<LockServer>) {
        turn.trace(|| format!("is asked {ask:?}"));
        let tell = match ask {
            Ask::Acquire(ask) => self.acquire(ask, turn),
            Ask::Look(claim) => self.tell(self.table.standing(&claim), turn),
            Ask::Renew(claim) => self.renew(&claim, turn),
            Ask::Release(claim) => self.release(claim, turn),
        };
        turn.trace(|| format!("tells {tell:?}"));
        turn.reply(id, tell);
    }

    fn on_timer(&mut self, Due: Due, turn: &mut Turn<LockServer>) {
        let due = self.deadlines.due(turn.now());
        let names: Vec<String> = due.iter().map(|(claim, _)| claim.name.clone()).collect();
        if !due.is_empty() {
            turn.sometimes("a lease or somebody's patience ran out");
            self.handed_on = None;
            self.change(Command::Expire(due), turn);
        }
        for name in names {
            self.follow(&name, turn);
        }
        self.wake(turn);
    }
}

/// A node that keeps locks for its clients on its own disk.
///
/// # Errors
/// If the server cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env) -> Result<(), ServeError> {
    let (server, run) = open::<LockServer>(&env, NAME, ()).await?;
    let answer = |ask, back| server.clone().answer(ask, back, Some(Tell::Busy));
    serve_requests(&env, run, Port::named(SERVICE), answer).await
}
