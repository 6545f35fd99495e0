//! What the views should say, folded apart from them: of the events that a witness reads from the
//! store by itself.

use super::orders::{CREATED, Created, STATUS_CHANGED, Status, StatusChanged, decode, total};
use super::views::{CustomerView, OrderView, OrdersAnswer, OrdersQuery};
use squall_env::{Env, Position, Shown};
use squall_protocols::event_store::{EventStore, Filter, RecordedEvent, RemoteStore};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All events as they stand in the store, as far as the witness has read them.
pub(super) struct Witness(pub(super) Vec<RecordedEvent>);

/// Reads all events in their order, and nothing else.
pub(crate) async fn witness(env: Env) -> Result<(), String> {
    let limit = Duration::from_millis(2_000);
    let store = RemoteStore::open(&env, env.peers("events")[0], limit);
    let store = store.map_err(|error| error.to_string())?;
    let shown: Shown<Witness> = env.show("witness", Witness(Vec::new()));
    env.ready();
    loop {
        let after = Position(shown.read(|witness| witness.0.len() as u64));
        match store.read_all(after, 64, &Filter::all()).await {
            Ok(slice) if !slice.events.is_empty() => {
                shown.update(&env, |witness| witness.0.extend(slice.events));
            }
            Ok(_) => drop(store.wait_beyond(after, limit).await),
            Err(_) => env.sleep(Duration::from_millis(50)).await,
        }
    }
}

/// What a version of the view should be at a position.
#[derive(Clone, Default)]
pub(super) struct Fold {
    pub(super) orders: BTreeMap<String, OrderView>,
    pub(super) customers: BTreeMap<String, CustomerView>,
    /// The positions of events that are not applied.
    pub(super) parked: BTreeSet<u64>,
    /// The positions of events that are told outside.
    pub(super) shipped: BTreeSet<u64>,
    blocked: BTreeSet<String>,
}

/// The folds of both versions at every position, the first one before all events.
pub(super) struct Oracle {
    folds: [Vec<Fold>; 2],
}

impl Oracle {
    pub(super) fn new() -> Oracle {
        Oracle { folds: [vec![Fold::default()], vec![Fold::default()]] }
    }

    /// Takes in what the witness has read since.
    pub(super) fn learn(&mut self, witness: &Witness) {
        for (at, folds) in self.folds.iter_mut().enumerate() {
            for event in witness.0.get(folds.len() - 1..).unwrap_or_default() {
                let mut fold = folds.last().cloned().unwrap_or_default();
                fold.take(event, at + 1);
                folds.push(fold);
            }
        }
    }

    /// What a version should say at a position, if the witness has come so far.
    pub(super) fn at(&self, version: u32, position: u64) -> Option<&Fold> {
        self.folds.get(version.checked_sub(1)? as usize)?.get(position as usize)
    }
}

impl Fold {
    fn take(&mut self, event: &RecordedEvent, version: usize) {
        let position = event.position.0;
        let is_strict = version == 1 || event.kind == CREATED;
        if self.blocked.contains(&event.stream) {
            self.parked.insert(position);
            return;
        }
        let is_read = match event.kind.as_str() {
            CREATED => decode(event).map(|created| self.created(created, position)).is_ok(),
            STATUS_CHANGED => decode(event).map(|changed| self.changed(changed, position)).is_ok(),
            _ => true,
        };
        if !is_read && is_strict {
            self.parked.insert(position);
            self.blocked.insert(event.stream.clone());
        }
    }

    fn created(&mut self, created: Created, position: u64) {
        let Created { order, customer, items, .. } = created;
        let total = total(&items).expect("what nobody can pay is refused");
        let nothing = CustomerView { customer: customer.clone(), orders: 0, owes: 0 };
        let owes = self.customers.entry(customer.clone()).or_insert(nothing);
        (owes.orders, owes.owes) = (owes.orders + 1, owes.owes + total);
        let (status, created) = (Status::Pending.name().to_owned(), position.cast_signed());
        self.orders.insert(order.clone(), OrderView { order, customer, status, total, created });
    }

    fn changed(&mut self, changed: StatusChanged, position: u64) {
        let order = self.orders.get_mut(&changed.order).expect("only what is there is changed");
        order.status = changed.status.name().to_owned();
        match changed.status {
            Status::Shipped => drop(self.shipped.insert(position)),
            _ => {
                let customer = self.customers.get_mut(&order.customer);
                customer.expect("whoever has an order is there").owes -= order.total;
            }
        }
    }

    /// What should be answered.
    pub(super) fn answer(&self, version: u32, query: &OrdersQuery) -> OrdersAnswer {
        let (orders, customer) = match query {
            OrdersQuery::Order(order) => {
                (self.orders.get(order).cloned().into_iter().collect(), None)
            }
            OrdersQuery::Customer(customer) => {
                let of = self.orders.values().filter(|order| order.customer == *customer);
                (of.cloned().collect(), self.customers.get(customer).cloned())
            }
        };
        OrdersAnswer { version, orders, customer }
    }
}
