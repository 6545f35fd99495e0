//! Those who take part in orders: a stock, payments and shipping, each a machine on a node of its
//! own that keeps its books and, beside them, what it has done for sagas.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::machine::{OpenError, StopReason};
use squall_env::platform::{BindError, BoxFuture, Closed};
use squall_env::request::{Caller, Responder};
use squall_env::{
    Address, Either, Env, Handle, Machine, Port, RequestId, Shown, Turn, mutant, open, race,
};
use squall_protocols::saga::{Answer, Call, Effects, Mark, Participants, SagaId, Served};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The pieces of each item that there are at first.
pub(super) const ITEMS: [u32; 3] = [10, 5, 0];

/// What is on each account at first, in minor units.
pub(super) const ACCOUNTS: [u64; 2] = [100_000, 20_000];

/// What stands in the way of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// Whoever is to pay does not want to.
    Declined,
    /// The goods are packed as soon as they are reserved, and it is declined: they cannot be put
    /// back before somebody has unpacked them.
    Packed,
    /// Whoever is to pay has no credit before somebody has raised the limit.
    Limit,
    /// Nobody delivers there before somebody has found a carrier.
    NoCarrier,
}

/// What an order is started with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Items and how many of each.
    pub(super) items: Vec<(u8, u32)>,
    /// Who pays.
    pub(super) account: u8,
    /// How much, in minor units.
    pub(super) price: u64,
    /// What stands in the way.
    pub(super) trouble: Trouble,
}

/// The books of a service: what its steps change.
pub(super) trait Books:
    Clone + PartialEq + Default + Send + Serialize + DeserializeOwned + 'static
{
    /// A change of them.
    type Change: Clone + PartialEq + Send + Serialize + DeserializeOwned + 'static;

    /// What doing the call's step changes, and what comes of it; or why it cannot be done.
    fn act(&self, call: &Call, order: &Order) -> Result<(Self::Change, Vec<u8>), String>;

    /// What undoing it changes; or why that cannot be.
    fn undo(&self, call: &Call, order: &Order) -> Result<Self::Change, String>;

    /// Makes a change.
    fn apply(&mut self, change: &Self::Change);

    /// What somebody changes by hand, so that what was refused for this saga is possible.
    fn mend(saga: SagaId) -> Self::Change;
}

/// Pieces on the shelf and reserved ones.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stock {
    /// How many pieces of each item are free.
    pub(super) shelf: [u32; 3],
    /// What is reserved, in the order in which it was.
    pub(super) reserved: Vec<(SagaId, Vec<(u8, u32)>)>,
    unpacked: BTreeSet<SagaId>,
}

impl Default for Stock {
    fn default() -> Stock {
        Stock { shelf: ITEMS, reserved: Vec::new(), unpacked: BTreeSet::new() }
    }
}

/// A change of the stock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum StockChange {
    /// Pieces are taken off the shelf for somebody.
    Reserve(SagaId, Vec<(u8, u32)>),
    /// They are put back.
    Release(SagaId),
    /// They are unpacked.
    Unpack(SagaId),
}

impl Books for Stock {
    type Change = StockChange;

    fn act(&self, call: &Call, order: &Order) -> Result<(StockChange, Vec<u8>), String> {
        for (item, pieces) in &order.items {
            if self.shelf.get(usize::from(*item)).is_none_or(|there| there < pieces) {
                return Err(format!("item {} is out of stock", item + 1));
            }
        }
        Ok((StockChange::Reserve(call.saga, order.items.clone()), b"reserved".to_vec()))
    }

    fn undo(&self, call: &Call, order: &Order) -> Result<StockChange, String> {
        if order.trouble == Trouble::Packed && !self.unpacked.contains(&call.saga) {
            return Err("the goods are packed".to_owned());
        }
        Ok(StockChange::Release(call.saga))
    }

    fn apply(&mut self, change: &StockChange) {
        match change {
            StockChange::Reserve(saga, items) => {
                for (item, pieces) in items {
                    self.shelf[usize::from(*item)] -= pieces;
                }
                self.reserved.push((*saga, items.clone()));
            }
            StockChange::Release(saga) => {
                let Some(at) = self.reserved.iter().position(|(of, _)| of == saga) else { return };
                for (item, pieces) in self.reserved.remove(at).1 {
                    self.shelf[usize::from(item)] += pieces;
                }
            }
            StockChange::Unpack(saga) => drop(self.unpacked.insert(*saga)),
        }
    }

    fn mend(saga: SagaId) -> StockChange {
        StockChange::Unpack(saga)
    }
}

/// Accounts, what is held on them, and what was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Payments {
    /// What is free on each account, in minor units.
    pub(super) balances: [u64; 2],
    /// What is held: for which saga, on which account, how much.
    pub(super) holds: Vec<(SagaId, u8, u64)>,
    /// What was taken, likewise.
    pub(super) taken: Vec<(SagaId, u8, u64)>,
    raised: BTreeSet<SagaId>,
}

impl Default for Payments {
    fn default() -> Payments {
        let (holds, taken, raised) = (Vec::new(), Vec::new(), BTreeSet::new());
        Payments { balances: ACCOUNTS, holds, taken, raised }
    }
}

/// A change of the accounts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum PaymentsChange {
    /// Money is held.
    Hold(SagaId, u8, u64),
    /// It is free again.
    Free(SagaId),
    /// What was held is taken.
    Take(SagaId),
    /// There is credit for an order.
    Raise(SagaId),
}

impl Books for Payments {
    type Change = PaymentsChange;

    fn act(&self, call: &Call, order: &Order) -> Result<(PaymentsChange, Vec<u8>), String> {
        if call.step == "credit" {
            let there = self.balances.get(usize::from(order.account)).copied().unwrap_or_default();
            let is_limited = order.trouble == Trouble::Limit && !self.raised.contains(&call.saga);
            return match there < order.price || is_limited {
                true => Err("insufficient funds".to_owned()),
                false => {
                    let hold = PaymentsChange::Hold(call.saga, order.account, order.price);
                    Ok((hold, order.price.to_le_bytes().to_vec()))
                }
            };
        }
        let is_declined = matches!(order.trouble, Trouble::Declined | Trouble::Packed);
        // What was held is what came of an earlier step.
        let held =
            call.outputs.get("credit").is_some_and(|held| **held == order.price.to_le_bytes());
        match is_declined || !held {
            true => Err("the payment was declined".to_owned()),
            false => Ok((PaymentsChange::Take(call.saga), b"receipt".to_vec())),
        }
    }

    fn undo(&self, call: &Call, _order: &Order) -> Result<PaymentsChange, String> {
        Ok(PaymentsChange::Free(call.saga))
    }

    fn apply(&mut self, change: &PaymentsChange) {
        match *change {
            PaymentsChange::Hold(saga, account, amount) => {
                self.balances[usize::from(account)] -= amount;
                self.holds.push((saga, account, amount));
            }
            PaymentsChange::Free(saga) => {
                let Some(at) = self.holds.iter().position(|hold| hold.0 == saga) else { return };
                let (_, account, amount) = self.holds.remove(at);
                self.balances[usize::from(account)] += amount;
            }
            PaymentsChange::Take(saga) => {
                let Some(at) = self.holds.iter().position(|hold| hold.0 == saga) else { return };
                let hold = self.holds.remove(at);
                self.taken.push(hold);
            }
            PaymentsChange::Raise(saga) => drop(self.raised.insert(saga)),
        }
    }

    fn mend(saga: SagaId) -> PaymentsChange {
        PaymentsChange::Raise(saga)
    }
}

/// Orders, and what was done about them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Shipping {
    /// Every order, and whether it is cancelled.
    pub(super) orders: Vec<(SagaId, bool)>,
    /// What was sent.
    pub(super) shipped: Vec<SagaId>,
    /// Whose customers know.
    pub(super) notified: Vec<SagaId>,
    carriers: BTreeSet<SagaId>,
}

/// A change of the orders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum ShippingChange {
    /// There is an order.
    Create(SagaId),
    /// It is cancelled.
    Cancel(SagaId),
    /// It is sent.
    Ship(SagaId),
    /// Its customer knows.
    Notify(SagaId),
    /// It has a carrier.
    Carrier(SagaId),
}

impl Books for Shipping {
    type Change = ShippingChange;

    fn act(&self, call: &Call, order: &Order) -> Result<(ShippingChange, Vec<u8>), String> {
        let saga = call.saga;
        let change = match call.step.as_str() {
            "create" => ShippingChange::Create(saga),
            "ship" if order.trouble == Trouble::NoCarrier && !self.carriers.contains(&saga) => {
                return Err("nobody delivers there".to_owned());
            }
            "ship" => ShippingChange::Ship(saga),
            _ => ShippingChange::Notify(saga),
        };
        Ok((change, saga.to_string().into_bytes()))
    }

    fn undo(&self, call: &Call, _order: &Order) -> Result<ShippingChange, String> {
        Ok(ShippingChange::Cancel(call.saga))
    }

    fn apply(&mut self, change: &ShippingChange) {
        match change {
            ShippingChange::Create(saga) => self.orders.push((*saga, false)),
            ShippingChange::Cancel(saga) => {
                let open = self.orders.iter_mut().find(|order| *order == &(*saga, false));
                if let Some(order) = open {
                    order.1 = true;
                }
            }
            ShippingChange::Ship(saga) => self.shipped.push(*saga),
            ShippingChange::Notify(saga) => self.notified.push(*saga),
            ShippingChange::Carrier(saga) => drop(self.carriers.insert(*saga)),
        }
    }

    fn mend(saga: SagaId) -> ShippingChange {
        ShippingChange::Carrier(saga)
    }
}

/// What a service is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// By the owner of a saga.
    Call(Call),
    /// By an operator, who makes possible what was refused.
    Mend(SagaId),
}

/// A service with its books.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Service<B> {
    /// Its books.
    pub(super) books: B,
    effects: Effects,
    /// The calls of this boot that were not turned away: for which saga, under which token.
    pub(super) accepted: Vec<(SagaId, u64)>,
}

/// What a service persists: a change with the mark that it was made, in one record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Record<C> {
    mark: Option<Mark>,
    change: Option<C>,
}

/// The mark of a change that is on disk already, in a mutant.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Late {
    id: RequestId,
    mark: Option<Mark>,
    answer: Answer,
}

impl<B: Books> Machine for Service<B> {
    type Config = ();
    type Timer = Late;
    type Message = ();
    type Request = Ask;
    type Reply = Answer;
    type Record = Record<B::Change>;
    type Snapshot = (B, Effects);

    fn restore((): &(), snapshot: Option<(B, Effects)>) -> Service<B> {
        let (books, effects) = snapshot.unwrap_or_default();
        Service { books, effects, accepted: Vec::new() }
    }

    fn apply(&mut self, record: &Record<B::Change>) {
        record.mark.iter().for_each(|mark| self.effects.apply(mark));
        record.change.iter().for_each(|change| self.books.apply(change));
    }

    fn snapshot(&self) -> (B, Effects) {
        (self.books.clone(), self.effects.clone())
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<Service<B>>) {
        let call = match ask {
            Ask::Call(call) => call,
            Ask::Mend(saga) => {
                turn.persist(self, Record { mark: None, change: Some(B::mend(saga)) });
                return turn.reply(id, Answer::Done(Vec::new()));
            }
        };
        let Ok(order) = serde_json::from_slice::<Order>(&call.input) else {
            return turn.reply(id, Answer::Refused("this is no order".to_owned()));
        };
        let act = || self.books.act(&call, &order);
        let served = self.effects.serve(&call, turn, act, |_| self.books.undo(&call, &order));
        let Served { answer, mark, change } = served;
        turn.trace(|| format!("{call:?} is answered {answer:?}, {mark:?}"));
        if answer != Answer::Overtaken {
            self.accepted.push((call.saga, call.token));
        } else {
            turn.sometimes("a service turned an owner away that was overtaken");
        }
        if mutant!(turn, "saga/records-an-effect-before-its-key") && change.is_some() {
            turn.persist(self, Record { mark: None, change });
            return turn.arm(Late { id, mark, answer }, Duration::from_millis(5));
        }
        if mark.is_some() {
            turn.persist(self, Record { mark, change });
        }
        turn.reply(id, answer);
    }

    fn on_timer(&mut self, Late { id, mark, answer }: Late, turn: &mut Turn<Service<B>>) {
        turn.persist(self, Record { mark, change: None });
        turn.reply(id, answer);
    }
}

/// Why a service stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It had to stop.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

const PORT: Port = Port::named("service");

/// A node that is a service.
pub(super) async fn serve<B: Books>(env: Env) -> Result<(), ServeError> {
    let (service, run) = open::<Service<B>>(&env, "books", ()).await?;
    let mut asked = Responder::<Ask, Answer>::open(&env, PORT)?;
    env.ready();
    let serving = async {
        loop {
            let (ask, back) = asked.receive().await?;
            let service: Handle<Service<B>> = service.clone();
            env.spawn("request", async move {
                if let Ok(answer) = service.request(ask).await {
                    back.reply(answer);
                }
            });
        }
    };
    match race(run, serving).await {
        Either::Left(stopped) => Ok(stopped?),
        Either::Right(ended) => ended,
    }
}

/// A call that an owner has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Made {
    /// For which saga.
    pub(super) saga: SagaId,
    /// For which step.
    pub(super) step: String,
    /// Whether to undo it.
    pub(super) is_undo: bool,
    /// Under which token.
    pub(super) token: u64,
}

/// Everything that was called from this node since it started.
#[derive(Clone, Default)]
pub(super) struct Calls(pub Vec<Made>);

/// The services over the network.
pub(super) struct Remote {
    env: Env,
    caller: Caller<Ask, Answer>,
    services: BTreeMap<&'static str, Address>,
    calls: Shown<Calls>,
}

impl Remote {
    /// The services, each the one node of its role.
    pub(super) fn open(env: &Env) -> Result<Remote, BindError> {
        let role_of = [
            ("create", "shipping"),
            ("reserve", "stock"),
            ("credit", "payments"),
            ("charge", "payments"),
            ("ship", "shipping"),
            ("notify", "shipping"),
        ];
        let address = |role| Address::new(env.peers(role)[0], PORT);
        let services = role_of.into_iter().map(|(step, role)| (step, address(role)));
        Ok(Remote {
            env: env.clone(),
            caller: Caller::open(env)?,
            services: services.collect(),
            calls: env.show("calls", Calls::default()),
        })
    }

    /// Has an operator make possible what a step was refused for; whether that was answered.
    pub(super) async fn mend(&self, saga: SagaId, step: &str, limit: Duration) -> bool {
        let Some(to) = self.services.get(step) else { return false };
        self.caller.call(*to, Ask::Mend(saga), limit).await.is_ok()
    }
}

impl Participants for Remote {
    fn call(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let Some(to) = self.services.get(call.step.as_str()) else { return Answer::Unknown };
            let (saga, step) = (call.saga, call.step.clone());
            let made = Made { saga, step, is_undo: call.is_undo, token: call.token };
            self.calls.update(&self.env, |calls| calls.0.push(made));
            // Whoever calls has a deadline of its own, which comes first.
            let limit = Duration::from_secs(60);
            let answer = self.caller.call(*to, Ask::Call(call), limit).await;
            answer.unwrap_or(Answer::Unknown)
        })
    }
}
