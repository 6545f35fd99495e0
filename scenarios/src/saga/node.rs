//! The nodes that run orders, one of them at a time, and what clients ask them.

use super::services::Remote;
use serde::{Deserialize, Serialize};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Either, Env, Port, race};
use squall_protocols::event_store::{EventStore, RemoteStore};
use squall_protocols::lock::{self, AcquireError, LockClient, Refused, Single};
use squall_protocols::saga::{
    Command, CommandError, Definition, Definitions, EventStoreLog, NotDefined, Orchestrator,
    Participants, Patience, Report, SagaId, StartError, Stopped,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a node owns sagas after it was last heard of, at first: less than nodes stand still.
const TTL: Duration = Duration::from_millis(400);

/// How long at most, if the way to the lock is too long for less.
const TTL_MAX: Duration = Duration::from_millis(6_400);

/// How long at most a node goes on that has lost its lease, in microseconds.
const TOO_LONG_US: u64 = 2_000_000;

/// The name of the lock.
const NAME: &str = "sagas";

/// How often the owner looks what is new.
const POLL: Duration = Duration::from_millis(25);

/// What orders are called.
const ORDER: &str = "order";

/// How long an operation of the store may take.
const STORE_MAX: Duration = Duration::from_secs(5);

const PORT: Port = Port::named("orders");

const PATIENCE: Patience = Patience {
    call_max: Duration::from_millis(150),
    attempts_max: 3,
    undo_attempts_max: 4,
    pause: Duration::from_millis(20),
    pause_max: Duration::from_millis(200),
};

/// An order: created, then reserved while the credit is looked at, paid, and sent.
pub(super) fn order() -> Definition {
    order_of(1, [("reserve", "create"), ("credit", "create")])
}

/// The same, where nothing is reserved before somebody has looked at the credit.
fn second_order() -> Definition {
    order_of(2, [("credit", "create"), ("reserve", "credit")])
}

/// An order of this version, with the steps between its creation and its payment, each after
/// another.
fn order_of(version: u32, between: [(&str, &str); 2]) -> Definition {
    let created = Definition::of(ORDER, version).compensatable("create", &[]);
    between
        .into_iter()
        .fold(created, |order, (step, after)| order.compensatable(step, &[after]))
        .pivot("charge")
        .retriable("ship", &[])
        .within(Duration::from_millis(250))
        .retriable("notify", &["ship"])
        .patience(PATIENCE)
        .build()
        .expect("the steps make sense")
}

/// Both versions, as every node knows them. Some programs begin orders with the one and some with
/// the other, as while a new one is brought to all nodes.
fn definitions(env: &Env) -> Result<Definitions, NotDefined> {
    let version = 1 + env.random_below(2) as u32;
    let all = Definitions::new([order(), second_order(), plain()]);
    all.beginning_with(ORDER, version)
}

/// An order one step after the other, with patience for every link.
pub(super) fn plain() -> Definition {
    Definition::of("plain order", 1)
        .compensatable("create", &[])
        .compensatable("reserve", &["create"])
        .compensatable("credit", &["reserve"])
        .pivot("charge")
        .retriable("ship", &[])
        .patience(Patience::default())
        .build()
        .expect("the steps make sense")
}

/// What clients ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask {
    Start(SagaId, String, Vec<u8>),
    Report(SagaId),
    Command(SagaId, Command),
}

/// What they are told. What nobody knows is not answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tell {
    Started,
    Taken,
    Report(Option<Report>),
    Commanded,
    NotCommanded(String),
}

/// The log of sagas, as every node reaches it.
pub(super) fn log(env: &Env) -> Result<(Arc<dyn EventStore>, EventStoreLog), BindError> {
    let store = RemoteStore::open(env, env.peers("events")[0], STORE_MAX)?;
    let store: Arc<dyn EventStore> = Arc::new(store);
    Ok((Arc::clone(&store), EventStoreLog::new(env, store)))
}

/// Why such a node stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// A port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The lock makes no sense.
    #[error(transparent)]
    Lock(#[from] Refused),
    /// A definition is not there.
    #[error(transparent)]
    NotDefined(#[from] NotDefined),
}

/// A node that runs orders while it holds the lock.
pub(super) async fn serve(env: Env) -> Result<(), NodeError> {
    let remote = Arc::new(Remote::open(&env)?);
    let orders = orchestrator(&env, remote, definitions(&env)?)?;
    run::<true>(&env, orders).await
}

/// Sagas of these definitions, on a node.
pub(crate) fn orchestrator(
    env: &Env,
    participants: Arc<dyn Participants>,
    definitions: Definitions,
) -> Result<Orchestrator, BindError> {
    let (_, log) = log(env)?;
    Ok(Orchestrator::new(env, Arc::new(log), participants, definitions, POLL))
}

/// Runs sagas whenever the node holds the lock, and answers who asks for them. Sometimes it goes on
/// for too long, if that is wanted.
pub(crate) async fn run<const LATE: bool>(
    env: &Env,
    orders: Orchestrator,
) -> Result<(), NodeError> {
    let locks = Arc::new(Single::open(env, env.peers("locks")[0])?);
    let locks = LockClient::new(env, locks, lock::Config::default());
    let mut asked = Responder::<Ask, Tell>::open(env, PORT)?;
    env.ready();
    let serving = async {
        loop {
            let (ask, back) = asked.receive().await?;
            let orders = orders.clone();
            env.spawn("request", async move {
                if let Some(told) = told(&orders, ask).await {
                    back.reply(told);
                }
            });
        }
    };
    match race(serving, own::<LATE>(env, &orders, &locks)).await {
        Either::Left(ended) => ended,
        Either::Right(refused) => Err(refused.into()),
    }
}

/// Owns sagas again and again.
async fn own<const LATE: bool>(env: &Env, orders: &Orchestrator, locks: &LockClient) -> Refused {
    let mut ttl = TTL;
    loop {
        let began = env.now();
        let owned = match LATE && env.random_below(2) == 0 {
            true => own_for_too_long(env, orders, locks, ttl).await,
            false => orders.run_under(locks, NAME, ttl, began + ttl * 3).await,
        };
        match owned {
            Ok(_) if env.now() - began > ttl * 5 => ttl = TTL,
            Ok(_) | Err(AcquireError::Deadline) => ttl = TTL_MAX.min(ttl * 4),
            Err(AcquireError::Refused(refused)) => return refused,
        }
    }
}

/// Owns sagas and goes on for a while when the lease is lost, as a node does that stands still just
/// then: the token has to keep it out.
async fn own_for_too_long(
    env: &Env,
    orders: &Orchestrator,
    locks: &LockClient,
    ttl: Duration,
) -> Result<Stopped, AcquireError> {
    let lease = locks.acquire(NAME, ttl, env.now() + ttl * 3).await?;
    let lost = async {
        _ = lease.lost().await;
        env.sleep(Duration::from_micros(env.random_below(TOO_LONG_US))).await;
    };
    Ok(orders.run(lease.token().0, lost).await)
}

async fn told(orders: &Orchestrator, ask: Ask) -> Option<Tell> {
    match ask {
        Ask::Start(saga, name, input) => match orders.start(saga, &name, input).await {
            Ok(()) => Some(Tell::Started),
            Err(StartError::Taken | StartError::NotDefined(_)) => Some(Tell::Taken),
            Err(StartError::Unknown(_)) => None,
        },
        Ask::Report(saga) => Some(Tell::Report(orders.report(saga).await.ok()?)),
        Ask::Command(saga, command) => match orders.command(saga, command).await {
            Ok(()) => Some(Tell::Commanded),
            Err(CommandError::Unknown(_)) => None,
            Err(error) => Some(Tell::NotCommanded(error.to_string())),
        },
    }
}

/// The way to those nodes. Each question goes to the next of them.
pub(crate) struct Orders {
    env: Env,
    caller: Caller<Ask, Tell>,
    next: usize,
    /// How long a question waits for its answer: longer after one that got none.
    patience: Duration,
}

/// How long a question waits for its answer at first.
const PATIENCE_MIN: Duration = Duration::from_millis(300);

/// The longest that one waits.
const PATIENCE_MAX: Duration = Duration::from_secs(5);

impl Orders {
    pub(crate) fn open(env: &Env) -> Result<Orders, BindError> {
        Ok(Orders { env: env.clone(), caller: Caller::open(env)?, next: 0, patience: PATIENCE_MIN })
    }

    async fn ask(&mut self, ask: Ask) -> Option<Tell> {
        let nodes = self.env.peers("orchestrator");
        self.next = (self.next + 1) % nodes.len();
        let to = Address::new(nodes[self.next], PORT);
        let answer = self.caller.call(to, ask, self.patience).await.ok();
        self.patience = match answer {
            Some(_) => PATIENCE_MIN.max(self.patience / 2),
            None => PATIENCE_MAX.min(self.patience * 2),
        };
        answer
    }

    /// Whether the saga is known to have been started.
    pub(super) async fn start(&mut self, saga: SagaId, name: &str, input: Vec<u8>) -> bool {
        self.ask(Ask::Start(saga, name.to_owned(), input)).await == Some(Tell::Started)
    }

    /// Where the saga stands, if anybody says so.
    pub(crate) async fn report(&mut self, saga: SagaId) -> Option<Report> {
        match self.ask(Ask::Report(saga)).await {
            Some(Tell::Report(report)) => report,
            _ => None,
        }
    }

    /// Whether the command is known to have been taken.
    pub(crate) async fn command(&mut self, saga: SagaId, command: Command) -> bool {
        self.ask(Ask::Command(saga, command)).await == Some(Tell::Commanded)
    }
}
