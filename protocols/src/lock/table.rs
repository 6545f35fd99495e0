//! Who holds which lock and who waits for it: a value that reads no clock. That a lease has run out
//! is a command like any other, and names the turn since which its time was measured: behind a
//! later renewal it does nothing (as the leases of Gray and Cheriton, 1989, it ends only when its
//! whole time has passed since the last extension).

use super::types::{Acquire, AcquisitionId, Claim, Refused, Standing, Token};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// The shortest time that a lease may be asked to last, in milliseconds.
pub const TTL_MIN_MS: u64 = 10;

/// The longest time that a lease may be asked to last, in milliseconds: a day.
pub const TTL_MAX_MS: u64 = 86_400_000;

/// The most bytes of a lock's name.
pub const NAME_BYTES_MAX: usize = 256;

/// So many locks may be held at a time.
pub const LOCKS_MAX: usize = 16_384;

/// So many may wait for a lock.
pub const WAITERS_MAX: usize = 1_024;

/// So many acquisitions are remembered after they have ended, so that what was asked before and
/// arrives after does not take the lock for nobody. Should more end meanwhile, it does, for the
/// time of a lease.
pub const ENDED_MAX: usize = 1_024;

/// The locks that are held, with those who wait for them.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Table {
    /// A lock that nobody holds is not there.
    locks: BTreeMap<String, Lock>,
    /// The last token. One count for all locks, which is never forgotten.
    tokens: u64,
    /// Counts whatever has a time that runs from then on: grants, renewals, entries in a queue.
    turns: u64,
    /// Acquisitions that have ended, the latest last.
    ended: VecDeque<AcquisitionId>,
    /// In a mutant, who came last is first.
    #[serde(skip)]
    pub(super) last_is_first: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Lock {
    token: u64,
    holder: Party,
    /// Who came first is first.
    waiters: VecDeque<Party>,
}

/// Who holds a lock or waits for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Party {
    id: AcquisitionId,
    ttl_ms: u64,
    wait_ms: u64,
    turn: u64,
}

/// Something that has its time: a lease, or somebody's patience in a queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Term {
    /// Whose.
    pub claim: Claim,
    /// Since which turn, which never comes again.
    pub turn: u64,
    /// How long, in milliseconds.
    pub lasts_ms: u64,
}

/// What changes the table.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Somebody asks for a lock, perhaps not for the first time.
    Acquire(Acquire),
    /// A lease shall last anew.
    Renew(Claim),
    /// An acquisition ends.
    Release(Claim),
    /// The time of these is over, unless they were renewed: each with the turn since which it was
    /// measured.
    Expire(Vec<(Claim, u64)>),
}

/// What a command has done.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Output {
    /// What the acquisition has come to.
    Standing(Standing),
    /// Whether the acquisition held the lock.
    Held(bool),
    /// So many have run out.
    Expired(u64),
}

impl Table {
    /// The last token that was given.
    pub fn last_token(&self) -> Token {
        Token(self.tokens)
    }

    /// The locks that are held, in the order of their names, each with its token, who holds it, and
    /// how many wait.
    pub fn held(&self) -> impl Iterator<Item = (&str, Token, AcquisitionId, usize)> {
        let all = self.locks.iter();
        all.map(|(name, lock)| {
            (name.as_str(), Token(lock.token), lock.holder.id, lock.waiters.len())
        })
    }

    /// What an acquisition has come to.
    pub fn standing(&self, claim: &Claim) -> Standing {
        let Some(lock) = self.locks.get(&claim.name) else { return Standing::Ended };
        if lock.holder.id == claim.id {
            return Standing::Held(Token(lock.token));
        }
        match lock.waiters.iter().any(|waiter| waiter.id == claim.id) {
            true => Standing::Waiting,
            false => Standing::Ended,
        }
    }

    /// Everything that has its time now.
    pub fn terms(&self) -> impl Iterator<Item = Term> {
        self.locks.iter().flat_map(|(name, lock)| lock.terms(name))
    }

    /// What has its time with this lock.
    pub fn terms_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Term> {
        self.locks.get(name).into_iter().flat_map(|lock| lock.terms(name))
    }

    /// What an acquisition would come to, if it needs no change of the table.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn settled(&self, ask: &Acquire) -> Result<Option<Standing>, Refused> {
        let Claim { name, id } = &ask.claim;
        match self.standing(&ask.claim) {
            Standing::Ended if self.ended.contains(id) => return Ok(Some(Standing::Ended)),
            Standing::Ended => {}
            standing => return Ok(Some(standing)),
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Refused::NameTooLong { bytes: name.len() });
        }
        if !(TTL_MIN_MS..=TTL_MAX_MS).contains(&ask.ttl_ms) {
            return Err(Refused::Ttl { ttl_ms: ask.ttl_ms });
        }
        match self.locks.get(name) {
            Some(_) if ask.wait_ms == 0 => Err(Refused::Taken),
            Some(lock) if lock.waiters.len() >= WAITERS_MAX => Err(Refused::TooManyWaiters),
            None if self.locks.len() >= LOCKS_MAX => Err(Refused::TooManyLocks),
            _ => Ok(None),
        }
    }

    /// Changes the table. What is refused changes nothing.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn execute(&mut self, command: &Command) -> Result<Output, Refused> {
        Ok(match command {
            Command::Acquire(ask) => Output::Standing(self.acquire(ask)?),
            Command::Renew(claim) => Output::Held(self.renew(claim)),
            Command::Release(claim) => Output::Held(self.release(claim)),
            Command::Expire(terms) => {
                let over = terms.iter().filter(|(claim, turn)| self.expire(claim, *turn));
                Output::Expired(over.count() as u64)
            }
        })
    }

    fn acquire(&mut self, ask: &Acquire) -> Result<Standing, Refused> {
        if let Some(standing) = self.settled(ask)? {
            self.renew(&ask.claim);
            return Ok(standing);
        }
        let Claim { name, id } = &ask.claim;
        self.turns += 1;
        let party = Party { id: *id, ttl_ms: ask.ttl_ms, wait_ms: ask.wait_ms, turn: self.turns };
        match self.locks.get_mut(name) {
            Some(lock) => lock.waiters.push_back(party),
            None => {
                self.tokens += 1;
                let lock = Lock { token: self.tokens, holder: party, waiters: VecDeque::new() };
                self.locks.insert(name.clone(), lock);
            }
        }
        Ok(self.standing(&ask.claim))
    }

    fn renew(&mut self, claim: &Claim) -> bool {
        let lock = self.locks.get_mut(&claim.name);
        let Some(lock) = lock.filter(|lock| lock.holder.id == claim.id) else { return false };
        self.turns += 1;
        lock.holder.turn = self.turns;
        true
    }

    fn release(&mut self, claim: &Claim) -> bool {
        let was_held = matches!(self.standing(claim), Standing::Held(_));
        self.end(claim);
        was_held
    }

    /// Ends what has run out, if it is still the same.
    fn expire(&mut self, claim: &Claim, turn: u64) -> bool {
        let is_same = |term: Term| term.claim.id == claim.id && term.turn == turn;
        let is_due = self.terms_of(&claim.name).any(is_same);
        if is_due {
            self.end(claim);
        }
        is_due
    }

    fn end(&mut self, claim: &Claim) {
        if !self.ended.contains(&claim.id) {
            self.ended.push_back(claim.id);
        }
        if self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
        let Some(lock) = self.locks.get_mut(&claim.name) else { return };
        if lock.holder.id != claim.id {
            lock.waiters.retain(|waiter| waiter.id != claim.id);
            return;
        }
        let next = match self.last_is_first {
            true => lock.waiters.pop_back(),
            false => lock.waiters.pop_front(),
        };
        let Some(next) = next else {
            self.locks.remove(&claim.name);
            return;
        };
        // The same step gives the lock and makes its token.
        self.tokens += 1;
        self.turns += 1;
        lock.token = self.tokens;
        lock.holder = Party { turn: self.turns, ..next };
    }
}

impl Lock {
    fn terms(&self, name: &str) -> impl Iterator<Item = Term> {
        let term = |party: &Party, lasts_ms| Term {
            claim: Claim { name: name.to_owned(), id: party.id },
            turn: party.turn,
            lasts_ms,
        };
        let held = term(&self.holder, self.holder.ttl_ms);
        let waiting = self.waiters.iter().map(move |waiter| term(waiter, waiter.wait_ms));
        [held].into_iter().chain(waiting)
    }
}
