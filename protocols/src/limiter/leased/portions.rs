//! What a borrower holds.

use super::super::flaws::Flaws;
use super::Config;
use crate::limiter::LimitError;
use squall_env::Instant;
use std::collections::VecDeque;

/// A portion of somebody else's limit.
#[derive(Clone, Copy, Debug)]
struct Portion {
    number: u64,
    lent: u32,
    left: u32,
    until: Instant,
}

/// The portions that a borrower holds. It is a value: whoever has it says what time it is.
#[derive(Clone, Debug)]
pub struct Portions {
    config: Config,
    /// Those that end first stand first.
    held: VecDeque<Portion>,
    asked: u64,
    asking: bool,
    flaws: Flaws,
}

impl Portions {
    /// It holds nothing yet.
    ///
    /// # Errors
    /// If the configuration leaves nothing to lend.
    pub fn new(config: Config) -> Result<Portions, LimitError> {
        config.lends()?;
        let (held, flaws) = (VecDeque::new(), Flaws::default());
        Ok(Portions { config, held, asked: 0, asking: false, flaws })
    }

    pub(super) fn with_flaws(self, flaws: Flaws) -> Portions {
        Portions { flaws, ..self }
    }

    /// Whether one may come through now; if so, it has.
    pub fn take(&mut self, now: Instant) -> bool {
        self.forget(now);
        match self.held.iter_mut().find(|portion| portion.left > 0) {
            Some(portion) => {
                portion.left -= 1;
                true
            }
            None => self.asking && self.flaws.admits_asking,
        }
    }

    /// Forgets what has ended, and says how much of it was not used.
    pub fn forget(&mut self, now: Instant) -> u32 {
        let mut unused = 0;
        if !self.flaws.keeps_portions {
            self.held.retain(|portion| {
                let is_held = now < portion.until;
                unused += if is_held { 0 } else { portion.left };
                is_held
            });
        }
        unused
    }

    /// How many may come through now.
    pub fn left(&self, now: Instant) -> u32 {
        let held = self.held.iter().filter(|portion| now < portion.until);
        held.map(|portion| portion.left).sum()
    }

    /// Whether it is time to ask for more, so that there is more before this is used up.
    pub fn is_low(&self, now: Instant) -> bool {
        self.left(now) <= self.config.portion / 2
    }

    /// The owner is about to be asked for a portion of this number.
    pub fn asks(&mut self) -> u64 {
        self.asked += 1;
        self.asking = true;
        self.asked
    }

    /// So much was lent of what was asked for at this moment, before the question was sent: later
    /// nobody knows when the owner has lent it.
    pub fn lent(&mut self, number: u64, cells: u32, asked: Instant) {
        self.asking = false;
        let lent = cells.min(self.config.portion);
        let until = asked + self.config.usable();
        self.held.push_back(Portion { number, lent, left: lent, until });
    }

    /// Nothing was lent, or nobody knows.
    pub fn refused(&mut self) {
        self.asking = false;
    }

    /// Gives everything up that is held: the numbers of the portions, and how much of each was
    /// used.
    pub fn give_up(&mut self, now: Instant) -> Vec<(u64, u32)> {
        self.forget(now);
        let held = self.held.drain(..).filter(|portion| portion.left > 0);
        held.map(|portion| (portion.number, portion.lent - portion.left)).collect()
    }
}
