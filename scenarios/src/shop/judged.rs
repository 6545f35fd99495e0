//! What customers did and were told, and how it is judged: in the world and among real processes
//! alike, by what an auditor reads in the end.

use super::nodes::{customer_of, name_of};
use super::orders::Status;
use crate::cqrs::views::OrderView;
use crate::saga::books::{Look, Order};
use crate::whole::Whole;
use serde::{Deserialize, Serialize};
use squall_check::{History, Outcome};
use std::collections::BTreeMap;

/// The property of all that customers are told, and of what is in the books in the end.
pub(crate) const WHOLE: &str = "every order is paid, sent and shown, or nothing of it is left";

/// What somebody asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// To place an order under this number.
    Place(u64, Order),
    /// What is in all books, when every order is over.
    Audit,
}

/// What it is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum Heard {
    /// The order is placed.
    Placed,
    /// This is in the books.
    Books(Books),
}

/// What is in all books.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Books {
    /// Every order.
    pub(crate) orders: Vec<Audited>,
    /// The pieces of each item that are free.
    pub(crate) shelf: Vec<u64>,
    /// What is free on each account, in minor units.
    pub(crate) balances: Vec<u64>,
    /// How many pieces of each item there were at first.
    pub(crate) shelf_first: Vec<u64>,
    /// What was on each account at first.
    pub(crate) balances_first: Vec<u64>,
    /// What the view says that each customer owes, if it says something.
    pub(crate) owed: Vec<Option<i64>>,
}

/// An order, and what is in the books of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Audited {
    /// Its number.
    pub(crate) number: u64,
    /// What was ordered.
    pub(crate) order: Order,
    /// Where it stands.
    pub(crate) status: Status,
    /// What the services have of it.
    pub(crate) look: Look,
    /// What the view shows of it: its status, and what is to be paid.
    pub(crate) shown: Option<(String, i64)>,
}

/// The history of a shop, judged as a whole.
pub(crate) type Shop = Whole<Asked, Heard>;

impl Audited {
    pub(super) fn shown_as(mut self, view: Option<&OrderView>) -> Audited {
        self.shown = view.map(|view| (view.status.clone(), view.total));
        self
    }

    /// What is wrong with this order.
    fn judge(&self) -> Result<(), String> {
        let Audited { number, order, status, look, shown } = self;
        let price = vec![(order.account, order.price)];
        let (reserved, taken, shipped, word) = match status {
            Status::Confirmed => (vec![order.items.clone()], price, 1, "shipped"),
            Status::Rejected => (Vec::new(), Vec::new(), 0, "cancelled"),
            Status::Placed | Status::Accepted => {
                return Err(format!("order {} is {status:?} for ever", name_of(*number)));
            }
        };
        let of = |what: &str, is: String, should: String| match is == should {
            true => Ok(()),
            false => Err(format!(
                "order {} is {status:?}, and {what} {is} instead of {should}",
                name_of(*number)
            )),
        };
        of("reserved is", format!("{:?}", look.reserved), format!("{reserved:?}"))?;
        of("held is", format!("{:?}", look.held), "[]".to_owned())?;
        of("taken is", format!("{:?}", look.taken), format!("{taken:?}"))?;
        of("sent it is", look.shipped.to_string(), shipped.to_string())?;
        let price = i64::try_from(order.price).unwrap_or(i64::MAX);
        of("shown it is", format!("{shown:?}"), format!("{:?}", Some((word.to_owned(), price))))
    }
}

impl Books {
    /// What is wrong with them.
    fn judge(&self) -> Result<(), String> {
        self.orders.iter().try_for_each(Audited::judge)?;
        let mut shelf = self.shelf.clone();
        let mut balances = self.balances.clone();
        let mut owed: Vec<Option<i64>> = vec![None; self.balances.len()];
        for Audited { order, status, .. } in &self.orders {
            let owes = owed[usize::from(order.account)].get_or_insert(0);
            if *status != Status::Confirmed {
                continue;
            }
            *owes += order.price as i64;
            balances[usize::from(order.account)] += order.price;
            for (item, pieces) in &order.items {
                shelf[usize::from(*item)] += u64::from(*pieces);
            }
        }
        let same = |what: &str, is: &dyn std::fmt::Debug, should: &dyn std::fmt::Debug| {
            let (is, should) = (format!("{is:?}"), format!("{should:?}"));
            match is == should {
                true => Ok(()),
                false => Err(format!("{what}: with what was ordered {is}, and should be {should}")),
            }
        };
        same("the pieces of each item", &shelf, &self.shelf_first)?;
        same("the money on each account", &balances, &self.balances_first)?;
        same("what the view says that customers owe", &self.owed, &owed)
    }
}

/// Whether everybody was told the truth, and the books agree.
pub(crate) fn verdict(history: &History<Asked, Heard>) -> Result<(), String> {
    let books = history.operations().iter().filter_map(|operation| match &operation.outcome {
        Outcome::Ok(Heard::Books(books)) => Some(books),
        _ => None,
    });
    // Who was cut off before somebody has read everything knows too little to judge.
    let Some(books) = books.max_by_key(|books| books.orders.len()) else { return Ok(()) };
    books.judge()?;
    let there: BTreeMap<u64, &Order> =
        books.orders.iter().map(|audited| (audited.number, &audited.order)).collect();
    for operation in history.operations() {
        let Asked::Place(number, order) = &operation.input else { continue };
        let found = there.get(number);
        let name = || format!("order {} of {}", name_of(*number), customer_of(order.account));
        match &operation.outcome {
            Outcome::Ok(_) if found.is_none() => {
                return Err(format!("{} was placed and is not there", name()));
            }
            Outcome::Fail if found.is_some() => {
                return Err(format!("{} was refused and is there", name()));
            }
            _ if found.is_some_and(|found| *found != order) => {
                return Err(format!("{} is there as another one", name()));
            }
            _ => {}
        }
    }
    Ok(())
}
