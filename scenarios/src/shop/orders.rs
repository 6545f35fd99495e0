//! The service of orders: a state with an outbox, that decides who has credit and takes part in the
//! saga of each order.

use crate::saga::books::Order;
use serde::{Deserialize, Serialize};
use squall_protocols::bus::{Event, Post};
use squall_protocols::outbox::{Decision, Letter, State};
use squall_protocols::queue::MessageId;
use squall_protocols::saga::{Answer, Call, Effects, Mark, Served};
use squall_protocols::specification::{Bound, Field, Specification, Table, Value, field};
use std::collections::{BTreeMap, BTreeSet};

/// The most orders that are told at once.
pub(super) const PAGE: usize = 100;

/// The first step of the saga of an order: it is accepted, or rejected if everything is undone.
pub(super) const ACCEPT: &str = "accept";

/// The last step: it is confirmed.
pub(super) const CONFIRM: &str = "confirm";

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Status {
    /// It is placed.
    Placed,
    /// Somebody sees to it.
    Accepted,
    /// It is paid and sent.
    Confirmed,
    /// Nothing of it is left.
    Rejected,
}

impl Status {
    pub(super) fn is_over(self) -> bool {
        matches!(self, Status::Confirmed | Status::Rejected)
    }
}

/// What the service tells everybody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum OrderEvent {
    /// There is a new order.
    Placed(u64, Order),
    /// An order is confirmed.
    Confirmed(u64),
    /// An order is rejected.
    Rejected(u64),
}

impl Event for OrderEvent {
    const KIND: &'static str = "orders";
}

/// What it is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// To place an order under this number.
    Place(u64, Order),
    /// To do its part in a saga.
    Call(Call),
    /// What orders there are behind this number.
    List(Option<u64>),
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// The order is there, now or before.
    Placed,
    /// It never will be, for this reason.
    Refused(String),
    /// As participant of a saga.
    Answer(Answer),
    /// Some of the orders, by their numbers.
    Orders(Vec<(u64, Order, Status)>),
}

/// What changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Change {
    Place(u64, Order),
    Refuse(u64),
    Call(Mark, Option<(u64, Status)>),
}

/// The orders.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Orders {
    orders: BTreeMap<u64, (Order, Status)>,
    /// What was refused stays so: a copy that comes late must not find that there is credit now.
    refused: BTreeSet<u64>,
    effects: Effects,
}

/// What is known of a customer, with the order that is asked for.
const CUSTOMERS: Table = Table {
    name: "customers",
    fields: &[Field::text("tier"), Field::integer("owes"), Field::integer("credit_limit")],
};

/// Who has credit: premium customers, and others as long as they owe no more than their limit.
fn has_credit() -> Bound {
    let within: Specification = field("owes").at_most(field("credit_limit"));
    let rule = field("tier").is("premium").or(within);
    rule.bind(&CUSTOMERS).expect("the rule is about fields of customers")
}

/// The tier of each customer, and what it may owe, in minor units.
const TIERS: [(&str, i64); 2] = [("standard", 60_000), ("premium", 0)];

impl Orders {
    pub(super) fn status(&self, order: u64) -> Option<Status> {
        self.orders.get(&order).map(|(_, status)| *status)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Order, Status)> {
        self.orders.iter().map(|(number, (order, status))| (*number, order, *status))
    }

    /// The customer as it would be with this order; nothing if there is none.
    fn customer_with(&self, order: &Order) -> Option<Vec<Option<Value>>> {
        let (tier, limit) = *TIERS.get(usize::from(order.account))?;
        let open = self.orders.values();
        let open = open.filter(|(one, status)| one.account == order.account && !status.is_over());
        let owes: u64 = open.map(|(one, _)| one.price).sum::<u64>().saturating_add(order.price);
        let owes = i64::try_from(owes).unwrap_or(i64::MAX);
        Some(vec![Some(tier.into()), Some(owes.into()), Some(limit.into())])
    }

    fn place(&self, number: u64, order: &Order) -> Decision<Orders> {
        let refuse = |why: &str| Told::Refused(why.to_owned());
        if self.orders.contains_key(&number) {
            return Decision { change: None, answer: Told::Placed };
        }
        if self.refused.contains(&number) {
            return Decision { change: None, answer: refuse("it was refused before") };
        }
        match self.customer_with(order) {
            Some(customer) if has_credit().is_satisfied_by(&customer) => Decision {
                change: Some((
                    Change::Place(number, order.clone()),
                    vec![letter(&OrderEvent::Placed(number, order.clone()))],
                )),
                answer: Told::Placed,
            },
            _ => Decision {
                change: Some((Change::Refuse(number), Vec::new())),
                answer: refuse("no credit"),
            },
        }
    }

    fn call(&self, call: &Call) -> Decision<Orders> {
        let number = call.saga.0;
        if self.status(number).is_none() {
            let answer = Told::Answer(Answer::Refused("there is no such order".to_owned()));
            return Decision { change: None, answer };
        }
        let to = if call.step == CONFIRM { Status::Confirmed } else { Status::Accepted };
        let served = self.effects.judge(call, || Ok((to, Vec::new())), |_| Ok(Status::Rejected));
        let Served { answer, mark, change } = served;
        // It is rejected also if nobody has come to accept it.
        let rejects = call.is_undo && matches!(answer, Answer::Done(_));
        let to = change.or(rejects.then_some(Status::Rejected));
        let new = to.filter(|to| self.status(number) != Some(*to)).map(|to| (number, to));
        let letters = new.into_iter().filter_map(|(number, to)| match to {
            Status::Confirmed => Some(letter(&OrderEvent::Confirmed(number))),
            Status::Rejected => Some(letter(&OrderEvent::Rejected(number))),
            Status::Placed | Status::Accepted => None,
        });
        let change = mark.map(|mark| (Change::Call(mark, new), letters.collect()));
        Decision { change, answer: Told::Answer(answer) }
    }
}

fn letter(event: &OrderEvent) -> Letter {
    let post = Post::of(MessageId(0), event).expect("an event has an encoding");
    Letter { key: None, body: post.body }
}

impl State for Orders {
    type Command = Command;
    type Change = Change;
    type Answer = Told;

    fn decide(&self, command: &Command) -> Decision<Orders> {
        match command {
            Command::Place(number, order) => self.place(*number, order),
            Command::Call(call) => self.call(call),
            Command::List(behind) => {
                let from = behind.map_or(0, |behind| behind.saturating_add(1));
                let some = self.orders.range(from..).take(PAGE);
                let some = some.map(|(number, (order, status))| (*number, order.clone(), *status));
                Decision { change: None, answer: Told::Orders(some.collect()) }
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Place(number, order) => {
                self.orders.insert(*number, (order.clone(), Status::Placed));
            }
            Change::Refuse(number) => drop(self.refused.insert(*number)),
            Change::Call(mark, to) => {
                self.effects.apply(mark);
                if let Some((number, to)) = to
                    && let Some((_, status)) = self.orders.get_mut(number)
                {
                    *status = *to;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::books::Trouble;

    fn placed(orders: &mut Orders, number: u64, account: u8, price: u64) -> Told {
        let order = Order { items: vec![(0, 1)], account, price, trouble: Trouble::None };
        let Decision { change, answer } = orders.decide(&Command::Place(number, order));
        if let Some((change, _)) = change {
            orders.apply(&change);
        }
        answer
    }

    #[test]
    fn who_owes_too_much_gets_no_credit_and_never_for_the_same_order() {
        let mut orders = Orders::default();
        let refused = |why: &str| Told::Refused(why.to_owned());
        assert_eq!(placed(&mut orders, 1, 0, 60_000), Told::Placed);
        assert_eq!(placed(&mut orders, 2, 0, 1), refused("no credit"));
        assert_eq!(placed(&mut orders, 1, 0, 60_000), Told::Placed);
        orders.orders.get_mut(&1).unwrap().1 = Status::Rejected;
        assert_eq!(placed(&mut orders, 3, 0, 1), Told::Placed);
        assert_eq!(placed(&mut orders, 2, 0, 1), refused("it was refused before"));
    }

    #[test]
    fn premium_customers_have_credit_and_strangers_have_none() {
        let mut orders = Orders::default();
        assert_eq!(placed(&mut orders, 1, 1, u64::MAX), Told::Placed);
        assert_eq!(placed(&mut orders, 2, 2, 1), Told::Refused("no credit".to_owned()));
    }
}
