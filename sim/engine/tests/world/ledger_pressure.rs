//! The ledger under pressure. An oracle of its own, which knows only what struck, who is up and
//! ready, and what the nodes themselves saw, counts who is impaired, and is never more lenient than
//! the ledger.

use crate::probe::{MS, SECOND, calm, crash, episode, run_until};
use proptest::prelude::*;
use squall::plan::{Episode, Kind, Plan};
use squall::table::{Group, TABLE};
use squall::{Conditions, Fault, Most, RunOutcome, Scenario, Struck, Tolerance, conditions};
use squall_env::disk::DiskError;
use squall_env::{Either, Env, NodeId, View, race};
use std::collections::BTreeMap;
use std::time::Duration;

const BUDGET: &str = "no more are impaired than the budget allows";

/// What a node shows.
#[derive(Default)]
pub(crate) struct Work {
    /// How many of its syncs were answered well.
    synced: u64,
    /// It has had an error and is about to stop.
    failed: bool,
}

/// A node that recovers for a while, and then writes and syncs; at the first error it stops.
async fn serve(env: Env, ready_after: Duration) -> Result<(), DiskError> {
    let work = env.show("work", Work::default());
    let serving = async {
        let mut log = env.open_file("log", true).await?;
        env.sync_directory("").await?;
        env.sleep(ready_after).await;
        env.ready();
        loop {
            log.append(vec![7; 600]).await?;
            log.sync().await?;
            work.update(&env, |work| work.synced += 1);
            env.sleep(Duration::from_millis(9)).await;
        }
    };
    let served = match race(serving, env.stopping()).await {
        Either::Left(served) => served,
        Either::Right(()) => Ok(()),
    };
    work.update(&env, |work| work.failed = served.is_err());
    env.sleep(Duration::from_millis(4)).await;
    served
}

/// Who is impaired, by another way of counting than the ledger's. It knows less, so it may miss
/// somebody, and never counts a node that is whole.
struct Oracle {
    repairs: bool,
    known: BTreeMap<NodeId, Known>,
    /// Which episodes have done their damage.
    booked: Vec<u32>,
}

#[derive(Default)]
struct Known {
    /// In which boot its disk was last damaged.
    damaged_in: Option<u64>,
    power_losses: u64,
    synced: u64,
    failed: bool,
    /// What it had synced when each of these episodes began.
    since: BTreeMap<u32, u64>,
}

fn impairs(struck: &Struck) -> bool {
    matches!(struck.episode.kind.fault().row().group, Group::Process | Group::Disk)
}

fn takes_down(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Crash { .. }
            | Kind::CrashInRecovery { .. }
            | Kind::CrashLoop { .. }
            | Kind::GracefulStop { .. }
            | Kind::Wipe { .. }
            | Kind::OldDisk { .. }
    )
}

impl Oracle {
    fn new(repairs: bool) -> Oracle {
        Oracle { repairs, known: BTreeMap::new(), booked: Vec::new() }
    }

    fn look(&mut self, view: &View<'_>, now: &Conditions, name: &dyn Fn(NodeId) -> String) {
        // A power loss takes what was said to be synced while the disk lied.
        for node in &now.nodes {
            let known = self.known.entry(node.node).or_default();
            if node.power_losses > known.power_losses {
                known.power_losses = node.power_losses;
                let lied = now.struck.iter().any(|struck| {
                    let Kind::LyingSync { node: liar } = &struck.episode.kind else { return false };
                    let before = known.since.get(&struck.episode.id);
                    let open = struck.until_ns.is_none() && *liar == name(node.node);
                    // The first answer may be to a sync from before.
                    open && before.is_some_and(|before| known.synced > before + 1)
                });
                if lied {
                    known.damaged_in = Some(node.boots - u64::from(node.up));
                }
            }
        }
        let mut shown: BTreeMap<NodeId, (u64, bool)> = BTreeMap::new();
        for work in view.up::<Work>() {
            shown.insert(work.node, (work.synced, work.failed));
        }
        for (node, known) in &mut self.known {
            let (synced, failed) = shown.get(node).copied().unwrap_or((known.synced, false));
            (known.synced, known.failed) = (synced, failed);
        }
        for struck in now.struck.iter().filter(|struck| impairs(struck)) {
            self.book(struck, now, name);
        }
        if self.repairs {
            for node in now.nodes.iter().filter(|node| node.up && node.ready) {
                let known = self.known.entry(node.node).or_default();
                known.damaged_in = known.damaged_in.filter(|boot| *boot >= node.boots);
            }
        }
    }

    fn book(&mut self, struck: &Struck, now: &Conditions, name: &dyn Fn(NodeId) -> String) {
        let (id, kind) = (struck.episode.id, &struck.episode.kind);
        for node in &now.nodes {
            if !kind.nodes().contains(&name(node.node)) {
                continue;
            }
            let known = self.known.entry(node.node).or_default();
            let synced = known.synced;
            known.since.entry(id).or_insert(synced);
            let damages = matches!(
                kind,
                Kind::Wipe { .. }
                    | Kind::OldDisk { .. }
                    | Kind::BitRot { .. }
                    | Kind::MisdirectedWrite { .. }
            );
            if damages && !self.booked.contains(&id) {
                known.damaged_in = Some(node.boots);
            }
        }
        self.booked.push(id);
    }

    fn is_impaired(&self, node: NodeId, now: &Conditions, name: &str) -> bool {
        let Some(state) = now.node(node) else { return false };
        let known = &self.known[&node];
        let struck = now.struck.iter().any(|struck| {
            let names = struck.episode.kind.nodes().iter().any(|other| other == name);
            // Whoever is down counts in any case, and may be whole again before a crash loop, say,
            // is over.
            let holds = impairs(struck) && !takes_down(&struck.episode.kind);
            names && holds && struck.until_ns.is_none()
        });
        let down = state.boots > 0 && !state.up;
        let recovering = state.boots > 1 && !state.ready;
        struck || down || recovering || known.failed || known.damaged_in.is_some()
    }
}

/// A system with a budget for the ledger, and one that is looked after.
pub(crate) fn system(
    ready_after: Duration,
    repairs: bool,
    most: Most,
    watched: Option<usize>,
) -> Scenario {
    let mut tolerance = Tolerance::nothing().impaired("node", most);
    for row in TABLE {
        tolerance = tolerance.fault(row.fault);
    }
    if repairs {
        tolerance = tolerance.repairs_disks("node");
    }
    let serve = move |env: Env| async move { serve(env, ready_after).await };
    Scenario::new("test/pressure").nodes("node", 3..=7, serve).tolerates(tolerance).always(
        BUDGET,
        move || {
            let mut oracle = Oracle::new(repairs);
            move |view: &View<'_>| {
                let now = conditions().ok_or("no run is under way")?;
                let name = |node: NodeId| format!("node-{}", node.ordinal());
                oracle.look(view, &now, &name);
                let all = || now.nodes.iter();
                let truly: Vec<NodeId> = all()
                    .map(|node| node.node)
                    .filter(|node| oracle.is_impaired(*node, &now, &name(*node)))
                    .collect();
                if let Some(free) =
                    truly.iter().find(|n| now.node(**n).is_some_and(|n| !n.impaired))
                {
                    return Err(format!("the ledger takes {} for whole", name(*free)));
                }
                let most = watched.or(now.nodes[0].budget).unwrap_or(usize::MAX);
                let booked = now.impaired_beside(now.nodes[0].node);
                match truly.len() > most || (watched.is_none() && booked > most) {
                    true => Err(format!("{truly:?}, and {booked} by the ledger, of {most}")),
                    false => Ok(()),
                }
            }
        },
    )
}

fn of(outcome: &RunOutcome, fault: Fault) -> (u64, u64) {
    let counter = outcome.faults[fault as usize];
    (counter.fired, counter.refused)
}

/// One node of three may be impaired. What came of these episodes, and that the oracle agrees.
fn one_of_three(repairs: bool, episodes: Vec<Episode>) -> RunOutcome {
    let plan = Plan { episodes, ..calm(3) };
    let ready_after = Duration::from_millis(50);
    let scenario = system(ready_after, repairs, Most::Nodes(1), None);
    let outcome = run_until(&scenario, 1, &plan, 4 * SECOND);
    assert_eq!(outcome.failure, None);
    outcome
}

fn node(n: u16) -> String {
    format!("node-{n}")
}

/// Everything that makes a disk forget or mistake something, on node 1 and within 300 ms.
fn damages() -> Vec<Vec<Episode>> {
    let one = || node(1);
    let at = |kind| vec![episode(1, kind, 200 * MS, 50 * MS)];
    vec![
        at(Kind::Wipe { node: one() }),
        at(Kind::OldDisk { node: one(), age_ns: 20 * MS }),
        at(Kind::BitRot { node: one() }),
        at(Kind::MisdirectedWrite { node: one() }),
        vec![
            episode(1, Kind::LyingSync { node: one() }, 100 * MS, 150 * MS),
            episode(3, crash("node-1"), 200 * MS, 20 * MS),
        ],
    ]
}

#[test]
fn a_disk_that_has_forgotten_counts_for_ever_unless_its_role_repairs_it() {
    for damage in damages() {
        // Well after node 1 has come back and has said that it is ready.
        for (later, fault) in [
            (Kind::BitRot { node: node(2) }, Fault::BitRot),
            (Kind::Wipe { node: node(3) }, Fault::Wipe),
            (Kind::SwappedDisks { nodes: vec![node(2), node(3)] }, Fault::SwappedDisks),
        ] {
            let mut episodes = damage.clone();
            let kind = episodes[0].kind.clone();
            let own = u64::from(kind.fault() == fault);
            episodes.push(episode(7, crash("node-1"), SECOND, 50 * MS));
            episodes.push(episode(9, later, 2 * SECOND, 50 * MS));
            let refused = one_of_three(false, episodes.clone());
            assert_eq!(of(&refused, fault), (own, 1), "{kind:?} and {fault:?}");
            let repaired = one_of_three(true, episodes);
            let swap = u64::from(fault == Fault::SwappedDisks);
            assert_eq!(of(&repaired, fault), (own + 1 - swap, swap), "{kind:?} and {fault:?}");
        }
    }
}

#[test]
fn what_rots_after_a_boot_began_is_not_repaired_by_that_boot() {
    // Node 1 is back at 250 ms and ready at 300.
    let episodes = |rot_at| {
        vec![
            episode(1, crash("node-1"), 200 * MS, 50 * MS),
            episode(2, Kind::BitRot { node: node(1) }, rot_at, 1),
            episode(3, Kind::Wipe { node: node(2) }, SECOND, 50 * MS),
        ]
    };
    assert_eq!(of(&one_of_three(true, episodes(225 * MS)), Fault::Wipe), (1, 0));
    assert_eq!(of(&one_of_three(true, episodes(275 * MS)), Fault::Wipe), (0, 1));
}

#[test]
fn swapped_disks_take_two_of_the_budget_at_once_and_until_both_are_whole_again() {
    let swap =
        |id, at| episode(id, Kind::SwappedDisks { nodes: vec![node(1), node(2)] }, at, 100 * MS);
    let one = one_of_three(false, vec![swap(1, 200 * MS)]);
    assert_eq!(of(&one, Fault::SwappedDisks), (0, 1));
    let five = |repairs| {
        let wipe = episode(2, Kind::Wipe { node: node(3) }, SECOND, 50 * MS);
        let plan = Plan { episodes: vec![swap(1, 200 * MS), wipe], ..calm(5) };
        let scenario = system(Duration::from_millis(50), repairs, Most::Minority, None);
        let outcome = run_until(&scenario, 1, &plan, 4 * SECOND);
        assert_eq!(outcome.failure, None);
        assert_eq!(of(&outcome, Fault::SwappedDisks), (1, 0));
        of(&outcome, Fault::Wipe)
    };
    // Each has written on the disk of the other.
    assert_eq!(five(false), (0, 1));
    assert_eq!(five(true), (1, 0));
}

#[test]
fn an_error_on_its_way_counts_until_the_node_has_answered_for_it() {
    // The disk is full for less time than a write takes, and whoever gets the error stops.
    let mut plan = calm(3);
    plan.weather.disk_latency =
        squall::plan::Latency::Uniform { low_ns: 40 * MS, high_ns: 40 * MS };
    let full = |at| episode(1, Kind::DiskFull { node: node(1) }, at, 10 * MS);
    let mut struck = 0;
    for at in 50..90 {
        let stall = Kind::Stall { node: node(2) };
        let episodes = vec![full(10 * at * MS), episode(2, stall, (10 * at + 11) * MS, MS)];
        let plan = Plan { episodes, ..plan.clone() };
        let scenario = system(Duration::from_millis(5), false, Most::Nodes(1), None);
        let outcome = run_until(&scenario, 1, &plan, 2 * SECOND);
        assert_eq!(outcome.failure, None);
        struck += of(&outcome, Fault::Stall).1;
    }
    assert!((1..40).contains(&struck), "{struck} of 40 came while an error was on its way");
}

#[test]
fn whoever_is_asked_to_stop_stops_at_the_latest_when_the_episode_ends() {
    let stop = Kind::GracefulStop { node: node(1), grace_ns: SECOND };
    let episodes = vec![
        episode(1, stop, 200 * MS, 2 * MS),
        episode(2, Kind::Wipe { node: node(2) }, SECOND, 50 * MS),
    ];
    let outcome = one_of_three(false, episodes);
    // It is whole again, and has not finished for good.
    assert_eq!(of(&outcome, Fault::Wipe), (1, 0));
}

fn any_kind(nodes: u16) -> impl Strategy<Value = Kind> {
    let two =
        (1..=nodes, 1..nodes).prop_map(move |(one, step)| [one, (one + step - 1) % nodes + 1]);
    (0..15usize, two, 1..200u64, 2..6u32, any::<bool>()).prop_map(
        |(which, [one, other], ms, times, power_loss)| {
            let (node, nodes) = (node(one), vec![node(one), node(other)]);
            match which {
                0 => Kind::Crash { node, power_loss },
                1 => Kind::CrashInRecovery { node, power_loss },
                2 => Kind::CrashLoop { node, power_loss, times },
                3 => Kind::GracefulStop { node, grace_ns: ms * MS },
                4 => Kind::Pause { node },
                5 => Kind::Suspend { node },
                6 => Kind::SlowNode { node, by_ns: ms * MS },
                7 => Kind::Wipe { node },
                8 => Kind::Stall { node },
                9 => Kind::DiskFull { node },
                10 => Kind::LyingSync { node },
                11 => Kind::BitRot { node },
                12 => Kind::MisdirectedWrite { node },
                13 => Kind::OldDisk { node, age_ns: ms * MS },
                _ => Kind::SwappedDisks { nodes },
            }
        },
    )
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (3..=7u16).prop_flat_map(|nodes| {
        let one = (any_kind(nodes), 50..1_900u64, 1..600u64);
        let rates = (0..3_000u32, 0..3_000u32, any::<bool>());
        (prop::collection::vec(one, 1..40), rates).prop_map(move |(drawn, rates)| {
            let mut plan = calm(nodes);
            plan.heal_at_ns = 2 * SECOND;
            (plan.weather.eio_ppm, plan.weather.sync_failure_ppm, plan.weather.lost_writes) = rates;
            let episodes = drawn
                .into_iter()
                .enumerate()
                .map(|(id, (kind, at, length))| episode(id as u32 + 1, kind, at * MS, length * MS));
            plan.episodes = episodes.collect();
            plan
        })
    })
}

fn any_budget() -> impl Strategy<Value = Most> {
    prop_oneof![Just(Most::Minority), (0..4u16).prop_map(Most::Nodes),]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_plan_impairs_more_than_the_budget(
        plan in any_plan(),
        most in any_budget(),
        repairs in any::<bool>(),
        ready_ms in 0..120u64,
        seed in 0..1_000u64,
    ) {
        let scenario = system(Duration::from_millis(ready_ms), repairs, most, None);
        let outcome = run_until(&scenario, seed, &plan, 5 * SECOND / 2);
        prop_assert_eq!(outcome.failure, None);
    }
}

#[test]
fn without_a_budget_the_oracle_sees_too_many_impaired() {
    let wipe = |n| episode(u32::from(n), Kind::Wipe { node: node(n) }, 200 * MS, 50 * MS);
    let plan = Plan { episodes: vec![wipe(1), wipe(2)], ..calm(3) };
    let seen = |watched| {
        let scenario = system(Duration::from_millis(50), false, Most::Any, Some(watched));
        run_until(&scenario, 1, &plan, SECOND).failure.map(|failure| failure.property)
    };
    assert_eq!(seen(1).as_deref(), Some(BUDGET));
    assert_eq!(seen(2), None);
}

#[test]
fn what_is_refused_is_counted_and_does_nothing() {
    let episodes = || (1..=3).map(|n| episode(n, crash(&node(n as u16)), 200 * MS, 100 * MS));
    let all = one_of_three(false, episodes().collect());
    assert_eq!(of(&all, Fault::Crash), (1, 2));
    let none = {
        let plan = Plan { episodes: episodes().collect(), ..calm(3) };
        let scenario = system(Duration::from_millis(50), false, Most::Nodes(0), None);
        run_until(&scenario, 1, &plan, SECOND)
    };
    assert_eq!(of(&none, Fault::Crash), (0, 3));
}
