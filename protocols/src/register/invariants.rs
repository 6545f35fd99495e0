//! What holds of the register at every moment, each with what it rests on.

use super::client::Acknowledged;
use super::machine::{NAME, Replica, Tag};
use squall_env::shown::AuditView;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// The tag of a running replica never goes back: a replica adopts only greater tags (Attiya,
/// Bar-Noy and Dolev, 1995, section 3).
pub fn tags_never_go_back() -> impl FnMut(&View<'_>) -> Result<(), String> {
    // A restart may take back what was not durable; the exhibit then has another number.
    let mut last: Vec<(NodeId, u64, Tag)> = Vec::new();
    move |view| {
        for replica in view.changed::<Replica>() {
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

/// A tag stands for one value, wherever and whenever it is seen: tags of two writers differ, and
/// a writer uses each once (Lynch and Shvartsman, 1997).
pub fn a_tag_stands_for_one_value() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut values: BTreeMap<Tag, Vec<u8>> = BTreeMap::new();
    let mut last: Vec<(NodeId, u64, Tag)> = Vec::new();
    move |view| {
        for replica in view.changed::<Replica>() {
            let now = (replica.node, replica.number, replica.tag());
            match last.iter_mut().find(|(node, _, _)| *node == replica.node) {
                Some(entry) if *entry == now => continue,
                Some(entry) => *entry = now,
                None => last.push(now),
            }
            let value = values.entry(now.2).or_insert_with(|| replica.value().to_vec());
            if value != replica.value() {
                let (node, tag) = (replica.node, now.2);
                return Err(format!(
                    "{node:?} has {:?} under {tag:?}, which stood for {value:?}",
                    replica.value()
                ));
            }
        }
        Ok(())
    }
}

/// What a client knows to be stored is on the disks of a majority, whatever crashes now: without
/// that a later majority may know nothing of it.
pub fn acknowledged_is_durable() -> impl FnMut(&AuditView<'_>) -> Result<(), String> {
    |audit| {
        let known = audit.view().up::<Acknowledged>().map(|client| client.0).max();
        let Some(newest) = known.filter(|tag| *tag > Tag::default()) else { return Ok(()) };
        let replicas = audit.roster().nodes("replica").count();
        let mut having = 0;
        for (node, _) in audit.disks() {
            if audit.roster().role(node) == "replica" {
                let recovered = audit.recover::<Replica>(node, NAME, &())?;
                having += usize::from(recovered.tag() >= newest);
            }
            if having * 2 > replicas {
                return Ok(());
            }
        }
        Err(format!("{newest:?} is acknowledged and on {having} of {replicas} disks"))
    }
}
