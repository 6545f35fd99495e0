//! A script in words.

use super::{Action, Io, Moment, Step};
use crate::plan::tell_kind;
use crate::words::{duration, seconds};

impl Step {
    /// The step as a sentence.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.when.line(), self.then.line())
    }
}

fn which(nth: u32) -> String {
    if nth == 1 { "the first time".to_owned() } else { format!("the {nth}. time") }
}

impl Io {
    fn word(self) -> &'static str {
        match self {
            Io::Any => "anything",
            Io::Open => "open",
            Io::Close => "close",
            Io::Read => "read",
            Io::Write => "write",
            Io::Truncate => "truncate",
            Io::Sync => "sync",
            Io::CreateDirectory => "create directory",
            Io::SyncDirectory => "sync directory",
            Io::Rename => "rename",
            Io::Remove => "remove",
            Io::List => "list",
        }
    }
}

impl Moment {
    pub(crate) fn line(&self) -> String {
        match self {
            Moment::AtNs(time) => format!("at {}", seconds(*time)),
            Moment::AfterNs(0) => "at once".to_owned(),
            Moment::AfterNs(time) => format!("after {}", duration(*time)),
            Moment::Asked { node, io, nth } => {
                format!("when {node} asks its disk for {:?} {}", io.word(), which(*nth))
            }
            Moment::Answered { node, io, nth } => {
                format!("when the disk of {node} answers {:?} {}", io.word(), which(*nth))
            }
            Moment::Sent { from, to, kind, nth } => {
                let kind = kind.map_or(String::new(), |kind| format!(" of kind {kind}"));
                format!("when {from} sends a message{kind} to {to} {}", which(*nth))
            }
            Moment::Delivered { from, to, nth } => {
                format!("when a message from {from} reaches {to} {}", which(*nth))
            }
            Moment::Ready { node, nth } => format!("when {node} is ready {}", which(*nth)),
            Moment::Called { client, nth } => {
                format!("when {client} begins an operation {}", which(*nth))
            }
            Moment::Returned { client, nth } => {
                format!("when an operation of {client} ends {}", which(*nth))
            }
            Moment::Reached { node, situation, nth } => {
                format!("when {node} reaches {situation:?} {}", which(*nth))
            }
        }
    }
}

impl Action {
    pub(crate) fn line(&self) -> String {
        match self {
            Action::Fault { what, for_ns, name } => {
                let name = name.as_ref().map_or(String::new(), |name| format!(" ({name:?})"));
                let length = for_ns.map_or(String::new(), |ns| format!(", for {}", duration(ns)));
                format!("{}{length}{name}", tell_kind(what))
            }
            Action::End { name } => format!("{name:?} ends"),
            Action::Hold { from, to } => format!("what {from} sends to {to} is held"),
            Action::Release { from, to } => format!("what {from} sent to {to} is released"),
            Action::Cue { name } => format!("the cue {name:?}"),
            Action::Nothing {} => "on to the next step".to_owned(),
        }
    }
}
