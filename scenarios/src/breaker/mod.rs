//! A circuit breaker before a service that crashes, stands still and cannot be reached.

mod bank;
mod fallback;
mod guard;
mod herd;
mod watched;

pub use fallback::fallback;
pub use herd::{herd, herd_at_once};

pub(crate) use guard::Guard;
pub(crate) use watched::Watched;

use crate::specimens::breaker::Tutorial;
use crate::tolerance;
use guard::Ours;
use squall::{Client, FINISHES, Fault, Scenario};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Either, Env, Port, Task, View, race};
use squall_protocols::breaker::{AfterHalfOpen, Config, State, Verdict, Wait, Window};
use std::future::pending;
use std::time::Duration;

const PROBES: &str = "no more calls than allowed are under way while a breaker is half-open";
const OPEN: &str = "no call goes through while a breaker is open";
const LATE: &str = "what comes back late changes nothing";
const LONG: &str = "no breaker is open for longer than its wait";
const REASON: &str = "a breaker opens only if enough of the last calls have failed";
/// How many tasks of a caller call at the same time.
const WORKERS: usize = 6;

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_millis(150);

/// How long the last call may take: longer than any link is slow.
const PATIENT: Duration = Duration::from_secs(2);

/// What the service makes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
enum Answer {
    Done,
    /// The caller's own fault, as a card that is declined.
    Declined,
}

/// Callers with a breaker each, of one service.
pub fn calls() -> Scenario {
    scenario("breaker/calls", load::<Ours>)
}

/// The same with a breaker as tutorials have it.
pub fn tutorial() -> Scenario {
    scenario("specimen/breaker-tutorial", load::<Tutorial<false>>).breaks(PROBES)
}

/// The same, found by what it does with results that come late.
pub fn tutorial_counts_late() -> Scenario {
    scenario("specimen/breaker-tutorial-late", load::<Tutorial<false>>).breaks(LATE)
}

/// The same, found by how long it stays open: it waits from the last failure, and not from when it
/// opened, so that calls which come back late put it off.
pub fn tutorial_stays_open() -> Scenario {
    scenario("specimen/breaker-tutorial-stays-open", load::<Tutorial<false>>).breaks(LONG)
}

/// The same, which lets one call through while it is half-open.
pub fn tutorial_sticks() -> Scenario {
    scenario("specimen/breaker-tutorial-sticks", load::<Tutorial<true>>).breaks(FINISHES)
}

fn scenario<L, F>(name: &str, load: L) -> Scenario
where
    L: Fn(Client) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<(), BindError>> + Send + 'static,
{
    let tolerance = tolerance::of_volatile(&["service", "caller"]);
    Scenario::new(name)
        .nodes("service", 1..=1, serve)
        .clients("caller", 1..=2, load)
        // Nobody asks for the time of day.
        .tolerates(tolerance.any_clock().but_not(Fault::WallDrift))
        .always(PROBES, || holds(|seen| seen.probes))
        .always(OPEN, || holds(|seen| seen.open))
        .always(LATE, || holds(|seen| seen.late))
        .always(LONG, || holds(|seen| seen.long))
        .always(REASON, || holds(|seen| seen.reason))
        .sometimes("a breaker opened")
        .sometimes("a breaker opened again while it was half-open")
        .sometimes("a breaker closed again")
        .sometimes("a result came late")
        .sometimes("a probe was given up")
        .sometimes("a probe never came back")
        .sometimes("too many calls were slow")
        .finishes_within(Duration::from_secs(20))
}

/// What a caller has seen that must not be.
#[derive(Clone, Copy, Default)]
struct Wrong {
    probes: bool,
    open: bool,
    late: bool,
    long: bool,
    reason: bool,
}

fn holds(wrong: fn(&Wrong) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    move |view| match view.changed::<Wrong>().find(|seen| wrong(seen)) {
        None => Ok(()),
        Some(seen) => Err(format!("{:?} has seen it", seen.node)),
    }
}

async fn serve(env: Env) -> Result<(), String> {
    let responder = Responder::<u64, Answer>::open(&env, Port::named("service"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let (_, reply) = received.map_err(|error| error.to_string())?;
        let declines = env.random_below(5) == 0;
        reply.reply(if declines { Answer::Declined } else { Answer::Done });
    }
}

/// A configuration of the client's own. It opens for less than a call takes, so that calls come
/// back late, and is never open for long.
fn config(client: &Client) -> Config {
    let ms = Duration::from_millis;
    let is = |argument, of| client.draw(argument, of) == 0;
    let (window, calls_min) = match client.draw(1, 4) {
        0 | 1 => (Window::Calls(8), 8),
        seconds => (Window::Seconds(seconds as u32 - 1), 5),
    };
    let (slow, slow_rate) = if is(2, 3) { (ms(30), 60.0) } else { (ms(60_000), 100.0) };
    let factor = if is(3, 2) { 2.0 } else { 1.0 };
    Config {
        failure_rate: if is(4, 3) { 80.0 } else { 50.0 },
        slow_rate,
        slow,
        window,
        calls_min,
        wait: Wait { first: ms(60), factor, most: ms(240), jitter: 0.3 },
        half_open_calls: 1 + client.draw(5, 4) as u32,
        half_open_max: is(6, 3).then_some(ms(1_000)),
        after_half_open: if is(7, 2) { AfterHalfOpen::Close } else { AfterHalfOpen::Open },
        lost_after: if is(8, 2) { ms(400) } else { ms(5_000) },
        ..Config::default()
    }
}

/// Calls again and again while there are faults, and then until a call comes back.
async fn load<G: Guard>(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let config = config(&client);
    let watched = Watched::new(&env, config.clone());
    let breaker = G::new(&env, config, watched.clone());
    let hangs = client.draw(9, 2) == 0;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let caller = Caller::<u64, Answer>::open(&env)?;
        let worker = work(env.clone(), breaker.clone(), watched.clone(), caller, hangs);
        workers.push(env.spawn("worker", worker));
    }
    client.after_heal().await;
    workers.iter().for_each(Task::cancel);
    let caller = Caller::<u64, Answer>::open(&env)?;
    while !call(&env, &breaker, &watched, &caller, PATIENT).await {
        env.sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn work<G: Guard>(
    env: Env,
    breaker: G,
    watched: Watched,
    caller: Caller<u64, Answer>,
    hangs: bool,
) {
    loop {
        env.sleep(Duration::from_micros(env.random_below(40_000))).await;
        if hangs && env.random_below(30) == 0 {
            env.spawn("hangs", hang(env.clone(), breaker.clone(), watched.clone()));
            continue;
        }
        // Whoever called does not always wait for the answer.
        let patience = env.sleep(Duration::from_millis(1 + env.random_below(400)));
        if let Either::Right(()) =
            race(call(&env, &breaker, &watched, &caller, CALL_MAX), patience).await
        {
            watched.recorded();
        }
    }
}

/// A call that never comes back, and is never given up either.
async fn hang<G: Guard>(env: Env, breaker: G, watched: Watched) {
    let leave = breaker.acquire();
    watched.looked();
    if let Some(leave) = leave {
        let (state, since) = breaker.state();
        if state == State::HalfOpen {
            env.sometimes("a probe never came back");
        }
        let passed = watched.passed(state, since);
        pending::<()>().await;
        drop((leave, passed));
    }
}

/// One call through the breaker. Whether it came back.
async fn call<G: Guard>(
    env: &Env,
    breaker: &G,
    watched: &Watched,
    caller: &Caller<u64, Answer>,
    limit: Duration,
) -> bool {
    let leave = breaker.acquire();
    watched.looked();
    let Some(leave) = leave else {
        watched.refused(breaker.state().0);
        return false;
    };
    let (state, since) = breaker.state();
    let passed = watched.passed(state, since);
    let to = env.addresses("service", Port::named("service"))[0];
    let answer: Result<Answer, CallError> = caller.call(to, env.random(), limit).await;
    let verdict = match answer {
        Ok(Answer::Done) => Verdict::Success,
        Ok(Answer::Declined) => Verdict::Ignored,
        Err(_) => Verdict::Failure,
    };
    let (_, since) = breaker.state();
    watched.looked();
    passed.ends(since, verdict);
    breaker.record(leave, verdict);
    watched.recorded();
    answer.is_ok()
}

/// It tells the time by a clock that is set.
const WALL: &str = "breaker/reads-the-wall-clock";

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        calls().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("breaker/every-call-is-a-probe", PROBES),
        mutant("breaker/never-forgets", REASON),
        mutant("breaker/counts-late-results", LATE),
        mutant("breaker/keeps-ignored-permits", FINISHES),
        mutant("breaker/keeps-dropped-permits", FINISHES),
        mutant("breaker/keeps-its-minimum-half-open", FINISHES),
        mutant("breaker/lets-calls-through-while-open", OPEN),
        mutant("breaker/waits-for-calls-that-never-come-back", FINISHES),
        mutant("breaker/keeps-seconds-for-ever", REASON),
        mutant(WALL, OPEN),
        calls().mutant("mutant/breaker-stands-still-with-the-wall-clock", WALL, FINISHES),
    ]
    .into_iter()
    .chain(fallback::mutants())
    .collect()
}
