//! A whole shop: orders, a stock, payments and shipping, each with a store of its own, and what
//! holds them together.
//!
//! A customer orders through a *gateway*, which lets each of them in at its rate and asks no
//! service that is known not to answer. The *orders* service decides by a specification who has
//! credit, and writes an order and the letter that tells of it in one record; a relay puts its
//! letters on the *bus*. Two subscriptions hear of them. One starts a saga for each order, on two
//! *orchestrators* of which one at a time runs them, past a breaker for each service: the *stock*
//! reserves, *payments* hold and take the money, *shipping* sends, and the orders service is told
//! how it has ended. The other one writes what has become of orders into the *event store*, of
//! which the *views* are projected. Pieces and minor units of money are integers.
//!
//! At last an auditor waits until every order is over, and reads all books. What it may find is the
//! same in the world and among real processes (`squall demo shop`), and is judged by the same
//! function.

mod demo;
mod gateway;
mod judged;
mod load;
mod nodes;
mod orders;
mod services;

pub use demo::demo;
pub(crate) use judged::{Shop, WHOLE, verdict};
#[cfg(feature = "faults")]
pub(crate) use load::LARGE;
pub(crate) use load::{audit, order};

use crate::cqrs::{CHECKPOINT, VIEW, judge, oracle as views_oracle};
use crate::saga::books::{Books as _, Payments, Shipping, Stock};
use crate::saga::oracle;
use crate::saga::services::{self as saga_services, Service};
use crate::tolerance;
use load::{First, SMALL};
#[cfg(feature = "faults")]
use nodes::text;
use orders::{Orders, Status};
use squall::{Client, FINISHES, Scenario};
use squall_env::{Env, View};
use squall_protocols::event_store::{self, SegmentConfig};
use squall_protocols::lock;
use squall_protocols::outbox::Outboxed;
use squall_protocols::saga::SagaId;
use std::time::Duration;

const CONSERVED: &str = "pieces and money are neither made nor lost";
const ONCE: &str = "every effect is there at most once";
const ORDERED: &str = "nothing is reserved, taken or sent that nobody has ordered";
const PAID: &str = "what is confirmed is paid and sent, and of what is rejected nothing is left";
const RATE: &str = "customers are let in no faster than allowed";
/// How many orders each customer places.
const ORDERS: u64 = 5;

/// The roles of the shop's nodes, and how many there are of each.
pub(crate) const ROLES: [(&str, usize); 10] = [
    ("gateway", 1),
    ("orders", 1),
    ("bus", 1),
    ("events", 1),
    ("locks", 1),
    ("stock", 1),
    ("payments", 1),
    ("shipping", 1),
    ("orchestrator", 2),
    ("views", 1),
];

/// The shop's nodes, with so much at first. Services take some requests late if that is wanted.
fn system<const LATE: bool>(name: &str, first: First) -> Scenario {
    let (pieces, money) = (first.pieces, first.money);
    Scenario::new(name)
        .nodes("gateway", 1..=1, gateway::serve)
        .nodes("orders", 1..=1, nodes::serve_orders)
        .nodes("bus", 1..=1, nodes::serve_bus)
        .nodes("events", 1..=1, serve_events)
        .nodes("locks", 1..=1, lock::serve)
        .nodes("stock", 1..=1, move |env| saga_services::serve::<_, LATE>(env, Stock::of(pieces)))
        .nodes("payments", 1..=1, move |env| {
            saga_services::serve::<_, LATE>(env, Payments::of(money))
        })
        .nodes("shipping", 1..=1, |env| saga_services::serve::<_, LATE>(env, Shipping::default()))
        .nodes("orchestrator", 2..=2, nodes::fulfil::<LATE>)
        .nodes("views", 1..=1, nodes::serve_views)
}

/// The shop under the whole weather: each of its nodes may crash, stand still and be parted from
/// the others at any time, and loses what it has not synced.
pub fn orders() -> Scenario {
    let services = ROLES.iter().map(|(role, _)| *role);
    let roles: Vec<&str> = services.chain(["client"]).collect();
    system::<true>("shop/orders", SMALL)
        .nodes("witness", 1..=1, views_oracle::witness)
        .clients("client", 1..=2, load)
        .tolerates(tolerance::of_durable(&roles))
        .always(CONSERVED, || oracle::conserved)
        .always(ONCE, || oracle::once)
        .always(ORDERED, || ordered)
        .always(PAID, || paid)
        .always(RATE, gateway::as_fast_as_allowed)
        .always(VIEW, judge::views)
        .always(CHECKPOINT, judge::checkpoints)
        .check(Shop::new(WHOLE, verdict))
        .sometimes("an order came too fast")
        .sometimes("the gateway did not ask for an order")
        .sometimes("a service was not called that does not answer")
        // Links that are slow stay so when the faults are over, and each waits for the other.
        .finishes_within(Duration::from_secs(180))
}

async fn serve_events(env: Env) -> Result<(), event_store::ServeError> {
    event_store::serve(env, "events", SegmentConfig::default()).await
}

/// A real node of the shop, of the role that its configuration names.
#[cfg(feature = "faults")]
pub(crate) async fn serve(env: Env) -> Result<(), String> {
    let role = env.roster().role(env.me()).to_owned();
    let (pieces, money) = (LARGE.pieces, LARGE.money);
    match role.as_str() {
        "gateway" => gateway::serve(env).await,
        "orders" => nodes::serve_orders(env).await.map_err(text),
        "bus" => nodes::serve_bus(env).await.map_err(text),
        "events" => serve_events(env).await.map_err(text),
        "locks" => lock::serve(env).await.map_err(text),
        "stock" => saga_services::serve::<_, false>(env, Stock::of(pieces)).await.map_err(text),
        "payments" => {
            saga_services::serve::<_, false>(env, Payments::of(money)).await.map_err(text)
        }
        "shipping" => {
            saga_services::serve::<_, false>(env, Shipping::default()).await.map_err(text)
        }
        "orchestrator" => nodes::fulfil::<false>(env).await,
        "views" => nodes::serve_views(env).await,
        _ => Err(format!("a shop has no {role}")),
    }
}

async fn load(client: Client) -> Result<(), String> {
    order(&client, ORDERS, Duration::MAX).await?;
    client.after_heal().await;
    audit(&client, SMALL).await.map(drop)
}

/// The orders service, if it is up.
fn with_orders(
    view: &View<'_>,
    judge: impl Fn(&Orders) -> Result<(), String>,
) -> Result<(), String> {
    view.up::<Outboxed<Orders>>().next().map_or(Ok(()), |orders| judge(orders.state()))
}

/// Nothing is in the books that nobody has ordered.
fn ordered(view: &View<'_>) -> Result<(), String> {
    with_orders(view, |orders| {
        let known = |what: &str, saga: SagaId| match orders.status(saga.0) {
            Some(_) => Ok(()),
            None => Err(format!("{what} for {saga}, and there is no such order")),
        };
        for stock in view.changed::<Service<Stock>>() {
            stock.books.reserved.iter().try_for_each(|(saga, _)| known("reserved", *saga))?;
        }
        for payments in view.changed::<Service<Payments>>() {
            let all = payments.books.holds.iter().chain(&payments.books.taken);
            all.into_iter().try_for_each(|hold| known("held or taken", hold.0))?;
        }
        for shipping in view.changed::<Service<Shipping>>() {
            shipping.books.shipped.iter().try_for_each(|saga| known("sent", *saga))?;
        }
        Ok(())
    })
}

/// What the orders service says of an order that is over is what the others have in their books.
fn paid(view: &View<'_>) -> Result<(), String> {
    let stock = view.up::<Service<Stock>>().next();
    let payments = view.up::<Service<Payments>>().next();
    let shipping = view.up::<Service<Shipping>>().next();
    with_orders(view, |orders| {
        for (number, _, status) in orders.all().filter(|(.., status)| status.is_over()) {
            let saga = SagaId(number);
            let wanted = usize::from(status == Status::Confirmed);
            let counts = [
                ("reserved", stock.as_ref().map(|s| s.books.look(saga).reserved.len())),
                ("paid", payments.as_ref().map(|p| p.books.look(saga).taken.len())),
                ("sent", shipping.as_ref().map(|s| s.books.look(saga).shipped)),
            ];
            let wrong = counts.iter().find(|(_, count)| count.is_some_and(|is| is != wanted));
            if let Some((what, Some(count))) = wrong {
                return Err(format!("{saga} is {status:?}, and {what} {count} times"));
            }
        }
        Ok(())
    })
}

/// One line gone wrong, each in its own way, under the plans of the good code.
pub fn mutants() -> Vec<Scenario> {
    let mutant = |switch: &'static str, breaks| {
        let switched = switch.trim_start_matches("shop/").replace('/', "-");
        orders().mutant(&format!("mutant/shop-{switched}"), switch, breaks)
    };
    vec![
        mutant("shop/lets-everybody-in", RATE),
        mutant("shop/reserves-for-every-post", ORDERED),
        mutant("shop/confirms-what-is-not-paid", PAID),
        mutant("shop/draws-events-anew", FINISHES),
        mutant("shop/says-placed-before-it-is", WHOLE),
        mutant("outbox/marks-before-it-publishes", FINISHES),
        mutant("saga/does-again-what-was-done", ONCE),
        mutant("cqrs/checkpoint-before-apply", VIEW),
    ]
}
