//! A service that admits requests by a limiter for each key, before callers who hammer it.

mod leased;
mod oracle;
mod tutorial;

pub use leased::{leased, mutants as leased_mutants, one_each};

use crate::tolerance;
use oracle::{Decided, Gate, Oracle, Promise, Wrong};
use squall::{Client, Scenario};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, ReplyTo, Responder};
use squall_env::{Either, Env, Instant, Port, Shown, View, race};
use squall_protocols::limiter::{Keyed, Limited, Limiter, Quota, SharedLimiter, SlidingLog};
use std::sync::Arc;
use std::time::Duration;
use tutorial::{Tutorial, Window};

const RATE: &str = "of each key no more comes through than its burst and its rate";
const OWN: &str = "nobody who comes no faster than the rate is refused while there is room";
const KEYS: &str = "no more keys are remembered than allowed";

/// How far apart requests of a key are that come as fast as they may.
const INTERVAL: Duration = Duration::from_millis(50);

/// How many of a key may come at once.
const BURST: u32 = 4;

/// How many keys are remembered.
const MOST: usize = 8;

/// A time in which as many may come as at once.
const WINDOW: Duration = Duration::from_nanos(INTERVAL.as_nanos() as u64 * BURST as u64);

/// How long a caller waits for an answer: longer than any link is slow.
const CALL_MAX: Duration = Duration::from_secs(2);

/// How often each caller has to come through once the faults are over.
const ENOUGH: u32 = 3;

/// A request of this key.
type Key = u32;

/// What the service says: nothing if it has served the request, or after how many nanoseconds it
/// may come again.
type Answer = Option<u64>;

/// Callers of one service with a limiter.
pub fn keyed() -> Scenario {
    scenario("limiter/keyed", Promise::Pace, |env| async move {
        let quota = Quota::per(WINDOW, BURST).map_err(|error| error.to_string())?;
        let limiter = SharedLimiter::new(&env, quota, MOST);
        serve(env, limiter).await
    })
}

/// The same with a limiter that remembers when each request came.
pub fn sliding_log() -> Scenario {
    scenario("limiter/sliding-log", Promise::Windows, |env| async move {
        let log = SlidingLog::new(BURST, WINDOW);
        let limiter = SharedLimiter::of(&env, Keyed::of(log, MOST));
        serve(env, limiter).await
    })
}

/// The same service with limiters as tutorials have them.
pub fn specimens() -> Vec<Scenario> {
    let specimen = |name, promise, window| {
        scenario(name, promise, move |env| async move {
            let limiter = Tutorial::new(&env, window);
            serve(env, limiter).await
        })
    };
    vec![
        one_each(),
        specimen("specimen/limiter-fixed-window", Promise::Pace, Window::Fixed).breaks(RATE),
        specimen("specimen/limiter-log-of-arrivals", Promise::Windows, Window::Arrivals)
            .breaks(RATE),
        specimen("specimen/limiter-log-counts-what-it-refuses", Promise::Windows, Window::Attempts)
            .breaks(OWN),
    ]
}

fn scenario<F, Fut>(name: &str, promise: Promise, serve: F) -> Scenario
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let tolerance = tolerance::of_volatile(&["gate", "caller"]).any_clock();
    Scenario::new(name)
        .nodes("gate", 1..=1, serve)
        .clients("caller", 2..=4, load)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(2))
        .always(RATE, move || holds(promise, |wrong| matches!(wrong, Wrong::TooMany { .. })))
        .always(OWN, move || holds(promise, |wrong| matches!(wrong, Wrong::LockedOut { .. })))
        .always(KEYS, move || holds(promise, |wrong| matches!(wrong, Wrong::Keys { .. })))
        .sometimes("a request came too fast")
        .sometimes("a new key found no room")
        .sometimes("a request was overtaken on its way to the limiter")
        .finishes_within(Duration::from_secs(20))
}

fn holds(
    promise: Promise,
    is_meant: fn(&Wrong) -> bool,
) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut oracle = Oracle::new(promise);
    move |view| {
        // A process that starts anew has forgotten what came: its promise begins anew as well.
        for gate in view.changed::<Gate>() {
            let wrong = oracle.look(gate.number, &gate, view.now_ns());
            if let Some(wrong) = wrong.filter(is_meant) {
                return Err(wrong.to_string());
            }
        }
        Ok(())
    }
}

/// What decides.
trait Decides: Clone + Send + 'static {
    fn check(&self, key: Key, came: Instant) -> Result<(), Limited>;

    /// How many keys it remembers.
    fn keys(&self) -> usize;

    /// The clock by which it tells the time.
    fn now(&self) -> Instant;
}

impl<L: Limiter + Send + 'static> Decides for SharedLimiter<Key, L> {
    fn check(&self, key: Key, came: Instant) -> Result<(), Limited> {
        self.check_at(&key, came)
    }

    fn keys(&self) -> usize {
        SharedLimiter::keys(self)
    }

    fn now(&self) -> Instant {
        SharedLimiter::now(self)
    }
}

async fn serve(env: Env, limiter: impl Decides) -> Result<(), String> {
    let responder = Responder::<Key, Answer>::open(&env, Port::named("gate"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let gate = Arc::new(env.show("gate", Gate::default()));
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let (key, reply) = received.map_err(|error| error.to_string())?;
        let (came, own) = (limiter.now(), env.now());
        let nth = gate.update(&env, |gate| {
            gate.came += 1;
            gate.came - 1
        });
        let (env, limiter, gate) = (env.clone(), limiter.clone(), Arc::clone(&gate));
        env.clone().spawn("request", async move {
            // To find out whose key it is takes a while, not the same for each.
            let most = if env.random_below(16) == 0 { 400_000 } else { 40_000 };
            env.sleep(Duration::from_micros(env.random_below(most))).await;
            let limited = limiter.check(key, came).err();
            let decided = Decided { nth, key, own, admitted: limited.is_none() };
            decide(&env, &gate, decided, limiter.keys());
            answer(reply, limited);
        });
    }
}

fn decide(env: &Env, gate: &Shown<Gate>, decided: Decided, keys: usize) {
    gate.update(env, |gate| {
        if gate.decided.last().is_some_and(|last| last.nth > decided.nth) {
            env.sometimes("a request was overtaken on its way to the limiter");
        }
        let same = |other: &&Decided| other.key == decided.key && other.admitted;
        if !decided.admitted {
            match gate.decided.iter().rev().find(same) {
                None => env.sometimes("a new key found no room"),
                Some(_) => env.sometimes("a request came too fast"),
            }
        }
        gate.keys = keys;
        gate.logged = env.wall();
        gate.decided.push(decided);
    });
}

fn answer(reply: ReplyTo<Answer>, limited: Option<Limited>) {
    let wait = limited.map(|limited| limited.retry_after.as_nanos());
    reply.reply(wait.map(|nanos| u64::try_from(nanos).unwrap_or(u64::MAX)));
}

/// Calls in a way of its own while there are faults, and then as it should until it has come
/// through often enough.
async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let own = u32::from(env.me().ordinal());
    let manner = client.draw(0, 3);
    let calling = async {
        let caller = Arc::new(Caller::<Key, Answer>::open(&env)?);
        match (own, manner) {
            (0, _) | (_, 0) => polite(&env, &caller, own, u32::MAX).await,
            (_, 1) => hammer(&env, &caller, |_| own).await,
            _ => hammer(&env, &caller, |env| 100 + env.random_below(30) as u32).await,
        }
        Ok::<(), BindError>(())
    };
    if let Either::Left(ended) = race(calling, client.after_heal()).await {
        ended?;
    }
    let caller = Caller::open(&env)?;
    polite(&env, &caller, own, ENOUGH).await;
    Ok(())
}

async fn call(env: &Env, caller: &Caller<Key, Answer>, key: Key) -> Option<Answer> {
    let to = env.addresses("gate", Port::named("gate"))[0];
    caller.call(to, key, CALL_MAX).await.ok()
}

/// Calls one after the other, waits as it is told, and lets a while pass between two that came
/// through.
async fn polite(env: &Env, caller: &Caller<Key, Answer>, key: Key, times: u32) {
    let mut through = 0;
    while through < times {
        match call(env, caller, key).await {
            Some(None) => {
                through += 1;
                env.sleep(INTERVAL * 2).await;
            }
            Some(Some(wait)) => env.sleep(Duration::from_nanos(wait)).await,
            None => env.sleep(INTERVAL).await,
        }
    }
}

/// Calls and calls, whatever the answer is, and does not wait for it.
async fn hammer(env: &Env, caller: &Arc<Caller<Key, Answer>>, key: impl Fn(&Env) -> Key) {
    loop {
        for _ in 0..env.random_below(2 * u64::from(BURST)) {
            let (env, caller, key) = (env.clone(), Arc::clone(caller), key(env));
            env.clone().spawn("call", async move { call(&env, &caller, key).await });
        }
        env.sleep(Duration::from_micros(env.random_below(100_000))).await;
    }
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        keyed().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    let wall = "limiter/reads-the-wall-clock";
    vec![
        mutant(wall, RATE),
        keyed().mutant("mutant/limiter-stands-still-with-the-wall-clock", wall, OWN),
        mutant("limiter/takes-time-back", OWN),
        mutant("limiter/follows-old-times", RATE),
        mutant("limiter/counts-what-it-refuses", OWN),
        mutant("limiter/forgets-busy-keys", RATE),
        mutant("limiter/forgets-that-it-forgot", RATE),
        mutant("limiter/remembers-every-key", KEYS),
    ]
}
