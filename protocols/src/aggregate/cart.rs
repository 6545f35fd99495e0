//! A shopping cart. Prices are in cents.

use super::Aggregate;
use crate::event_store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most pieces of one item.
pub const QUANTITY_MAX: u32 = 1000;

/// A cart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cart {
    /// How many of each item, and what one of them costs.
    lines: BTreeMap<String, (u32, u64)>,
    checked_out: bool,
}

/// What a cart can be asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Put items in, at a price each.
    Add {
        /// Which item.
        item: String,
        /// How many.
        quantity: u32,
        /// What each costs, in cents.
        price: u64,
    },
    /// Take items out.
    Remove {
        /// Which item.
        item: String,
        /// How many.
        quantity: u32,
    },
    /// Buy what is in it.
    CheckOut,
}

/// What can have happened to a cart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// Items were put in.
    ItemAdded {
        /// Which item.
        item: String,
        /// How many.
        quantity: u32,
        /// What each costs, in cents.
        price: u64,
    },
    /// Items were taken out.
    ItemRemoved {
        /// Which item.
        item: String,
        /// How many.
        quantity: u32,
    },
    /// All of it was bought.
    CheckedOut {
        /// For so many cents.
        total: u64,
    },
}

/// Why a cart refuses something.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CartError {
    /// What is bought cannot be changed.
    #[error("Cart already checked out")]
    CheckedOut,
    /// Nothing is in it.
    #[error("Cart is empty")]
    Empty,
    /// So many are not in it.
    #[error("Only {0} in the cart")]
    NotInCart(u32),
    /// None at all, or more than [`QUANTITY_MAX`].
    #[error("Quantity must be between 1 and {QUANTITY_MAX}")]
    Quantity,
    /// The same item is in it for another price.
    #[error("The item is in the cart at another price")]
    Price,
    /// It would cost more than can be counted.
    #[error("Total too large")]
    Total,
}

impl Cart {
    /// What it costs, in cents; `None` if that is more than can be counted.
    pub fn total(&self) -> Option<u64> {
        self.lines.values().try_fold(0u64, |total, (quantity, price)| {
            total.checked_add(price.checked_mul(u64::from(*quantity))?)
        })
    }

    /// How many of an item are in it.
    pub fn quantity(&self, item: &str) -> u32 {
        self.lines.get(item).map_or(0, |(quantity, _)| *quantity)
    }

    /// Whether it was bought.
    pub fn is_checked_out(&self) -> bool {
        self.checked_out
    }
}

impl Aggregate for Cart {
    type Command = Command;
    type Event = Event;
    type Error = CartError;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, CartError> {
        if self.checked_out {
            return Err(CartError::CheckedOut);
        }
        match command {
            Command::Add { item, quantity, price } => {
                let sum = self.quantity(item).saturating_add(*quantity);
                if *quantity == 0 || sum > QUANTITY_MAX {
                    return Err(CartError::Quantity);
                }
                if self.lines.get(item).is_some_and(|(_, known)| known != price) {
                    return Err(CartError::Price);
                }
                let (item, quantity, price) = (item.clone(), *quantity, *price);
                let added = Event::ItemAdded { item, quantity, price };
                let mut then = self.clone();
                then.evolve(&added);
                then.total().ok_or(CartError::Total)?;
                Ok(vec![added])
            }
            Command::Remove { quantity: 0, .. } => Err(CartError::Quantity),
            Command::Remove { item, quantity } => match self.quantity(item) {
                there if there < *quantity => Err(CartError::NotInCart(there)),
                _ => Ok(vec![Event::ItemRemoved { item: item.clone(), quantity: *quantity }]),
            },
            Command::CheckOut if self.lines.is_empty() => Err(CartError::Empty),
            Command::CheckOut => {
                Ok(vec![Event::CheckedOut { total: self.total().ok_or(CartError::Total)? }])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::ItemAdded { item, quantity, price } => {
                let line = self.lines.entry(item.clone()).or_insert((0, *price));
                line.0 = line.0.saturating_add(*quantity);
            }
            Event::ItemRemoved { item, quantity } => {
                if let Some(line) = self.lines.get_mut(item) {
                    line.0 = line.0.saturating_sub(*quantity);
                    if line.0 == 0 {
                        self.lines.remove(item);
                    }
                }
            }
            Event::CheckedOut { .. } => self.checked_out = true,
        }
    }
}

impl event_store::Event for Event {
    const KINDS: &'static [(&'static str, u32)] =
        &[("item_added", 1), ("item_removed", 1), ("checked_out", 1)];

    fn kind(&self) -> &'static str {
        match self {
            Event::ItemAdded { .. } => "item_added",
            Event::ItemRemoved { .. } => "item_removed",
            Event::CheckedOut { .. } => "checked_out",
        }
    }

    fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Event::ItemAdded { item, quantity, price } => {
                postcard::to_allocvec(&(item, quantity, price))
            }
            Event::ItemRemoved { item, quantity } => postcard::to_allocvec(&(item, quantity)),
            Event::CheckedOut { total } => postcard::to_allocvec(total),
        };
        encoded.expect("strings and numbers can be encoded")
    }

    fn decode(kind: &str, data: &[u8]) -> Option<Event> {
        match kind {
            "item_added" => {
                let (item, quantity, price) = postcard::from_bytes(data).ok()?;
                Some(Event::ItemAdded { item, quantity, price })
            }
            "item_removed" => {
                let (item, quantity) = postcard::from_bytes(data).ok()?;
                Some(Event::ItemRemoved { item, quantity })
            }
            "checked_out" => Some(Event::CheckedOut { total: postcard::from_bytes(data).ok()? }),
            _ => None,
        }
    }
}
