//! A service that admits requests by a limiter for each key, before callers who hammer it.

mod leased;
mod oracle;

pub use leased::{leased, mutants as leased_mutants};

use oracle::{Decided, Gate, Oracle, Wrong};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, ReplyTo, Responder};
use squall_env::{Either, Env, Instant, Port, Shown, View, race};
use squall_protocols::limiter::{FixedWindow, Limited, Quota, SharedLimiter};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const RATE: &str = "of each key no more comes through than its burst and its rate";
const OWN: &str = "nobody who comes no faster than the rate is refused while there is room";
const KEYS: &str = "no more keys are remembered than allowed";

/// How far apart requests of a key are that come as fast as they may.
const INTERVAL: Duration = Duration::from_millis(50);

/// How many of a key may come at once.
const BURST: u32 = 4;

/// How many keys are remembered.
const MOST: usize = 8;

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
    scenario("limiter/keyed", serve::<false>)
}

/// The same service with a window that begins with the first hit and then with the first after its
/// end, as many gateways come with.
pub fn fixed_window() -> Scenario {
    scenario("specimen/limiter-fixed-window", serve::<true>).breaks(RATE)
}

fn scenario<F, Fut>(name: &str, serve: F) -> Scenario
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let tolerance = Tolerance::nothing()
        .impaired("gate", Most::Any)
        .impaired("caller", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        .any_clock()
        .crashes()
        // Nobody has a disk to recover from.
        .but_not(Fault::CrashInRecovery);
    Scenario::new(name)
        .nodes("gate", 1..=1, serve)
        .clients("caller", 2..=4, load)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(2))
        .always(RATE, || holds(|wrong| matches!(wrong, Wrong::TooMany { .. })))
        .always(OWN, || holds(|wrong| matches!(wrong, Wrong::LockedOut { .. })))
        .always(KEYS, || holds(|wrong| matches!(wrong, Wrong::Keys { .. })))
        .sometimes("a request came too fast")
        .sometimes("a new key found no room")
        .sometimes("a request was overtaken on its way to the limiter")
        .finishes_within(Duration::from_secs(20))
}

fn holds(is_meant: fn(&Wrong) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut oracle = Oracle::default();
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
#[derive(Clone)]
enum Limiter {
    Keyed(SharedLimiter<Key>),
    Fixed(Arc<Mutex<BTreeMap<Key, FixedWindow>>>),
}

impl Limiter {
    fn check(&self, key: Key, came: Instant) -> Result<(), Limited> {
        let windows = match self {
            Limiter::Keyed(limiter) => return limiter.check_at(&key, came),
            Limiter::Fixed(windows) => windows,
        };
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, window| window.hits(came) > 0);
        let new = || FixedWindow::new(BURST, INTERVAL * BURST);
        match windows.entry(key).or_insert_with(new).check(came).is_allowed() {
            true => Ok(()),
            false => Err(Limited { retry_after: INTERVAL * BURST }),
        }
    }

    fn keys(&self) -> usize {
        match self {
            Limiter::Keyed(limiter) => limiter.keys(),
            Limiter::Fixed(_) => 0,
        }
    }
}

async fn serve<const FIXED: bool>(env: Env) -> Result<(), String> {
    let quota = Quota::per(INTERVAL * BURST, BURST).map_err(|error| error.to_string())?;
    let keyed = SharedLimiter::new(&env, quota, MOST);
    let limiter = match FIXED {
        true => Limiter::Fixed(Arc::default()),
        false => Limiter::Keyed(keyed.clone()),
    };
    let responder = Responder::<Key, Answer>::open(&env, Port::named("gate"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let gate = Arc::new(env.show("gate", Gate::default()));
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let (key, reply) = received.map_err(|error| error.to_string())?;
        let (came, own) = (keyed.now(), env.now());
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
