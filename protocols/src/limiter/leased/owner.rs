//! Whoever owns a limit, and lends portions of it.

use super::super::flaws::Flaws;
use super::{Ask, Config, LeaseError, PortionId, Tell};
use crate::limiter::{Decision, Gcra, LimitError};
use squall_env::request::Responder;
use squall_env::{Env, Instant, Port};
use std::collections::{BTreeMap, BTreeSet};

/// What has been lent and may still be given back.
#[derive(Clone, Copy, Debug)]
struct Lent {
    id: PortionId,
    cells: u32,
    at: Instant,
}

/// So many borrowers are known at a time, which have asked within a term.
const BORROWERS_MAX: usize = 65_536;

/// What a borrower asked last, and what it was told.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    answer: Result<u32, Instant>,
    at: Instant,
}

/// The owner of a limit. It is a value: whoever has it says what time it is, which never goes back.
///
/// What comes back counts as if it had never been lent. To know what that makes of a limiter which
/// remembers one time, it is told anew what was lent since: not more than one term of it is kept.
///
/// A borrower sends a question more than once, where links are slow or lose it, and goes on with
/// the first answer. So the answer is the same for each copy: what a late one were lent after the
/// first was refused, nobody would ever use, and where each question comes twice there would be
/// nothing else.
#[derive(Clone, Debug)]
pub struct Owner {
    config: Config,
    /// With everything whose term is over.
    settled: Gcra,
    /// With everything.
    all: Gcra,
    /// What is lent, in this order.
    live: BTreeMap<u64, Lent>,
    places: BTreeMap<PortionId, u64>,
    count: u64,
    asked: BTreeMap<u64, Asked>,
    /// Who asked last when.
    order: BTreeSet<(Instant, u64)>,
    flaws: Flaws,
}

impl Owner {
    /// An owner that starts now, and does not know what another one before it has lent.
    ///
    /// # Errors
    /// If the configuration leaves nothing to lend.
    pub fn new(config: Config, now: Instant) -> Result<Owner, LimitError> {
        Owner::flawed(config, now, Flaws::default())
    }

    fn flawed(config: Config, now: Instant, flaws: Flaws) -> Result<Owner, LimitError> {
        let mut quota = config.lends()?;
        if flaws.whole_burst {
            quota = config.quota;
        }
        let settled = match flaws.forgets_lent {
            true => Gcra::new(quota),
            false => {
                Gcra::unknown_until(quota, now + quota.interval().saturating_mul(quota.burst()))
            }
        };
        Ok(Owner {
            config,
            settled,
            all: settled,
            live: BTreeMap::new(),
            places: BTreeMap::new(),
            count: 0,
            asked: BTreeMap::new(),
            order: BTreeSet::new(),
            flaws,
        })
    }

    /// Lends a portion of so much, or of what there is. The numbers of a borrower's questions grow,
    /// and one that came before is answered as it was then.
    ///
    /// # Errors
    /// If there is nothing: when there will be, if nobody else asks.
    pub fn lend(&mut self, id: PortionId, cells: u32, now: Instant) -> Result<u32, Instant> {
        self.settle(now);
        match self.asked.get(&id.borrower) {
            Some(_) if self.flaws.lends_to_copies => {}
            Some(last) if id.number == last.number => return last.answer,
            // Its answer is of no use to anybody any more.
            Some(last) if id.number < last.number => return Err(now),
            None if self.asked.len() >= BORROWERS_MAX => {
                return Err(now + self.config.quota.interval());
            }
            _ => {}
        }
        let answer = self.lend_anew(id, cells, now);
        let asked = Asked { number: id.number, answer, at: now };
        if let Some(last) = self.asked.insert(id.borrower, asked) {
            self.order.remove(&(last.at, id.borrower));
        }
        self.order.insert((now, id.borrower));
        answer
    }

    fn lend_anew(&mut self, id: PortionId, cells: u32, now: Instant) -> Result<u32, Instant> {
        let cells = cells.min(self.config.portion).min(self.all.remaining(now)).max(1);
        match self.all.check_all(cells, now) {
            Ok(Decision::Allowed) => {}
            Ok(Decision::Limited { retry_at }) => return Err(retry_at),
            Err(_) => return Err(Instant::NEVER),
        }
        self.live.insert(self.count, Lent { id, cells, at: now });
        self.places.insert(id, self.count);
        self.count += 1;
        Ok(cells)
    }

    /// Takes a portion back of which so much was used, if its term is not over.
    pub fn take_back(&mut self, id: PortionId, used: u32, now: Instant) {
        self.settle(now);
        let Some(place) = self.places.get(&id).copied() else { return };
        let Some(lent) = self.live.get_mut(&place) else { return };
        lent.cells = if self.flaws.takes_used_back { 0 } else { lent.cells.min(used) };
        if lent.cells == 0 {
            self.live.remove(&place);
            self.places.remove(&id);
        }
        self.all = self.settled;
        for lent in self.live.values() {
            count(&mut self.all, lent);
        }
    }

    /// What nobody can give back any more stays lent, and who has not asked for so long is
    /// forgotten.
    fn settle(&mut self, now: Instant) {
        while let Some(first) = self.order.first()
            && first.0 + self.config.term <= now
        {
            self.asked.remove(&first.1);
            self.order.pop_first();
        }
        while let Some(first) = self.live.first_entry()
            && first.get().at + self.config.term <= now
        {
            let lent = first.remove();
            self.places.remove(&lent.id);
            count(&mut self.settled, &lent);
        }
    }

    /// How many portions may still be given back.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether none may be.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

/// Takes into account what was lent: it was possible then, and is still so with less before it.
fn count(limiter: &mut Gcra, lent: &Lent) {
    let counted = limiter.check_all(lent.cells, lent.at);
    debug_assert_eq!(counted, Ok(Decision::Allowed));
}

/// A node that owns the limit of this name.
///
/// # Errors
/// If the configuration leaves nothing to lend, the port is taken, or the node's sockets close.
pub async fn serve(env: Env, name: &str, config: Config) -> Result<(), LeaseError> {
    let mut asked = Responder::<Ask, Tell>::open(&env, Port::named(name))?;
    let mut owner = Owner::flawed(config, env.now(), Flaws::of(&env))?;
    env.ready();
    loop {
        let (ask, back) = asked.receive().await?;
        let now = env.now();
        back.reply(match ask {
            Ask::Lend(id, cells) => match owner.lend(id, cells, now) {
                Ok(cells) => Tell::Lent(cells),
                Err(retry_at) => {
                    env.sometimes("an owner had nothing to lend");
                    Tell::Limited((retry_at - now).as_nanos() as u64)
                }
            },
            Ask::TakeBack(id, used) => {
                owner.take_back(id, used, now);
                Tell::TakenBack
            }
        });
    }
}
