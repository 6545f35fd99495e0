//! The microservices of tutorials: orders and payments that hear of each other over a bus in the
//! process, which calls whoever has subscribed, once, and prints what goes wrong with that.
//!
//! A payment that failed is heard of by nobody, so that its order waits for ever; or a handler that
//! fails is not called again; or a payment looks whether there is enough on the account, and debits
//! it when others have done so in between.

use super::recovery::text;
use serde::{Deserialize, Serialize};
use squall::{Client, Fault, Most, Scenario, Tolerance};
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, Responder};
use squall_env::{Env, Port, Shown, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The properties that break.
const DECIDED: &str = "every order is paid or cancelled";
const PAID: &str = "what is paid was debited";

/// What is on each account at first, in minor units.
const ACCOUNTS: [u64; 2] = [50_000, 10_000];

/// How many orders each client places.
const ORDERS: u64 = 5;

/// How long a handler waits for the bank.
const BANK_MAX: Duration = Duration::from_millis(100);

/// How long a handler tries whose bus calls it again.
const AGAIN_MAX: Duration = Duration::from_secs(20);

/// How long an order is worked on at most while clients wait for it.
const ANSWER_MAX: Duration = Duration::from_millis(300);

const PORT: Port = Port::named("microservices");

/// What of it is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Nobody listens for payments that failed.
    StaysPending,
    /// The error of a handler is printed.
    LosesErrors,
    /// The check and the debit are two steps.
    ChecksThenDebits,
    /// Nothing.
    None,
}

/// All of them, each with the property that it breaks.
pub fn specimens() -> Vec<Scenario> {
    vec![
        shop(Flaw::StaysPending).breaks(DECIDED),
        shop(Flaw::LosesErrors).breaks(DECIDED),
        shop(Flaw::ChecksThenDebits).breaks(PAID),
    ]
}

/// The services in one process, a bank, and clients that order. Answers of the bank get lost.
pub fn shop(flaw: Flaw) -> Scenario {
    let name = match flaw {
        Flaw::StaysPending => "specimen/microservices-leave-orders-pending",
        Flaw::LosesErrors => "specimen/microservices-lose-errors",
        Flaw::ChecksThenDebits => "specimen/microservices-check-then-debit",
        Flaw::None => "microservices/decide",
    };
    let none = Tolerance::nothing().impaired("bank", Most::Any);
    Scenario::new(name)
        .nodes("bank", 1..=1, bank)
        .nodes("shop", 1..=1, move |env| serve(env, flaw))
        .clients("client", 2..=2, load)
        .tolerates(none.fault(Fault::Loss).fault(Fault::Duplication))
        .always(PAID, || paid)
        .eventually(DECIDED, Duration::from_secs(10), || decided)
        .finishes_within(Duration::from_secs(30))
}

fn decided(view: &View<'_>) -> bool {
    view.up::<Orders>().all(|orders| orders.0.values().all(|order| order.state != State::Pending))
}

/// What is left on each account and what was paid from it is what there was, but for what is on its
/// way.
fn paid(view: &View<'_>) -> Result<(), String> {
    let Some(orders) = view.up::<Orders>().next() else { return Ok(()) };
    let Some(balances) = view.up::<Balances>().next() else { return Ok(()) };
    for (account, first) in ACCOUNTS.into_iter().enumerate() {
        let paid = orders.0.values().filter(|order| order.state == State::Paid);
        let of = paid.filter(|order| usize::from(order.account) == account);
        let (sum, left) = (of.map(|order| order.total).sum::<u64>(), balances.left[account]);
        if left + sum > first {
            return Err(format!("account {account}: {sum} paid of {first}, and {left} are left"));
        }
    }
    Ok(())
}

/// What the bank is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask {
    /// What is on the account?
    Balance(u8),
    /// This is on the account from now on.
    Set(u8, u64),
    /// For this order, take so much if it is there, once.
    Debit(u64, u8, u64),
}

struct Balances {
    left: [u64; 2],
    /// What became of each order's debit.
    debited: BTreeMap<u64, bool>,
}

async fn bank(env: Env) -> Result<(), String> {
    let mut asked = Responder::<Ask, u64>::open(&env, PORT).map_err(text)?;
    let balances = env.show("balances", Balances { left: ACCOUNTS, debited: BTreeMap::new() });
    env.ready();
    loop {
        let (ask, back) = asked.receive().await.map_err(text)?;
        let told = balances.update(&env, |Balances { left, debited }| match ask {
            Ask::Balance(account) => left[usize::from(account)],
            Ask::Set(account, balance) => {
                left[usize::from(account)] = balance;
                balance
            }
            Ask::Debit(order, account, total) => {
                let left = &mut left[usize::from(account)];
                let is_debited = *debited.entry(order).or_insert_with(|| {
                    let is_there = *left >= total;
                    *left -= if is_there { total } else { 0 };
                    is_there
                });
                u64::from(is_debited)
            }
        });
        back.reply(told);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Pending,
    Paid,
    Cancelled,
}

struct Order {
    account: u8,
    total: u64,
    state: State,
}

#[derive(Default)]
struct Orders(BTreeMap<u64, Order>);

/// Both services, as they reach each other.
struct Services {
    env: Env,
    bank: Caller<Ask, u64>,
    orders: Shown<Orders>,
    flaw: Flaw,
}

impl Services {
    /// The handler of placed orders, as the bus calls it.
    async fn order_placed(&self, id: u64, account: u8, total: u64) {
        let limit = if self.flaw == Flaw::LosesErrors { BANK_MAX } else { AGAIN_MAX };
        let debited = match self.flaw {
            Flaw::ChecksThenDebits => self.check_then_debit(account, total).await,
            _ => self.ask(Ask::Debit(id, account, total), limit).await.map(|told| told == 1),
        };
        match debited {
            Ok(true) => self.decide(id, State::Paid),
            Ok(false) if self.flaw == Flaw::StaysPending => {}
            Ok(false) => self.decide(id, State::Cancelled),
            Err(error) => self.env.trace(|| format!("a handler failed: {error}")),
        }
    }

    async fn check_then_debit(&self, account: u8, total: u64) -> Result<bool, CallError> {
        let balance = self.ask(Ask::Balance(account), AGAIN_MAX).await?;
        if balance < total {
            return Ok(false);
        }
        self.ask(Ask::Set(account, balance - total), AGAIN_MAX).await?;
        Ok(true)
    }

    async fn ask(&self, ask: Ask, limit: Duration) -> Result<u64, CallError> {
        let bank = self.env.addresses("bank", PORT)[0];
        Ok(self.bank.call_again(bank, ask, BANK_MAX, limit).await?.response)
    }

    fn decide(&self, id: u64, state: State) {
        self.orders.update(&self.env, |orders| {
            orders.0.entry(id).and_modify(|order| order.state = state);
        });
    }
}

async fn serve(env: Env, flaw: Flaw) -> Result<(), String> {
    let mut asked = Responder::<(u64, u8, u64), bool>::open(&env, PORT).map_err(text)?;
    let bank = Caller::open(&env).map_err(text)?;
    let orders = env.show("orders", Orders::default());
    let services = Arc::new(Services { env: env.clone(), bank, orders, flaw });
    env.ready();
    loop {
        let ((id, account, total), back) = asked.receive().await.map_err(text)?;
        let services = Arc::clone(&services);
        env.spawn("order", async move {
            let order = Order { account, total, state: State::Pending };
            services.orders.update(&services.env, |orders| orders.0.insert(id, order));
            services.order_placed(id, account, total).await;
            back.reply(true);
        });
    }
}

async fn load(client: Client) -> Result<(), BindError> {
    let env = client.env().clone();
    let caller = Caller::<(u64, u8, u64), bool>::open(&env)?;
    let shop = env.addresses("shop", PORT)[0];
    while let Some(operation) = client.next_operation(ORDERS) {
        env.sleep(Duration::from_micros(operation.draw(0, 50_000))).await;
        let id = u64::from(env.me().ordinal()) << 32 | operation.number();
        let total = [5_997, 29_999][operation.draw(1, 2) as usize];
        // It does not have to wait until the order is decided.
        let _ = caller.call(shop, (id, operation.draw(2, 2) as u8, total), ANSWER_MAX).await;
    }
    client.after_heal().await;
    Ok(())
}
