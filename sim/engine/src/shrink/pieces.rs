//! What can be left out of a plan.

use crate::plan::{Kind, Override, Plan};
use crate::scenario::Scenario;
use crate::table::Fault;

/// Something that can be left out. Places are those in the plan that it is a piece of.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Piece {
    Episode(usize),
    Override(usize),
    /// An operation of the client that an override is about.
    Operation(usize, u64),
    /// The last node of a role.
    Node(usize),
    /// A fault of the weather.
    Fault(Fault),
    /// A step of the script.
    Step(usize),
}

pub(super) fn episodes(_: &Scenario, plan: &Plan) -> Vec<Piece> {
    // What begins last is most likely to be of no use.
    (0..plan.episodes.len()).rev().map(Piece::Episode).collect()
}

pub(super) fn operations(_: &Scenario, plan: &Plan) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (place, change) in plan.overrides.iter().enumerate() {
        if let Override::OnlyOperations { numbers, .. } = change {
            pieces.extend(numbers.iter().rev().map(|number| Piece::Operation(place, *number)));
        }
    }
    pieces
}

pub(super) fn messages(_: &Scenario, plan: &Plan) -> Vec<Piece> {
    let all = plan.overrides.iter().enumerate().rev();
    let messages = all.filter(|(_, change)| matches!(change, Override::Message { .. }));
    messages.map(|(place, _)| Piece::Override(place)).collect()
}

pub(super) fn nodes(scenario: &Scenario, plan: &Plan) -> Vec<Piece> {
    let roles = scenario.roles.iter().zip(&plan.nodes).enumerate().rev();
    let pieces = roles.flat_map(|(place, (role, nodes))| {
        let spare = nodes.nodes.saturating_sub(role.low.max(1));
        std::iter::repeat_n(Piece::Node(place), usize::from(spare))
    });
    pieces.collect()
}

pub(super) fn steps(_: &Scenario, plan: &Plan) -> Vec<Piece> {
    // What a step holds is released by a later one.
    (0..plan.script.len()).rev().map(Piece::Step).collect()
}

fn faults(_: &Scenario, plan: &Plan) -> Vec<Piece> {
    super::calm::faults(plan).into_iter().map(Piece::Fault).collect()
}

/// Everything, to be left out one by one.
pub(super) fn all(scenario: &Scenario, plan: &Plan) -> Vec<Piece> {
    [faults, episodes, steps, messages, nodes, operations].map(|of| of(scenario, plan)).concat()
}

/// The plan without these pieces of it.
pub(super) fn without(plan: &Plan, pieces: &[Piece]) -> Plan {
    let mut rest = plan.clone();
    for piece in pieces {
        match piece {
            Piece::Operation(place, number) => {
                if let Override::OnlyOperations { numbers, .. } = &mut rest.overrides[*place] {
                    numbers.retain(|other| other != number);
                }
            }
            Piece::Fault(fault) => super::calm::switch_off(&mut rest.weather, *fault),
            Piece::Episode(_) | Piece::Override(_) | Piece::Node(_) | Piece::Step(_) => {}
        }
    }
    let mut place = 0..;
    rest.episodes.retain(|_| !pieces.contains(&Piece::Episode(place.next().unwrap_or_default())));
    let mut place = 0..;
    rest.overrides.retain(|_| !pieces.contains(&Piece::Override(place.next().unwrap_or_default())));
    let mut place = 0..;
    rest.script.retain(|_| !pieces.contains(&Piece::Step(place.next().unwrap_or_default())));
    for piece in pieces {
        if let Piece::Node(role) = piece {
            drop_node(&mut rest, *role);
        }
    }
    rest
}

/// Takes the last node out of a role, and everything that is about it alone.
fn drop_node(plan: &mut Plan, role: usize) {
    let nodes = &mut plan.nodes[role];
    let gone = format!("{}-{}", nodes.role, nodes.nodes);
    nodes.nodes -= 1;
    for episode in &mut plan.episodes {
        if let Some(nodes) = several(&mut episode.kind) {
            nodes.retain(|node| *node != gone);
        }
    }
    plan.episodes.retain(|episode| {
        let nodes = episode.kind.nodes();
        let about_nobody = nodes.is_empty() && episode.kind != Kind::IsolateLeader {};
        !about_nobody && nodes != std::slice::from_ref(&gone)
    });
    plan.overrides.retain(|change| match change {
        Override::Message { from, to, .. } => *from != gone && *to != gone,
        Override::SkipOperation { client, .. } | Override::OnlyOperations { client, .. } => {
            *client != gone
        }
    });
}

/// The nodes of a fault that is about any number of them.
fn several(kind: &mut Kind) -> Option<&mut Vec<String>> {
    match kind {
        Kind::Partition { nodes }
        | Kind::PartitionOneWay { nodes }
        | Kind::MajoritiesRing { nodes }
        | Kind::Bridge { nodes }
        | Kind::SwizzleClog { nodes } => Some(nodes),
        _ => None,
    }
}
