//! What must hold of orders, from what clients were told and what services have in their books.

use super::books::{Books, Payments, Shipping, Stock};
use super::load::{Looks, Told};
use super::node::order;
use super::services::{Calls, Service};
use squall_env::{NodeId, View};
use squall_protocols::saga::{Definition, SagaId, Status, Step};
use std::collections::{BTreeMap, BTreeSet};

/// What is in the books of the services that are up.
struct Seen {
    stock: Option<Stock>,
    payments: Option<Payments>,
    shipping: Option<Shipping>,
}

impl Seen {
    fn of(view: &View<'_>) -> Seen {
        fn books<B: Books>(view: &View<'_>) -> Option<B> {
            view.up::<Service<B>>().next().map(|service| service.books.clone())
        }
        Seen { stock: books(view), payments: books(view), shipping: books(view) }
    }

    /// How often the effect of a step is in the books now; nothing if its service is down.
    fn count(&self, saga: SagaId, step: &str) -> Option<usize> {
        let is = |of: &&SagaId| **of == saga;
        Some(match step {
            "create" => {
                self.shipping.as_ref()?.orders.iter().filter(|o| **o == (saga, false)).count()
            }
            "reserve" => self.stock.as_ref()?.reserved.iter().filter(|r| r.0 == saga).count(),
            "credit" => {
                let payments = self.payments.as_ref()?;
                payments.holds.iter().chain(&payments.taken).filter(|h| h.0 == saga).count()
            }
            "charge" => self.payments.as_ref()?.taken.iter().filter(|t| t.0 == saga).count(),
            "ship" => self.shipping.as_ref()?.shipped.iter().filter(is).count(),
            _ => self.shipping.as_ref()?.notified.iter().filter(is).count(),
        })
    }
}

/// Pieces and money are neither made nor lost.
pub(crate) fn conserved(view: &View<'_>) -> Result<(), String> {
    for stock in view.changed::<Service<Stock>>() {
        for (item, there) in stock.books.first.into_iter().enumerate() {
            let all = stock.books.reserved.iter().flat_map(|(_, items)| items);
            let of = all.filter(|(reserved, _)| usize::from(*reserved) == item);
            let reserved: u32 = of.map(|(_, pieces)| pieces).sum();
            let shelf = stock.books.shelf[item];
            if shelf + reserved != there {
                let item = item + 1;
                return Err(format!("item {item}: {shelf} and {reserved} reserved of {there}"));
            }
        }
    }
    for payments in view.changed::<Service<Payments>>() {
        let Payments { first, balances, holds, taken, .. } = &payments.books;
        for (account, there) in first.iter().copied().enumerate() {
            let of = holds.iter().chain(taken).filter(|hold| usize::from(hold.1) == account);
            let bound: u64 = of.map(|hold| hold.2).sum();
            if balances[account] + bound != there {
                return Err(format!(
                    "account {account}: {} and {bound} of {there}",
                    balances[account]
                ));
            }
        }
    }
    Ok(())
}

/// Every effect is there at most once.
pub(crate) fn once(view: &View<'_>) -> Result<(), String> {
    fn twice<'a>(name: &str, all: impl Iterator<Item = &'a SagaId>) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for saga in all {
            if !seen.insert(*saga) {
                return Err(format!("{saga} is {name} twice"));
            }
        }
        Ok(())
    }
    for stock in view.changed::<Service<Stock>>() {
        twice("reserved", stock.books.reserved.iter().map(|(saga, _)| saga))?;
    }
    for payments in view.changed::<Service<Payments>>() {
        let Payments { holds, taken, .. } = &payments.books;
        twice("held or taken", holds.iter().chain(taken).map(|hold| &hold.0))?;
    }
    for shipping in view.changed::<Service<Shipping>>() {
        twice("created", shipping.books.orders.iter().map(|(saga, _)| saga))?;
        twice("shipped", shipping.books.shipped.iter())?;
        twice("notified", shipping.books.notified.iter())?;
    }
    Ok(())
}

/// What comes after something is not there without it.
pub(super) fn in_order(view: &View<'_>) -> Result<(), String> {
    let seen = Seen::of(view);
    let lacks = |saga: SagaId, step: &str| seen.count(saga, step) == Some(0);
    let taken = seen.payments.iter().flat_map(|payments| &payments.taken).map(|taken| taken.0);
    for saga in taken {
        if let Some(step) = ["create", "reserve"].into_iter().find(|step| lacks(saga, step)) {
            return Err(format!("{saga} is charged without {step}"));
        }
    }
    for saga in seen.shipping.iter().flat_map(|shipping| &shipping.shipped) {
        if let Some(step) = ["reserve", "charge"].into_iter().find(|step| lacks(*saga, step)) {
            return Err(format!("{saga} is shipped without {step}"));
        }
    }
    Ok(())
}

/// What a client was told of an order that is over is what the services have in their books, but
/// for what an operator has taken on himself.
pub(super) fn agrees(view: &View<'_>) -> Result<(), String> {
    let seen = Seen::of(view);
    let definition = order();
    for told in view.up::<Told>() {
        if let Some((saga, before, now)) = &told.changed {
            return Err(format!("{saga} was {before:?} and then {now:?}"));
        }
        for (saga, status) in &told.last {
            let (wanted, left) = match status {
                Status::Completed { left } => (1, left),
                Status::Failed { left, .. } => (0, left),
                _ => continue,
            };
            for step in definition.steps() {
                let name = definition.name_of(step).to_owned();
                let counted = seen.count(*saga, &name).filter(|count| *count != wanted);
                let is_ours = left.contains(&name) || told.by_hand.contains(&(*saga, name.clone()));
                if let Some(count) = counted.filter(|_| !is_ours) {
                    return Err(format!("{saga} is {status:?}, and {name} is there {count} times"));
                }
            }
        }
    }
    Ok(())
}

/// A service that has taken a call under a token takes none under a smaller one for the same saga,
/// as long as it runs.
pub(crate) fn fenced() -> impl FnMut(&View<'_>) -> Result<(), String> {
    fn look<B: Books>(view: &View<'_>) -> Result<(), String> {
        for service in view.changed::<Service<B>>() {
            let mut greatest: BTreeMap<SagaId, u64> = BTreeMap::new();
            for (saga, token) in &service.accepted {
                let greatest = greatest.entry(*saga).or_default();
                if token < greatest {
                    return Err(format!("{saga}: token {token} was taken behind {greatest}"));
                }
                *greatest = *token;
            }
        }
        Ok(())
    }
    |view| {
        look::<Stock>(view)?;
        look::<Payments>(view)?;
        look::<Shipping>(view)
    }
}

/// The undos of a saga that were called for, and the greatest token under which one was.
#[derive(Default)]
struct Undone {
    token: u64,
    steps: Vec<Step>,
}

impl Undone {
    fn calls(&mut self, definition: &Definition, step: Step, token: u64) -> Result<(), String> {
        if token < self.token || self.steps.last() == Some(&step) {
            // Who was overtaken says what was said before, and whoever got no answer asks again.
            return Ok(());
        }
        let name = |step| definition.name_of(step);
        if self.steps.contains(&step) {
            return Err(format!("{} is undone again", name(step)));
        }
        let mut early = self.steps.iter().copied();
        if let Some(before) = early.find(|undone| definition.before(step).any(|b| b == *undone)) {
            return Err(format!("{} is undone before {}", name(before), name(step)));
        }
        self.steps.push(step);
        Ok(())
    }
}

/// Steps are undone one after the other, each once, and none before one that was done after it.
pub(crate) fn undone_in_reverse() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let definition = order();
    let mut sagas: BTreeMap<SagaId, Undone> = BTreeMap::new();
    let mut read: BTreeMap<(NodeId, u64), usize> = BTreeMap::new();
    move |view| {
        for calls in view.changed::<Calls>() {
            let read = read.entry((calls.node, calls.number)).or_default();
            for made in &calls.0[*read..] {
                let undone = sagas.entry(made.saga).or_default();
                if let Some(step) = definition.step(&made.step).filter(|_| made.is_undo) {
                    let called = undone.calls(&definition, step, made.token);
                    called.map_err(|wrong| format!("{}: {wrong}", made.saga))?;
                }
                undone.token = undone.token.max(made.token);
            }
            *read = calls.0.len();
        }
        Ok(())
    }
}

/// Nobody is told that an order cannot be read which was started.
pub(super) fn readable(view: &View<'_>) -> Result<(), String> {
    for told in view.changed::<Told>() {
        let started = told.last.iter().filter(|(saga, _)| told.started.contains_key(saga));
        for (saga, status) in started {
            if let Status::Unreadable(why) = status {
                return Err(format!("{saga}: {why}"));
            }
        }
    }
    Ok(())
}

/// A client that is down for so many nanoseconds after the world has healed is down for good.
const DOWN_MAX: u64 = 5_000_000_000;

/// Every order that a client was told was started is over or reported stuck, and what nobody can
/// read is reported; but for clients that are down for good, to whom nobody reports.
pub(super) fn settled() -> impl FnMut(&View<'_>) -> bool {
    let mut healed = None;
    move |view| {
        let now = view.now_ns();
        let waits = now < *healed.get_or_insert(now) + DOWN_MAX;
        let up: BTreeSet<NodeId> = view.up::<Looks>().map(|looks| looks.node).collect();
        let mut told = view.up::<Told>().filter(|told| waits || up.contains(&told.node));
        told.all(|told| is_settled(&told))
    }
}

fn is_settled(told: &Told) -> bool {
    let started = told.started.keys().all(|saga| {
        let status = told.last.get(saga);
        status.is_some_and(|s| s.is_over() || matches!(s, Status::Stuck { .. }))
    });
    let mut bad = told.bad.iter().map(|saga| told.last.get(saga));
    started && bad.all(|status| matches!(status, Some(Status::Unreadable(_))))
}
