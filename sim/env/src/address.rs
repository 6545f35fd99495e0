//! Who is in the system: nodes by role and ordinal, ports by name, and the roster of both.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A node, named by its role and its place in it, never by an index that a change elsewhere moves.
///
/// Ordinals start at 1. [`Roster::name`] gives the readable name, as in `replica-2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NodeId {
    role: u16,
    ordinal: u16,
}

/// The role of nodes that are not on the roster.
const GUEST: u16 = u16::MAX;

impl NodeId {
    /// The node of the `role`th role (from 0, in the order of the roster) with this ordinal.
    pub const fn new(role: u16, ordinal: u16) -> NodeId {
        NodeId { role, ordinal }
    }

    /// A node that is not on the roster, as an adapter numbers the connections of strangers.
    pub const fn guest(number: u16) -> NodeId {
        NodeId { role: GUEST, ordinal: number }
    }

    /// Whether the node is not on the roster.
    pub const fn is_guest(self) -> bool {
        self.role == GUEST
    }

    /// The place of the node's role on the roster, from 0.
    pub const fn role(self) -> u16 {
        self.role
    }

    /// The node's place in its role, from 1.
    pub const fn ordinal(self) -> u16 {
        self.ordinal
    }
}

/// Where on a node a message arrives. Ports are named; the number is the hash of the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Port(u32);

impl Port {
    /// Binding this gives a port that nobody else on the node has.
    pub const ANY: Port = Port(0);
    /// Numbers from here on are given out for [`Port::ANY`]; no name hashes to one of them.
    pub const FIRST_EPHEMERAL: u32 = 0x8000_0000;

    /// The port called `name` (FNV-1a, 31 bits). Two names that collide on one node are found when
    /// the second is bound.
    pub const fn named(name: &str) -> Port {
        let bytes = name.as_bytes();
        let mut hash: u32 = 0x811c_9dc5;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        let hash = hash & (Port::FIRST_EPHEMERAL - 1);
        Port(if hash == 0 { 1 } else { hash })
    }

    /// The port with this number, as read from a frame.
    pub const fn from_number(number: u32) -> Port {
        Port(number)
    }

    /// The number that travels in frames.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// A port of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Address {
    /// The node.
    pub node: NodeId,
    /// The port on it.
    pub port: Port,
}

impl Address {
    /// This port of this node.
    pub const fn new(node: NodeId, port: Port) -> Address {
        Address { node, port }
    }
}

/// The nodes of a system, by role: from the scenario in the world, from configuration in
/// production.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Roster {
    cluster: String,
    roles: Vec<Role>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Role {
    name: String,
    nodes: u16,
}

impl Roster {
    /// The roster of the system called `cluster`; roles follow with [`Roster::with`].
    pub fn new(cluster: impl Into<String>) -> Roster {
        Roster { cluster: cluster.into(), roles: Vec::new() }
    }

    /// Adds a role with so many nodes.
    ///
    /// # Panics
    /// If the role is on the roster already: the roster is the author's own text.
    #[must_use]
    pub fn with(mut self, role: impl Into<String>, nodes: u16) -> Roster {
        let name = role.into();
        assert!(self.roles.iter().all(|r| r.name != name), "role {name:?} is on the roster twice");
        self.roles.push(Role { name, nodes });
        self
    }

    /// The name of the system. Journals carry it, so that another system's disk is refused.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The nodes of a role in order; none if there is no such role.
    pub fn nodes(&self, role: &str) -> impl Iterator<Item = NodeId> + '_ {
        let found = self.roles.iter().position(|r| r.name == role);
        let (index, nodes) = found.map_or((0, 0), |i| (i as u16, self.roles[i].nodes));
        (1..=nodes).map(move |ordinal| NodeId::new(index, ordinal))
    }

    /// Every node, role by role.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.roles.iter().enumerate().flat_map(|(index, role)| {
            (1..=role.nodes).map(move |ordinal| NodeId::new(index as u16, ordinal))
        })
    }

    /// The names of the roles and how many nodes each has.
    pub fn roles(&self) -> impl Iterator<Item = (&str, u16)> + '_ {
        self.roles.iter().map(|role| (role.name.as_str(), role.nodes))
    }

    /// Whether the node is on the roster.
    pub fn contains(&self, node: NodeId) -> bool {
        let role = self.roles.get(usize::from(node.role));
        role.is_some_and(|role| (1..=role.nodes).contains(&node.ordinal))
    }

    /// The name of a node's role; `guest` for a stranger.
    pub fn role(&self, node: NodeId) -> &str {
        self.roles.get(usize::from(node.role)).map_or("guest", |role| role.name.as_str())
    }

    /// The node's readable name, as in `replica-2`.
    pub fn name(&self, node: NodeId) -> String {
        numbered(self.role(node), "-", node.ordinal.into(), 1, "")
    }

    /// The node with this readable name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let (role, ordinal) = name.rsplit_once('-')?;
        let ordinal: u16 = ordinal.parse().ok()?;
        self.nodes(role).find(|node| node.ordinal == ordinal)
    }
}

/// A name with a number of at least so many digits in it. Names of nodes and files are made often
/// enough for the formatting of the standard library to show.
pub(crate) fn numbered(name: &str, before: &str, number: u64, least: usize, after: &str) -> String {
    let (mut digits, mut left, mut at) = ([b'0'; 20], number, 20);
    while left > 0 || 20 - at < least {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let digits = str::from_utf8(&digits[at..]).unwrap_or_default();
    [name, before, digits, after].concat()
}

impl fmt::Display for Roster {
    /// As in `3 replica, 2 client`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, role) in self.roles.iter().enumerate() {
            write!(f, "{}{} {}", if at == 0 { "" } else { ", " }, role.nodes, role.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_nodes_and_back() {
        let roster = Roster::new("test").with("replica", 3).with("read-client", 2);
        assert_eq!(roster.all().count(), 5);
        for node in roster.all() {
            assert_eq!(roster.find(&roster.name(node)), Some(node));
            assert!(roster.contains(node));
        }
        assert_eq!(roster.find("replica-4"), None);
        assert_eq!(roster.find("replica"), None);
        assert!(!roster.contains(NodeId::guest(1)));
    }

    #[test]
    fn numbers_in_names_read_as_they_are_formatted() {
        for number in [0, 1, 9, 10, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(numbered("a", "-", number, 1, ""), format!("a-{number}"));
            assert_eq!(numbered("a", ".", number, 8, ".log"), format!("a.{number:08}.log"));
        }
    }

    #[test]
    fn a_named_port_is_never_ephemeral_nor_any() {
        for name in ["", "a", "register", "raft", "a longer name with spaces"] {
            let port = Port::named(name);
            assert!(port != Port::ANY && port.number() < Port::FIRST_EPHEMERAL);
        }
        assert_ne!(Port::named("raft"), Port::named("register"));
    }
}
