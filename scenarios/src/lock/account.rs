//! An account that several clients deposit into, each reading before it writes.

use serde::{Deserialize, Serialize};
use squall_env::{NodeId, View};
use squall_protocols::lock::{Guarded, Resource};
use std::collections::BTreeMap;

/// An account, in minor units of some currency.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account(u64);

/// Its balance: what is written takes the place of what was there, so that whoever has read too
/// early takes away what others deposited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Balance(pub u64);

impl Resource for Account {
    type Write = Balance;
    type Value = Balance;

    fn write(&mut self, Balance(balance): &Balance) {
        self.0 = *balance;
    }

    fn value(&self) -> Balance {
        Balance(self.0)
    }
}

/// What a client has deposited, a unit each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Deposits {
    /// So many it has asked for.
    pub(crate) asked: u64,
    /// So many of these, it was told, are made.
    pub(crate) told: u64,
}

/// The balance has every deposit that was acknowledged, and none that nobody asked for.
pub(super) fn deposits_count() -> impl FnMut(&View<'_>) -> Result<(), String> {
    counts(|view| view.up::<Guarded<Account>>().map(|account| account.resource().0).next())
}

/// The same of any account.
pub(crate) fn counts(
    balance: fn(&View<'_>) -> Option<u64>,
) -> impl FnMut(&View<'_>) -> Result<(), String> {
    // By boots: what a client did before it crashed counts as well.
    let mut all: BTreeMap<(NodeId, u64), Deposits> = BTreeMap::new();
    move |view| {
        for deposits in view.changed::<Deposits>() {
            all.insert((deposits.node, deposits.number), *deposits);
        }
        let asked: u64 = all.values().map(|deposits| deposits.asked).sum();
        let told: u64 = all.values().map(|deposits| deposits.told).sum();
        match balance(view).filter(|balance| *balance < told || asked < *balance) {
            None => Ok(()),
            Some(balance) => Err(format!(
                "the balance is {balance}, of {asked} deposits that were asked for and {told} that \
                 were acknowledged"
            )),
        }
    }
}
