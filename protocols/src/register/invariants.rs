//! What holds of the register's replicas at every moment.

use super::machine::{Replica, Tag};
use squall_env::{NodeId, View};

/// The tag of a running replica never goes back (Lynch and Shvartsman, 1997, invariant 1 of the
/// replica automaton: a replica adopts only greater tags).
pub fn tags_never_go_back() -> impl FnMut(&View<'_>) -> Result<(), String> {
    // A restart may take back what was not durable; the exhibit then has another number.
    let mut last: Vec<(NodeId, u64, Tag)> = Vec::new();
    move |view| {
        for replica in view.up::<Replica>() {
            let (node, number, tag) = (replica.node, replica.number, replica.tag());
            let Some(entry) = last.iter_mut().find(|(known, _, _)| *known == node) else {
                last.push((node, number, tag));
                continue;
            };
            let (_, before_number, before) = std::mem::replace(entry, (node, number, tag));
            if before_number == number && tag < before {
                return Err(format!("{node:?} went from {before:?} back to {tag:?}"));
            }
        }
        Ok(())
    }
}
