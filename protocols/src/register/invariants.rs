//! What holds of the register's replicas at every moment.

use super::machine::{Replica, Tag};
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// The tag of a running replica never goes back (Lynch and Shvartsman, 1997, invariant 1 of the
/// replica automaton: a replica adopts only greater tags).
pub fn tags_never_go_back() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut last: BTreeMap<NodeId, (u64, Tag)> = BTreeMap::new();
    move |view| {
        for replica in view.up::<Replica>() {
            let now = (replica.number, replica.tag());
            let before = last.insert(replica.node, now);
            if let Some((number, tag)) = before
                && number == now.0
                && now.1 < tag
            {
                return Err(format!("{:?} went from {tag:?} back to {:?}", replica.node, now.1));
            }
        }
        Ok(())
    }
}
