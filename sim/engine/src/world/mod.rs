//! The simulated world: one thread, one seed, virtual time.
//!
//! A world is installed in its thread while a run is under way and is reached from there by the
//! handles that nodes hold, which carry only numbers. No user code (a poll, a waker, a destructor,
//! a property) ever runs while the world is borrowed: what has to run is put into `outside` and
//! done by the loop in [`crate::run`].

mod causes;
mod clock;
mod cuts;
mod damage;
mod disk;
mod end;
mod fault;
mod features;
mod files;
mod halt;
mod inode;
mod ledger;
mod net;
mod observed;
mod overrides;
mod perform;
mod platform;
mod play;
mod priorities;
mod process;
mod queue;
mod receive;
mod recorded;
mod runaway;
mod slot;
mod spare;
mod steps;
mod streams;
mod strike;
mod tasks;
mod waits;

pub(crate) use causes::LineId;
pub(crate) use features::{Features, Noted};
pub(crate) use files::{Files, Left};
pub(crate) use inode::Losses;
pub(crate) use ledger::{Allowance, Budget};
pub use observed::Combined;
pub(crate) use observed::Line;
pub(crate) use platform::Platform;
pub(crate) use play::poll_cue;
pub(crate) use process::{Boot, Node, State};
use process::{draw_nodes, settle};
pub(crate) use recorded::Recorder;
pub use recorded::{Recorded, RecordedMessage};
pub(crate) use runaway::{Bounds, Census};
pub use steps::Steps;
pub(crate) use tasks::{Body, TaskId};

use crate::choice::{Choices, Entity};
use crate::digest::{Code, Digest, NodeDigest};
use crate::failure::Failure;
use crate::plan::{Matched, Plan, Weather};
use crate::table::{Counter, Fault, FaultSet};
use crate::trace::Log;
use queue::{Counts, Event, Kind, Queue, Slab};
use spare::Spare;
use squall_env::disk::{Completion, DiskError, Done};
use squall_env::platform::BoxFuture;
use squall_env::shown::{AuditMoment, Place};
use squall_env::{NodeId, Roster};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::Waker;

thread_local! {
    // What needs no destructor is reached without asking whether it has run: [`Installed`] takes
    // the world out.
    static WORLD: RefCell<Option<ManuallyDrop<Box<World>>>> = const { RefCell::new(None) };
    static NUMBERS: Cell<u64> = const { Cell::new(0) };
}

/// Reaches the installed world. Without one (a destructor that runs after the run, say) nothing
/// happens and the answer is `None`.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD
        .try_with(|cell| {
            let mut borrowed = cell.try_borrow_mut().ok()?;
            borrowed.as_mut().map(|world| f(world))
        })
        .ok()
        .flatten()
}

/// A number that no other world or boot of this thread has.
fn fresh_number() -> u64 {
    NUMBERS.with(|numbers| {
        numbers.set(numbers.get() + 1);
        numbers.get()
    })
}

/// The world of a run, installed in this thread. Dropping it takes the world out.
pub(crate) struct Installed;

impl Installed {
    /// # Panics
    /// If a run is under way in this thread already.
    pub(crate) fn new(world: Box<World>) -> Installed {
        WORLD.with(|cell| {
            let mut cell = cell.borrow_mut();
            assert!(cell.is_none(), "a run cannot be started from within a run");
            *cell = Some(ManuallyDrop::new(world));
        });
        Installed
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let world = WORLD.with(|cell| cell.borrow_mut().take());
        // What the world holds is user code's; its destructors find no world any more.
        if let Some(world) = world {
            Spare::keep(ManuallyDrop::into_inner(world));
        }
    }
}

/// Something that has to be done while the world is not borrowed.
pub(crate) enum Outside {
    Wake(Waker),
    DropWaker(Waker),
    Complete(Completion, Result<Done, DiskError>),
    DropCompletion(Completion),
    /// A disk operation is over of which nobody is told.
    Answered,
    DropFuture(BoxFuture<'static, ()>),
    /// The future of the task that had this slot, which was polled before.
    DropTask(u32),
    /// A crash left these exhibits behind; with `audit`, they are compared with the disk first.
    Remains {
        node: u32,
        places: Vec<Place>,
        audit: bool,
    },
    Work(Box<dyn FnOnce() + Send>),
    Boot(u32),
    /// An episode wants to know who leads.
    FindLeader(u32),
    /// Compares what is on show with the disks: of one node that has recovered, or of all.
    Audit(AuditMoment),
    /// The moment of a script's step has come.
    Script,
}

/// Numbers of a run.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counters {
    pub(crate) events: u64,
    pub(crate) messages: u64,
    pub(crate) rejected: u64,
}

pub(crate) struct World {
    pub(crate) number: u64,
    pub(crate) now: u64,
    pub(crate) choices: Choices,
    pub(crate) weather: Weather,
    pub(crate) observed: observed::Observed,
    pub(crate) healed: bool,
    pub(crate) heal_at: u64,
    pub(crate) roster: Arc<Roster>,
    pub(crate) nodes: Vec<Node>,
    /// How many of them are clients.
    pub(crate) clients: u64,
    role_starts: Vec<u32>,
    queue: Queue,
    tasks: Slab<tasks::Task>,
    pub(crate) ready: tasks::Ready,
    pub(crate) current: Option<TaskId>,
    /// The address behind the running task's waker.
    current_waker: usize,
    timers: Slab<clock::Timer>,
    messages: Slab<net::Message>,
    sockets: Slab<net::Socket>,
    streams: streams::Streams,
    disk_operations: Slab<disk::DiskOperation>,
    work: Slab<Option<process::Work>>,
    counts: Counts,
    /// Empty ones, for files.
    buffers: Vec<Vec<u8>>,
    cuts: Vec<cuts::Cut>,
    clogs: Vec<cuts::Clog>,
    /// Until when each link is busy, by its entity.
    busy: Counts,
    episodes: Vec<fault::State>,
    priorities: Option<Box<priorities::Priorities>>,
    overrides: overrides::Overrides,
    mutant: Option<String>,
    pub(crate) budget: Budget,
    pub(crate) faults: [Counter; Fault::COUNT],
    pub(crate) tolerated: FaultSet,
    pub(crate) outside: Vec<Outside>,
    digests: Vec<NodeDigest>,
    pub(crate) log: Option<Log>,
    pub(crate) recorder: Option<Recorder>,
    /// Whether somebody heeds what goes into the digests: a log or a script.
    heeded: bool,
    play: Option<Box<play::Play>>,
    pub(crate) counters: Counters,
    polls_at_this_time: u64,
    guard: runaway::Guard,
    pub(crate) places: Vec<Place>,
    exhibits: u64,
    pub(crate) dirty: u64,
    /// The exhibits whose changes somebody wants to see.
    pub(crate) interest: u64,
    pub(crate) failure: Option<Failure>,
    pub(crate) mark: Option<u32>,
    pub(crate) audits: u64,
    pub(crate) noted: Noted,
}

/// A million polls without time moving is a livelock.
pub(crate) const POLLS_MAX: u64 = 1_000_000;

impl World {
    /// The world of this seed and plan, with no node started yet.
    pub(crate) fn new(
        seed: u64,
        plan: &Plan,
        clients: &[&str],
        (budget, bounds): (Budget, Bounds),
    ) -> Box<World> {
        let roster = Arc::new(plan.roster());
        let choices = Choices::new(seed, plan.salt);
        let all = plan.nodes.iter().map(|role| usize::from(role.nodes)).sum();
        let mut spare = Spare::take(all);
        let mut nodes = std::mem::take(&mut spare.nodes);
        let role_starts = draw_nodes(plan, clients, &choices, &mut nodes);
        let clients = settle(&mut nodes, spare.rooms);
        let digests = vec![NodeDigest::EMPTY; nodes.len() + 1];
        let mut world = Box::new(World {
            number: fresh_number(),
            now: 0,
            choices,
            weather: plan.weather.clone(),
            observed: observed::Observed::new(&plan.weather),
            healed: false,
            heal_at: plan.heal_at_ns,
            overrides: overrides::Overrides::new(&plan.overrides, &roster),
            roster,
            nodes,
            clients,
            role_starts,
            queue: spare.queue,
            tasks: spare.tasks,
            ready: tasks::Ready::default(),
            current: None,
            current_waker: 0,
            timers: spare.timers,
            messages: spare.messages,
            sockets: spare.sockets,
            streams: streams::Streams::default(),
            disk_operations: spare.disk_operations,
            work: Slab::default(),
            counts: spare.counts,
            buffers: spare.buffers,
            cuts: Vec::new(),
            clogs: Vec::new(),
            busy: Counts::default(),
            episodes: Vec::new(),
            priorities: plan.pct.as_ref().map(priorities::Priorities::new),
            mutant: plan.mutant.clone(),
            budget,
            faults: [Counter::default(); Fault::COUNT],
            tolerated: FaultSet::ALL,
            outside: Vec::new(),
            digests,
            log: None,
            recorder: None,
            heeded: false,
            play: None,
            counters: Counters::default(),
            polls_at_this_time: 0,
            guard: runaway::Guard::new(bounds),
            places: Vec::new(),
            exhibits: 0,
            dirty: 0,
            interest: u64::MAX,
            failure: None,
            mark: None,
            audits: 0,
            noted: Noted::default(),
        });
        world.plan_episodes(&plan.episodes);
        world.plan_script(&plan.script);
        world
    }

    /// The node's place, if it is on the roster.
    #[inline]
    pub(crate) fn index_of(&self, node: NodeId) -> Option<u32> {
        let start = *self.role_starts.get(usize::from(node.role()))?;
        let index = start + u32::from(node.ordinal()).checked_sub(1)?;
        let found = self.nodes.get(index as usize)?;
        (found.id == node).then_some(index)
    }

    /// Whether this boot of a node is the running one.
    #[inline]
    pub(crate) fn alive(&self, node: u32, token: u64) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| node.boot == token)
    }

    /// Takes something that happened to a node into its digest. The node's number is that of the
    /// world itself if it is the number of nodes.
    #[inline]
    pub(crate) fn note(&mut self, node: u32, code: Code, details: [u64; 2]) {
        self.digests[node as usize].add(self.now, code, details);
        if self.heeded {
            self.keep(node, code, details);
        }
    }

    /// The number under which the world itself keeps its digest.
    pub(crate) fn itself(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Time moves to the event that is happening.
    #[inline]
    pub(crate) fn advance(&mut self, time: u64) {
        self.counters.events += 1;
        if time > self.now {
            self.now = time;
            self.polls_at_this_time = 0;
        }
    }

    /// Takes up the next event. Says whether there was one.
    pub(crate) fn next_event(&mut self, until: u64) -> bool {
        if self.guard.is_due(self.counters.events)
            && self.next_time().is_some_and(|time| time <= until)
            && self.is_out_of_bounds()
        {
            return true;
        }
        let Some(event) = self.queue.pop_until(until) else { return false };
        match event.kind() {
            Kind::Message => self.message_event(event),
            Kind::Timer => self.timer_event(event),
            Kind::Disk => self.disk_event(event),
            Kind::EpisodeBegins => self.episode_begins(event),
            Kind::EpisodeEnds => self.episode_ends(event),
            Kind::Restart => self.restart_event(event),
            Kind::Blocking => self.work_event(event),
            Kind::Stream => self.stream_event(event),
            Kind::Script => self.script_event(event),
            Kind::Mark => {
                self.advance(event.time());
                self.mark = Some(event.slot());
            }
        }
        true
    }

    /// When the next event is.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.queue.peek().map(Event::time)
    }

    /// Whether nothing is left to happen but the run loop's own marks.
    pub(crate) fn is_still(&self) -> bool {
        self.queue.iter().all(|event| event.kind() == Kind::Mark)
    }

    /// Calls the run loop back at this time.
    pub(crate) fn mark_at(&mut self, time: u64, mark: u32) {
        self.queue.push(Event::new(time.max(self.now), u32::MAX, Kind::Mark, mark));
    }

    /// Takes the next ready task for polling.
    #[inline]
    pub(crate) fn next_task(&mut self) -> Option<TaskId> {
        loop {
            let id = self.ready.pop()?;
            let task = &mut self.tasks[id.slot];
            if task.era != id.era || !task.ready {
                continue;
            }
            task.ready = false;
            task.waits = ("", "");
            let (node, detail) = (task.node, [task.entity.0, task.wakes]);
            self.current = Some(id);
            self.current_waker = task.waker;
            self.polls_at_this_time += 1;
            self.note(node, Code::Poll, detail);
            return Some(id);
        }
    }

    /// Whether so much was polled without time moving that nothing else will come.
    pub(crate) fn is_livelock(&self) -> bool {
        self.polls_at_this_time > POLLS_MAX
    }

    /// A poll is over. Says whether the task is, and its future has to be dropped outside.
    #[inline]
    pub(crate) fn polled(&mut self, id: TaskId, finished: bool) -> bool {
        self.current = None;
        let task = &self.tasks[id.slot];
        if task.era != id.era {
            // The node went down while the task ran.
            return true;
        }
        if finished {
            let (node, entity) = (task.node, task.entity);
            self.note(node, Code::TaskEnd, [entity.0, 0]);
            self.remove_task(id);
        }
        finished
    }

    /// Counts a fault that took effect.
    #[inline]
    pub(crate) fn fired(&mut self, fault: Fault) {
        self.fired_times(fault, 1);
    }

    /// Counts a fault that took effect so many times.
    #[inline]
    pub(crate) fn fired_times(&mut self, fault: Fault, times: u64) {
        self.faults[fault as usize].fired += times;
        if self.log.is_some() && fault != Fault::Latency {
            self.tell_fault(fault, times);
        }
    }

    #[cold]
    fn tell_fault(&mut self, fault: Fault, times: u64) {
        if times > 0 {
            self.trace(self.itself(), || format!("fault: {}", fault.name()));
        }
    }

    /// The first failure counts; what follows may be its consequence.
    pub(crate) fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.note(self.itself(), Code::Property, [failure.fingerprint_hash(), 0]);
            self.failure = Some(failure);
        }
    }

    /// Whether the plan leaves out an operation of a client.
    pub(crate) fn skips(&mut self, client: u32, number: u64) -> bool {
        self.overrides.skips(client, number)
    }

    /// How many of the plan's overrides matched by what, and which matched nothing.
    pub(crate) fn overrides_matched(&self) -> (Matched, Vec<usize>) {
        self.overrides.matched()
    }

    /// The digests as they are now.
    pub(crate) fn digest(&self) -> Digest {
        Digest::new(self.digests.clone())
    }

    /// The entity of something that belongs to no node.
    pub(crate) fn entity(&self, name: &str) -> Entity {
        self.choices.root().named(name)
    }
}
