//! Many callers of one service that fails for all of them at the same moment: their breakers open
//! together, and must not try it together again.

use super::{CALL_MAX, Guard, Ours, PATIENT, Watched};
use crate::tolerance;
use squall::{Client, Fault, Scenario};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, Responder};
use squall_env::{Env, NodeId, Port, View, race};
use squall_protocols::breaker::{Config, State, Verdict, Wait, Window};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const SPREAD: &str = "breakers that opened together do not all probe at the same moment";

/// How many callers there are.
const CALLERS: u16 = 10;

/// How many of them may probe within [`MOMENT`]. That more than so many of ten waits fall into one
/// moment by chance, when each is anywhere in twenty of them, comes about once in three million
/// times.
const TOGETHER: usize = 7;

const MOMENT: Duration = Duration::from_millis(50);

/// How long breakers wait at least, and how much may be added.
const WAIT: Duration = Duration::from_secs(1);

/// The service can be used for this long,
const UP: Duration = Duration::from_millis(1_500);

/// and then not for so long.
const DOWN: Duration = Duration::from_millis(200);

/// Callers whose breakers add to their wait by chance.
pub fn herd() -> Scenario {
    scenario("breaker/herd", Wait { jitter: 1.0, ..Wait::fixed(WAIT) })
}

/// The same callers, whose breakers all wait for the same time.
pub fn herd_at_once() -> Scenario {
    scenario("specimen/breaker-probes-at-once", Wait::fixed(WAIT)).breaks(SPREAD)
}

fn scenario(name: &str, wait: Wait) -> Scenario {
    let tolerance = tolerance::of_volatile(&["service", "caller"]);
    Scenario::new(name)
        .nodes("service", 1..=1, serve)
        .clients("caller", CALLERS..=CALLERS, move |client| load(client, wait))
        // Nobody asks for the time of day.
        .tolerates(tolerance.any_clock().but_not(Fault::WallDrift))
        .heals_after(Duration::from_secs(6))
        .always(SPREAD, spread)
        .sometimes("a probe found the service well")
        .sometimes("a probe failed")
        .finishes_within(Duration::from_secs(20))
}

/// How often a caller's breaker has become half-open.
struct HalfOpen(u64);

fn spread() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut probes: VecDeque<(u64, NodeId)> = VecDeque::new();
    let mut counted: BTreeMap<NodeId, u64> = BTreeMap::new();
    move |view| {
        let now = view.now_ns();
        for half_open in view.changed::<HalfOpen>() {
            let before = counted.insert(half_open.node, half_open.0).unwrap_or_default();
            if half_open.0 != before && half_open.0 > 0 {
                probes.push_back((now, half_open.node));
            }
        }
        let is_old = |(at, _): &mut (u64, NodeId)| u128::from(now - *at) > MOMENT.as_nanos();
        while probes.pop_front_if(is_old).is_some() {}
        let together: BTreeSet<NodeId> = probes.iter().map(|(_, node)| *node).collect();
        match together.len() {
            ..=TOGETHER => Ok(()),
            many => Err(format!("{many} breakers probe within {MOMENT:?}")),
        }
    }
}

/// Tells whether it can be used.
async fn serve(env: Env) -> Result<(), String> {
    let responder = Responder::<(), bool>::open(&env, Port::named("service"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let start = env.now();
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let ((), reply) = received.map_err(|error| error.to_string())?;
        let into = (env.now() - start).as_nanos() % (UP + DOWN).as_nanos();
        reply.reply(into < UP.as_nanos());
    }
}

/// Calls again and again while there are faults, and then until a call comes back.
async fn load(client: Client, wait: Wait) -> Result<(), BindError> {
    let env = client.env().clone();
    let config = Config { wait, window: Window::Calls(2), calls_min: 2, ..Config::default() };
    let config = Config { half_open_calls: 1, lost_after: CALL_MAX, ..config };
    let breaker = Ours::new(&env, config.clone(), Watched::new(&env, config));
    let caller = Caller::<(), bool>::open(&env)?;
    let half_open = env.show("half-open", HalfOpen(0));
    let calls = async {
        let mut before = State::Closed;
        loop {
            env.sleep(Duration::from_micros(env.random_below(4_000))).await;
            let Some(leave) = breaker.acquire() else {
                before = State::Open;
                continue;
            };
            let is_probe = breaker.state().0 == State::HalfOpen && before == State::Open;
            if is_probe {
                half_open.update(&env, |half_open| half_open.0 += 1);
            }
            let is_well = call(&env, &caller, CALL_MAX).await;
            if is_probe && is_well {
                env.sometimes("a probe found the service well");
            } else if is_probe {
                env.sometimes("a probe failed");
            }
            breaker.record(leave, if is_well { Verdict::Success } else { Verdict::Failure });
            before = breaker.state().0;
        }
    };
    race(calls, client.after_heal()).await;
    while !call(&env, &caller, PATIENT).await {
        env.sleep(MOMENT).await;
    }
    Ok(())
}

async fn call(env: &Env, caller: &Caller<(), bool>, limit: Duration) -> bool {
    let service = env.addresses("service", Port::named("service"))[0];
    caller.call(service, (), limit).await.unwrap_or(false)
}
