use crate::probe::{MS, SECOND, calm, crash, episode, notes, run_until};
use squall::plan::{Episode, Kind};
use squall::{Fault, Most, Scenario, Tolerance};
use squall_env::Env;
use std::sync::Mutex;
use std::time::Duration;

type Boots = &'static Mutex<Vec<u16>>;

/// Nodes that note each boot, and are ready some time after it.
fn system(boots: Boots, ready_after: Duration, tolerance: Tolerance) -> Scenario {
    Scenario::new("test/ledger")
        .nodes("node", 1..=5, move |env: Env| async move {
            boots.lock().unwrap().push(env.me().ordinal());
            env.sleep(ready_after).await;
            env.ready();
            std::future::pending::<Result<(), String>>().await
        })
        .tolerates(tolerance)
}

fn counts(episodes: Vec<Episode>, ready_ms: u64, tolerance: Tolerance) -> (u64, u64, Vec<u16>) {
    let boots: Boots = notes();
    let mut plan = calm(5);
    plan.episodes = episodes;
    let scenario = system(boots, Duration::from_millis(ready_ms), tolerance);
    let outcome = run_until(&scenario, 1, &plan, 5 * SECOND);
    let mut fired = 0;
    let mut refused = 0;
    for fault in [Fault::Crash, Fault::Pause, Fault::Stall] {
        fired += outcome.faults[fault as usize].fired;
        refused += outcome.faults[fault as usize].refused;
    }
    let boots = boots.lock().unwrap().clone();
    (fired, refused, boots)
}

fn minority() -> Tolerance {
    Tolerance::minority_impaired("node").crashes().failing_disks()
}

#[test]
fn no_more_than_a_minority_is_ever_struck_at_once() {
    let all = (1..=5).map(|n| episode(n, crash(&format!("node-{n}")), 100 * MS, SECOND)).collect();
    let (fired, refused, boots) = counts(all, 1, minority());
    assert_eq!((fired, refused), (2, 3));
    assert_eq!(boots.len(), 5 + 2);
}

#[test]
fn different_faults_share_one_budget() {
    let node = |n: u32| format!("node-{n}");
    let episodes = vec![
        episode(1, crash(&node(1)), 100 * MS, SECOND),
        episode(2, Kind::Pause { node: node(2) }, 110 * MS, SECOND),
        episode(3, Kind::Stall { node: node(3) }, 120 * MS, SECOND),
    ];
    assert_eq!(counts(episodes, 1, minority()).0, 2);
}

#[test]
fn a_restarted_node_counts_until_it_is_ready() {
    let episodes = |gap| {
        vec![
            episode(1, crash("node-1"), 100 * MS, 100 * MS),
            episode(2, crash("node-2"), 100 * MS, 100 * MS),
            episode(3, crash("node-3"), 200 * MS + gap, 100 * MS),
        ]
    };
    // The first two are back after 200 ms and whole after 300.
    assert_eq!(counts(episodes(90 * MS), 100, minority()).0, 2);
    assert_eq!(counts(episodes(110 * MS), 100, minority()).0, 3);
}

#[test]
fn a_node_that_is_impaired_already_may_be_struck_again() {
    let episodes = vec![
        episode(1, crash("node-1"), 100 * MS, 10 * MS),
        episode(2, crash("node-1"), 115 * MS, 10 * MS),
        episode(3, crash("node-1"), 130 * MS, 10 * MS),
    ];
    let one = Tolerance::nothing().crashes().impaired("node", Most::Nodes(1));
    let (fired, refused, boots) = counts(episodes, 100, one);
    assert_eq!((fired, refused), (3, 0));
    assert_eq!(boots.iter().filter(|ordinal| **ordinal == 1).count(), 4);
}

#[test]
fn roles_without_a_budget_are_never_impaired() {
    let episodes = vec![episode(1, crash("node-1"), 100 * MS, 10 * MS)];
    assert_eq!(counts(episodes, 1, Tolerance::nothing().crashes()).0, 0);
}

/// A node that shows that it is up and whole.
struct Whole(bool);

#[test]
fn whatever_the_seed_a_majority_stays_up() {
    let mut crashes = 0;
    for seed in 0..100 {
        let scenario = Scenario::new("test/majority")
            .nodes("node", 5..=5, |env: Env| async move {
                let whole = env.show("whole", Whole(false));
                env.sleep(Duration::from_millis(20)).await;
                env.ready();
                whole.update(&env, |whole| whole.0 = true);
                std::future::pending::<Result<(), String>>().await
            })
            .tolerates(minority())
            .heals_after(Duration::from_secs(2))
            .always("a majority is whole", || {
                let mut started = false;
                move |view: &squall_env::View<'_>| {
                    let whole = view.up::<Whole>().filter(|whole| whole.0).count();
                    started |= whole == 5;
                    if started && whole < 3 { Err(format!("only {whole} are")) } else { Ok(()) }
                }
            });
        let outcome = run_until(&scenario, seed, &scenario.plan(seed), 2 * SECOND);
        assert_eq!(outcome.failure, None, "seed {seed}");
        crashes += outcome.faults[Fault::Crash as usize].fired;
    }
    assert!(crashes > 50, "only {crashes} crashes in all");
}

/// How often a node that crashes for good boots until a second after the world has healed.
fn boots_of_one_that_crashes_for_good(most: Most) -> usize {
    let boots: Boots = notes();
    let tolerance = Tolerance::nothing().crashes().impaired("node", most);
    let mut plan = calm(2);
    plan.heal_at_ns = SECOND;
    plan.episodes = vec![Episode { for_ns: None, ..episode(1, crash("node-2"), 100 * MS, 1) }];
    let scenario = system(boots, Duration::from_millis(1), tolerance);
    run_until(&scenario, 1, &plan, 2 * SECOND);
    boots.lock().unwrap().iter().filter(|ordinal| **ordinal == 2).count()
}

#[test]
fn a_role_that_may_fail_as_a_whole_comes_back_in_the_end() {
    assert_eq!(boots_of_one_that_crashes_for_good(Most::Nodes(1)), 1);
    assert_eq!(boots_of_one_that_crashes_for_good(Most::Any), 2);
}
