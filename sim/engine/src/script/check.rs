//! Which scripts can be played.

use super::{Action, Moment, STEPS_MAX, Step};
use crate::plan::{Episode, Invalid, When};
use crate::table::FaultSet;

/// Why a script cannot be played. Steps count from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadStep {
    /// A node that is not there.
    #[error("there is no node {node:?}; there are {known}")]
    UnknownNode {
        /// Its name.
        node: String,
        /// Those that there are.
        known: String,
    },
    /// A link with one end.
    #[error("there is no link from {node} to itself")]
    NoLink {
        /// The end.
        node: String,
    },
    /// A link is released that no earlier step holds.
    #[error("no earlier step holds the link from {from} to {to}")]
    NotHeld {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// A link is held that is held already.
    #[error("the link from {from} to {to} is held already")]
    HeldTwice {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// The faults are over by then.
    #[error("it cannot come before {at_ns} ns, and the world heals at {heal_at_ns} ns")]
    AfterEnd {
        /// When it comes at the earliest.
        at_ns: u64,
        /// When everything is over.
        heal_at_ns: u64,
    },
    /// A time that is over before the step can come.
    #[error("it is to come at {at_ns} ns, and cannot come before {earliest_ns} ns")]
    Backwards {
        /// When it is to come.
        at_ns: u64,
        /// When the step before it is done, at the earliest.
        earliest_ns: u64,
    },
    /// Something is counted from zero.
    #[error("the first is number 1, and there is no number 0")]
    Zeroth,
    /// A fault ends that no earlier step has named.
    #[error("no earlier step has a fault named {name:?}")]
    NoFault {
        /// The name.
        name: String,
    },
    /// Two faults have one name.
    #[error("two faults are named {name:?}")]
    NamedTwice {
        /// The name.
        name: String,
    },
    /// A fault that may not strike.
    #[error("the scenario does not tolerate {fault}")]
    NotTolerated {
        /// Its name.
        fault: &'static str,
    },
    /// A node that is no client has no operations.
    #[error("{node} is no client, and has no operations")]
    NoClient {
        /// Its name.
        node: String,
    },
}

/// What has been said so far.
struct Checked<'a> {
    known: &'a [String],
    heal_at_ns: u64,
    earliest_ns: u64,
    held: Vec<(&'a str, &'a str)>,
    names: Vec<&'a str>,
}

/// Checks the steps of a script against the nodes that there are and the time there is.
///
/// # Errors
/// What is wrong, and with which step.
pub(crate) fn check(steps: &[Step], known: &[String], heal_at_ns: u64) -> Result<(), Invalid> {
    if steps.len() > STEPS_MAX {
        return Err(Invalid::Steps { found: steps.len() });
    }
    let (held, names) = (Vec::new(), Vec::new());
    let mut checked = Checked { known, heal_at_ns, earliest_ns: 0, held, names };
    for (at, step) in steps.iter().enumerate() {
        let bad = |why| Invalid::Step { number: at + 1, line: step.line(), why };
        checked.moment(&step.when).map_err(bad)?;
        checked.action(&step.then).map_err(bad)?;
        if let Some(episode) = step.then.episode(at as u32 + 1) {
            episode.check()?;
        }
    }
    Ok(())
}

impl<'a> Checked<'a> {
    fn node(&self, node: &str) -> Result<(), BadStep> {
        if self.known.iter().any(|known| known == node) {
            return Ok(());
        }
        Err(BadStep::UnknownNode { node: node.to_owned(), known: self.known.join(", ") })
    }

    fn link(&self, from: &str, to: &str) -> Result<(), BadStep> {
        self.node(from)?;
        self.node(to)?;
        if from == to { Err(BadStep::NoLink { node: from.to_owned() }) } else { Ok(()) }
    }

    fn moment(&mut self, moment: &Moment) -> Result<(), BadStep> {
        let nth = match moment {
            Moment::AtNs(at) => {
                let (at_ns, earliest_ns) = (*at, self.earliest_ns);
                if at_ns < earliest_ns {
                    return Err(BadStep::Backwards { at_ns, earliest_ns });
                }
                self.earliest_ns = at_ns;
                1
            }
            Moment::AfterNs(time) => {
                self.earliest_ns = self.earliest_ns.saturating_add(*time);
                1
            }
            Moment::Sent { from, to, nth, .. } | Moment::Delivered { from, to, nth } => {
                self.link(from, to)?;
                *nth
            }
            Moment::Asked { node, nth, .. }
            | Moment::Answered { node, nth, .. }
            | Moment::Ready { node, nth }
            | Moment::Reached { node, nth, .. }
            | Moment::Called { client: node, nth }
            | Moment::Returned { client: node, nth } => {
                self.node(node)?;
                *nth
            }
        };
        if nth == 0 {
            return Err(BadStep::Zeroth);
        }
        let (at_ns, heal_at_ns) = (self.earliest_ns, self.heal_at_ns);
        if at_ns >= heal_at_ns { Err(BadStep::AfterEnd { at_ns, heal_at_ns }) } else { Ok(()) }
    }

    fn action(&mut self, action: &'a Action) -> Result<(), BadStep> {
        match action {
            Action::Fault { what, name, .. } => {
                what.nodes().iter().try_for_each(|node| self.node(node))?;
                let Some(name) = name else { return Ok(()) };
                if self.names.contains(&name.as_str()) {
                    return Err(BadStep::NamedTwice { name: name.clone() });
                }
                self.names.push(name);
            }
            Action::End { name } => {
                if !self.names.contains(&name.as_str()) {
                    return Err(BadStep::NoFault { name: name.clone() });
                }
            }
            Action::Hold { from, to } => {
                self.link(from, to)?;
                if self.held.contains(&(from, to)) {
                    let (from, to) = (from.clone(), to.clone());
                    return Err(BadStep::HeldTwice { from, to });
                }
                self.held.push((from, to));
            }
            Action::Release { from, to } => {
                self.link(from, to)?;
                let Some(at) = self.held.iter().position(|held| *held == (from, to)) else {
                    return Err(BadStep::NotHeld { from: from.clone(), to: to.clone() });
                };
                self.held.remove(at);
            }
            Action::Cue { .. } | Action::Nothing {} => {}
        }
        Ok(())
    }
}

/// Checks what hangs on the scenario: which faults may strike, and who is a client.
///
/// # Errors
/// What is wrong, and with which step.
pub(crate) fn suits(
    steps: &[Step],
    tolerated: FaultSet,
    is_client: impl Fn(&str) -> bool,
) -> Result<(), Invalid> {
    for (at, step) in steps.iter().enumerate() {
        let bad = |why| Err(Invalid::Step { number: at + 1, line: step.line(), why });
        if let Action::Fault { what, .. } = &step.then
            && !tolerated.has(what.fault())
        {
            return bad(BadStep::NotTolerated { fault: what.fault().name() });
        }
        if let Moment::Called { client, .. } | Moment::Returned { client, .. } = &step.when
            && !is_client(client)
        {
            return bad(BadStep::NoClient { node: client.clone() });
        }
    }
    Ok(())
}

impl Action {
    /// The fault of the step as an episode; when it begins is the script's affair.
    pub(crate) fn episode(&self, id: u32) -> Option<Episode> {
        let Action::Fault { what, for_ns, .. } = self else { return None };
        Some(Episode { id, kind: what.clone(), from: When::AtNs(0), for_ns: *for_ns })
    }
}
