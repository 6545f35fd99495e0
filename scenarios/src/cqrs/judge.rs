//! The properties of commands, views and answers, each judged by what clients were told and by what
//! a witness reads from the event store.

use super::load::Told;
use super::oracle::{Oracle, Witness};
use super::views::{self, Customer, CustomerView, Order, OrderView};
use squall_env::{NodeId, View};
use squall_protocols::cqrs::{Checkpoint, Live, Parked};
use squall_protocols::specification::Specification;
use squall_protocols::unit_of_work::{Entity, Tables, TablesMachine};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Checked = Result<(), String>;

/// All rows of a table.
fn rows<E: Entity>(tables: &Tables) -> Vec<E> {
    let found = tables.find(E::TABLE.name, &Specification::everything()).unwrap_or_default();
    found.iter().filter_map(|(key, stored)| E::from_row(key, &stored.row)).collect()
}

fn checkpoint(tables: &Tables, version: u32) -> Option<Checkpoint> {
    let id = format!("{}@{version}", views::NAME);
    rows::<Checkpoint>(tables).into_iter().find(|checkpoint| checkpoint.id == id)
}

/// A version of the view, as it is.
#[derive(PartialEq)]
struct Seen {
    version: u32,
    position: u64,
    orders: BTreeMap<String, OrderView>,
    customers: BTreeMap<String, CustomerView>,
    parked: BTreeSet<u64>,
}

impl Seen {
    fn of(tables: &Tables, version: u32) -> Option<Seen> {
        let checkpoint = checkpoint(tables, version)?;
        let parked = rows::<Parked>(tables).into_iter();
        let parked = parked.filter(|event| event.projection == checkpoint.id);
        let (orders, customers): (Vec<OrderView>, Vec<CustomerView>) = match version {
            1 => (
                rows::<Order<1>>(tables).into_iter().map(|order| order.0).collect(),
                rows::<Customer<1>>(tables).into_iter().map(|customer| customer.0).collect(),
            ),
            _ => (
                rows::<Order<2>>(tables).into_iter().map(|order| order.0).collect(),
                rows::<Customer<2>>(tables).into_iter().map(|customer| customer.0).collect(),
            ),
        };
        let by_customer = |one: CustomerView| (one.customer.clone(), one);
        Some(Seen {
            version,
            position: checkpoint.position.0,
            orders: orders.into_iter().map(|order| (order.order.clone(), order)).collect(),
            customers: customers.into_iter().map(by_customer).collect(),
            parked: parked.map(|event| event.position.0).collect(),
        })
    }

    fn judge(&self, oracle: &Oracle) -> Checked {
        let Some(fold) = oracle.at(self.version, self.position) else { return Ok(()) };
        let (version, position) = (self.version, self.position);
        let differs = |what: &str, is: String, should: String| {
            Err(format!("version {version} at {position}: {what} are {is}, and should be {should}"))
        };
        if self.orders != fold.orders {
            return differs("orders", format!("{:?}", self.orders), format!("{:?}", fold.orders));
        }
        if self.customers != fold.customers {
            let (is, should) = (&self.customers, &fold.customers);
            return differs("customers", format!("{is:?}"), format!("{should:?}"));
        }
        if self.parked != fold.parked {
            let (is, should) = (&self.parked, &fold.parked);
            return differs("parked events", format!("{is:?}"), format!("{should:?}"));
        }
        Ok(())
    }
}

/// Whether tables have changed since they were looked at, in this boot.
#[derive(Default)]
struct News(Option<(u64, u64)>);

impl News {
    fn is(&mut self, number: u64, tables: &Tables) -> bool {
        let now = Some((number, tables.state().last_number()));
        std::mem::replace(&mut self.0, now) != now
    }
}

/// What waits for the witness to come so far.
struct Waiting<T> {
    oracle: Oracle,
    waiting: VecDeque<(u64, T)>,
}

impl<T> Waiting<T> {
    fn new() -> Waiting<T> {
        Waiting { oracle: Oracle::new(), waiting: VecDeque::new() }
    }

    /// Judges everything up to where the witness is.
    fn judge(&mut self, view: &View<'_>, judge: impl Fn(&Oracle, &T) -> Checked) -> Checked {
        let Some(witness) = view.up::<Witness>().next() else { return Ok(()) };
        self.oracle.learn(&witness);
        let come = witness.0.len() as u64;
        let (oracle, mut rest) = (&self.oracle, VecDeque::new());
        for (position, one) in self.waiting.drain(..) {
            if position <= come {
                judge(oracle, &one)?;
            } else {
                rest.push_back((position, one));
            }
        }
        self.waiting = rest;
        Ok(())
    }
}

/// At every moment, whatever has just crashed.
pub(crate) fn views() -> impl FnMut(&View<'_>) -> Checked {
    let (mut waiting, mut news) = (Waiting::<Seen>::new(), News::default());
    move |view| {
        for machine in view.changed::<TablesMachine>() {
            let tables = machine.tables();
            if !news.is(machine.number, tables) {
                continue;
            }
            for seen in [1, 2].into_iter().filter_map(|version| Seen::of(tables, version)) {
                if waiting.waiting.iter().all(|(_, before)| *before != seen) {
                    waiting.waiting.push_back((seen.position, seen));
                }
            }
        }
        waiting.judge(view, |oracle, seen| seen.judge(oracle))
    }
}

/// Within a boot: what was never durable may be lost in a crash.
pub(crate) fn checkpoints() -> impl FnMut(&View<'_>) -> Checked {
    let mut last: Option<(u64, [u64; 2], (u64, u32))> = None;
    let mut news = News::default();
    move |view| {
        for machine in view.changed::<TablesMachine>() {
            let tables = machine.tables();
            if !news.is(machine.number, tables) {
                continue;
            }
            let at = |version| checkpoint(tables, version).map_or(0, |one| one.position.0);
            let live = rows::<Live>(tables).first().map_or(0, |live| live.version);
            let now = ([at(1), at(2)], (at(live), live));
            let before = last.replace((machine.number, now.0, now.1));
            let Some((_, before, before_live)) = before.filter(|one| one.0 == machine.number)
            else {
                continue;
            };
            if before[0] > now.0[0] || before[1] > now.0[1] {
                return Err(format!("the checkpoints went from {before:?} to {:?}", now.0));
            }
            if before_live.0 > now.1.0 || before_live.1 > now.1.1 {
                let (before, now) = (before_live, now.1);
                return Err(format!("the live view went from {before:?} to {now:?}"));
            }
        }
        Ok(())
    }
}

/// Every answer that a client got is what the events up to its position say, as new as was asked
/// for unless it says that it is not, and not older than one that the client got before.
pub(super) fn reads() -> impl FnMut(&View<'_>) -> Checked {
    let mut waiting = Waiting::<(NodeId, usize)>::new();
    let mut last: BTreeMap<NodeId, (usize, u64)> = BTreeMap::new();
    move |view| {
        let mut all = BTreeMap::new();
        for client in view.up::<Told>() {
            let (judged, newest) = last.entry(client.node).or_default();
            for read in client.reads.get(*judged..).unwrap_or_default() {
                let (position, stale) = (read.result.position.0, read.result.stale);
                if stale != (position < read.wanted) {
                    let wanted = read.wanted;
                    return Err(format!(
                        "an answer of {position} to what wanted {wanted} says stale: {stale}"
                    ));
                }
                if position < *newest {
                    return Err(format!("after {newest} somebody is answered {position}"));
                }
                *newest = position;
                waiting.waiting.push_back((position, (client.node, *judged)));
                *judged += 1;
            }
            all.insert(client.node, client);
        }
        waiting.judge(view, |oracle, (client, at)| {
            let Some(read) = all.get(client).and_then(|told| told.reads.get(*at)) else {
                return Ok(());
            };
            let (data, position) = (&read.result.data, read.result.position.0);
            let fold = oracle.at(data.version, position);
            let should = fold.map(|fold| fold.answer(data.version, &read.query));
            match should {
                Some(should) if should != *data => Err(format!(
                    "{:?} at {position} is answered {data:?}, and should be {should:?}",
                    read.query
                )),
                _ => Ok(()),
            }
        })
    }
}

/// Each command has one event at most, and one that was refused has none.
pub(super) fn commands() -> impl FnMut(&View<'_>) -> Checked {
    let mut done: BTreeMap<u128, Vec<u64>> = BTreeMap::new();
    let mut learnt = 0;
    move |view| {
        let Some(witness) = view.up::<Witness>().next() else { return Ok(()) };
        for event in witness.0.get(learnt..).unwrap_or_default() {
            let Some(command) = event.metadata.causation else { continue };
            let positions = done.entry(command.0).or_default();
            positions.push(event.position.0);
            if positions.len() > 1 {
                return Err(format!("a command has events at {positions:?}"));
            }
        }
        learnt = witness.0.len();
        for told in view.up::<Told>() {
            for (command, fate) in &told.commands {
                if let (None, Some(found)) = (fate, done.get(command)) {
                    return Err(format!("a command that was refused has an event at {found:?}"));
                }
            }
        }
        Ok(())
    }
}

/// What is told outside is what the version that was live at the time should tell.
pub(super) fn effects() -> impl FnMut(&View<'_>) -> Checked {
    let mut waiting = Waiting::<(u32, u64, u64, Vec<u64>)>::new();
    let mut news = News::default();
    move |view| {
        for machine in view.changed::<TablesMachine>() {
            let tables = machine.tables();
            if !news.is(machine.number, tables) {
                continue;
            }
            let live = rows::<Live>(tables).first().map_or(0, |live| live.version);
            let Some(checkpoint) = checkpoint(tables, live) else { continue };
            let (gate, position) = (checkpoint.gate.0, checkpoint.position.0);
            let told = tables.outbox(0, usize::MAX).into_iter();
            let told = told.filter_map(|one| one.message.body.try_into().ok());
            let told: Vec<u64> = told.map(u64::from_be_bytes).collect();
            let seen = (live, gate, position, told);
            if waiting.waiting.iter().all(|(_, before)| *before != seen) {
                waiting.waiting.push_back((position, seen));
            }
        }
        waiting.judge(view, |oracle, (live, gate, position, told)| {
            let (Some(first), Some(now)) = (oracle.at(1, *gate), oracle.at(*live, *position))
            else {
                return Ok(());
            };
            let behind = now.shipped.iter().filter(|shipped| *shipped > gate);
            let should: Vec<u64> = first.shipped.iter().chain(behind).copied().collect();
            if *told == should {
                return Ok(());
            }
            Err(format!("at {position}, {told:?} were told outside, and should be {should:?}"))
        })
    }
}
