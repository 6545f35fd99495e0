//! What each fault of nodes, disks and links does, exactly.

use crate::probe::{MS, SECOND, calm, crash, episode, notes, run_until};
use squall::plan::{Episode, Kind, Latency, Plan};
use squall::table::TABLE;
use squall::{Fault, Most, Scenario, Tolerance};
use squall_env::disk::{DiskError, Done, Operation, Slot};
use squall_env::{Env, Port, View};
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

type Seen<T> = &'static Mutex<Vec<T>>;

fn anything() -> Tolerance {
    let all = Tolerance::nothing().impaired("node", Most::Any);
    TABLE.iter().fold(all, |tolerance, row| tolerance.fault(row.fault))
}

/// Runs a role on so many nodes and gives what it noted.
fn run<T, F, Fut>(nodes: u16, episodes: Vec<Episode>, plan: Plan, serve: F) -> Vec<T>
where
    T: Clone + Send + 'static,
    F: Fn(Env, Seen<T>) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<(), DiskError>> + Send + 'static,
{
    let seen: Seen<T> = notes();
    let plan = Plan { episodes, ..plan };
    let scenario = Scenario::new("test/weather")
        .nodes("node", nodes..=nodes, move |env: Env| serve(env, seen))
        .tolerates(anything());
    let outcome = run_until(&scenario, 3, &plan, 5 * SECOND);
    assert_eq!(outcome.failure, None);
    seen.lock().unwrap().clone()
}

fn node(n: u16) -> String {
    format!("node-{n}")
}

fn steady(nodes: u16) -> Plan {
    let mut plan = calm(nodes);
    plan.weather.latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan.weather.disk_latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan.weather.sync_latency = Latency::Uniform { low_ns: MS, high_ns: MS };
    plan
}

async fn for_ever() -> Result<(), DiskError> {
    std::future::pending().await
}

/// Node 1 sends a hundred numbered messages to node 2, a millisecond apart, and node 2 to node 1;
/// each notes itself, the number and when (since its start) it came.
async fn exchange(env: Env, seen: Seen<(u16, u8, u64)>) -> Result<(), DiskError> {
    let (start, me) = (env.now(), env.me().ordinal());
    let mut socket = env.bind(Port::named("pair")).map_err(|_| DiskError::Stopped)?;
    let to = env.addresses("node", socket.port())[usize::from(2 - me)];
    let sender = env.clone();
    env.spawn("send", async move {
        for number in 0..100u8 {
            sender.platform().send(Port::named("pair"), to, 0, &[number; 9]);
            sender.sleep(Duration::from_millis(1)).await;
        }
    });
    let mut buffer = Vec::new();
    while socket.receive(&mut buffer).await.is_ok() {
        let since = (env.now() - start).as_nanos() as u64;
        seen.lock().unwrap().push((me, buffer[0], since));
    }
    Ok(())
}

fn exchanged(kind: Kind, plan: Plan) -> [Vec<(u8, u64)>; 2] {
    let seen = run(2, vec![episode(1, kind, 20 * MS, 30 * MS)], plan, exchange);
    [1, 2].map(|me| {
        let mine = seen.iter().filter(|(node, _, _)| *node == me);
        mine.map(|(_, number, at)| (*number, *at)).collect()
    })
}

/// How much later than after a millisecond each message came.
fn delays(received: &[(u8, u64)]) -> Vec<u64> {
    assert_eq!(received.len(), 100, "nothing is lost");
    let mut sorted = received.to_vec();
    sorted.sort_unstable();
    sorted.iter().map(|(number, at)| at - (u64::from(*number) + 1) * MS).collect()
}

#[test]
fn a_clogged_link_holds_what_is_sent_until_the_clog_is_over() {
    let [back, there] = exchanged(Kind::ClogLink { nodes: vec![node(1), node(2)] }, steady(2));
    assert!(delays(&back).iter().all(|delay| *delay == 0), "the other way is free");
    for (number, delay) in delays(&there).into_iter().enumerate() {
        let number = number as u64;
        let wanted = if (20..50).contains(&number) { (50 - number) * MS } else { 0 };
        assert_eq!(delay, wanted, "message {number}");
    }
}

#[test]
fn a_clogged_node_neither_hears_nor_is_heard_until_the_clog_is_over() {
    for received in exchanged(Kind::ClogNode { node: node(2) }, steady(2)) {
        assert_eq!(delays(&received).iter().filter(|delay| **delay > 0).count(), 30);
    }
}

#[test]
fn nodes_are_clogged_and_freed_at_different_times_within_the_episode() {
    let [one, other] = exchanged(Kind::SwizzleClog { nodes: vec![node(1), node(2)] }, steady(2))
        .map(|r| delays(&r));
    assert_eq!(one, other, "every link is of both nodes");
    let held: Vec<usize> = (0..100).filter(|number| one[*number] > 0).collect();
    assert!(!held.is_empty() && held.iter().all(|number| (20..50).contains(number)), "{held:?}");
}

#[test]
fn a_link_carries_its_bytes_one_after_the_other() {
    let mut plan = steady(2);
    plan.weather.bandwidth = 4_500;
    let [_, there] = exchanged(Kind::Pause { node: node(9) }, plan);
    for (number, delay) in delays(&there).into_iter().enumerate() {
        // Nine bytes take 2 ms, and one more message waits with every millisecond.
        assert_eq!(delay, (number as u64 + 2) * MS);
    }
}

#[test]
fn a_full_socket_drops_what_comes() {
    let mut plan = steady(2);
    plan.weather.mailbox_max = 5;
    let seen = run(2, Vec::new(), plan, |env, seen: Seen<u8>| async move {
        let mut socket = env.bind(Port::named("deaf")).map_err(|_| DiskError::Stopped)?;
        let to = env.addresses("node", socket.port())[1];
        if env.me().ordinal() == 1 {
            (0..20u8).for_each(|number| socket.send(to, &[number]));
            return for_ever().await;
        }
        env.sleep(Duration::from_millis(100)).await;
        let mut buffer = Vec::new();
        while socket.receive(&mut buffer).await.is_ok() {
            seen.lock().unwrap().push(buffer[0]);
        }
        Ok(())
    });
    assert_eq!(seen.len(), 5);
}

struct Leads;

#[test]
fn the_leader_of_the_moment_is_cut_off() {
    let reached: Seen<(u16, u16)> = notes();
    let scenario = Scenario::new("test/leader")
        .nodes("node", 3..=3, move |env: Env| async move {
            let me = env.me().ordinal();
            if me == 3 {
                env.show("leads", Leads);
            }
            let mut socket = env.bind(Port::named("l")).map_err(|e| e.to_string())?;
            env.sleep(Duration::from_millis(100)).await;
            for to in env.addresses("node", socket.port()) {
                socket.send(to, &[me as u8]);
            }
            let mut buffer = Vec::new();
            while socket.receive(&mut buffer).await.is_ok() {
                reached.lock().unwrap().push((u16::from(buffer[0]), me));
            }
            Ok::<(), String>(())
        })
        .leader(|| |view: &View<'_>| view.up::<Leads>().next().map(|leads| leads.node))
        .tolerates(anything());
    let mut plan = steady(3);
    plan.episodes = vec![episode(1, Kind::IsolateLeader {}, 50 * MS, 100 * MS)];
    let outcome = run_until(&scenario, 1, &plan, SECOND);
    assert_eq!(outcome.faults[Fault::IsolateLeader as usize].fired, 1);
    let mut reached = reached.lock().unwrap().clone();
    reached.sort_unstable();
    assert_eq!(reached, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3)]);
}

#[test]
fn a_crash_loop_crashes_so_many_times_and_ends_in_time() {
    let kind = Kind::CrashLoop { node: node(1), power_loss: true, times: 4 };
    let seen = run(1, vec![episode(1, kind, SECOND, SECOND)], steady(1), |env, seen| async move {
        env.ready();
        seen.lock().unwrap().push(env.now().as_nanos());
        for_ever().await
    });
    let after: Vec<u64> = seen.iter().map(|at| (at - seen[0]) / MS).collect();
    assert_eq!(after, [0, 1_125, 1_375, 1_625, 1_875]);
}

#[test]
fn a_node_that_is_asked_to_stop_may_finish_its_work() {
    let kind = Kind::GracefulStop { node: node(1), grace_ns: 100 * MS };
    let wait = |env: Env, seen: Seen<&'static str>, work: u64| async move {
        env.ready();
        let cached = env.read_file("cached").await?.is_some();
        seen.lock().unwrap().push(if cached { "cached" } else { "new" });
        env.open_file("cached", true).await?.write_at(0, vec![1]).await?;
        env.stopping().await;
        seen.lock().unwrap().push("asked");
        env.sleep(Duration::from_millis(work)).await;
        seen.lock().unwrap().push("done");
        Ok(())
    };
    let episodes = vec![episode(1, kind, SECOND, SECOND)];
    let seen = run(1, episodes.clone(), steady(1), move |env, seen| wait(env, seen, 50));
    assert_eq!(seen, ["new", "asked", "done", "cached"]);
    let seen = run(1, episodes, steady(1), move |env, seen| wait(env, seen, 150));
    assert_eq!(seen, ["new", "asked", "cached"], "whoever does not stop is stopped");
}

/// How much time goes by for a node over an episode of 300 ms, by its monotonic clock.
fn elapsed(kind: Kind) -> u64 {
    let kinds = vec![episode(1, kind, 100 * MS, 300 * MS)];
    let seen = run(1, kinds, steady(1), |env, seen| async move {
        env.ready();
        let start = env.now();
        env.sleep(Duration::from_millis(200)).await;
        seen.lock().unwrap().push((env.now() - start).as_nanos() as u64);
        for_ever().await
    });
    seen[0] / MS
}

#[test]
fn the_clock_of_a_suspended_node_stands_still_and_that_of_a_paused_one_does_not() {
    assert_eq!(elapsed(Kind::Suspend { node: node(1) }), 200);
    assert_eq!(elapsed(Kind::Pause { node: node(1) }), 400);
}

#[test]
fn a_slow_node_is_late_with_everything_and_early_with_nothing() {
    let kind = Kind::SlowNode { node: node(1), by_ns: 50 * MS };
    let seen = run(1, vec![episode(1, kind, 0, SECOND)], steady(1), |env, seen| async move {
        env.ready();
        for _ in 0..20 {
            let start = env.now();
            env.sleep(Duration::from_millis(1)).await;
            seen.lock().unwrap().push((env.now() - start).as_nanos() as u64);
        }
        for_ever().await
    });
    assert!(seen.iter().all(|took| (MS..=51 * MS).contains(took)), "{seen:?}");
    assert!(seen.iter().any(|took| *took > 20 * MS), "{seen:?}");
}

/// Writes and syncs a file at the first boot, and notes what later boots find.
async fn remember(env: Env, seen: Seen<Option<Vec<u8>>>) -> Result<(), DiskError> {
    env.ready();
    let found = env.read_file("f").await?;
    seen.lock().unwrap().push(found.clone());
    if found.is_none() {
        env.replace_file("f", vec![env.me().ordinal() as u8; 600]).await?;
    }
    for_ever().await
}

#[test]
fn a_wiped_node_has_an_empty_disk() {
    let kind = Kind::Wipe { node: node(1) };
    let seen = run(1, vec![episode(1, kind, SECOND, SECOND)], steady(1), remember);
    assert_eq!(seen, [None, None]);
}

#[test]
fn swapped_disks_are_put_right_at_the_end() {
    let kind = Kind::SwappedDisks { nodes: vec![node(1), node(2)] };
    let one = run(2, vec![episode(1, kind, SECOND, SECOND)], steady(2), |env, seen| async move {
        let one = env.me().ordinal() == 1;
        remember(env, if one { seen } else { notes() }).await
    });
    assert_eq!(one, [None, Some(vec![2; 600]), Some(vec![1; 600])]);
}

#[test]
fn an_old_disk_holds_what_was_durable_when_it_was_copied() {
    let kind = Kind::OldDisk { node: node(1), age_ns: SECOND };
    let seen = run(1, vec![episode(1, kind, SECOND, SECOND)], steady(1), |env, seen| async move {
        env.ready();
        let found = env.read_file("f").await?;
        seen.lock().unwrap().push(found.clone());
        if found.is_none() {
            env.replace_file("f", b"old".to_vec()).await?;
            env.sleep(Duration::from_millis(1_500)).await;
            env.replace_file("f", b"new".to_vec()).await?;
        }
        for_ever().await
    });
    assert_eq!(seen, [None, Some(b"old".to_vec())]);
}

fn lying(crash_at: u64) -> Vec<Option<Vec<u8>>> {
    let mut plan = steady(1);
    plan.weather.lost_writes = true;
    plan.weather.lost_entries = true;
    let lie = episode(1, Kind::LyingSync { node: node(1) }, 0, SECOND);
    let mut all = Vec::new();
    for salt in 0..8 {
        let episodes = vec![lie.clone(), episode(2, crash("node-1"), crash_at, 100 * MS)];
        all.extend(run(1, episodes, Plan { salt, ..plan.clone() }, remember).pop());
    }
    all
}

#[test]
fn what_a_lying_sync_reported_is_lost_with_the_power_and_kept_once_it_was_made_good() {
    let kept = Some(vec![1; 600]);
    assert!(lying(SECOND / 2).iter().any(|found| *found != kept));
    assert!(lying(2 * SECOND).iter().all(|found| *found == kept));
}

#[test]
fn rotten_bits_are_few_and_all_in_one_sector() {
    let kind = Kind::BitRot { node: node(1) };
    let seen = run(1, vec![episode(1, kind, SECOND, 1)], steady(1), |env, seen| async move {
        env.ready();
        env.replace_file("f", vec![0; 5_000]).await?;
        env.sleep(Duration::from_secs(2)).await;
        let content = env.read_file("f").await?.unwrap_or_default();
        seen.lock().unwrap().push(content);
        for_ever().await
    });
    let rotten: Vec<usize> = (0..5_000).filter(|at| seen[0][*at] != 0).collect();
    let flips: u32 = seen[0].iter().map(|byte| byte.count_ones()).sum();
    assert!((1..=8).contains(&flips), "{flips} bits");
    assert_eq!(rotten.first().map(|at| at / 512), rotten.last().map(|at| at / 512));
}

#[test]
fn a_write_that_goes_astray_is_elsewhere_and_not_where_it_should_be() {
    let kind = Kind::MisdirectedWrite { node: node(1) };
    let seen = run(1, vec![episode(1, kind, SECOND, 1)], steady(1), |env, seen| async move {
        env.ready();
        env.replace_file("other", vec![1; 3_000]).await?;
        env.sleep(Duration::from_secs(2)).await;
        let mut file = env.open_file("f", true).await?;
        file.write_at(0, vec![2; 100]).await?;
        for path in ["f", "other"] {
            let content = env.read_file(path).await?.unwrap_or_default();
            seen.lock().unwrap().push(content);
        }
        for_ever().await
    });
    assert!(seen[0].is_empty(), "it is not where it should be");
    assert_eq!(seen[1].iter().filter(|byte| **byte == 2).count(), 100);
    assert_eq!(seen[1].len(), 3_000);
}

#[test]
fn on_a_full_disk_nothing_grows_and_the_rest_goes_on() {
    let kind = Kind::DiskFull { node: node(1) };
    let seen = run(1, vec![episode(1, kind, SECOND, SECOND)], steady(1), |env, seen| async move {
        env.ready();
        let mut file = env.open_file("f", true).await?;
        for _ in 0..3 {
            let grown = file.write_at(file.length(), vec![1; 10]).await;
            let made = env.open_file(&format!("f{:?}", env.now()), true).await.map(drop);
            let over = file.write_at(0, vec![2; 5]).await;
            seen.lock().unwrap().push((grown, made, over));
            env.sleep(Duration::from_secs(1)).await;
        }
        for_ever().await
    });
    let full = Err(DiskError::NoSpace);
    assert_eq!(
        seen,
        [(Ok(()), Ok(()), Ok(())), (full.clone(), full, Ok(())), (Ok(()), Ok(()), Ok(()))]
    );
}

#[test]
fn a_slow_disk_takes_so_many_times_as_long() {
    let kind = Kind::SlowDisk { node: node(1), factor: 30 };
    let seen =
        run(1, vec![episode(1, kind, 500 * MS, SECOND)], steady(1), |env, seen| async move {
            env.ready();
            let mut file = env.open_file("f", true).await?;
            for _ in 0..3 {
                let start = env.now();
                file.write_at(0, vec![1]).await?;
                seen.lock().unwrap().push((env.now() - start).as_nanos() as u64 / MS);
                env.sleep(Duration::from_secs(1)).await;
            }
            for_ever().await
        });
    assert_eq!(seen, [1, 30, 1]);
}

#[test]
fn a_short_read_gives_a_part_and_a_file_reads_on() {
    let mut plan = steady(1);
    plan.weather.short_io_ppm = 500_000;
    let seen = run(1, Vec::new(), plan, |env, seen| async move {
        env.replace_file("f", (0..100).collect()).await?;
        let (path, create, mut slot) = ("f".to_owned(), false, Slot::default());
        let opened = slot.run(env.platform(), Operation::Open { path, create }).await?;
        let Done::Opened { file, .. } = opened else { return Err(DiskError::Stopped) };
        for _ in 0..40 {
            let read = Operation::Read { file, offset: 10, length: 50, buffer: Vec::new() };
            let Done::Buffer(bytes) = slot.run(env.platform(), read).await? else { continue };
            assert_eq!(bytes, (10..10 + bytes.len() as u8).collect::<Vec<u8>>());
            seen.lock().unwrap().push(bytes.len());
            assert_eq!(env.read_file("f").await?, Some((0..100).collect()));
        }
        Ok(())
    });
    assert!(seen.iter().all(|length| (1..=50).contains(length)));
    let short = seen.iter().filter(|length| **length < 50).count();
    assert!((8..35).contains(&short), "{short} of 40");
}

#[test]
fn late_timers_are_late_within_their_bound_and_never_early() {
    let mut plan = steady(1);
    plan.weather.late_timers_ppm = 300_000;
    plan.weather.late_timers_ns = 40 * MS;
    let seen = run(1, Vec::new(), plan, |env, seen| async move {
        for _ in 0..100 {
            let start = env.now();
            env.sleep(Duration::from_millis(5)).await;
            seen.lock().unwrap().push((env.now() - start).as_nanos() as u64);
        }
        Ok(())
    });
    assert!(seen.iter().all(|took| (5 * MS..=45 * MS).contains(took)));
    let late = seen.iter().filter(|took| **took > 5 * MS).count();
    assert!((15..50).contains(&late), "{late} of 100");
}

/// What the wall clock of node 1 shows more than its first look and the true time since, every
/// 10 ms.
fn wall(episodes: Vec<Episode>, plan: Plan) -> Vec<i64> {
    run(1, episodes, plan, |env, seen| async move {
        let (start, first) = (env.now(), env.wall().as_unix_nanos());
        for _ in 0..30 {
            env.sleep(Duration::from_millis(10)).await;
            let since = (env.now() - start).as_nanos() as i64;
            seen.lock().unwrap().push((env.wall().as_unix_nanos() - first - since) / MS as i64);
        }
        Ok(())
    })
}

#[test]
fn a_strobe_moves_the_wall_clock_to_and_fro_and_leaves_it_right() {
    let kind = Kind::WallStrobe { node: node(1), by_ns: SECOND as i64, every_ns: 30 * MS };
    let seen = wall(vec![episode(1, kind, 95 * MS, 100 * MS)], steady(1));
    let mut wanted = vec![0; 30];
    wanted[9..12].fill(1_000);
    wanted[15..18].fill(1_000);
    assert_eq!(seen, wanted);
}

#[test]
fn a_step_lasts() {
    let kind = Kind::WallStep { node: node(1), by_ns: SECOND as i64 };
    let seen = wall(vec![episode(1, kind, 95 * MS, 1)], steady(1));
    assert_eq!((seen[8], seen[9], seen[29]), (0, 1_000, 1_000));
}
