//! Scripts: what goes wrong in a run, told step by step instead of drawn.
//!
//! Random weather finds a bug; a script tells its story, so that a test of one screen says what
//! has to happen and in which order. A [`Script`] is a list of steps. Each waits for its [`Moment`]
//! (a time, a node's third sync, a message that arrives, an operation that returns), counted from
//! when the step before it was done, and then does its [`Action`]: a fault strikes or ends, the
//! messages of a link are held or released, a client gets its cue.
//!
//! ```
//! use squall::script::{Script, cue, hold, power_loss, release, returned, sent, sync};
//! use std::time::Duration;
//!
//! let story = Script::new()
//!     .nodes("replica", 3)
//!     // The third sync of replica-1 is under way when its power fails.
//!     .when(sync("replica-1").nth(3), power_loss("replica-1").lasting(Duration::from_millis(50)))
//!     // What client-1 sends reaches replica-1 alone ...
//!     .when(sent("client-1", "replica-1"), hold("client-1", "replica-2"))
//!     .then(hold("client-1", "replica-3"))
//!     // ... while client-2 does what it has waited for; then the rest arrives.
//!     .then(cue("client-2 reads"))
//!     .when(returned("client-2"), release("client-1", "replica-2"))
//!     .at(Duration::from_millis(900), release("client-1", "replica-3"));
//! assert_eq!(story.steps().len(), 6);
//! ```
//!
//! A script is given to a scenario ([`Scenario::script`](crate::Scenario::script)) and becomes part
//! of its plans, so a repro file has it, as readable text, and replays it exactly. What it does
//! goes into the digest. Faults of a script pass the same [ledger](crate::Tolerance) as drawn ones.
//!
//! A run in which a step never comes, or one of its faults is refused, fails with the property
//! [`TOLD`]: a story that was not told shows nothing. When the world heals, what is held is
//! released and the script is over.

mod check;
mod words;

pub use check::BadStep;
pub(crate) use check::{check, suits};

use crate::plan::{Kind, RoleNodes};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The property of a run whose script was not told to its end.
pub const TOLD: &str = "the script is told to its end";

/// A script has at most so many steps.
pub const STEPS_MAX: usize = 1_000;

/// A list of steps, built by chained calls.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Script {
    pub(crate) sizes: Vec<RoleNodes>,
    steps: Vec<Step>,
}

/// One step: what it waits for, from when the step before it is done, and what it then does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it waits for.
    pub when: Moment,
    /// What it does.
    pub then: Action,
}

/// What a step waits for. Where something is counted, the first is 1. What a node does is followed
/// by the step before the node does anything else, and what happens to a node before it knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Moment {
    /// This time of the run, in nanoseconds.
    AtNs(u64),
    /// So many nanoseconds after the step before.
    AfterNs(u64),
    /// A node asks its disk for something.
    Asked {
        /// Who.
        node: String,
        /// For what.
        io: Io,
        /// For the how manieth time.
        nth: u32,
    },
    /// A node's disk answers, well or with an error.
    Answered {
        /// Whose.
        node: String,
        /// What was asked for.
        io: Io,
        /// For the how manieth time.
        nth: u32,
    },
    /// A datagram leaves.
    Sent {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// Counts messages of this kind alone: of a typed message, the number of its variant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<u8>,
        /// The how manieth.
        nth: u32,
    },
    /// A datagram arrives.
    Delivered {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
        /// The how manieth.
        nth: u32,
    },
    /// A node says that it is ready.
    Ready {
        /// Who.
        node: String,
        /// For the how manieth time.
        nth: u32,
    },
    /// A client begins a recorded operation.
    Called {
        /// Who.
        client: String,
        /// The how manieth.
        nth: u32,
    },
    /// A client's recorded operation ends, however.
    Returned {
        /// Whose.
        client: String,
        /// The how manieth.
        nth: u32,
    },
    /// A node announces a situation ([`Env::sometimes`](squall_env::Env::sometimes)).
    Reached {
        /// Who.
        node: String,
        /// Which.
        situation: String,
        /// For the how manieth time.
        nth: u32,
    },
}

/// What a node may ask its disk for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Io {
    /// Any of these.
    Any,
    /// To open a file.
    Open,
    /// To close one.
    Close,
    /// To read.
    Read,
    /// To write.
    Write,
    /// To set a file's length.
    Truncate,
    /// To make a file durable.
    Sync,
    /// To make a directory.
    CreateDirectory,
    /// To make a directory's names durable.
    SyncDirectory,
    /// To rename a file.
    Rename,
    /// To remove a file.
    Remove,
    /// To list a directory.
    List,
}

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// A fault strikes, as an episode does.
    Fault {
        /// What happens.
        what: Kind,
        /// How long it lasts, in nanoseconds; without it, until a step ends it or the world heals.
        /// A crash that no step ends is for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ns: Option<u64>,
        /// What a later step calls it to end it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The fault of this name ends.
    End {
        /// Its name.
        name: String,
    },
    /// What is on its way over a link, or is sent over it, does not arrive: datagrams and what
    /// streams carry. The other direction is another link. Neither end is told, and nothing is
    /// lost; so it counts as latency, which is always tolerated.
    Hold {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// What is held on a link arrives now, in the order in which it would have arrived.
    Release {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// Clients that wait for this cue ([`Client::cue`](crate::Client::cue)) go on.
    Cue {
        /// The cue.
        name: String,
    },
    /// Nothing.
    Nothing {},
}

/// A fault on its way into a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Strike {
    what: Kind,
    for_ns: Option<u64>,
    name: Option<String>,
}

impl Strike {
    /// Ends it after this time.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Strike {
        self.for_ns = Some(nanoseconds(time));
        self
    }

    /// Names it, so that [`end`] can end it.
    #[must_use]
    pub fn named(mut self, name: &str) -> Strike {
        self.name = Some(name.to_owned());
        self
    }
}

impl From<Strike> for Action {
    fn from(Strike { what, for_ns, name }: Strike) -> Action {
        Action::Fault { what, for_ns, name }
    }
}

impl From<Kind> for Action {
    fn from(what: Kind) -> Action {
        fault(what).into()
    }
}

impl Script {
    /// A script without steps.
    pub fn new() -> Script {
        Script::default()
    }

    /// Says how many nodes a role has in its runs. A role of which nothing is said has as few as
    /// its scenario allows.
    #[must_use]
    pub fn nodes(mut self, role: &str, nodes: u16) -> Script {
        self.sizes.push(RoleNodes { role: role.to_owned(), nodes });
        self
    }

    /// Does something once this moment has come.
    #[must_use]
    pub fn when(mut self, moment: Moment, action: impl Into<Action>) -> Script {
        self.steps.push(Step { when: moment, then: action.into() });
        self
    }

    /// Does something at this time of the run.
    #[must_use]
    pub fn at(self, time: Duration, action: impl Into<Action>) -> Script {
        self.when(Moment::AtNs(nanoseconds(time)), action)
    }

    /// Does something so long after the step before.
    #[must_use]
    pub fn after(self, time: Duration, action: impl Into<Action>) -> Script {
        self.when(Moment::AfterNs(nanoseconds(time)), action)
    }

    /// Does something at once after the step before; as the first step, when the run begins.
    #[must_use]
    pub fn then(self, action: impl Into<Action>) -> Script {
        self.after(Duration::ZERO, action)
    }

    /// Waits until this moment has come.
    #[must_use]
    pub fn step_to(self, moment: Moment) -> Script {
        self.when(moment, Action::Nothing {})
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Moment {
    /// The how manieth time it is, from 1. A time has no such number.
    #[must_use]
    pub fn nth(mut self, number: u32) -> Moment {
        match &mut self {
            Moment::AtNs(_) | Moment::AfterNs(_) => {}
            Moment::Asked { nth, .. }
            | Moment::Answered { nth, .. }
            | Moment::Sent { nth, .. }
            | Moment::Delivered { nth, .. }
            | Moment::Ready { nth, .. }
            | Moment::Called { nth, .. }
            | Moment::Returned { nth, .. }
            | Moment::Reached { nth, .. } => *nth = number,
        }
        self
    }

    /// Counts messages of this kind alone; of a typed message, the number of its variant, from 0.
    /// Only what is [`sent`] has a kind.
    #[must_use]
    pub fn of_kind(mut self, number: u8) -> Moment {
        if let Moment::Sent { kind, .. } = &mut self {
            *kind = Some(number);
        }
        self
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A node asks its disk for this.
pub fn asked(node: &str, io: Io) -> Moment {
    Moment::Asked { node: node.to_owned(), io, nth: 1 }
}

/// A node's disk answers.
pub fn answered(node: &str, io: Io) -> Moment {
    Moment::Answered { node: node.to_owned(), io, nth: 1 }
}

/// A node begins to sync a file.
pub fn sync(node: &str) -> Moment {
    asked(node, Io::Sync)
}

/// A node's sync of a file is done, and the node does not know yet.
pub fn synced(node: &str) -> Moment {
    answered(node, Io::Sync)
}

/// A datagram leaves for a node.
pub fn sent(from: &str, to: &str) -> Moment {
    Moment::Sent { from: from.to_owned(), to: to.to_owned(), kind: None, nth: 1 }
}

/// A datagram arrives.
pub fn delivered(from: &str, to: &str) -> Moment {
    Moment::Delivered { from: from.to_owned(), to: to.to_owned(), nth: 1 }
}

/// A node says that it is ready.
pub fn ready(node: &str) -> Moment {
    Moment::Ready { node: node.to_owned(), nth: 1 }
}

/// A client begins an operation.
pub fn called(client: &str) -> Moment {
    Moment::Called { client: client.to_owned(), nth: 1 }
}

/// A client's operation ends.
pub fn returned(client: &str) -> Moment {
    Moment::Returned { client: client.to_owned(), nth: 1 }
}

/// A node announces a situation.
pub fn reached(node: &str, situation: &str) -> Moment {
    Moment::Reached { node: node.to_owned(), situation: situation.to_owned(), nth: 1 }
}

/// A fault strikes.
pub fn fault(what: Kind) -> Strike {
    Strike { what, for_ns: None, name: None }
}

/// A node's process ends; its operating system lives on.
pub fn crash(node: &str) -> Strike {
    fault(Kind::Crash { node: node.to_owned(), power_loss: false })
}

/// A node crashes, and what it had not synced may be lost.
pub fn power_loss(node: &str) -> Strike {
    fault(Kind::Crash { node: node.to_owned(), power_loss: true })
}

/// A node stands still.
pub fn pause(node: &str) -> Strike {
    fault(Kind::Pause { node: node.to_owned() })
}

/// These nodes and all others do not reach each other.
pub fn partition(nodes: &[&str]) -> Strike {
    fault(Kind::Partition { nodes: nodes.iter().map(|node| (*node).to_owned()).collect() })
}

/// The fault of this name ends.
pub fn end(name: &str) -> Action {
    Action::End { name: name.to_owned() }
}

/// Nothing arrives over a link any more.
pub fn hold(from: &str, to: &str) -> Action {
    Action::Hold { from: from.to_owned(), to: to.to_owned() }
}

/// What is held on a link arrives.
pub fn release(from: &str, to: &str) -> Action {
    Action::Release { from: from.to_owned(), to: to.to_owned() }
}

/// Clients that wait for this cue go on.
pub fn cue(name: &str) -> Action {
    Action::Cue { name: name.to_owned() }
}
