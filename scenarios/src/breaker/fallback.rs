//! A shop that puts payments off while its bank cannot be reached, and makes them later.

use super::bank::{self, Answer, Ask, Ledger, declines};
use serde::{Deserialize, Serialize};
use squall::{Client, FINISHES, Fault, Most, Scenario, Tolerance};
use squall_env::machine::{ServeError, serve_requests};
use squall_env::platform::BindError;
use squall_env::request::{Caller, ReplyTo};
use squall_env::{Env, HasOutcome, Outcome, Port, Shown, View, race};
use squall_protocols::breaker::{
    Accepted, Config, Fallback, FallbackError, SharedBreaker, Then, Verdict, Wait, Window,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ONCE: &str = "no order is paid twice";
const CHOSEN: &str = "what the bank declines is not said to be queued";
/// The number of an order, which is the key of its payment as well.
pub(super) type Order = u64;

/// How many orders each customer has.
const ORDERS: u64 = 20;

/// How long the bank may take.
const PAY_MAX: Duration = Duration::from_millis(1_200);

/// How long a customer waits for the shop.
const ASK_MAX: Duration = Duration::from_secs(3);

/// What a customer is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Told {
    Paid,
    /// It will be.
    Queued,
    Declined,
    /// It is neither paid nor queued, as far as the shop knows.
    Failed,
}

/// Customers of a shop that pays through a bank.
pub fn fallback() -> Scenario {
    let tolerance = Tolerance::nothing()
        .impaired("bank", Most::Any)
        .impaired("shop", Most::Any)
        .impaired("customer", Most::Any)
        .any_network()
        .but_not(Fault::QueueOverflow)
        .crashes()
        .lost_unsynced_writes()
        .fault(Fault::ClockRate)
        .fault(Fault::LateTimers);
    Scenario::new("breaker/fallback")
        .nodes("bank", 1..=1, bank::serve)
        .nodes("shop", 1..=1, sell)
        .clients("customer", 2..=4, buy)
        .tolerates(tolerance)
        .heals_after(Duration::from_secs(4))
        .always(ONCE, || {
            |view: &View<'_>| {
                let twice = view.changed::<Ledger>().find_map(|ledger| ledger.paid_twice());
                twice.map_or(Ok(()), |order| Err(format!("order {order} was paid twice")))
            }
        })
        .always(CHOSEN, || {
            |view: &View<'_>| match view.changed::<Wrong>().find_map(|wrong| wrong.0) {
                None => Ok(()),
                Some(order) => Err(format!("order {order} was declined, and then queued")),
            }
        })
        .sometimes("an order was queued and nobody had tried to pay it")
        .sometimes("an order was queued and nobody knows whether it is paid")
        .sometimes("a queued order was paid")
        .sometimes("a queued order was declined")
        .finishes_within(Duration::from_secs(40))
}

/// An order that a shop has wrongly queued.
struct Wrong(Option<Order>);

/// Why a payment has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum PayError {
    #[error("the card is declined")]
    Declined,
    #[error("the bank does not answer")]
    NoAnswer,
}

impl HasOutcome for PayError {
    fn outcome(&self) -> Outcome {
        match self {
            PayError::Declined => Outcome::NotDone,
            PayError::NoAnswer => Outcome::Indeterminate,
        }
    }
}

/// Only a bank that does not answer is a reason to try again later.
fn judge(error: &PayError) -> (Verdict, Then) {
    match error {
        PayError::Declined => (Verdict::Ignored, Then::Fail),
        PayError::NoAnswer => (Verdict::Failure, Then::PutOff),
    }
}

fn config() -> Config {
    Config {
        window: Window::Calls(2),
        calls_min: 2,
        wait: Wait::fixed(Duration::from_millis(100)),
        half_open_calls: 1,
        lost_after: Duration::from_secs(5),
        ..Config::default()
    }
}

/// What the orders of a shop share.
struct Shop {
    env: Env,
    fallback: Fallback<Order>,
    bank: Caller<Ask, Answer>,
    wrong: Shown<Wrong>,
}

impl Shop {
    async fn pay(&self, key: u64, order: Order) -> Result<(), PayError> {
        let to = self.env.addresses("bank", Port::named("bank"))[0];
        match self.bank.call(to, Ask::Pay(key, order), PAY_MAX).await {
            Ok(Answer::Paid) => Ok(()),
            Ok(Answer::Declined) => Err(PayError::Declined),
            Ok(Answer::NotPaid) | Err(_) => Err(PayError::NoAnswer),
        }
    }

    async fn order(&self, order: Order, reply: ReplyTo<Told>) {
        let (tried, declined) = (AtomicBool::new(false), AtomicBool::new(false));
        let paying = async {
            tried.store(true, Ordering::Relaxed);
            let paid = self.pay(order, order).await;
            declined.store(paid == Err(PayError::Declined), Ordering::Relaxed);
            paid
        };
        let told = match self.fallback.call((order, order), judge, paying).await {
            Ok(Accepted::Done(())) => Told::Paid,
            Ok(Accepted::Queued) => {
                let tried = tried.load(Ordering::Relaxed);
                self.env.sometimes(match tried {
                    true => "an order was queued and nobody knows whether it is paid",
                    false => "an order was queued and nobody had tried to pay it",
                });
                if declined.load(Ordering::Relaxed) {
                    self.wrong.update(&self.env, |wrong| wrong.0 = Some(order));
                }
                Told::Queued
            }
            Err(FallbackError::Failed(PayError::Declined)) => Told::Declined,
            Err(_) => Told::Failed,
        };
        reply.reply(told);
    }

    async fn drain(&self) {
        let settled = |_, result: Result<(), PayError>| {
            self.env.sometimes(match result {
                Ok(()) => "a queued order was paid",
                Err(_) => "a queued order was declined",
            });
        };
        // It ends when the queue does, and the node with it.
        let _ = self.fallback.drain(judge, |key, order| self.pay(key, order), settled).await;
    }
}

async fn sell(env: Env) -> Result<(), ServeError> {
    let breaker = SharedBreaker::new(&env, config()).expect("the configuration makes sense");
    let (fallback, run) = Fallback::open(&env, "put-off", breaker, 1_000).await?;
    let bank = Caller::open(&env)?;
    let wrong = env.show("wrong", Wrong(None));
    let shop = Arc::new(Shop { env: env.clone(), fallback, bank, wrong });
    let own = Arc::clone(&shop);
    env.spawn("drain", async move { own.drain().await });
    let answer = |order, back| {
        let own = Arc::clone(&shop);
        async move { own.order(order, back).await }
    };
    serve_requests(&env, run, Port::named("shop"), answer).await
}

/// Orders one thing after the other, asks for each until it is told something, and believes that
/// what is queued will be paid: at last it asks the bank until it is.
async fn buy(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let shop = Caller::<Order, Told>::open(&env)?;
    let bank = Caller::<Ask, Answer>::open(&env)?;
    let shops = env.addresses("shop", Port::named("shop"))[0];
    let banks = env.addresses("bank", Port::named("bank"))[0];
    let mut queued = Vec::new();
    while let Some(operation) = client.next_operation(ORDERS) {
        // Another number for each, also after a crash in the midst of one.
        let order = operation.draw(0, u64::MAX);
        loop {
            match shop.call(shops, order, ASK_MAX).await {
                Ok(Told::Failed) | Err(_) => env.sleep(Duration::from_millis(50)).await,
                Ok(Told::Queued) => break queued.push(order),
                Ok(Told::Paid | Told::Declined) => break,
            }
        }
        let pause = Duration::from_millis(operation.draw(1, 200));
        race(env.sleep(pause), client.after_heal()).await;
    }
    for order in queued {
        let expected = if declines(order) { Answer::Declined } else { Answer::Paid };
        while bank.call(banks, Ask::IsPaid(order), ASK_MAX).await != Ok(expected) {
            env.sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// One line gone wrong, each in its own way.
pub(super) fn mutants() -> Vec<Scenario> {
    let mutant = |name: &'static str, breaks| {
        fallback().mutant(&format!("mutant/{}", name.replace('/', "-")), name, breaks)
    };
    vec![
        mutant("breaker/puts-anything-off", CHOSEN),
        mutant("breaker/drains-under-another-key", ONCE),
        mutant("breaker/queues-in-memory", FINISHES),
        mutant("breaker/drains-nothing", FINISHES),
        mutant("breaker/settles-before-the-call", FINISHES),
    ]
}
