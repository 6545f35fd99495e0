use crate::probe::{MS, SECOND, calm, notes, run_until};
use squall::plan::{Latency, Pct, Reroll};
use squall::{Plan, Scenario, Strategy, Watch, run_plan};
use squall_env::{Env, Port};
use std::sync::Mutex;
use std::time::Duration;

/// When something arrived: at which node, from which, and when.
type Seen = &'static Mutex<Vec<(u16, u16, u64)>>;

/// Every node sends to every other one all 10 ms, and notes what it gets.
fn talking(seen: Seen) -> Scenario {
    Scenario::new("test/futures").nodes("node", 3..=3, move |env: Env| async move {
        let mut socket = env.bind(Port::named("talk")).map_err(|e| e.to_string())?;
        let own = env.clone();
        let (to, port) = (env.addresses("node", socket.port()), Port::named("more"));
        let sender = env.bind(port).map_err(|e| e.to_string())?;
        env.spawn("sends", async move {
            loop {
                for address in to.iter().filter(|address| address.node != own.me()) {
                    sender.send(*address, &own.random().to_le_bytes());
                }
                own.sleep(Duration::from_millis(10)).await;
            }
        });
        let mut buffer = Vec::new();
        while let Ok(from) = socket.receive(&mut buffer).await {
            let at = squall::conditions().map_or(0, |now| now.now_ns);
            seen.lock().unwrap().push((env.me().ordinal(), from.node.ordinal(), at));
        }
        Ok::<(), String>(())
    })
}

fn plan() -> Plan {
    let mut plan = calm(3);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: 9 * MS };
    plan.heal_at_ns = 2 * SECOND;
    plan
}

/// What arrived up to a time, in order.
fn arrived(plan: &Plan, until: u64) -> Vec<(u16, u16, u64)> {
    let seen: Seen = notes();
    run_until(&talking(seen), 3, plan, until);
    seen.lock().unwrap().clone()
}

fn rerolled(from_ns: u64, salt: u64) -> Plan {
    Plan { rerolls: vec![Reroll { from_ns, salt }], ..plan() }
}

#[test]
fn another_future_has_the_same_past() {
    let (own, other) = (arrived(&plan(), SECOND), arrived(&rerolled(SECOND / 2, 1), SECOND));
    let before = |all: &[(u16, u16, u64)]| {
        let early = all.iter().filter(|(.., at)| *at < SECOND / 2);
        early.copied().collect::<Vec<_>>()
    };
    assert!(before(&own).len() > 100);
    assert_eq!(before(&own), before(&other));
    assert_ne!(own, other);
    assert_ne!(other, arrived(&rerolled(SECOND / 2, 2), SECOND), "another salt, another future");
    assert_eq!(other, arrived(&rerolled(SECOND / 2, 1), SECOND));
    // A future that begins after the end is none.
    assert_eq!(own, arrived(&rerolled(3 * SECOND, 1), SECOND));
}

#[test]
fn a_future_of_a_future_keeps_both_pasts() {
    let first = rerolled(SECOND / 4, 1);
    let mut second = first.clone();
    second.rerolls.push(Reroll { from_ns: SECOND / 2, salt: 1 });
    let (one, other) = (arrived(&first, SECOND), arrived(&second, SECOND));
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    assert!(one[same].2 >= SECOND / 2, "they part at {}", one[same].2);
    assert_ne!(one, other);
}

/// The time that each message took, by its link. Each is sent at a multiple of 10 ms.
fn times(plan: &Plan) -> Vec<Vec<u64>> {
    let mut links = vec![Vec::new(); 9];
    for (to, from, at) in arrived(plan, SECOND) {
        links[usize::from(to - 1) * 3 + usize::from(from - 1)].push(at % (10 * MS));
    }
    links.retain(|times| !times.is_empty());
    assert_eq!(links.len(), 6);
    links
}

#[test]
fn a_link_with_a_priority_is_always_as_fast() {
    let fixed = Plan { pct: Some(Pct { salt: 7, change_at: vec![] }), ..plan() };
    let links = times(&fixed);
    assert!(links.iter().all(|times| times.iter().all(|time| *time == times[0])), "{links:?}");
    let mut firsts: Vec<u64> = links.iter().map(|times| times[0]).collect();
    firsts.dedup();
    assert_eq!(firsts.len(), 6, "every link has its own");
    assert!(firsts.iter().all(|time| (MS..=9 * MS).contains(time)), "{firsts:?}");
    // Without priorities there is nothing of the kind.
    assert!(times(&plan()).iter().all(|times| times.iter().any(|time| *time != times[0])));
}

#[test]
fn at_a_change_point_a_link_becomes_the_slowest() {
    let changing = Plan { pct: Some(Pct { salt: 7, change_at: vec![200] }), ..plan() };
    let changed: Vec<_> =
        times(&changing).into_iter().filter(|times| times[0] != times[times.len() - 1]).collect();
    assert_eq!(changed.len(), 1, "{} links have changed", changed.len());
    assert!(changed[0][changed[0].len() - 1] > 9 * MS - 1_000);
}

#[test]
fn priorities_end_with_the_faults() {
    let mut healed = Plan { pct: Some(Pct { salt: 7, change_at: vec![] }), ..plan() };
    healed.heal_at_ns = SECOND / 10;
    assert!(times(&healed).iter().all(|times| times.iter().any(|time| *time != times[0])));
}

#[test]
fn one_seed_in_eight_has_priorities_and_the_others_are_as_they_were() {
    let scenario = talking(notes());
    for seed in 0..64 {
        let (drawn, random) = (scenario.plan(seed), scenario.plan_by(seed, Strategy::Random));
        assert_eq!(drawn.pct.is_some(), seed % 8 == 7, "{seed}");
        assert_eq!(random.pct, None);
        assert_eq!(Plan { pct: None, ..drawn }, random, "nothing else is drawn otherwise");
        assert!(scenario.plan_by(seed, Strategy::Pct).pct.is_some());
    }
}

#[test]
fn what_a_run_reaches_is_noted_without_changing_it() {
    let scenario = talking(notes());
    let run = |reach| {
        run_plan(&scenario, 5, &plan(), Watch { reach, until_ns: SECOND, ..Watch::default() })
    };
    assert_eq!(run(true).digest, run(false).digest);
}
