//! Callers of a gateway that calls a service: both try again what fails, each with a budget of its
//! own, and what is left of a caller's time travels with the request.

mod oracle;

use super::service::{Answer, Request, serve};
use super::{Hop, TRY_MAX, TryError};
use oracle::{Event, Log, Oracle, Wrong};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{ReplyTo, Responder};
use squall_env::{Env, HasOutcome, Outcome, Port, Shown, View, mutant, race};
use squall_protocols::retry::{Advice, Deadline, Effect, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const BEHIND: &str = "no work begins at the last hop when its caller does not wait any more";
const PRODUCT: &str = "the requests of the last hop are no more than both budgets together allow";

/// How long calls may take. What waits longest at the service has been given up by some by then.
const CALL_MAX: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(8)];

/// How long a caller waits for one try: longer than two links are slow.
const HOPS_MAX: Duration = Duration::from_secs(3);

/// How often a caller calls: two of them ask for two thirds of what the service can do.
const EVERY: Duration = Duration::from_millis(30);

/// Two hops that retry as they should.
pub fn two_hops() -> Scenario {
    let tolerance = Tolerance::nothing()
        .impaired("service", Most::Any)
        .impaired("gateway", Most::Any)
        .impaired("caller", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        // A copy is a request that nobody has paid for.
        .but_not(Fault::Duplication)
        .crashes()
        // A clock that stands still does not see a deadline pass.
        .but_not(Fault::Suspend)
        // Nobody has a disk to recover from.
        .but_not(Fault::CrashInRecovery)
        .fault(Fault::ClockRate)
        .fault(Fault::LateTimers);
    Scenario::new("retry/two-hops")
        .nodes("service", 1..=1, serve::<true>)
        .nodes("gateway", 1..=1, gateway)
        .clients("caller", 2..=2, load)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(2))
        .always(BEHIND, || holds(|wrong| matches!(wrong, Wrong::Behind { .. })))
        .always(PRODUCT, || holds(|wrong| matches!(wrong, Wrong::Product { .. })))
        .sometimes("the service had too much to do")
        .sometimes("the service left what nobody waits for")
        .sometimes("a call was repeated and went well")
        .sometimes("the second hop tried again and that went well")
        .sometimes("the budget of the second hop was spent")
        .finishes_within(Duration::from_secs(25))
}

fn holds(is_meant: fn(&Wrong) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut oracle = Oracle::default();
    move |view| match oracle.look(view).filter(is_meant) {
        None => Ok(()),
        Some(wrong) => Err(wrong.to_string()),
    }
}

/// Passes on what comes, and tries again itself what fails.
async fn gateway(env: Env) -> Result<(), String> {
    let responder = Responder::<Request, Answer>::open(&env, Port::named("gateway"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let hop = Arc::new(Hop::to("service", &env).map_err(|error| error.to_string())?);
    let log = Arc::new(env.show("log", Log::default()));
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let (request, reply) = received.map_err(|error| error.to_string())?;
        let Request { id, attempt, effect, left } = request;
        let deadline = match mutant!(env, "retry/next-hop-takes-a-new-deadline") {
            true => Deadline::after(CALL_MAX[1], env.now()),
            false => left.from_now(env.now()),
        };
        let own = env.random();
        log.update(&env, |log| log.events.push(Event::Took { own, id, attempt }));
        let passed = Passed { own, effect, deadline };
        env.spawn("request", pass(Arc::clone(&hop), Arc::clone(&log), passed, reply));
    }
}

/// A request on its way through the gateway, under its number there.
struct Passed {
    own: u64,
    effect: Effect,
    deadline: Deadline,
}

async fn pass(hop: Arc<Hop>, log: Arc<Shown<Log>>, passed: Passed, reply: ReplyTo<Answer>) {
    let (env, Passed { own, effect, deadline }) = (&hop.env, passed);
    let tries = AtomicU32::new(0);
    let attempt = |deadline: Deadline| {
        let attempt = tries.fetch_add(1, Ordering::Relaxed) + 1;
        log.update(env, |log| log.events.push(Event::Asked { own, attempt }));
        let left = deadline.within(TRY_MAX, env.now()).left(env.now());
        hop.attempt(Request { id: own, attempt, effect, left })
    };
    let judge = |_: &TryError| Advice::Retry;
    match hop.retry.call(effect, deadline, judge, attempt).await {
        Ok(()) => {
            if tries.load(Ordering::Relaxed) > 1 {
                env.sometimes("the second hop tried again and that went well");
            }
            reply.reply(Answer::Done);
        }
        Err(error) => {
            if error.why == Why::Budget {
                env.sometimes("the budget of the second hop was spent");
            }
            // Of anything else the caller learns by its deadline that nobody knows.
            if error.outcome() == Outcome::NotDone {
                reply.reply(Answer::Overloaded);
            }
        }
    }
}

/// Calls at its pace, and now and then much faster while there are faults; then until nearly all of
/// its calls go well again.
async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let hop = Arc::new(Hop::to("gateway", &env)?);
    let log = Arc::new(env.show("log", Log::default()));
    let calls = || call(Arc::clone(&hop), Arc::clone(&log));
    let arrivals = async {
        loop {
            env.sleep(EVERY).await;
            env.spawn("call", calls());
        }
    };
    let bursts = async {
        loop {
            env.sleep(Duration::from_millis(100 + env.random_below(400))).await;
            for _ in 0..env.random_below(150) {
                env.spawn("call", calls());
            }
        }
    };
    let recovered = async {
        race(bursts, client.after_heal()).await;
        loop {
            let before = log.read(Log::counts);
            env.sleep(Duration::from_secs(1)).await;
            let after = log.read(Log::counts);
            if (after.1 - before.1) * 10 >= (after.0 - before.0) * 8 {
                return;
            }
        }
    };
    race(arrivals, recovered).await;
    Ok(())
}

/// One call, in as many tries as it takes.
async fn call(hop: Arc<Hop>, log: Arc<Shown<Log>>) {
    let env = &hop.env;
    let (id, limit) = (env.random(), CALL_MAX[env.random_below(2) as usize]);
    log.update(env, |log| log.events.push(Event::Called { id, limit }));
    let deadline = Deadline::after(limit, env.now());
    let tries = AtomicU32::new(0);
    let attempt = |deadline: Deadline| {
        let attempt = tries.fetch_add(1, Ordering::Relaxed) + 1;
        log.update(env, |log| log.events.push(Event::Tried { id, attempt }));
        let left = deadline.within(HOPS_MAX, env.now()).left(env.now());
        hop.attempt(Request { id, attempt, effect: Effect::Idempotent, left })
    };
    let judge = |_: &TryError| Advice::Retry;
    if hop.retry.call(Effect::Idempotent, deadline, judge, attempt).await.is_ok() {
        if tries.load(Ordering::Relaxed) > 1 {
            env.sometimes("a call was repeated and went well");
        }
        log.update(env, |log| log.events.push(Event::Well));
    }
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |name: &str, switch: &'static str, breaks| {
        two_hops().mutant(&format!("mutant/retry-{name}"), switch, breaks)
    };
    vec![
        mutant("next-hop-takes-a-new-deadline", "retry/next-hop-takes-a-new-deadline", BEHIND),
        mutant("two-hops-take-all-the-time-each-try", "retry/each-try-has-all-the-time", BEHIND),
        mutant("two-hops-without-budgets", "retry/no-budget", PRODUCT),
    ]
}
