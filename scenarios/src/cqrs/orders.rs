//! Orders: the commands of a shop, and what they lead to.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squall_env::platform::BoxFuture;
use squall_protocols::cqrs::{Command, CommandHandler, HandlerError};
use squall_protocols::event_store::{
    Append, EventId, EventStore, Expected, NewEvent, RecordedEvent,
};

/// The streams of orders begin so.
pub const ORDERS: &str = "order-";

/// The type of [`Created`].
pub const CREATED: &str = "order_created";

/// The type of [`StatusChanged`].
pub const STATUS_CHANGED: &str = "order_status_changed";

/// The most events of an order that are read at once.
const EVENTS_MAX: usize = 64;

/// Something that is ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub sku: String,
    /// How many.
    pub quantity: i64,
    /// What one costs, in cents.
    pub price: i64,
}

/// An order has been created.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Created {
    /// Which order.
    pub order: String,
    /// Whose it is.
    pub customer: String,
    /// What is ordered.
    pub items: Vec<Item>,
    /// Where it is sent to.
    pub address: String,
}

/// The status of an order has changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusChanged {
    /// Which order.
    pub order: String,
    /// What it is now.
    pub status: Status,
}

/// What becomes of an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits to be shipped.
    Pending,
    /// It is on its way.
    Shipped,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// Its name in views.
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Shipped => "shipped",
            Status::Cancelled => "cancelled",
        }
    }
}

/// What is in the data of an event.
pub(crate) fn decode<T: DeserializeOwned>(event: &RecordedEvent) -> Result<T, String> {
    serde_json::from_slice(&event.data).map_err(|error| error.to_string())
}

fn event(kind: &str, what: &impl Serialize) -> NewEvent {
    // The bus gives it an id.
    event_of(EventId(0), kind, what)
}

/// An event of this id and type that says this.
pub(crate) fn event_of(id: EventId, kind: &str, what: &impl Serialize) -> NewEvent {
    NewEvent::new(id, kind, serde_json::to_vec(what).expect("an event can be encoded"))
}

/// What is to be paid for an order, in cents; `None` if that is more than can be counted.
pub fn total(items: &[Item]) -> Option<i64> {
    let each = |item: &Item| item.price.checked_mul(item.quantity);
    items.iter().try_fold(0_i64, |sum, item| sum.checked_add(each(item)?))
}

/// Create an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateOrder(pub Created);

impl Command for CreateOrder {
    const NAME: &'static str = "create_order";

    fn validate(&self) -> Result<(), String> {
        let CreateOrder(order) = self;
        match &order.items {
            items if items.is_empty() => Err("an order needs items".to_owned()),
            items if items.iter().any(|item| item.quantity < 1 || item.price < 0) => {
                Err("an item needs a quantity and a price".to_owned())
            }
            items if total(items).is_none() => Err("nobody can pay that".to_owned()),
            _ if order.customer.is_empty() => Err("an order needs a customer".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Change the status of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateOrderStatus {
    /// Which order.
    pub order: String,
    /// To what.
    pub status: Status,
}

impl Command for UpdateOrderStatus {
    const NAME: &'static str = "update_order_status";

    fn validate(&self) -> Result<(), String> {
        match self.status {
            Status::Pending => Err("an order is pending from the start".to_owned()),
            Status::Shipped | Status::Cancelled => Ok(()),
        }
    }
}

/// Cancel an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CancelOrder(pub String);

impl Command for CancelOrder {
    const NAME: &'static str = "cancel_order";
}

/// Handles the commands of orders.
#[derive(Clone, Copy, Debug)]
pub struct Orders;

/// An order as its events say: its status, and the number of the last event.
async fn order(
    events: &dyn EventStore,
    order: &str,
) -> Result<(Option<Status>, Option<u64>), HandlerError> {
    let (mut status, mut from) = (None, 0);
    loop {
        let slice = events.read(&format!("{ORDERS}{order}"), from, EVENTS_MAX).await?;
        for event in &slice.events {
            match event.kind.as_str() {
                CREATED if decode::<Created>(event).is_ok() => status = Some(Status::Pending),
                // What cannot be read was never decided by this code.
                STATUS_CHANGED => {
                    let changed = decode::<StatusChanged>(event).ok();
                    status = changed.map(|changed| changed.status).or(status);
                }
                _ => {}
            }
        }
        if slice.is_end {
            return Ok((status, slice.last));
        }
        from = slice.next;
    }
}

fn append(order: &str, last: Option<u64>, event: NewEvent) -> Vec<Append> {
    let expected = last.map_or(Expected::NoStream, Expected::Exact);
    vec![Append::new(format!("{ORDERS}{order}"), expected, vec![event])]
}

impl CommandHandler<CreateOrder> for Orders {
    fn handle<'a>(
        &'a self,
        CreateOrder(created): &'a CreateOrder,
        events: &'a dyn EventStore,
    ) -> BoxFuture<'a, Result<Vec<Append>, HandlerError>> {
        Box::pin(async move {
            match order(events, &created.order).await? {
                (None, last) => Ok(append(&created.order, last, event(CREATED, created))),
                (Some(_), _) => Err(HandlerError::Refused("the order is there".to_owned())),
            }
        })
    }
}

async fn change(
    events: &dyn EventStore,
    id: &str,
    status: Status,
) -> Result<Vec<Append>, HandlerError> {
    match order(events, id).await? {
        (Some(Status::Pending), last) => {
            let changed = StatusChanged { order: id.to_owned(), status };
            Ok(append(id, last, event(STATUS_CHANGED, &changed)))
        }
        (Some(before), _) => {
            Err(HandlerError::Refused(format!("the order is {} already", before.name())))
        }
        (None, _) => Err(HandlerError::Refused("there is no such order".to_owned())),
    }
}

impl CommandHandler<UpdateOrderStatus> for Orders {
    fn handle<'a>(
        &'a self,
        command: &'a UpdateOrderStatus,
        events: &'a dyn EventStore,
    ) -> BoxFuture<'a, Result<Vec<Append>, HandlerError>> {
        Box::pin(change(events, &command.order, command.status))
    }
}

impl CommandHandler<CancelOrder> for Orders {
    fn handle<'a>(
        &'a self,
        CancelOrder(order): &'a CancelOrder,
        events: &'a dyn EventStore,
    ) -> BoxFuture<'a, Result<Vec<Append>, HandlerError>> {
        Box::pin(change(events, order, Status::Cancelled))
    }
}
