//! Customers who order, and then read all books as an auditor does.

use super::gateway::{Customer, PlaceError};
use super::judged::{Asked, Audited, Books, Heard, Shop};
use super::nodes::{OrdersClient, customer_of, name_of, text};
use super::orders::Status;
use crate::cqrs::load::{Answer, QUERIES, Question};
use crate::cqrs::views::{CustomerView, OrderView, OrdersQuery};
use crate::saga::books::{Look, Order, Trouble};
use crate::saga::load::drawn;
use crate::saga::node;
use crate::saga::services::Remote;
use serde::{Deserialize, Serialize};
use squall::Client;
use squall_env::request::Caller;
use squall_env::{Address, Env, HasOutcome, Outcome, Port};
use squall_protocols::cqrs::Consistency;
use squall_protocols::saga::{Command, Report, SagaId, Status as SagaStatus};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a customer goes on with an order.
const PLACE_MAX: Duration = Duration::from_secs(4);

/// How long an auditor waits for an answer: longer than any link is slow.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(100);

/// What there is at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct First {
    /// The pieces of each item.
    pub(crate) pieces: [u32; 3],
    /// What is on each account, in minor units.
    pub(crate) money: [u64; 2],
}

/// What a small shop has.
pub(crate) const SMALL: First = First { pieces: [10, 5, 0], money: [100_000, 20_000] };

/// What a large one has.
#[cfg(feature = "faults")]
pub(crate) const LARGE: First =
    First { pieces: [2_000, 1_000, 0], money: [50_000_000, 20_000_000] };

/// Orders so often, and no longer than `time`.
pub(crate) async fn order(client: &Client, operations: u64, time: Duration) -> Result<(), String> {
    let env = client.env().clone();
    let customer = Customer::open(&env).map_err(text)?;
    let until = env.now() + time;
    while let Some(operation) = client.next_operation(operations).filter(|_| env.now() < until) {
        env.sleep(Duration::from_micros(operation.draw(0, 300_000))).await;
        let number = u64::from(env.me().ordinal() + 1) << 32 | operation.number();
        let is_declined = operation.draw(3, 6) == 0;
        let trouble = if is_declined { Trouble::Declined } else { Trouble::None };
        let order = drawn(operation, trouble);
        let work = async {
            customer.place(number, &order, PLACE_MAX).await?;
            Ok::<_, PlaceError>(Heard::Placed)
        };
        // What came of it is in the history.
        let _ = client.perform::<Shop, _>(Asked::Place(number, order.clone()), work).await;
    }
    Ok(())
}

/// Waits until every order is over and shown, and reads all books.
pub(crate) async fn audit(client: &Client, first: First) -> Result<Books, String> {
    let mut auditor = Auditor::open(client.env(), first).map_err(text)?;
    let work = async { Ok::<_, Never>(Heard::Books(auditor.books().await)) };
    match client.perform::<Shop, _>(Asked::Audit, work).await.map_err(text)? {
        Heard::Books(books) => Ok(books),
        Heard::Placed => Err("an auditor has placed an order".to_owned()),
    }
}

/// An auditor goes on until it has read everything.
#[derive(Debug, thiserror::Error)]
enum Never {}

impl HasOutcome for Never {
    fn outcome(&self) -> Outcome {
        match *self {}
    }
}

struct Auditor {
    env: Env,
    first: First,
    orders: OrdersClient,
    services: Remote,
    sagas: node::Orders,
    views: Caller<Question, Answer>,
    /// What was over was read already and stays as it is.
    read: BTreeMap<u64, Audited>,
}

impl Auditor {
    fn open(env: &Env, first: First) -> Result<Auditor, squall_env::platform::BindError> {
        Ok(Auditor {
            orders: OrdersClient::open(env, ANSWER_MAX)?,
            services: Remote::open(env)?,
            sagas: node::Orders::open(env)?,
            views: Caller::open(env)?,
            read: BTreeMap::new(),
            env: env.clone(),
            first,
        })
    }

    async fn books(&mut self) -> Books {
        loop {
            if let Some(books) = self.try_books().await {
                return books;
            }
            self.env.sleep(LOOK).await;
        }
    }

    /// What is in the books, if every order is over and shown and nothing changes meanwhile.
    async fn try_books(&mut self) -> Option<Books> {
        let orders = self.orders.all().await?;
        let is_open = |status: &Status| !status.is_over();
        let open: Vec<u64> =
            orders.iter().filter(|(.., status)| is_open(status)).map(|order| order.0).collect();
        if !open.is_empty() {
            self.help(&open).await;
            return None;
        }
        let views = self.view().await?;
        let mut books = Books {
            shelf_first: self.first.pieces.map(u64::from).to_vec(),
            balances_first: self.first.money.to_vec(),
            ..Books::default()
        };
        for (number, order, status) in &orders {
            let audited = self.audited(*number, order, *status).await?;
            books.orders.push(audited.shown_as(views.0.get(&name_of(*number))));
        }
        let pending = |audited: &Audited| {
            audited.shown.as_ref().is_none_or(|(status, _)| status.as_str() == "pending")
        };
        if books.orders.iter().any(pending) {
            return None;
        }
        books.owed = views.1;
        let nobody = SagaId(u64::MAX);
        books.shelf = self.services.look(nobody, "reserve", ANSWER_MAX).await?.free;
        books.balances = self.services.look(nobody, "charge", ANSWER_MAX).await?.free;
        (self.orders.all().await? == orders).then_some(books)
    }

    /// What is in the books of an order that is over. Read twice, it is the same: nobody sees to it
    /// any more.
    async fn audited(&mut self, number: u64, order: &Order, status: Status) -> Option<Audited> {
        if let Some(audited) = self.read.get(&number) {
            return Some(audited.clone());
        }
        let mut look = Look::default();
        for step in ["reserve", "charge", "ship"] {
            let of = self.services.look(SagaId(number), step, ANSWER_MAX).await?;
            look.reserved.extend(of.reserved);
            look.held.extend(of.held);
            look.taken.extend(of.taken);
            look.shipped += of.shipped;
        }
        let audited = Audited { number, order: order.clone(), status, look, shown: None };
        self.read.insert(number, audited.clone());
        Some(audited)
    }

    /// What the views show: each order, and what each customer owes.
    async fn view(&self) -> Option<(BTreeMap<String, OrderView>, Vec<Option<i64>>)> {
        let to = Address::new(self.env.peers("views")[0], Port::named(QUERIES));
        let (mut orders, mut owed) = (BTreeMap::new(), Vec::new());
        for account in 0..self.first.money.len() {
            let query = OrdersQuery::Customer(customer_of(account as u8));
            let question = Question {
                query,
                consistency: Consistency::Eventual,
                limit_ms: ANSWER_MAX.as_millis() as u64 / 2,
            };
            let answer = self.views.call(to, question, ANSWER_MAX).await.ok()?.ok()?.data;
            owed.push(answer.customer.map(|CustomerView { owes, .. }| owes));
            orders.extend(answer.orders.into_iter().map(|order| (order.order.clone(), order)));
        }
        Some((orders, owed))
    }

    /// What an operator does about orders that do not go on: what is stuck is tried again.
    async fn help(&mut self, open: &[u64]) {
        for number in open {
            let saga = SagaId(*number);
            if let Some(Report { status: SagaStatus::Stuck { .. }, .. }) =
                self.sagas.report(saga).await
            {
                self.env.sometimes("an operator had a step tried again");
                self.sagas.command(saga, Command::Retry).await;
            }
        }
    }
}
