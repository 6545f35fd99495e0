//! Callers of several services, one of which has become slow, with a bulkhead between them.

mod watched;

use crate::tolerance;
use squall::{Client, Fault, Scenario};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, Responder};
use squall_env::{Env, Port, View, race};
use squall_protocols::bulkhead::{CallError, Config, Rejected, SharedBulkhead};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use watched::{Asked, Watched, Wrong};

const LIMIT: &str = "no more calls of a partition are under way than it has places";
const QUEUE: &str = "no more calls wait than may";
const STARVED: &str = "a call is rejected only if calls of its own partition are in its way";
const FIFO: &str = "who waits longest goes first";
const DEADLINE: &str = "nobody goes through after its deadline";

/// How many services there are.
const SERVICES: u16 = 3;

/// How many tasks of a caller call each service, each of them twice at a time.
const WORKERS: usize = 6;

/// How long the last call may take: longer than any link is slow.
const PATIENT: Duration = Duration::from_secs(2);

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_millis(400);

/// The places: fewer than there are tasks for each service.
const CONFIG: Config =
    Config { calls: 2, waiting: 3, wait_max: Duration::from_millis(80), keys: SERVICES as usize };

/// Callers with a bulkhead each.
pub fn partitions() -> Scenario {
    let tolerance = tolerance::of_volatile(&["service", "caller"])
        .fault(Fault::ClockRate)
        .fault(Fault::LateTimers);
    Scenario::new("bulkhead/partitions")
        .nodes("service", SERVICES..=SERVICES, serve)
        .clients("caller", 1..=1, load)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(1))
        .always(LIMIT, || holds(|wrong| wrong.limit))
        .always(QUEUE, || holds(|wrong| wrong.queue))
        .always(STARVED, || holds(|wrong| wrong.starved))
        .always(FIFO, || holds(|wrong| wrong.order))
        .always(DEADLINE, || holds(|wrong| wrong.late))
        .sometimes("a call was rejected because all places were taken")
        .sometimes("a call found no place in time")
        .sometimes("a call waited and went through")
        .sometimes("a call was given up while it waited")
        .finishes_within(Duration::from_secs(20))
}

fn holds(is_wrong: fn(&Wrong) -> bool) -> impl FnMut(&View<'_>) -> Result<(), String> {
    move |view| match view.changed::<Wrong>().find(|wrong| is_wrong(wrong)) {
        None => Ok(()),
        Some(wrong) => Err(wrong.story.clone()),
    }
}

/// The first service has become slow, the others are quick.
async fn serve(env: Env) -> Result<(), String> {
    let responder = Responder::<(), ()>::open(&env, Port::named("service"));
    let mut responder = responder.map_err(|error| error.to_string())?;
    let slow = env.me().ordinal() == 0;
    env.ready();
    loop {
        let received: Result<_, Closed> = responder.receive().await;
        let ((), reply) = received.map_err(|error| error.to_string())?;
        let own = env.clone();
        env.spawn("request", async move {
            let most = if slow { 500_000 } else { 3_000 };
            own.sleep(Duration::from_micros(own.random_below(most))).await;
            reply.reply(());
        });
    }
}

/// Calls again and again while there are faults, and then each service until it answers.
async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let bulkhead = SharedBulkhead::new(&env, "service", CONFIG);
    let watched = Watched::new(&env);
    let mut workers = Vec::new();
    for service in 0..SERVICES {
        for _ in 0..WORKERS {
            let own = Work::new(&env, &bulkhead, &watched, service)?;
            workers.push(env.spawn("worker", own.again_and_again()));
        }
    }
    client.after_heal().await;
    drop(workers);
    for service in 0..SERVICES {
        let last = Work::new(&env, &bulkhead, &watched, service)?;
        while !last.call(PATIENT).await {
            env.sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// One who calls a service.
struct Work {
    env: Env,
    bulkhead: SharedBulkhead<u16>,
    watched: Watched,
    service: u16,
    caller: Caller<(), ()>,
}

impl Work {
    fn new(
        env: &Env,
        bulkhead: &SharedBulkhead<u16>,
        watched: &Watched,
        service: u16,
    ) -> Result<Work, BindError> {
        let (env, bulkhead, watched) = (env.clone(), bulkhead.clone(), watched.clone());
        let caller = Caller::open(&env)?;
        Ok(Work { env, bulkhead, watched, service, caller })
    }

    async fn again_and_again(self) {
        loop {
            self.env.sleep(Duration::from_micros(self.env.random_below(60_000))).await;
            // Whoever called does not always wait for the answer. When two calls are given up
            // together, the place of one may just have come to the other.
            let patience = Duration::from_millis(1 + self.env.random_below(300));
            let calls = both(self.call(CALL_MAX), self.call(CALL_MAX));
            race(calls, self.env.sleep(patience)).await;
        }
    }

    /// One call behind the bulkhead. Whether it came back.
    async fn call(&self, limit: Duration) -> bool {
        let asked: Asked = self.watched.asks(self.service);
        let to = self.env.addresses("service", Port::named("service"));
        let calling = async {
            let passed = asked.passes();
            let answer = self.caller.call(to[usize::from(self.service)], (), limit).await;
            drop(passed);
            answer
        };
        match self.bulkhead.call(&self.service, calling).await {
            Ok(()) => true,
            Err(CallError::Failed(_)) => false,
            Err(CallError::Rejected(rejected)) => {
                match rejected {
                    Rejected::Full | Rejected::Keys => {
                        self.env.sometimes("a call was rejected because all places were taken");
                    }
                    Rejected::TimedOut => self.env.sometimes("a call found no place in time"),
                }
                asked.rejected(rejected);
                false
            }
        }
    }
}

/// Waits for both. Given up, the first goes first.
async fn both(first: impl Future<Output = bool>, second: impl Future<Output = bool>) {
    let mut second = pin!(second);
    let mut first = pin!(first);
    let mut waits = (true, true);
    poll_fn(|cx| {
        waits.0 = waits.0 && first.as_mut().poll(cx).is_pending();
        waits.1 = waits.1 && second.as_mut().poll(cx).is_pending();
        if waits == (false, false) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// One line gone wrong, each in its own way.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        partitions().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("bulkhead/one-pool-for-all", STARVED),
        mutant("bulkhead/loses-granted-places", STARVED),
        mutant("bulkhead/frees-what-it-never-had", LIMIT),
        mutant("bulkhead/last-come-first-served", FIFO),
        mutant("bulkhead/one-place-too-many", LIMIT),
        mutant("bulkhead/endless-queue", QUEUE),
        mutant("bulkhead/grants-after-the-deadline", DEADLINE),
    ]
}
