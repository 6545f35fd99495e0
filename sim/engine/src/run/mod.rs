//! One run of a scenario: a pure function of build, scenario, seed and plan.

mod bodies;
mod guard;
mod outcome;
mod panics;
mod properties;
mod shown;
mod verdicts;
mod watch;
mod watchdog;

use crate::check::{Evidence, Operations, Trial};
use crate::client::Client;
use crate::conditions::Struck;
use crate::digest::Digest;
use crate::events;
use crate::failure::{Class, Failure};
use crate::plan::{Matched, Plan, Reroll};
use crate::scenario::{Exit, FINISHES, Scenario, Start};
use crate::table::{Counter, Fault, FaultSet};
use crate::trace::{Caused, Log};
pub use crate::world::Combined;
use crate::world::{
    Boot, Features, Installed, Line, Outside, Recorded, Recorder, Steps, TaskId, World, with,
};
use bodies::Bodies;
use guard::{drop_places, drop_quietly, guarded};
use properties::Properties;
use squall_env::shown::AuditMoment;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
pub use watch::Watch;

#[cfg(feature = "cli")]
pub(crate) use watchdog::{HANG, POLL_MAX_VARIABLE};

/// So often a plan is run at most, each time with other names for messages that were not found. Of
/// three names it takes three runs; more only if other messages show other ones the less.
const NAMINGS: u32 = 16;

const MARK_HEAL: u32 = 0;
const MARK_LATE: u32 = 1;
const MARK_GOAL: u32 = 2;
const MARK_REROLL: u32 = 3;

/// What came of a run.
pub struct Outcome {
    /// What happened, in one number for each node.
    pub digest: Digest,
    /// The first thing that went wrong.
    pub failure: Option<Failure>,
    /// When it ended, in nanoseconds of its own time.
    pub end_ns: u64,
    /// How many events there were.
    pub events: u64,
    /// How many datagrams were sent.
    pub messages: u64,
    /// How the operations of all histories ended.
    pub operations: Operations,
    /// How often each fault struck or was refused.
    pub faults: [Counter; Fault::COUNT],
    /// The faults that the plan has.
    pub configured: FaultSet,
    /// The situations that were reached, with how often.
    pub sometimes: Vec<(&'static str, u64)>,
    /// The combinations in which situations with several sides were reached.
    pub combined: Vec<Combined>,
    /// How high each watermark came.
    pub watermarks: Vec<(&'static str, u64)>,
    /// How many of the plan's overrides matched, by what.
    pub overrides: Matched,
    /// The places in the plan of the overrides that matched nothing, in no order.
    pub missed: Vec<usize>,
    /// What it was made of, if that was asked for.
    pub recorded: Option<Recorded>,
    /// The I/O steps of each node, in roster order, if they were counted.
    pub steps: Vec<Steps>,
    /// What the run has reached and when at first, if somebody wants to know.
    pub(crate) reached: Vec<(u64, u64)>,
    /// When episodes struck, by their ids.
    pub(crate) struck: Vec<(u32, u64)>,
    pub(crate) log: Vec<Line>,
    caused: Option<Caused>,
    evidence: Option<Evidence>,
    strikes: Arc<[Struck]>,
}

/// Runs a scenario with the plan of its seed.
pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
    run_plan(scenario, seed, &scenario.plan(seed), Watch::default())
}

/// Runs a scenario with this seed and plan.
///
/// A plan with overrides that match nothing is run again with other names for their messages, as
/// far as they have any, at most 15 times; the outcome is that of the last run.
///
/// # Panics
/// If a run is under way in this thread.
pub fn run_plan(scenario: &Scenario, seed: u64, plan: &Plan, watch: Watch) -> Outcome {
    let log = match (watch.causes, watch.log) {
        (true, _) => Some(Log::caused()),
        (false, true) => Some(Log::kept()),
        (false, false) => None,
    };
    run_logged(scenario, seed, plan, watch, log)
}

/// As [`run_plan`], with another log than the one that is kept.
pub(crate) fn run_logged(
    scenario: &Scenario,
    seed: u64,
    plan: &Plan,
    watch: Watch,
    log: Option<Log>,
) -> Outcome {
    if !plan.has_next_names() {
        return run_once(scenario, seed, plan, watch, log);
    }
    let mut plan = plan.clone();
    for _ in 1..NAMINGS {
        let outcome = run_once(scenario, seed, &plan, watch, None);
        match plan.with_next_names(&outcome.missed) {
            Some(next) => plan = next,
            None if log.is_some() => break,
            None => return outcome,
        }
    }
    run_once(scenario, seed, &plan, watch, log)
}

fn run_once(
    scenario: &Scenario,
    seed: u64,
    plan: &Plan,
    watch: Watch,
    log: Option<Log>,
) -> Outcome {
    panics::install();
    let clients = scenario.client_roles();
    let mut world = World::new(seed, plan, &clients, (scenario.budget(plan), scenario.bounds));
    world.tolerated = scenario.tolerance.faults();
    let _listening = events::listen(log.as_ref().and_then(Log::filter));
    world.set_recorder(watch.record.then(Recorder::default));
    world.set_log(log);
    world.noted.features = watch.reach.then(Features::default);
    for (mark, reroll) in (MARK_REROLL..).zip(&plan.rerolls) {
        match reroll.from_ns {
            0 => world.reroll(reroll.salt),
            at_ns => world.mark_at(at_ns, mark),
        }
    }
    if watch.steps {
        world.count_steps();
    }
    world.mark_at(plan.heal_at_ns, MARK_HEAL);
    for node in 0..world.nodes.len() as u32 {
        world.outside.push(Outside::Boot(node));
    }
    if !world.script_is_over() {
        world.outside.push(Outside::Script);
    }
    let _installed = Installed::new(world);
    let _inside = panics::Inside::new();
    let trials = scenario.judges.iter().map(|judge| judge.begin()).collect();
    let mut run = Run {
        scenario,
        trials: Arc::new(trials),
        properties: Properties::new(scenario, watch),
        rerolls: plan.rerolls.clone(),
        has_clients: !clients.is_empty(),
        watchdog: watchdog::Watch::new(&scenario.name, seed),
        bodies: Bodies::default(),
        outside: Vec::new(),
        watch,
    };
    run.drive();
    run.finish(plan)
}

struct Run<'a> {
    scenario: &'a Scenario,
    trials: Arc<Vec<Box<dyn Trial>>>,
    properties: Properties,
    /// When choices are drawn anew.
    rerolls: Vec<Reroll>,
    has_clients: bool,
    watchdog: watchdog::Watch,
    bodies: Bodies,
    outside: Vec<Outside>,
    watch: Watch,
}

/// What the loop does next, with the world left.
enum Step {
    Outside,
    Check,
    Poll(TaskId),
    Mark(u32),
    Livelock,
    Idle,
    End,
}

#[inline]
fn next_step(world: &mut World, until: u64) -> Step {
    loop {
        if world.failure.is_some() {
            return Step::End;
        }
        if !world.outside.is_empty() {
            return Step::Outside;
        }
        if world.dirty != 0 {
            return Step::Check;
        }
        if !world.ready.is_empty() {
            if world.is_livelock() {
                return Step::Livelock;
            }
            if let Some(id) = world.next_task() {
                return Step::Poll(id);
            }
        }
        if let Some(mark) = world.mark {
            world.mark = None;
            return Step::Mark(mark);
        }
        if !world.next_event(until) {
            return if world.next_time().is_some() { Step::End } else { Step::Idle };
        }
    }
}

impl Run<'_> {
    fn drive(&mut self) {
        let until = self.watch.until_ns;
        let mut polled = None;
        loop {
            let (mut over, mut step) = (false, Step::End);
            with(|world| {
                over = polled.is_some_and(|(id, finished)| world.polled(id, finished));
                // The future of a task that is over is user code's: it goes outside, first of all,
                // and dropping it may change things, so nothing is taken up before.
                step = match over {
                    true if world.failure.is_none() => Step::Outside,
                    true => Step::End,
                    false => next_step(world, until),
                };
            });
            if let Some((id, finished)) = polled.take().filter(|_| over) {
                self.bodies.drop_of(id.slot, finished);
            }
            match step {
                Step::Poll(id) => {
                    polled = Some((id, self.bodies.poll(id, &self.watchdog)));
                    continue;
                }
                Step::Outside => self.work_outside(),
                Step::Check => self.properties.check(),
                Step::Mark(mark) => self.mark(mark),
                Step::Livelock => verdicts::livelock(),
                Step::Idle => {
                    self.idle();
                    return;
                }
                Step::End => return,
            }
            if self.goals_met() {
                return;
            }
        }
    }

    fn work_outside(&mut self) {
        with(|world| std::mem::swap(&mut world.outside, &mut self.outside));
        let mut work = std::mem::take(&mut self.outside);
        for item in work.drain(..) {
            self.do_outside(item);
        }
        // What this brought up is in the world's own list; the buffer is used again.
        self.outside = work;
    }

    fn do_outside(&mut self, item: Outside) {
        match item {
            Outside::Wake(waker) => guarded(|| waker.wake()),
            Outside::DropWaker(waker) => guarded(|| drop(waker)),
            Outside::Complete(done, result) => guarded(|| done.complete(result)),
            Outside::DropCompletion(done) => guarded(|| drop(done)),
            Outside::Answered => {}
            Outside::DropFuture(future) => drop_quietly(future),
            Outside::DropTask(slot) => self.bodies.drop_of(slot, false),
            Outside::Work(work) => guarded(work),
            Outside::Boot(node) => self.boot(node),
            Outside::FindLeader(slot) => {
                let leader = self.properties.leader();
                with(|world| world.isolate_leader(slot, leader));
            }
            Outside::Audit(moment) => self.properties.audit(moment),
            Outside::Script => {
                with(World::play_on);
            }
            Outside::Remains { node, places, audit } => {
                if audit {
                    self.properties.audit_remains(node, &places);
                }
                drop_places(places);
            }
        }
    }

    /// Starts a role anew.
    fn boot(&mut self, node: u32) {
        let Some(Boot { env, node, token }) = with(|world| world.boot(node)) else { return };
        let role = &self.scenario.roles[usize::from(env.me().role())];
        let trials = Arc::clone(&self.trials);
        let exit = Exit { node, token };
        let started = catch_unwind(AssertUnwindSafe(|| match &role.start {
            Start::Node(start) => start(env, exit),
            Start::Client(start) => {
                env.ready();
                start(Client::in_world(env, (node, token), trials), exit)
            }
        }));
        let Ok(task) = started else {
            let panic = panics::take();
            with(|world| world.panicked_at(node, &panic));
            return;
        };
        with(|world| world.spawn(node, "main", task));
    }

    fn mark(&mut self, mark: u32) {
        match mark {
            MARK_HEAL => {
                let bound = self.scenario.finish_within.as_nanos() as u64;
                with(|world| {
                    world.heal();
                    world.mark_at(world.now + bound, MARK_LATE);
                    for (_, within, _) in &self.scenario.goals {
                        world.mark_at(world.now + within.as_nanos() as u64, MARK_GOAL);
                    }
                });
                self.properties.healed();
            }
            MARK_REROLL.. => {
                let reroll = self.rerolls.get((mark - MARK_REROLL) as usize);
                with(|world| reroll.map(|reroll| world.reroll(reroll.salt)));
            }
            MARK_GOAL => {
                let bounds = self.scenario.goals.iter().map(|(name, within, _)| (*name, *within));
                with(|world| {
                    let since = world.now.saturating_sub(world.heal_at);
                    for (name, within) in bounds {
                        let late = since >= within.as_nanos() as u64;
                        if late && !self.properties.reached(name) {
                            world.stuck(Class::Property, name);
                        }
                    }
                });
            }
            _ => {
                with(|world| {
                    if !world.clients_finished() {
                        world.stuck(Class::Property, FINISHES);
                    }
                });
            }
        }
    }

    /// Nothing is left to happen.
    fn idle(&self) {
        let late = self.properties.first_unreached();
        with(|world| match late {
            _ if !world.clients_finished() => world.stuck(Class::Deadlock, FINISHES),
            Some(goal) => world.stuck(Class::Deadlock, goal),
            None => {}
        });
    }

    fn goals_met(&self) -> bool {
        let clients = || {
            with(|world| {
                // What is soonest said comes first: this is asked after almost every event.
                world.ready.is_empty() && world.clients_finished() && world.script_is_over()
            })
        };
        // Without clients a run ends when the faults are over, or whenever it is to be stopped.
        let done = match self.has_clients {
            true => clients().unwrap_or(true),
            false => self.properties.has_healed() && self.watch.until_ns == u64::MAX,
        };
        done && self.properties.all_reached()
    }

    fn finish(mut self, plan: &Plan) -> Outcome {
        let failed = with(|world| world.failure.is_some()).unwrap_or(true);
        if !failed && self.watch.until_ns == u64::MAX {
            with(World::check_script);
            self.properties.check();
            self.properties.audit(AuditMoment::End);
        }
        let (mut operations, mut evidence) = (Operations::default(), None);
        for (judge, trial) in self.scenario.judges.iter().zip(self.trials.iter()) {
            let failed = with(|world| world.failure.is_some()).unwrap_or(true);
            let (judgement, counts) = trial.judge(self.watch.judge && !failed);
            operations.ok += counts.ok;
            operations.fail += counts.fail;
            operations.unknown += counts.unknown;
            if self.watch.causes && !failed {
                evidence = trial.evidence();
            }
            with(|world| world.judged(judge.name(), judgement));
        }
        with(World::note_open_streams);
        let outcome = with(|world| {
            let (overrides, missed) = world.overrides_matched();
            let (log, caused) = world.log.take().map(Log::into_lines).unwrap_or_default();
            Outcome {
                digest: world.digest(),
                failure: world.failure.take(),
                end_ns: world.now,
                events: world.counters.events,
                messages: world.counters.messages,
                operations,
                faults: world.faults,
                configured: configured(plan),
                sometimes: std::mem::take(&mut world.observed.sometimes),
                combined: std::mem::take(&mut world.observed.combined),
                watermarks: std::mem::take(&mut world.observed.watermarks),
                overrides,
                missed,
                recorded: world.take_recorded(plan),
                steps: std::mem::take(&mut world.noted.steps),
                struck: world.struck(),
                reached: world.noted.features.take().map(Features::into_list).unwrap_or_default(),
                log,
                caused,
                evidence,
                strikes: world.conditions().struck,
            }
        });
        let left = with(World::dismantle).unwrap_or_default();
        for item in left {
            self.do_outside(item);
        }
        outcome.expect("the world is installed until the run ends")
    }
}

fn configured(plan: &Plan) -> FaultSet {
    let on = FaultSet::ALL.iter().filter(|fault| plan.configures(*fault));
    on.fold(FaultSet::default(), FaultSet::with)
}
