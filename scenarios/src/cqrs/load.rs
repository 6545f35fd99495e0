//! What the clients of the shop do.

use super::orders::{
    CREATED, CancelOrder, CreateOrder, Created, Item, ORDERS, Orders, STATUS_CHANGED, Status,
    UpdateOrderStatus,
};
use super::views::{OrdersAnswer, OrdersQuery};
use serde::{Deserialize, Serialize};
use squall::{Client, Operation};
use squall_env::request::Caller;
use squall_env::{Address, Env, HasOutcome, Outcome, Port, Shown};
use squall_protocols::cqrs::{
    Command, CommandBus, CommandError, CommandId, Consistency, Deadline, Deduplicate, Dispatched,
    QueryError, ReadResult, Session, Validate,
};
use squall_protocols::event_store::{EventId, EventStore, Expected, NewEvent, RemoteStore};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How many operations each client does while there are faults.
const OPERATIONS: u64 = 14;

/// How many orders there may be.
const ORDERS_MAX: u64 = 8;

/// How long a client goes on with a command.
const COMMAND_MAX: Duration = Duration::from_millis(2_500);

/// How long an answer may be waited for where it is made.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// How long an answer is waited for where it was asked: longer than any link is slow.
const PATIENCE: Duration = Duration::from_millis(2_000);

/// Where queries are asked.
pub(crate) const QUERIES: &str = "queries";

/// What is asked over the network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) query: OrdersQuery,
    pub(crate) consistency: Consistency,
    pub(crate) limit_ms: u64,
}

/// What is answered over the network.
pub(crate) type Answer = Result<ReadResult<OrdersAnswer>, QueryError>;

/// What a client was told and has read.
#[derive(Default)]
pub(super) struct Told {
    /// Where the last event of a command stands, or that it was refused.
    pub(super) commands: BTreeMap<u128, Option<u64>>,
    /// The commands that were done, in the order in which that was told.
    pub(super) done: Vec<u128>,
    /// Each answer, in the order in which they came.
    pub(super) reads: Vec<Read>,
}

/// An answer, and what was asked.
pub(super) struct Read {
    pub(super) query: OrdersQuery,
    pub(super) wanted: u64,
    /// Which of the commands that were done it has to know of.
    pub(super) own: Range<usize>,
    pub(super) result: ReadResult<OrdersAnswer>,
}

struct Shop {
    env: Env,
    events: Arc<RemoteStore>,
    bus: Arc<CommandBus>,
    caller: Caller<Question, Answer>,
    views: Address,
    told: Shown<Told>,
    session: Session,
    /// How many commands had been done when the session began.
    began: usize,
}

/// Gives commands and asks queries at random while there are faults, and then asks until the answer
/// has all that was done.
pub(super) async fn workload(client: Client) -> Result<(), String> {
    let env = client.env().clone();
    let mut shop = Shop::open(&client).map_err(|error| error.to_string())?;
    while let Some(operation) = client.next_operation(OPERATIONS) {
        let pause_max = if operation.draw(0, 4) == 0 { 400_000 } else { 20_000 };
        env.sleep(Duration::from_micros(operation.draw(1, pause_max))).await;
        shop.operate(operation).await;
    }
    client.after_heal().await;
    loop {
        let query = OrdersQuery::Customer(customer(0));
        if shop.read(query, Consistency::Session(shop.session)).await == Some(true) {
            return Ok(());
        }
        env.sleep(Duration::from_millis(20)).await;
    }
}

fn customer(number: u64) -> String {
    format!("cust-{number}")
}

impl Shop {
    fn open(client: &Client) -> Result<Shop, squall_env::platform::BindError> {
        let env = client.env();
        let events = Arc::new(RemoteStore::open(env, env.peers("events")[0], PATIENCE)?);
        let bus = CommandBus::new(env, Arc::clone(&events) as Arc<dyn EventStore>)
            .with(Validate)
            .with(Deadline)
            .with(Deduplicate)
            .register::<CreateOrder>(Orders)
            .register::<UpdateOrderStatus>(Orders)
            .register::<CancelOrder>(Orders);
        let told: Shown<Told> = client.keep("told");
        Ok(Shop {
            env: env.clone(),
            events,
            bus: Arc::new(bus),
            caller: Caller::open(env)?,
            views: Address::new(env.peers("views")[0], Port::named(QUERIES)),
            began: told.read(|told| told.done.len()),
            told,
            session: Session::default(),
        })
    }

    async fn operate(&mut self, operation: Operation) {
        let order = format!("o-{}", operation.draw(2, ORDERS_MAX));
        let twice = operation.draw(3, 4) == 0;
        match operation.draw(4, 100) {
            0..35 => {
                let customer = customer(operation.draw(5, 3));
                let price = 100 + operation.draw(6, 900) as i64;
                let item = |sku: &str, quantity| Item { sku: sku.to_owned(), quantity, price };
                let items = vec![item("book", 1), item("pen", 2)];
                let address = "1 Main Street".to_owned();
                let created = Created { order, customer, items, address };
                self.dispatch(CreateOrder(created), twice).await;
            }
            35..60 => {
                let status = Status::Shipped;
                self.dispatch(UpdateOrderStatus { order, status }, twice).await;
            }
            60..68 => self.dispatch(CancelOrder(order), twice).await,
            kind @ 68..74 => {
                self.poison(&order, if kind < 71 { CREATED } else { STATUS_CHANGED }).await;
            }
            kind => {
                let consistency = match kind % 3 {
                    0 => Consistency::Eventual,
                    1 => Consistency::Session(self.session),
                    _ => Consistency::AtLeast(Consistency::Session(self.session).position()),
                };
                let query = match operation.draw(5, 2) {
                    0 => OrdersQuery::Order(order),
                    _ => OrdersQuery::Customer(customer(operation.draw(6, 3))),
                };
                self.read(query, consistency).await;
            }
        }
    }

    /// Gives a command, again and again until its fate is known or its time is over.
    async fn dispatch<C: Command + Clone>(&mut self, command: C, twice: bool) {
        let (id, until) = (CommandId::random(&self.env), self.env.now() + COMMAND_MAX);
        if twice {
            // As a request does that comes twice.
            let (bus, copy) = (Arc::clone(&self.bus), command.clone());
            self.env.spawn("copy", async move { bus.dispatch(id, &copy, until).await });
        }
        let mut told = self.bus.dispatch(id, &command, until).await;
        while self.env.now() < until && is_unknown(&told) {
            told = self.bus.dispatch(id, &command, until).await;
        }
        let fate = match &told {
            Ok(dispatched) => {
                self.session.did(dispatched);
                Some(dispatched.position.0)
            }
            Err(CommandError::Refused(_)) => None,
            Err(_) => return,
        };
        self.told.update(&self.env, |told| {
            told.commands.insert(id.0, fate);
            told.done.extend(fate.map(|_| id.0));
        });
    }

    /// Appends what nobody can read, to the stream of an order.
    async fn poison(&self, order: &str, kind: &str) {
        let event = NewEvent::new(EventId::random(&self.env), kind, *b"{");
        // Whether it was appended, the witness knows.
        let _ = self.events.append(&format!("{ORDERS}{order}"), Expected::Any, vec![event]).await;
    }

    /// Asks, and says whether the answer is as new as was asked for.
    async fn read(&mut self, query: OrdersQuery, consistency: Consistency) -> Option<bool> {
        let limit_ms = ANSWER_MAX.as_millis() as u64;
        let question = Question { query: query.clone(), consistency, limit_ms };
        let own = match consistency {
            Consistency::Eventual => 0..0,
            _ => self.began..self.told.read(|told| told.done.len()),
        };
        let answer = self.caller.call(self.views, question, PATIENCE).await;
        let result = answer.ok()?.ok()?;
        self.session.saw(&result);
        let (wanted, is_new) = (consistency.position().0, !result.stale);
        if result.stale {
            self.env.sometimes("an answer was stale");
        }
        self.told.update(&self.env, |told| told.reads.push(Read { query, wanted, own, result }));
        Some(is_new)
    }
}

fn is_unknown(told: &Result<Dispatched, CommandError>) -> bool {
    told.as_ref().is_err_and(|error| error.outcome() == Outcome::Indeterminate)
}
