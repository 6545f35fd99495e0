//! What orders are, and the books of those who take part in them: a stock, payments and shipping.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_protocols::saga::{Call, SagaId};
use std::collections::BTreeSet;

/// The pieces of each item that there are at first.
pub(crate) const ITEMS: [u32; 3] = [10, 5, 0];

/// What is on each account at first, in minor units.
pub(crate) const ACCOUNTS: [u64; 2] = [100_000, 20_000];

/// What stands in the way of an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Whoever is to pay does not want to.
    Declined,
    /// The goods are packed as soon as they are reserved, and it is declined: they cannot be put
    /// back before somebody has unpacked them.
    Packed,
    /// Whoever is to pay has no credit when somebody asks first, and has some from then on: the
    /// limit is raised. What was refused stays refused all the same.
    Limit,
    /// Nobody delivers there before somebody has found a carrier.
    NoCarrier,
}

/// What an order is started with.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Items and how many of each.
    pub(crate) items: Vec<(u8, u32)>,
    /// Who pays.
    pub(crate) account: u8,
    /// How much, in minor units.
    pub(crate) price: u64,
    /// What stands in the way.
    pub(crate) trouble: Trouble,
}

/// What the books say of a saga, and of what is nobody's.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Look {
    /// What is reserved for it, once for each time that it is.
    pub reserved: Vec<Vec<(u8, u32)>>,
    /// What is held for it: on which account, how much.
    pub held: Vec<(u8, u64)>,
    /// What was taken for it, likewise.
    pub taken: Vec<(u8, u64)>,
    /// How often it was sent.
    pub shipped: usize,
    /// What is free: the pieces of each item, or what is on each account.
    pub free: Vec<u64>,
}

/// The books of a service: what its steps change.
pub(crate) trait Books:
    Clone + PartialEq + Default + Send + Sync + Serialize + DeserializeOwned + 'static
{
    /// A change of them.
    type Change: Clone + PartialEq + Send + Serialize + DeserializeOwned + 'static;

    /// What doing the call's step changes, and what comes of it; or why it cannot be done.
    fn act(&self, call: &Call, order: &Order) -> Result<(Self::Change, Vec<u8>), String>;

    /// What undoing it changes; or why that cannot be.
    fn undo(&self, call: &Call, order: &Order) -> Result<Self::Change, String>;

    /// Makes a change.
    fn apply(&mut self, change: &Self::Change);

    /// What of it is a saga's, and what is nobody's.
    fn look(&self, saga: SagaId) -> Look;

    /// What somebody changes by hand, so that what was refused for this saga is possible.
    fn mend(saga: SagaId) -> Self::Change;
}

/// Pieces on the shelf and reserved ones.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Stock {
    /// How many pieces of each item there were at first.
    pub(crate) first: [u32; 3],
    /// How many pieces of each item are free.
    pub(crate) shelf: [u32; 3],
    /// What is reserved, in the order in which it was.
    pub(crate) reserved: Vec<(SagaId, Vec<(u8, u32)>)>,
    unpacked: BTreeSet<SagaId>,
}

impl Default for Stock {
    fn default() -> Stock {
        Stock::of(ITEMS)
    }
}

impl Stock {
    /// A stock of so many pieces of each item.
    pub(crate) fn of(first: [u32; 3]) -> Stock {
        Stock { first, shelf: first, reserved: Vec::new(), unpacked: BTreeSet::new() }
    }
}

/// A change of the stock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum StockChange {
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

    fn look(&self, saga: SagaId) -> Look {
        let reserved = self.reserved.iter().filter(|(of, _)| *of == saga);
        Look {
            reserved: reserved.map(|(_, items)| items.clone()).collect(),
            free: self.shelf.map(u64::from).to_vec(),
            ..Look::default()
        }
    }

    fn mend(saga: SagaId) -> StockChange {
        StockChange::Unpack(saga)
    }
}

/// Accounts, what is held on them, and what was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Payments {
    /// What was on each account at first, in minor units.
    pub(crate) first: [u64; 2],
    /// What is free on each account.
    pub(crate) balances: [u64; 2],
    /// What is held: for which saga, on which account, how much.
    pub(crate) holds: Vec<(SagaId, u8, u64)>,
    /// What was taken, likewise.
    pub(crate) taken: Vec<(SagaId, u8, u64)>,
    raised: BTreeSet<SagaId>,
}

impl Default for Payments {
    fn default() -> Payments {
        Payments::of(ACCOUNTS)
    }
}

impl Payments {
    /// Accounts with so much on each.
    pub(crate) fn of(first: [u64; 2]) -> Payments {
        let (holds, taken, raised) = (Vec::new(), Vec::new(), BTreeSet::new());
        Payments { first, balances: first, holds, taken, raised }
    }
}

/// A change of the accounts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum PaymentsChange {
    /// Money is held.
    Hold(SagaId, u8, u64),
    /// It is free again: so much on an account.
    Free(SagaId, u8, u64),
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

    fn undo(&self, call: &Call, order: &Order) -> Result<PaymentsChange, String> {
        Ok(PaymentsChange::Free(call.saga, order.account, order.price))
    }

    fn apply(&mut self, change: &PaymentsChange) {
        match *change {
            PaymentsChange::Hold(saga, account, amount) => {
                self.balances[usize::from(account)] -= amount;
                self.holds.push((saga, account, amount));
            }
            PaymentsChange::Free(saga, account, amount) => {
                self.holds.retain(|hold| hold.0 != saga);
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

    fn look(&self, saga: SagaId) -> Look {
        let of = |all: &[(SagaId, u8, u64)]| {
            all.iter().filter(|one| one.0 == saga).map(|one| (one.1, one.2)).collect()
        };
        let (held, taken) = (of(&self.holds), of(&self.taken));
        Look { held, taken, free: self.balances.to_vec(), ..Look::default() }
    }

    fn mend(saga: SagaId) -> PaymentsChange {
        PaymentsChange::Raise(saga)
    }
}

/// Orders, and what was done about them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shipping {
    /// Every order, and whether it is cancelled.
    pub(crate) orders: Vec<(SagaId, bool)>,
    /// What was sent.
    pub(crate) shipped: Vec<SagaId>,
    /// Whose customers know.
    pub(crate) notified: Vec<SagaId>,
    carriers: BTreeSet<SagaId>,
}

/// A change of the orders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum ShippingChange {
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

    fn look(&self, saga: SagaId) -> Look {
        let shipped = self.shipped.iter().filter(|of| **of == saga).count();
        Look { shipped, ..Look::default() }
    }

    fn mend(saga: SagaId) -> ShippingChange {
        ShippingChange::Carrier(saga)
    }
}
