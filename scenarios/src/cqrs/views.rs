//! The views of orders, in two versions, and the queries that they answer.

use super::orders::{CREATED, Created, STATUS_CHANGED, Status, StatusChanged, decode, total};
use serde::{Deserialize, Serialize};
use squall_env::platform::BoxFuture;
use squall_protocols::cqrs::{ApplyError, Projection, Query, TABLES, ViewWriter};
use squall_protocols::event_store::RecordedEvent;
use squall_protocols::specification::{Field, Row, Table, Value, field};
use squall_protocols::unit_of_work::{Entity, Lookup, Rows};

/// The projection's name.
pub const NAME: &str = "orders";

/// What others hear when an order is shipped.
pub const SHIPPED: &str = "shipped";

/// All tables of the side that reads.
pub const SCHEMA: &[Table] = &[
    TABLES[0],
    TABLES[1],
    TABLES[2],
    Order::<1>::TABLE,
    Customer::<1>::TABLE,
    Order::<2>::TABLE,
    Customer::<2>::TABLE,
];

/// An order, as a version of the view has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order<const VERSION: usize>(pub OrderView);

/// An order as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderView {
    /// Which order.
    pub order: String,
    /// Whose it is.
    pub customer: String,
    /// What has become of it.
    pub status: String,
    /// What is to be paid for it, in cents.
    pub total: i64,
    /// The position of the event that created it.
    pub created: i64,
}

/// A customer, as a version of the view has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Customer<const VERSION: usize>(pub CustomerView);

/// What a customer has ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerView {
    /// Who.
    pub customer: String,
    /// How many orders, those that were cancelled too.
    pub orders: i64,
    /// What is to be paid for those that were not cancelled, in cents.
    pub owes: i64,
}

impl<const VERSION: usize> Entity for Order<VERSION> {
    const TABLE: Table = Table {
        name: ["", "orders@1", "orders@2"][VERSION],
        fields: &[
            Field::text("customer"),
            Field::text("status"),
            Field::integer("total"),
            Field::integer("created"),
        ],
    };

    fn key(&self) -> String {
        self.0.order.clone()
    }

    fn to_row(&self) -> Row {
        let OrderView { customer, status, total, created, .. } = &self.0;
        let (customer, status) = (customer.as_str().into(), status.as_str().into());
        vec![Some(customer), Some(status), Some((*total).into()), Some((*created).into())]
    }

    fn from_row(key: &str, row: &Row) -> Option<Order<VERSION>> {
        let [customer, status, total, created] = row.as_slice() else { return None };
        let text = |value: &Option<Value>| Some(value.as_ref()?.text()?.to_owned());
        Some(Order(OrderView {
            order: key.to_owned(),
            customer: text(customer)?,
            status: text(status)?,
            total: total.as_ref()?.integer()?,
            created: created.as_ref()?.integer()?,
        }))
    }
}

impl<const VERSION: usize> Entity for Customer<VERSION> {
    const TABLE: Table = Table {
        name: ["", "customers@1", "customers@2"][VERSION],
        fields: &[Field::integer("orders"), Field::integer("owes")],
    };

    fn key(&self) -> String {
        self.0.customer.clone()
    }

    fn to_row(&self) -> Row {
        vec![Some(self.0.orders.into()), Some(self.0.owes.into())]
    }

    fn from_row(key: &str, row: &Row) -> Option<Customer<VERSION>> {
        let [orders, owes] = row.as_slice() else { return None };
        let (orders, owes) = (orders.as_ref()?.integer()?, owes.as_ref()?.integer()?);
        Some(Customer(CustomerView { customer: key.to_owned(), orders, owes }))
    }
}

/// The projection of orders. The first version stops at events that it cannot read, and they are
/// parked; the second one passes over changes that it cannot read.
#[derive(Clone, Copy, Debug)]
pub struct OrdersProjection<const VERSION: usize>;

impl<const VERSION: usize> Projection for OrdersProjection<VERSION> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> u32 {
        VERSION as u32
    }

    fn apply<'a>(
        &'a self,
        event: &'a RecordedEvent,
        view: &'a mut ViewWriter<'_>,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            let applied = match event.kind.as_str() {
                CREATED => match decode(event) {
                    Ok(created) => return add::<VERSION>(event, created, view).await,
                    Err(why) => return Err(ApplyError::Poison(why)),
                },
                STATUS_CHANGED => match decode(event) {
                    Ok(changed) => return change::<VERSION>(event, changed, view).await,
                    Err(why) => Err(why),
                },
                _ => Ok(()),
            };
            if VERSION > 1 { Ok(()) } else { applied.map_err(ApplyError::Poison) }
        })
    }
}

async fn add<const VERSION: usize>(
    event: &RecordedEvent,
    created: Created,
    view: &mut ViewWriter<'_>,
) -> Result<(), ApplyError> {
    let Created { order, customer, items, .. } = created;
    let total = total(&items).ok_or_else(|| ApplyError::Poison("it costs too much".to_owned()))?;
    let owed = view.rows().get::<Customer<VERSION>>(&customer).await?;
    let is_new = owed.is_none();
    let nothing = CustomerView { customer: customer.clone(), orders: 0, owes: 0 };
    let mut owed = owed.map_or(nothing, |customer| customer.0);
    owed.orders += 1;
    owed.owes += total;
    let owed = Customer::<VERSION>(owed);
    if is_new {
        view.rows().add(&owed)?;
    } else {
        view.rows().update(&owed)?;
    }
    let (status, created) = (Status::Pending.name().to_owned(), event.position.0.cast_signed());
    view.rows().add(&Order::<VERSION>(OrderView { order, customer, status, total, created }))?;
    Ok(())
}

async fn change<const VERSION: usize>(
    event: &RecordedEvent,
    changed: StatusChanged,
    view: &mut ViewWriter<'_>,
) -> Result<(), ApplyError> {
    let missing = |what: &str| ApplyError::Poison(format!("there is no {what}"));
    let order = view.rows().get::<Order<VERSION>>(&changed.order).await?;
    let Order(mut order) = order.ok_or_else(|| missing(&changed.order))?;
    order.status = changed.status.name().to_owned();
    if changed.status == Status::Cancelled {
        let customer = view.rows().get::<Customer<VERSION>>(&order.customer).await?;
        let Customer(mut customer) = customer.ok_or_else(|| missing(&order.customer))?;
        customer.owes -= order.total;
        view.rows().update(&Customer::<VERSION>(customer))?;
    } else {
        view.effect(SHIPPED, event.position.0.to_be_bytes().to_vec())?;
    }
    view.rows().update(&Order::<VERSION>(order))?;
    Ok(())
}

/// What is asked of the views.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OrdersQuery {
    /// This order.
    Order(String),
    /// The orders of this customer.
    Customer(String),
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrdersAnswer {
    /// The version of the view that answers.
    pub version: u32,
    /// The orders, by their ids.
    pub orders: Vec<OrderView>,
    /// What the customer has ordered, if that is asked.
    pub customer: Option<CustomerView>,
}

impl Query for OrdersQuery {
    type Answer = OrdersAnswer;

    const PROJECTION: &'static str = NAME;

    fn lookups(&self, version: u32) -> Vec<Lookup> {
        let (orders, customers) = match version {
            1 => (Order::<1>::TABLE.name, Customer::<1>::TABLE.name),
            _ => (Order::<2>::TABLE.name, Customer::<2>::TABLE.name),
        };
        match self {
            OrdersQuery::Order(order) => vec![Lookup::get(orders, order)],
            OrdersQuery::Customer(customer) => {
                let of_customer = field("customer").is(customer.as_str());
                vec![Lookup::find(orders, of_customer), Lookup::get(customers, customer)]
            }
        }
    }

    fn answer(&self, version: u32, found: &[Rows]) -> Option<OrdersAnswer> {
        let order = |(key, stored): &(String, _)| order(key, stored);
        let orders: Option<Vec<OrderView>> = found.first()?.iter().map(order).collect();
        let customer = found.get(1).and_then(|rows| rows.first());
        let customer = customer.map(|(key, stored)| Customer::<1>::from_row(key, &stored.row));
        // Both versions show the same fields.
        let customer = match customer {
            Some(customer) => Some(customer?.0),
            None => None,
        };
        Some(OrdersAnswer { version, orders: orders?, customer })
    }
}

fn order(key: &str, stored: &squall_protocols::unit_of_work::Stored) -> Option<OrderView> {
    Some(Order::<1>::from_row(key, &stored.row)?.0)
}
