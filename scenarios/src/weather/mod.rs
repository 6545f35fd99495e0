//! Scenarios of the weather itself: their properties are the contracts of the faults, what each may
//! do and what it may not. The systems in them are as small as they can be.
//!
//! Every scenario can be made *blind* to a fault: its contract then takes the fault for one that
//! does not exist. As soon as that fault strikes, the contract must break; so each of them can be
//! seen to fail, fault by fault.

pub mod clocks;
pub mod code;
mod cuts;
pub mod disks;
pub mod forgetful;
pub mod leader;
pub mod links;
pub mod nodes;
pub mod rot;
pub mod streams;

use squall::{Client, Fault, FaultSet, Scenario};
use squall_env::NodeId;
use std::convert::Infallible;
use std::time::Duration;

const MS: u64 = 1_000_000;

/// A scenario of the weather, by what its contract is blind to.
pub type Make = fn(Blind) -> Scenario;

/// Each of them, and one fault that its specimen is blind to.
pub const ALL: &[(Make, Fault)] = &[
    (links::links, Fault::Duplication),
    (streams::streams, Fault::StreamReset),
    (leader::leader, Fault::IsolateLeader),
    (nodes::nodes, Fault::Suspend),
    (disks::disks, Fault::TornWrites),
    (forgetful::forgetful, Fault::LyingSync),
    (rot::rot, Fault::BitRot),
    (clocks::clocks, Fault::WallBack),
    (code::code, Fault::Buggify),
];

/// Every scenario of the weather.
pub fn scenarios() -> Vec<Scenario> {
    ALL.iter().map(|(make, _)| make(Blind::NOT)).collect()
}

/// Contracts that do not know one of their faults.
pub fn specimens() -> Vec<Scenario> {
    ALL.iter().map(|(make, fault)| make(Blind::to(*fault))).collect()
}

/// What a contract does not know of.
#[derive(Clone, Copy, Debug)]
pub struct Blind(Option<Fault>);

impl Blind {
    /// It knows everything.
    pub const NOT: Blind = Blind(None);

    /// It takes this fault for one that does not exist.
    pub fn to(fault: Fault) -> Blind {
        Blind(Some(fault))
    }

    fn knows(self, fault: Fault) -> bool {
        self.0 != Some(fault)
    }

    /// A value of the weather, or what it is without this fault.
    fn see<T>(self, fault: Fault, value: T, without: T) -> T {
        if self.knows(fault) { value } else { without }
    }

    /// A scenario under its own name, or the specimen that must break this property.
    fn scenario(self, name: &str, breaks: &'static str) -> Scenario {
        match self.0 {
            None => Scenario::new(&format!("weather/{name}")),
            Some(_) => Scenario::new(&format!("specimen/weather-{name}")).breaks(breaks),
        }
    }
}

/// A client that does nothing but to wait until the faults are over, and a while longer.
async fn witness(client: Client) -> Result<(), Infallible> {
    client.after_heal().await;
    client.env().sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// The name by which plans know a node of the role `node`.
fn name(node: NodeId) -> String {
    format!("node-{}", node.ordinal())
}

/// The faults of a list as a set.
fn set(faults: &[Fault]) -> FaultSet {
    faults.iter().fold(FaultSet::default(), |set, fault| set.with(*fault))
}
