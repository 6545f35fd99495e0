//! Many calls of a service that is now and then asked for more than it can do.

mod hops;
mod service;
mod watched;

pub use hops::two_hops;

use service::{Answer, Request, Served, serve};
use squall::{Client, FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::platform::BindError;
use squall_env::request::Caller;
use squall_env::{Env, HasOutcome, NodeId, Outcome, Port, View};
use squall_protocols::retry::{
    Advice, Backoff, Budget, Deadline, Effect, Jitter, Policy, Retry, RetryError, Why,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use watched::{Seen, Watched};

const AMPLIFIES: &str = "no more calls are repeated than the budget allows";
const TWICE: &str = "what must not be done twice is done once at most";
const TRUTH: &str = "what is said not to be done is never done";
const DEADLINE: &str = "each try has what is left of the time of its call";
const TRIES: &str = "there are no more tries than allowed";
/// How often a call is tried.
const POLICY: Policy = Policy {
    tries: 3,
    backoff: Backoff {
        first: Duration::from_millis(100),
        most: Duration::from_secs(1),
        jitter: Jitter::Full,
    },
};

/// How many retries there are at first.
const BUDGET: u32 = 10;

/// And for a thousand calls that went well.
const PER_THOUSAND: u32 = 100;

/// How long calls may take: some have time for a second try that is cut short, others for all.
const CALL_MAX: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// How long one try may take: longer than any link is slow.
const TRY_MAX: Duration = Duration::from_millis(1_300);

/// How often a caller calls: two of them ask for two thirds of what the service can do.
const EVERY: Duration = Duration::from_millis(30);

/// Callers that retry as they should.
pub fn overload() -> Scenario {
    scenario("retry/overload", serve::<true>, load::<false>)
        .always(AMPLIFIES, || holds(|seen| seen.retries() <= seen.allowed()))
        .always(DEADLINE, || holds(|seen| !seen.late))
        .always(TRIES, || holds(|seen| seen.tries_most <= POLICY.tries))
        .always(TWICE, || effects(TWICE))
        .always(TRUTH, || effects(TRUTH))
        .sometimes("the budget was spent")
        .sometimes("a call that may have been done was not repeated")
        .sometimes("the service left what nobody waits for")
}

/// Callers that try again at once, and a service that works on what nobody waits for any more: once
/// it has been overloaded it stays so, although it is asked for less than it can do.
pub fn storm() -> Scenario {
    scenario("specimen/retry-storm", serve::<false>, load::<true>).breaks(FINISHES)
}

fn scenario<S, SF, L, LF>(name: &str, serve: S, load: L) -> Scenario
where
    S: Fn(Env) -> SF + Copy + Send + Sync + 'static,
    SF: Future<Output = Result<(), String>> + Send + 'static,
    L: Fn(Client) -> LF + Copy + Send + Sync + 'static,
    LF: Future<Output = Result<(), BindError>> + Send + 'static,
{
    let tolerance = Tolerance::nothing()
        .impaired("service", Most::Any)
        .impaired("caller", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        // A copy of a request that was refused may come to a service that has forgotten that.
        .but_not(Fault::Duplication)
        .crashes()
        // Nobody has a disk to recover from.
        .but_not(Fault::CrashInRecovery)
        .fault(Fault::ClockRate)
        .fault(Fault::LateTimers);
    Scenario::new(name)
        .nodes("service", 1..=1, serve)
        .clients("caller", 2..=2, load)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(2))
        .sometimes("a call was repeated and went well")
        .sometimes("the service had too much to do")
        .finishes_within(Duration::from_secs(15))
}

fn holds(is_right: fn(&Seen) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    move |view| match view.changed::<Seen>().find(|seen| !is_right(seen)) {
        None => Ok(()),
        Some(seen) => Err(format!(
            "{:?}: {} calls, {} of them went well, in {} tries, {} of one call",
            seen.node, seen.calls, seen.successes, seen.tries, seen.tries_most
        )),
    }
}

/// What was done, and what those were told who asked for it.
#[derive(Default)]
struct Effects {
    /// The tries of a call that were done.
    done: BTreeMap<u64, BTreeSet<u32>>,
    /// Calls that were said not to be done.
    denied: BTreeSet<u64>,
    /// What of it has been looked at, for each boot.
    served: (u64, usize),
    told: BTreeMap<NodeId, (u64, usize)>,
}

/// Which promise a call broke, and which call.
type Broken = (&'static str, u64);

impl Effects {
    /// Looks at what is new, and whether it is wrong.
    fn look(&mut self, view: &View<'_>) -> Vec<Broken> {
        let mut broken = Vec::new();
        for served in view.changed::<Served>() {
            let from = if self.served.0 == served.number { self.served.1 } else { 0 };
            for (id, attempt, effect) in &served.done[from..] {
                let tries = self.done.entry(*id).or_default();
                tries.insert(*attempt);
                if *effect == Effect::Once && tries.len() > 1 {
                    broken.push((TWICE, *id));
                }
                if self.denied.contains(id) {
                    broken.push((TRUTH, *id));
                }
            }
            self.served = (served.number, served.done.len());
        }
        for seen in view.changed::<Seen>() {
            let told = self.told.get(&seen.node).filter(|(boot, _)| *boot == seen.number);
            let from = told.map_or(0, |(_, from)| *from);
            for id in &seen.denied[from..] {
                self.denied.insert(*id);
                if self.done.contains_key(id) {
                    broken.push((TRUTH, *id));
                }
            }
            self.told.insert(seen.node, (seen.number, seen.denied.len()));
        }
        broken
    }
}

fn effects(promise: &'static str) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut effects = Effects::default();
    move |view| {
        let broken = effects.look(view);
        match broken.into_iter().find(|(broken, _)| *broken == promise) {
            None => Ok(()),
            Some((_, id)) => Err(format!("call {id:x}: tries {:?} were done", effects.done[&id])),
        }
    }
}

/// Why a try has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum TryError {
    #[error("no answer in time")]
    NoAnswer,
    #[error("the service has too much to do")]
    Overloaded,
}

impl HasOutcome for TryError {
    fn outcome(&self) -> Outcome {
        match self {
            TryError::NoAnswer => Outcome::Indeterminate,
            TryError::Overloaded => Outcome::NotDone,
        }
    }
}

/// Calls at its pace, and now and then much faster while there are faults; then until nearly all of
/// its calls go well again.
async fn load<const STORM: bool>(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let calls = Arc::new(Calls::new(&env)?);
    let (own, all) = (env.clone(), Arc::clone(&calls));
    let arrivals = async move {
        loop {
            own.sleep(EVERY).await;
            own.spawn("call", call::<STORM>(Arc::clone(&all)));
        }
    };
    let (own, all) = (env.clone(), Arc::clone(&calls));
    let bursts = async move {
        loop {
            own.sleep(Duration::from_millis(100 + own.random_below(400))).await;
            for _ in 0..own.random_below(150) {
                own.spawn("call", call::<STORM>(Arc::clone(&all)));
            }
        }
    };
    let arriving = env.spawn("arrivals", arrivals);
    squall_env::race(bursts, client.after_heal()).await;
    loop {
        let before = calls.watched.counts();
        env.sleep(Duration::from_secs(1)).await;
        let after = calls.watched.counts();
        let (made, well) = (after.0 - before.0, after.1 - before.1);
        if well * 10 >= made * 8 {
            drop(arriving);
            return Ok(());
        }
    }
}

/// What the calls of a node to the next one share.
struct Hop {
    env: Env,
    to: &'static str,
    caller: Caller<Request, Answer>,
    retry: Retry,
}

/// What the calls of a caller share.
struct Calls {
    hop: Hop,
    watched: Watched,
}

impl Calls {
    fn new(env: &Env) -> Result<Calls, BindError> {
        Ok(Calls { hop: Hop::to("service", env)?, watched: Watched::new(env) })
    }
}

impl Hop {
    /// Calls of the one node of this role.
    fn to(role: &'static str, env: &Env) -> Result<Hop, BindError> {
        let retry = Retry::new(env, POLICY, Budget::new(BUDGET, PER_THOUSAND));
        Ok(Hop { env: env.clone(), to: role, caller: Caller::open(env)?, retry })
    }

    async fn attempt(&self, request: Request) -> Result<(), TryError> {
        let to = self.env.addresses(self.to, Port::named(self.to))[0];
        let limit = request.left.duration();
        match self.caller.call(to, request, limit).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Overloaded) => Err(TryError::Overloaded),
            Err(_) => Err(TryError::NoAnswer),
        }
    }
}

/// One call, in as many tries as it takes.
async fn call<const STORM: bool>(calls: Arc<Calls>) {
    let env = &calls.hop.env;
    let id = env.random();
    let effect = if env.random_below(2) == 0 { Effect::Once } else { Effect::Idempotent };
    let limit = CALL_MAX[env.random_below(2) as usize];
    let call = calls.watched.begins(limit);
    if STORM {
        for _ in 0..POLICY.tries {
            let left = Deadline::after(TRY_MAX, env.now()).left(env.now());
            let request = Request { id, attempt: call.tries(left), effect, left };
            if calls.hop.attempt(request).await.is_ok() {
                return call.went_well();
            }
        }
        return;
    }
    let deadline = Deadline::after(limit, env.now());
    let attempt = |deadline: Deadline| {
        let left = deadline.within(TRY_MAX, env.now()).left(env.now());
        calls.hop.attempt(Request { id, attempt: call.tries(left), effect, left })
    };
    let judge = |_: &TryError| Advice::Retry;
    match calls.hop.retry.call(effect, deadline, judge, attempt).await {
        Ok(()) => call.went_well(),
        Err(error) => failed(&calls, id, &error),
    }
}

fn failed(calls: &Calls, id: u64, error: &RetryError<TryError>) {
    match error.why {
        Why::Budget => calls.hop.env.sometimes("the budget was spent"),
        Why::MayBeDone => {
            calls.hop.env.sometimes("a call that may have been done was not repeated");
        }
        _ => {}
    }
    if error.outcome() == Outcome::NotDone {
        calls.watched.denied(id);
    }
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        overload().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("retry/no-budget", AMPLIFIES),
        mutant("retry/pays-for-failures", AMPLIFIES),
        mutant("retry/repeats-what-may-be-done", TWICE),
        mutant("retry/believes-the-last-try", TRUTH),
        mutant("retry/each-try-has-all-the-time", DEADLINE),
        mutant("retry/one-try-too-many", TRIES),
    ]
    .into_iter()
    .chain(hops::mutants())
    .collect()
}
