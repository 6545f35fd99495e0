//! What messages and operations are called in a trace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// So many are known.
const MOST: usize = 200_000;

/// The names that a log hears of and its words use.
#[derive(Clone, Default)]
pub(crate) struct Names(Rc<RefCell<Known>>);

#[derive(Default)]
struct Known {
    /// By who said it and its hash: the same bytes of two nodes may mean two things.
    names: BTreeMap<(u32, u64), String>,
    /// From whom a node has got what last, by the node and the hash.
    from: BTreeMap<(u32, u64), u32>,
}

impl Names {
    /// Whether this one has a name already, or there is no more room for one.
    pub(crate) fn knows(&self, node: u32, hash: u64) -> bool {
        let known = self.0.borrow();
        known.names.contains_key(&(node, hash)) || known.names.len() >= MOST
    }

    pub(crate) fn give(&self, node: u32, hash: u64, name: String) {
        self.0.borrow_mut().names.insert((node, hash), name);
    }

    /// A node gets what another one has sent.
    pub(crate) fn delivered(&self, node: u32, hash: u64, from: u32) {
        let known = &mut *self.0.borrow_mut();
        if known.names.contains_key(&(from, hash)) {
            known.from.insert((node, hash), from);
        }
    }

    /// What this node has sent with this hash: its name, if it has one, and the hash.
    pub(crate) fn sent(&self, node: u32, hash: u64) -> String {
        match self.0.borrow().names.get(&(node, hash)) {
            Some(name) => format!("{name} ({hash:016x})"),
            None => format!("{hash:016x}"),
        }
    }

    /// What this node has got last with this hash.
    pub(crate) fn received(&self, node: u32, hash: u64) -> String {
        let from = self.0.borrow().from.get(&(node, hash)).copied();
        self.sent(from.unwrap_or(u32::MAX), hash)
    }

    /// What one of two has sent to the other.
    pub(crate) fn between(&self, one: u32, other: u32, hash: u64) -> String {
        let is_of_one = self.0.borrow().names.contains_key(&(one, hash));
        self.sent(if is_of_one { one } else { other }, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_called_what_their_sender_calls_them() {
        let names = Names::default();
        names.give(0, 7, "Query".to_owned());
        names.give(1, 7, "Stored".to_owned());
        assert!(names.knows(1, 7) && !names.knows(2, 7));
        assert_eq!(names.sent(1, 7), "Stored (0000000000000007)");
        assert_eq!(names.received(2, 7), "0000000000000007");
        names.delivered(2, 7, 0);
        assert_eq!(names.received(2, 7), "Query (0000000000000007)");
        assert_eq!(names.between(2, 1, 7), "Stored (0000000000000007)");
    }
}
