//! Each load with its plan and its floor, under the name by which benchmarks call it.

use super::baseline::{Floor, Load, MS};
use super::{loads, streams};
use squall::plan::{Episode, Kind, Plan, RoleNodes, When};
use squall::{RunOutcome, Scenario, Watch, run_plan};

/// The names of all cases, in the order in which they are measured.
pub(crate) const NAMES: [&str; 11] = [
    "ping-pong",
    "ping-pong-timeout",
    "all-to-all-5",
    "all-to-all-50",
    "all-to-all-500",
    "timers",
    "spawn",
    "create-drop",
    "stream-ping-pong",
    "stream-bulk",
    "connect",
];

/// A load, as the world and as the floor run it.
pub(crate) struct Case {
    scenario: Scenario,
    plan: Plan,
    load: Load,
    /// How much one run of the benchmark does: milliseconds of simulated time, or worlds.
    pub(crate) length: u64,
}

/// The case of this name.
pub(crate) fn case(name: &str) -> Option<Case> {
    let (scenario, nodes, load, length) = match name {
        "ping-pong" => (loads::ping_pong(), 2, Load::PingPong, 500_000),
        // The floor knows neither limits nor tasks: what they cost is part of the ratio.
        "ping-pong-timeout" => (loads::ping_pong_timeout(), 2, Load::PingPong, 500_000),
        "spawn" => (loads::spawning(), 2, Load::PingPong, 200_000),
        "all-to-all-5" => (loads::all_to_all(5), 5, Load::AllToAll, 20_000),
        "all-to-all-50" => (loads::all_to_all(50), 50, Load::AllToAll, 400),
        "all-to-all-500" => (loads::all_to_all(500), 500, Load::AllToAll, 40),
        "timers" => (loads::timers(), 1_000, Load::Timers, 5_000),
        "create-drop" => (loads::ring(), 5, Load::Ring, 100),
        "stream-ping-pong" => (streams::ping_pong(), 2, Load::PingPong, 500_000),
        "stream-bulk" => (streams::bulk(), 2, Load::Bulk, 10_000),
        "connect" => (streams::connects(), 2, Load::Calls, 200_000),
        _ => return None,
    };
    Some(Case { scenario, plan: calm(nodes), load, length })
}

/// A plan without faults, which heals only when nobody looks any more.
pub(crate) fn calm(nodes: u16) -> Plan {
    Plan::calm(vec![RoleNodes { role: loads::ROLE.to_owned(), nodes }], u64::MAX / 2)
}

/// Which checks a load is run with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Invariants, audits and histories, as in a sweep.
    On,
    /// None of them: [`Watch::unchecked`].
    Off,
}

/// Runs up to a time of the world, without judging histories.
pub(crate) fn run(scenario: &Scenario, seed: u64, plan: &Plan, until_ns: u64) -> RunOutcome {
    let outcome =
        run_plan(scenario, seed, plan, Watch { until_ns, judge: false, ..Watch::default() });
    assert_eq!(outcome.failure, None, "{}", scenario.name());
    outcome
}

impl Case {
    fn nodes(&self) -> u16 {
        self.plan.nodes[0].nodes
    }

    /// Runs it in the world, and gives how many operations it did.
    pub(crate) fn squall(&self, length: u64) -> u64 {
        if self.load == Load::Ring {
            for seed in 0..length {
                let outcome = run(&self.scenario, seed, &self.plan, 1_000 * MS);
                assert_eq!(outcome.messages, 5);
            }
            return length;
        }
        let outcome = run(&self.scenario, 1, &self.plan, until(length));
        match (outcome.messages, self.load) {
            (_, Load::Timers) => outcome.events,
            // Streams send no datagrams.
            (0, _) => streams::take_done(),
            (messages, _) => messages,
        }
    }

    /// Runs it on the floor, and gives how many operations it did.
    pub(crate) fn baseline(&self, length: u64) -> u64 {
        let floor = |seed| Floor::new(seed, u32::from(self.nodes()), self.load);
        if self.load == Load::Ring {
            for seed in 0..length {
                assert_eq!(floor(seed).run(u64::MAX), 5);
            }
            return length;
        }
        floor(1).run(until(length))
    }
}

/// The last nanosecond before a multiple of the period of all-to-all: every message of the rounds
/// before has arrived by then, so that sent and delivered ones are the same number.
fn until(ms: u64) -> u64 {
    ms * MS - 1
}

/// How the register is run under this name.
pub(crate) fn register_case(name: &str) -> Option<(Weather, Checks)> {
    Some(match name {
        "register" => (Weather::Drawn, Checks::On),
        "register-everyday" => (Weather::Everyday, Checks::On),
        "register-everyday-unchecked" => (Weather::Everyday, Checks::Off),
        _ => return None,
    })
}

/// The names of all ways to run the register.
pub(crate) const REGISTERS: [&str; 3] =
    ["register", "register-everyday", "register-everyday-unchecked"];

/// Which plans the register is run with.
#[derive(Clone, Copy)]
pub(crate) enum Weather {
    /// A little of what happens every day: [`everyday`].
    Everyday,
    /// What a sweep draws: a random subset of all faults, most of them far more often.
    Drawn,
}

/// Three replicas and three clients with twenty operations each, of which one message in a hundred
/// is lost and one in a hundred arrives twice; two replicas lose power one after the other, and one
/// is cut off for a while.
fn everyday(seed: u64) -> Plan {
    let roles = ["replica", "client"].map(|role| RoleNodes { role: role.to_owned(), nodes: 3 });
    let mut plan = Plan::calm(roles.to_vec(), 3_000 * MS);
    (plan.weather.loss_ppm, plan.weather.duplication_ppm) = (10_000, 10_000);
    plan.weather.lost_writes = true;
    let node = |nth: u64| format!("replica-{}", (seed + nth) % 3 + 1);
    let kinds = [
        Kind::Crash { node: node(0), power_loss: true },
        Kind::Crash { node: node(1), power_loss: true },
        Kind::IsolateOne { node: node(2) },
    ];
    let episodes = kinds.into_iter().zip(0..).map(|(kind, id)| {
        let from = When::AtNs(u64::from(id) * 500 * MS + seed % 16 * MS);
        Episode { id, kind, from, for_ns: Some(100 * MS) }
    });
    plan.episodes = episodes.collect();
    plan
}

/// Runs the register with these seeds. Gives how many operations its clients finished, and how
/// many events there were.
pub(crate) fn register(
    weather: Weather,
    checks: Checks,
    seeds: std::ops::Range<u64>,
) -> (u64, u64) {
    let watch = match checks {
        Checks::On => Watch::default(),
        Checks::Off => Watch::unchecked(),
    };
    let scenario = squall_scenarios::register::atomic();
    let (mut operations, mut events) = (0, 0);
    for seed in seeds {
        let plan = match weather {
            Weather::Everyday => everyday(seed),
            Weather::Drawn => scenario.plan(seed),
        };
        let outcome = run_plan(&scenario, seed, &plan, watch);
        assert_eq!(outcome.failure, None, "{seed}");
        let ended = outcome.operations;
        operations += (ended.ok + ended.fail + ended.unknown) as u64;
        events += outcome.events;
    }
    (operations, events)
}
