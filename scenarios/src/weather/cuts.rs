//! What plans mean by their cuts and clogs, said anew and apart from the simulator.

use squall::Struck;
use squall::plan::Kind;

/// Whether this episode keeps what `from` sends from `to`. Whoever leads when a leader is isolated
/// is told by `leader`.
pub(super) fn separates(
    struck: &Struck,
    from: &str,
    to: &str,
    leader: &dyn Fn(u64) -> Option<String>,
) -> bool {
    let has = |nodes: &[String], name: &str| nodes.iter().any(|node| node == name);
    match &struck.episode.kind {
        Kind::Partition { nodes } => has(nodes, from) != has(nodes, to),
        Kind::PartitionOneWay { nodes } => has(nodes, from) && !has(nodes, to),
        Kind::IsolateOne { node } => node == from || node == to,
        Kind::IsolateLeader {} => {
            leader(struck.since_ns).is_some_and(|leader| leader == from || leader == to)
        }
        Kind::Bridge { nodes } => {
            let bridge = &nodes[0];
            bridge != from && bridge != to && has(nodes, from) != has(nodes, to)
        }
        _ => false,
    }
}

/// Whether this episode is a ring of majorities that both are on.
pub(super) fn rings(struck: &Struck, from: &str, to: &str) -> bool {
    let Kind::MajoritiesRing { nodes } = &struck.episode.kind else { return false };
    [from, to].iter().all(|name| nodes.iter().any(|node| node == name))
}

/// Whether this episode may hold what `from` sends to `to`, and whether it surely does so from its
/// beginning to its end.
pub(super) fn clogs(struck: &Struck, from: &str, to: &str) -> Option<bool> {
    match &struck.episode.kind {
        Kind::ClogLink { nodes } if nodes[0] == from && nodes[1] == to => Some(true),
        Kind::ClogNode { node } if node == from || node == to => Some(true),
        Kind::SwizzleClog { nodes } if nodes.iter().any(|n| n == from || n == to) => Some(false),
        _ => None,
    }
}

/// When the episode is to end, in nanoseconds.
pub(super) fn planned_end(struck: &Struck, heal_at_ns: u64) -> u64 {
    let end = struck.episode.for_ns.map_or(u64::MAX, |length| struck.since_ns + length);
    end.min(heal_at_ns)
}
