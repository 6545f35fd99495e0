//! A shop that knows its orders.

use serde::{Deserialize, Serialize};
use squall_protocols::outbox::{Decision, Letter, State};

/// The orders, as they were placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shop {
    orders: Vec<u64>,
}

/// The order is placed, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed;

impl Shop {
    pub(super) fn orders(&self) -> &[u64] {
        &self.orders
    }
}

impl State for Shop {
    type Command = u64;
    type Change = u64;
    type Answer = Placed;

    fn decide(&self, order: &u64) -> Decision<Shop> {
        let letter =
            || Letter { key: Some("orders".to_owned()), body: order.to_le_bytes().to_vec() };
        let change = (!self.orders.contains(order)).then(|| (*order, vec![letter()]));
        Decision { change, answer: Placed }
    }

    fn apply(&mut self, order: &u64) {
        self.orders.push(*order);
    }
}
