//! Gates that admit from portions of one limit, and the node that owns it.

use crate::tolerance;
use squall::{Client, FINISHES, Fault, Scenario};
use squall_env::{Env, Instant, Shown, View, race};
use squall_protocols::limiter::leased::{Config, LeaseError, LeasedLimiter, serve as own};
use squall_protocols::limiter::{LimitError, Limited, Quota, SharedLimiter};
use std::collections::BTreeMap;
use std::time::Duration;

const TOTAL: &str = "through all gates together no more comes than the burst and the rate";

/// How far apart requests are that come as fast as they may, through all gates together.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many may come at once.
const BURST: u32 = 40;

/// How long a portion lasts: longer than a question and its answer over any link.
const TERM: Duration = Duration::from_millis(1_500);

/// How much is lent at once: all that there ever is.
const PORTION: u32 = 25;

/// Clocks of the weather are off by so much at most, in parts per million.
const CLOCK_PPM: u32 = 20_000;

/// How often a request has to come through each gate once the faults are over.
const ENOUGH: u32 = 2;

/// How often there is a rush at all gates: so seldom that everything can be lent anew in between.
const RUSH: Duration = Duration::from_secs(6);

/// How long before a rush somebody may have come, so that there is a portion: the last of them
/// longer than a portion lasts.
const BEFORE: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(1_200), Duration::from_millis(2_000)];

/// What the limit is called.
const NAME: &str = "limit";

/// Gates that lend what they admit from one owner.
pub fn leased() -> Scenario {
    scenario("limiter/leased", false)
        .sometimes("an owner had nothing to lend")
        .sometimes("an owner could not be reached")
        .sometimes("a portion came before the last one was used up")
        .sometimes("a portion ended before it was used up")
        .sometimes("a portion was given back")
}

/// Gates that each have the whole limit for themselves, as gateways do that count in their process.
pub fn one_each() -> Scenario {
    scenario("specimen/limiter-of-each-process", true).breaks(TOTAL)
}

fn scenario(name: &str, one_each: bool) -> Scenario {
    let tolerance = tolerance::of_volatile(&["owner", "gate"])
        .any_clock()
        // Nobody asks for the time of day.
        .but_not(Fault::WallDrift)
        // By a clock that stands still no portion ends.
        .but_not(Fault::Suspend);
    Scenario::new(name)
        .nodes("owner", 1..=1, serve)
        .clients("gate", 2..=4, move |client| load(client, one_each))
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(18))
        .always(TOTAL, total)
        .finishes_within(Duration::from_secs(40))
}

fn config() -> Result<Config, LimitError> {
    let quota = Quota::per(INTERVAL, 1)?.with_burst(BURST)?;
    Ok(Config { quota, term: TERM, portion: PORTION, drift_max_ppm: CLOCK_PPM })
}

async fn serve(env: Env) -> Result<(), LeaseError> {
    own(env, NAME, config()?).await
}

/// How many requests have come through a gate since it started.
#[derive(Default)]
struct Through(u64);

/// What comes through all gates, as it is seen from outside, by a clock that is right: nothing of
/// it is asked of the owner or the borrowers.
struct Total {
    count: i128,
    /// How far what came was behind requests that come one by one, at the most.
    least: i128,
}

impl Total {
    /// One more has come through now. Whether there are too many in some time until now, by a clock
    /// that may run as fast as any.
    fn is_over(&mut self, now_ns: u64) -> bool {
        let interval = INTERVAL.as_nanos() as i128;
        let fast = i128::from(now_ns) * i128::from(1_000_000 + CLOCK_PPM) / 1_000_000;
        let ahead = self.count * interval - fast;
        self.count += 1;
        self.least = self.least.min(ahead);
        // A few nanoseconds are lost where times of two clocks are rounded.
        ahead - self.least + interval > i128::from(BURST) * interval + 100
    }
}

fn total() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut total = Total { count: 0, least: i128::MAX };
    let mut seen: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    move |view| {
        let mut is_over = false;
        for through in view.changed::<Through>() {
            let before = seen.get(&through.node).filter(|(boot, _)| *boot == through.number);
            for _ in before.map_or(0, |(_, count)| *count)..through.0 {
                is_over |= total.is_over(view.now_ns());
            }
            seen.insert(through.node, (through.number, through.0));
        }
        match is_over {
            false => Ok(()),
            true => Err(format!("too many of {} came in some time", total.count)),
        }
    }
}

/// What a gate admits from.
enum Limit {
    Leased(LeasedLimiter),
    Own(SharedLimiter<()>),
}

impl Limit {
    fn check(&self) -> Result<(), Limited> {
        match self {
            Limit::Leased(limiter) => limiter.check(),
            Limit::Own(limiter) => limiter.check(&()),
        }
    }

    async fn ready(&self, until: Instant) -> Result<(), Limited> {
        match self {
            Limit::Leased(limiter) => limiter.ready(until).await,
            Limit::Own(limiter) => limiter.ready(&(), until).await,
        }
    }

    async fn give_back(&self) {
        if let Limit::Leased(limiter) = self {
            limiter.give_back().await;
        }
    }
}

/// A gate and whoever comes through it.
struct Gate {
    env: Env,
    limiter: Limit,
    through: Shown<Through>,
    start: Instant,
}

/// Comes in all manners while there are faults, and then as it should.
async fn load(client: Client, one_each: bool) -> Result<(), LeaseError> {
    let env = client.env().clone();
    let limiter = match one_each {
        true => Limit::Own(SharedLimiter::new(&env, config()?.quota, 1)),
        false => {
            let owner = env.peers("owner")[0];
            Limit::Leased(LeasedLimiter::open(&env, NAME, owner, config()?)?)
        }
    };
    let through = env.show("through", Through::default());
    let start = env.now();
    let gate = Gate { env, limiter, through, start };
    let coming = async {
        loop {
            gate.comes().await;
        }
    };
    race(coming, client.after_heal()).await;
    for _ in 0..ENOUGH {
        if gate.limiter.ready(Instant::NEVER).await.is_ok() {
            gate.passes();
        }
        gate.env.sleep(INTERVAL * 2).await;
    }
    Ok(())
}

impl Gate {
    fn passes(&self) {
        self.through.update(&self.env, |through| through.0 += 1);
    }

    fn check(&self) -> bool {
        let is_admitted = self.limiter.check().is_ok();
        if is_admitted {
            self.passes();
        }
        is_admitted
    }

    async fn sleep(&self, most: Duration) {
        let nanos = self.env.random_below(most.as_nanos() as u64);
        self.env.sleep(Duration::from_nanos(nanos)).await;
    }

    /// A while in one manner.
    async fn comes(&self) {
        match self.env.random_below(8) {
            // Nobody comes until there is a rush everywhere.
            0 | 1 => {
                self.env.sleep_until(self.next_rush()).await;
                self.rush().await;
            }
            // Somebody does, and there is a portion then.
            2..=4 => {
                let (rush, before) = (self.next_rush(), BEFORE[self.env.random_below(3) as usize]);
                self.env.sleep_until(rush - before).await;
                self.check();
                self.env.sleep_until(rush).await;
                self.rush().await;
            }
            5 => {
                // What is not needed goes back, and more is asked for at once.
                for _ in 0..self.env.random_below(6) {
                    let until = self.env.now() + TERM;
                    if self.limiter.ready(until).await.is_ok() {
                        self.passes();
                    }
                    for _ in 0..self.env.random_below(u64::from(PORTION)) {
                        self.check();
                    }
                    self.limiter.give_back().await;
                }
                self.sleep(TERM).await;
            }
            // One after the other, at about the rate.
            6 => {
                for _ in 0..self.env.random_below(12) {
                    self.check();
                    self.sleep(INTERVAL).await;
                }
            }
            _ => self.rush().await,
        }
    }

    fn next_rush(&self) -> Instant {
        let rushes = (self.env.now() - self.start).as_nanos() / RUSH.as_nanos() + 1;
        self.start + RUSH * rushes as u32
    }

    /// As many at once as can.
    async fn rush(&self) {
        let mut refused = 0;
        for _ in 0..4 * BURST {
            if !self.check() {
                refused += 1;
                self.sleep(INTERVAL).await;
            }
            if refused == 6 {
                return;
            }
        }
    }
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        leased().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("limiter/admits-while-it-asks", TOTAL),
        mutant("limiter/counts-portions-from-the-answer", TOTAL),
        mutant("limiter/forgets-what-it-lent", TOTAL),
        mutant("limiter/keeps-portions-for-ever", TOTAL),
        mutant("limiter/lends-the-whole-burst", TOTAL),
        mutant("limiter/lends-to-every-copy", FINISHES),
        mutant("limiter/takes-back-what-was-used", TOTAL),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_the_rate_may_come_through_and_one_more_is_too_many() {
        let mut total = Total { count: 0, least: i128::MAX };
        assert!((0..BURST).all(|_| !total.is_over(7)));
        let later = |nth: u64| 7 + nth * INTERVAL.as_nanos() as u64;
        assert!((1..50).all(|nth| !total.is_over(later(nth))));
        assert!((0..2).any(|_| total.is_over(later(50) - 1_000_000)));
    }
}
