use crate::probe::{MS, SECOND, calm, crash, episode, only, probe, run_until};
use squall::plan::Kind;
use squall::table::TABLE;
use squall::{Most, Scenario, Tolerance};
use squall_env::{Env, Port};
use std::time::Duration;

#[test]
fn a_run_repeats_under_every_fault() {
    for row in TABLE {
        for seed in 0..3 {
            let runs = [(); 2].map(|()| run_until(&probe(), seed, &only(row.fault), SECOND).digest);
            assert_eq!(runs[0], runs[1], "{} seed {seed}", row.name);
        }
    }
}

#[test]
fn seeds_and_salts_differ() {
    let mut salted = calm(3);
    salted.salt = 1;
    let digests = [
        run_until(&probe(), 1, &calm(3), SECOND).digest,
        run_until(&probe(), 2, &calm(3), SECOND).digest,
        run_until(&probe(), 1, &salted, SECOND).digest,
    ];
    assert!(digests[0] != digests[1] && digests[0] != digests[2] && digests[1] != digests[2]);
}

/// Four nodes in two pairs that never talk across.
fn two_pairs() -> Scenario {
    Scenario::new("test/two-pairs")
        .nodes("node", 4..=4, |env: Env| serve(env, false))
        .tolerates(Tolerance::nothing().crashes().any_network().impaired("node", Most::Any))
}

/// The same, but the first node draws one random number more.
fn two_pairs_with_a_draw() -> Scenario {
    Scenario::new("test/two-pairs")
        .nodes("node", 4..=4, |env: Env| serve(env, true))
        .tolerates(Tolerance::nothing().crashes().any_network().impaired("node", Most::Any))
}

async fn serve(env: Env, draws: bool) -> Result<(), String> {
    let mut socket = env.bind(Port::named("pairs")).map_err(|e| e.to_string())?;
    let place = env.me().ordinal() - 1;
    let peer = env.addresses("node", socket.port())[usize::from(place ^ 1)];
    env.ready();
    if draws && place == 0 {
        env.random();
    }
    let mut buffer = Vec::new();
    loop {
        // The content comes from the node's own randomness, so a moved draw would show.
        socket.send(peer, &env.random().to_le_bytes());
        // Whether something came or not, the next one is sent.
        let _ = env.timeout(Duration::from_millis(20), socket.receive(&mut buffer)).await;
    }
}

#[test]
fn taking_an_episode_out_leaves_nodes_that_hear_nothing_of_it_as_they_were() {
    let mut plan = calm(4);
    plan.weather.loss_ppm = 50_000;
    plan.weather.duplication_ppm = 50_000;
    plan.episodes = vec![
        episode(1, crash("node-1"), 100 * MS, 50 * MS),
        episode(2, Kind::IsolateOne { node: "node-4".to_owned() }, 300 * MS, 50 * MS),
    ];
    let with = run_until(&two_pairs(), 9, &plan, SECOND);
    plan.episodes.remove(0);
    let without = run_until(&two_pairs(), 9, &plan, SECOND);
    let (with, without) = (with.digest.nodes().to_vec(), without.digest.nodes().to_vec());
    assert_ne!(with[0], without[0]);
    assert_ne!(with[1], without[1]);
    assert_eq!(with[2..4], without[2..4]);
}

#[test]
fn before_an_episode_every_node_is_as_it_would_be_without_it() {
    let mut plan = calm(4);
    plan.weather.loss_ppm = 50_000;
    plan.episodes = vec![episode(1, crash("node-1"), 100 * MS, 50 * MS)];
    let with = run_until(&two_pairs(), 9, &plan, 100 * MS - 1);
    plan.episodes.clear();
    let without = run_until(&two_pairs(), 9, &plan, 100 * MS - 1);
    assert_eq!(with.digest.nodes(), without.digest.nodes());
}

#[test]
fn a_draw_more_in_one_node_leaves_the_choices_of_others_as_they_were() {
    let base = run_until(&two_pairs(), 4, &calm(4), SECOND);
    let more = run_until(&two_pairs_with_a_draw(), 4, &calm(4), SECOND);
    let (base, more) = (base.digest.nodes(), more.digest.nodes());
    assert_ne!(base[0], more[0]);
    assert_eq!(base[2..4], more[2..4]);
}

#[test]
fn a_fault_that_is_switched_off_moves_no_choice_of_another() {
    // With loss off nothing is drawn for it; latencies are the same either way, so the first
    // message that is not lost arrives at the same time.
    let mut lossy = calm(4);
    lossy.weather.loss_ppm = 1;
    let with = run_until(&two_pairs(), 4, &lossy, SECOND);
    let without = run_until(&two_pairs(), 4, &calm(4), SECOND);
    assert_eq!(with.faults[squall::Fault::Loss as usize].fired, 0);
    assert_eq!(with.digest.nodes(), without.digest.nodes());
}

#[test]
fn watching_changes_nothing() {
    let plan = only(squall::Fault::Crash);
    let quiet = run_until(&probe(), 3, &plan, SECOND).digest;
    let watch = squall::Watch { log: true, until_ns: SECOND, ..squall::Watch::default() };
    assert_eq!(squall::run_plan(&probe(), 3, &plan, watch).digest, quiet);
    let unchecked = squall::Watch { until_ns: SECOND, ..squall::Watch::unchecked() };
    assert_eq!(squall::run_plan(&probe(), 3, &plan, unchecked).digest, quiet);
}

#[test]
fn what_other_runs_of_the_thread_have_left_changes_nothing() {
    for row in TABLE {
        let digest = || run_until(&probe(), 5, &only(row.fault), SECOND).digest;
        // Here every fault comes after all of those before it, and there it is the first.
        let alone = std::thread::scope(|scope| scope.spawn(digest).join()).expect("it ends");
        assert_eq!(digest(), alone, "{}", row.name);
    }
}

#[test]
fn tasks_that_are_ready_together_run_in_another_order_under_another_seed() {
    use std::sync::Mutex;
    let orders: std::collections::BTreeSet<Vec<u8>> = (0..20)
        .map(|seed| {
            let order: &'static Mutex<Vec<u8>> = crate::probe::notes();
            let names = ["a", "b", "c", "d"];
            let scenario =
                Scenario::new("test/order").nodes("node", 1..=1, move |env: Env| async move {
                    for (number, name) in names.into_iter().enumerate() {
                        env.spawn(name, async move { order.lock().unwrap().push(number as u8) });
                    }
                    std::future::pending::<Result<(), String>>().await
                });
            run_until(&scenario, seed, &calm(1), SECOND);
            order.lock().unwrap().clone()
        })
        .collect();
    assert!(orders.iter().all(|order| order.len() == 4));
    assert!(orders.len() > 5, "{orders:?}");
}
