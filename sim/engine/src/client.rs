//! Clients: nodes that load a system and record what they see of it.

use crate::check::Trial;
use crate::choice::{Choices, Domain, Entity, below};
use crate::digest::{Code, hash_bytes};
use crate::world::{poll_cue, with};
use serde::Serialize;
use squall_check::{Model, Recorder};
use squall_env::shown::Exhibit;
use squall_env::{Env, HasOutcome, Instant, Outcome, Shown, observe};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a workload gets: the node's environment, its operations, and a recorder of their history.
pub struct Client {
    env: Env,
    trials: Arc<Vec<Box<dyn Trial>>>,
    backend: Backend,
}

enum Backend {
    /// In the world the node itself is forgotten in a crash, and the count of operations is not.
    World { node: u32, token: u64, told: bool },
    /// Among real processes one client lives as long as its process.
    Real(Arc<Standalone>),
}

struct Standalone {
    number: u64,
    of: u64,
    seed: u64,
    origin: Instant,
    epoch_ns: u64,
    operations: AtomicU64,
    processes: AtomicU64,
}

/// One operation of a client: its number, and what it draws.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    number: u64,
    entity: Entity,
    choices: Choices,
}

impl Operation {
    /// Which operation of its client it is, from 0.
    pub fn number(self) -> u64 {
        self.number
    }

    /// Draws the `argument`th argument: a number below `bound`. It hangs on the client, the
    /// operation and the argument alone, so an operation that is left out moves no other.
    pub fn draw(self, argument: u64, bound: u64) -> u64 {
        let entity = self.entity.with(self.number);
        below(self.choices.draw(Domain::Operation, entity, argument), bound)
    }
}

impl Client {
    pub(crate) fn in_world(
        env: Env,
        (node, token): (u32, u64),
        trials: Arc<Vec<Box<dyn Trial>>>,
    ) -> Client {
        let told = with(|world| world.is_told()).unwrap_or_default();
        Client { env, trials, backend: Backend::World { node, token, told } }
    }

    /// A client of real processes: the `number`th (from 0) of so many, which draws its operations
    /// from a seed. `epoch_ns` is what the common clock of all recording processes showed when the
    /// environment's clock showed now.
    pub fn standalone(
        env: Env,
        (number, of): (u64, u64),
        seed: u64,
        epoch_ns: u64,
        trials: Vec<Box<dyn Trial>>,
    ) -> Client {
        let origin = env.now();
        let standalone = Standalone {
            number,
            of,
            seed,
            origin,
            epoch_ns,
            operations: AtomicU64::new(0),
            processes: AtomicU64::new(0),
        };
        Client { env, trials: Arc::new(trials), backend: Backend::Real(Arc::new(standalone)) }
    }

    /// The node's environment.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The next operation, while fewer than `limit` have begun. A restarted client goes on where
    /// the one before it stopped. Operations that the plan leaves out are passed over.
    pub fn next_operation(&self, limit: u64) -> Option<Operation> {
        match &self.backend {
            Backend::World { node, token, .. } => {
                with(|world| world.next_operation(*node, *token, limit)).flatten()
            }
            Backend::Real(own) => {
                let number = own.operations.fetch_add(1, Ordering::Relaxed);
                let choices = Choices::new(own.seed, 0);
                let entity = choices.root().with(own.number);
                (number < limit).then_some(Operation { number, entity, choices })
            }
        }
    }

    /// Draws a trait of this client: a number below `bound` that stays the same for the whole run.
    pub fn draw(&self, argument: u64, bound: u64) -> u64 {
        let (entity, choices) = match &self.backend {
            Backend::World { node, .. } => {
                let own = with(|world| (world.nodes[*node as usize].entity, world.choices));
                let Some(own) = own else { return 0 };
                own
            }
            Backend::Real(own) => {
                let choices = Choices::new(own.seed, 0);
                (choices.root().with(own.number), choices)
            }
        };
        Operation { number: u64::MAX, entity, choices }.draw(argument, bound)
    }

    /// Waits until the plan's faults are over; among real processes, not at all.
    pub async fn after_heal(&self) {
        let until = match &self.backend {
            Backend::World { node, token, .. } => {
                with(|world| world.local_heal(*node, *token)).flatten()
            }
            Backend::Real(_) => None,
        };
        if let Some(until) = until {
            self.env.sleep_until(until).await;
        }
    }

    /// Waits until the script of the run gives this cue ([`script::cue`](crate::script::cue)). In
    /// a run whose script has no such step, or without a script, not at all; and when the world
    /// heals, every cue is given.
    pub async fn cue(&self, name: &str) {
        if let Backend::World { node, token, .. } = &self.backend {
            poll_fn(|cx| poll_cue((*node, *token), name, cx)).await;
        }
    }

    /// A value of this client that outlives its crashes, such as what it was told: it is on show
    /// for properties also while the client is down, and a restarted client goes on with it. So
    /// nothing that a program would have to remember by itself belongs there. Among real processes
    /// it lasts as long as the process.
    pub fn keep<T: Default + Send + 'static>(&self, name: &'static str) -> Shown<T> {
        let Backend::World { node, token, .. } = &self.backend else {
            return self.env.show(name, T::default());
        };
        let kept = with(|world| world.lasting(*node, name)).flatten();
        kept.unwrap_or_else(|| {
            let shown = Shown::hidden(T::default());
            let exhibit = Exhibit::lasting(name, &shown);
            with(|world| world.show_lasting(*node, *token, exhibit));
            shown
        })
    }

    /// Does an operation and records its call, its return, and what is known of its effect. One
    /// that is cut off by a crash stays open: its outcome is unknown. What an error says of the
    /// effect is what [`observe`] makes of it, so that a deadline is never taken for a failure.
    ///
    /// # Errors
    /// What `work` answers.
    ///
    /// # Panics
    /// If no history of this model is checked in the scenario.
    pub async fn perform<M: Model, E: HasOutcome + Error + 'static>(
        &self,
        input: M::Input,
        work: impl Future<Output = Result<M::Output, E>>,
    ) -> Result<M::Output, E> {
        // It is large, and would be moved along.
        let work = pin!(work);
        let recorder = self.recorder::<M>();
        self.name(|| encode(&input), || format!("{input:?}"));
        let Some((process, at)) = self.moment(Code::Invoke, &input, 0) else {
            return work.await;
        };
        self.remark("asks", || format!("asks {input:?}"));
        let id = recorder.invoke(process, input, at);
        let (result, outcome) = observe(&self.env, work).await;
        let detail = result.as_ref().map_or(0, encode);
        let hash = || encode(&outcome) ^ detail.rotate_left(1);
        self.name(hash, || match &result {
            Ok(output) => format!("{output:?}"),
            Err(error) => error.to_string(),
        });
        // A client that crashed in the meantime saw nothing any more.
        let Some((_, at)) = self.moment(Code::Return, &outcome, detail) else { return result };
        self.remark("told", || match &result {
            Ok(output) => format!("is told {output:?}"),
            Err(error) => format!("is told {outcome:?}: {error}"),
        });
        match (&result, outcome) {
            (Ok(output), _) => recorder.ok(id, output.clone(), at),
            (Err(_), Outcome::NotDone) => recorder.fail(id, at),
            (Err(_), _) => {
                recorder.unknown(id, at);
                self.next_process();
            }
        }
        result
    }

    /// What the operation or result with this hash is called by whoever tells what happened.
    fn name(&self, hash: impl FnOnce() -> u64, name: impl FnOnce() -> String) {
        let Backend::World { node, told: true, .. } = &self.backend else { return };
        let hash = hash();
        if with(|world| world.wants_name(*node, || hash)).unwrap_or_default() {
            let name = name();
            with(|world| world.name(*node, hash, name));
        }
    }

    fn recorder<M: Model>(&self) -> &Recorder<M::Input, M::Output> {
        let mut typed = self.trials.iter().map(|trial| trial.recorder().downcast_ref());
        typed
            .find_map(|recorder| recorder)
            .expect("the scenario checks a history of the model that its client records")
    }

    /// The process that acts and the time; nothing once the client has crashed.
    fn moment(&self, code: Code, what: &impl Serialize, detail: u64) -> Option<(u64, u64)> {
        match &self.backend {
            Backend::World { node, token, .. } => {
                let detail = encode(what) ^ detail.rotate_left(1);
                with(|world| world.moment(*node, *token, code, detail)).flatten()
            }
            Backend::Real(own) => {
                let since = (self.env.now() - own.origin).as_nanos() as u64;
                let process = own.number + own.of * own.processes.load(Ordering::Relaxed);
                Some((process, own.epoch_ns + since))
            }
        }
    }

    /// Says in words what an operation is, for a trace with causes.
    fn remark(&self, kind: &'static str, text: impl FnOnce() -> String) {
        let Backend::World { node, told: true, .. } = &self.backend else { return };
        if with(|world| world.has_causes()).unwrap_or_default() {
            // Values that cannot be shown must not fail a run that goes well when nobody looks.
            let text = catch_unwind(AssertUnwindSafe(text));
            let text = text.unwrap_or_else(|_| "(it panicked when it was to be shown)".to_owned());
            with(|world| world.remark(*node, kind, None, || text));
        }
    }

    /// A process with an unknown outcome is not used again.
    fn next_process(&self) {
        match &self.backend {
            Backend::World { node, token, .. } => {
                with(|world| world.next_process(*node, *token));
            }
            Backend::Real(own) => {
                own.processes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn encode(value: &impl Serialize) -> u64 {
    // Most fit: a buffer of their own for each of them would cost more than all the rest.
    match postcard::to_slice(value, &mut [0; 128]) {
        Ok(bytes) => hash_bytes(bytes),
        Err(_) => postcard::to_stdvec(value).map_or(0, |bytes| hash_bytes(&bytes)),
    }
}

impl crate::world::World {
    fn next_operation(&mut self, node: u32, token: u64, limit: u64) -> Option<Operation> {
        if !self.alive(node, token) {
            return None;
        }
        loop {
            let client = &mut self.nodes[node as usize];
            let (number, entity) = (client.operations, client.entity);
            if number >= limit {
                return None;
            }
            client.operations += 1;
            if !self.skips(node, number) {
                if let Some(recorder) = &mut self.recorder {
                    recorder.began(node, number);
                }
                return Some(Operation { number, entity, choices: self.choices });
            }
        }
    }

    /// What the client keeps under this name.
    fn lasting<T: Send + 'static>(&self, node: u32, name: &str) -> Option<Shown<T>> {
        let id = self.nodes[node as usize].id;
        let mut places = self.places.iter().filter(|place| place.node == id);
        let place = places.find(|place| place.exhibit.name() == name)?;
        place.exhibit.is_lasting().then(|| place.exhibit.shown()).flatten()
    }

    fn show_lasting(&mut self, node: u32, token: u64, exhibit: Exhibit) {
        if self.alive(node, token) {
            self.show(node, exhibit);
        }
    }

    fn local_heal(&self, node: u32, token: u64) -> Option<Instant> {
        if !self.alive(node, token) {
            return None;
        }
        let clock = self.nodes[node as usize].clock;
        Some(Instant::from_nanos(clock.local(self.heal_at) + 1))
    }

    fn moment(&mut self, node: u32, token: u64, code: Code, detail: u64) -> Option<(u64, u64)> {
        if !self.alive(node, token) {
            return None;
        }
        let process = self.process(node);
        self.note(node, code, [process, detail]);
        self.play_if_due();
        Some((process, self.now))
    }

    fn next_process(&mut self, node: u32, token: u64) {
        if self.alive(node, token) {
            self.nodes[node as usize].processes += 1;
        }
    }

    /// Processes are numbered such that the client is the remainder by the number of clients.
    fn process(&self, node: u32) -> u64 {
        let client = &self.nodes[node as usize];
        client.clients_before + self.clients * client.processes
    }
}
