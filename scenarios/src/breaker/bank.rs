//! A bank that does each payment once: it knows payments by their key.

use super::fallback::Order;
use serde::{Deserialize, Serialize};
use squall_env::machine::{ServeError, serve_requests};
use squall_env::{Env, Machine, Never, Port, RequestId, Turn, open};
use std::collections::BTreeMap;

/// What a bank is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Pay an order under this key.
    Pay(u64, Order),
    /// Is it paid?
    IsPaid(Order),
}

/// How it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Paid,
    NotPaid,
    Declined,
}

/// Every payment by its key. What is in it is money that has gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ledger {
    payments: BTreeMap<u64, Order>,
}

impl Ledger {
    /// An order that was paid more than once.
    pub(super) fn paid_twice(&self) -> Option<Order> {
        let mut orders: Vec<Order> = self.payments.values().copied().collect();
        orders.sort_unstable();
        orders.windows(2).find(|two| two[0] == two[1]).map(|two| two[0])
    }
}

/// A card that is declined is so every time.
pub(super) fn declines(order: Order) -> bool {
    order % 4 == 3
}

impl Machine for Ledger {
    type Config = ();
    type Timer = Never;
    type Message = Never;
    type Request = Ask;
    type Reply = Answer;
    type Record = (u64, Order);
    type Snapshot = BTreeMap<u64, Order>;

    fn restore((): &(), snapshot: Option<BTreeMap<u64, Order>>) -> Ledger {
        Ledger { payments: snapshot.unwrap_or_default() }
    }

    fn apply(&mut self, (key, order): &(u64, Order)) {
        self.payments.insert(*key, *order);
    }

    fn snapshot(&self) -> BTreeMap<u64, Order> {
        self.payments.clone()
    }

    fn on_request(&mut self, id: RequestId, request: Ask, turn: &mut Turn<Ledger>) {
        let (Ask::Pay(_, order) | Ask::IsPaid(order)) = request;
        if declines(order) {
            return turn.reply(id, Answer::Declined);
        }
        match request {
            Ask::Pay(key, order) => {
                if !self.payments.contains_key(&key) {
                    turn.persist(self, (key, order));
                }
                turn.reply(id, Answer::Paid);
            }
            Ask::IsPaid(order) => {
                let is_paid = self.payments.values().any(|paid| *paid == order);
                turn.reply(id, if is_paid { Answer::Paid } else { Answer::NotPaid });
            }
        }
    }
}

pub(super) async fn serve(env: Env) -> Result<(), ServeError> {
    let (ledger, run) = open::<Ledger>(&env, "ledger", ()).await?;
    let answer = |ask, back| ledger.clone().answer(ask, back, None);
    serve_requests(&env, run, Port::named("bank"), answer).await
}
