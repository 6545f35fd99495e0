//! The nodes that run orders, one of them at a time, and what clients ask them.

use super::services::Remote;
use serde::{Deserialize, Serialize};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{Caller, Responder};
use squall_env::{Address, Either, Env, Port, race};
use squall_protocols::event_store::{EventStore, RemoteStore};
use squall_protocols::lock::{self, LockClient, Refused, Single};
use squall_protocols::saga::{
    Command, CommandError, Definition, Definitions, EventStoreLog, Orchestrator, Patience, SagaId,
    StartError, Status,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a node owns sagas after it was last heard of.
const TTL: Duration = Duration::from_millis(400);

/// How often the owner looks what is new.
const POLL: Duration = Duration::from_millis(25);

/// How long an operation of the store may take.
const STORE_MAX: Duration = Duration::from_millis(400);

const PORT: Port = Port::named("orders");

/// An order: created, then reserved while the credit is looked at, paid, and sent.
pub(super) fn order() -> Definition {
    let patience = Patience {
        call_max: Duration::from_millis(150),
        attempts_max: 3,
        undo_attempts_max: 4,
        pause: Duration::from_millis(20),
        pause_max: Duration::from_millis(200),
    };
    Definition::of("order", 1)
        .compensatable("create", &[])
        .compensatable("reserve", &["create"])
        .compensatable("credit", &["create"])
        .pivot("charge")
        .retriable("ship", &[])
        .retriable("notify", &["ship"])
        .patience(patience)
        .build()
        .expect("the steps make sense")
}

/// What clients ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask {
    Start(SagaId, Vec<u8>),
    Report(SagaId),
    Command(SagaId, Command),
}

/// What they are told. What nobody knows is not answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tell {
    Started,
    Taken,
    Report(Option<Status>),
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
pub(super) enum NodeError {
    /// A port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The lock makes no sense.
    #[error(transparent)]
    Lock(#[from] Refused),
}

/// A node that runs orders while it holds the lock.
pub(super) async fn serve(env: Env) -> Result<(), NodeError> {
    let (_, log) = log(&env)?;
    let remote = Arc::new(Remote::open(&env)?);
    let orders = Orchestrator::new(&env, Arc::new(log), remote, Definitions::new([order()]), POLL);
    let locks = Arc::new(Single::open(&env, env.peers("locks")[0])?);
    let locks = LockClient::new(&env, locks, lock::Config::default());
    let mut asked = Responder::<Ask, Tell>::open(&env, PORT)?;
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
    match race(serving, orders.run_under(&locks, "sagas", TTL)).await {
        Either::Left(ended) => ended,
        Either::Right(Err(refused)) => Err(refused.into()),
        Either::Right(Ok(never)) => match never {},
    }
}

async fn told(orders: &Orchestrator, ask: Ask) -> Option<Tell> {
    match ask {
        Ask::Start(saga, input) => match orders.start(saga, "order", input).await {
            Ok(()) => Some(Tell::Started),
            Err(StartError::Taken | StartError::NotDefined(_)) => Some(Tell::Taken),
            Err(StartError::Unknown(_)) => None,
        },
        Ask::Report(saga) => {
            let report = orders.report(saga).await.ok()?;
            Some(Tell::Report(report.map(|report| report.status)))
        }
        Ask::Command(saga, command) => match orders.command(saga, command).await {
            Ok(()) => Some(Tell::Commanded),
            Err(CommandError::Unknown(_)) => None,
            Err(error) => Some(Tell::NotCommanded(error.to_string())),
        },
    }
}

/// The way to those nodes. Each question goes to the next of them.
pub(super) struct Orders {
    env: Env,
    caller: Caller<Ask, Tell>,
    next: usize,
}

/// How long a question waits for its answer.
const ANSWER_MAX: Duration = Duration::from_millis(500);

impl Orders {
    pub(super) fn open(env: &Env) -> Result<Orders, BindError> {
        Ok(Orders { env: env.clone(), caller: Caller::open(env)?, next: 0 })
    }

    async fn ask(&mut self, ask: Ask) -> Option<Tell> {
        let nodes = self.env.peers("orchestrator");
        self.next = (self.next + 1) % nodes.len();
        let to = Address::new(nodes[self.next], PORT);
        self.caller.call(to, ask, ANSWER_MAX).await.ok()
    }

    /// Whether the saga is known to have been started.
    pub(super) async fn start(&mut self, saga: SagaId, input: Vec<u8>) -> bool {
        self.ask(Ask::Start(saga, input)).await == Some(Tell::Started)
    }

    /// Where the saga stands, if anybody says so.
    pub(super) async fn report(&mut self, saga: SagaId) -> Option<Status> {
        match self.ask(Ask::Report(saga)).await {
            Some(Tell::Report(status)) => status,
            _ => None,
        }
    }

    /// Whether the command is known to have been taken.
    pub(super) async fn command(&mut self, saga: SagaId, command: Command) -> bool {
        self.ask(Ask::Command(saga, command)).await == Some(Tell::Commanded)
    }
}
