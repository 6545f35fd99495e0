//! What is said of a saga to those who wait for it.

use super::definition::{Definition, Step};
use super::event::{Ending, Why};
use super::state::{Progress, State};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a saga turned back, in the words of its definition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// A step was refused.
    Refused {
        /// Which.
        step: String,
        /// Why.
        reason: String,
    },
    /// Nobody could say in time whether a step was done.
    Unknown {
        /// Which.
        step: String,
    },
    /// Whoever wanted it does not want it any more.
    Cancelled,
}

/// Where a saga stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Status {
    /// No step was asked for yet.
    Pending,
    /// It goes forward.
    Running,
    /// It goes back.
    Compensating(Cause),
    /// It stands still, and an operator has to say how it goes on.
    Stuck {
        /// At which step.
        step: String,
        /// Whether it is the step's undo.
        is_undo: bool,
        /// Why.
        reason: String,
    },
    /// It is over, and every step is done.
    Completed {
        /// But those that an operator left out.
        left: Vec<String>,
    },
    /// It is over, and every step is undone that may have had an effect.
    Failed {
        /// Why.
        cause: Cause,
        /// But those that an operator left as they are.
        left: Vec<String>,
    },
    /// Its log cannot be read here, or its definition is not here.
    Unreadable(String),
}

impl Status {
    /// Whether nothing more happens.
    pub fn is_over(&self) -> bool {
        matches!(self, Status::Completed { .. } | Status::Failed { .. })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Pending => "PENDING",
            Status::Running => "RUNNING",
            Status::Compensating(_) => "COMPENSATING",
            Status::Stuck { .. } => "STUCK",
            Status::Completed { .. } => "COMPLETED",
            Status::Failed { .. } => "FAILED",
            Status::Unreadable(_) => "UNREADABLE",
        })
    }
}

/// Where a step stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StepStatus {
    /// It was never asked for.
    Pending,
    /// It was asked for, and nobody knows yet whether it is done.
    Running,
    /// It is done.
    Completed,
    /// Its undo was asked for.
    Compensating,
    /// It is undone.
    Compensated,
    /// It was refused.
    Failed,
    /// An operator has left it as it is.
    Left,
}

/// What is known of a step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: StepStatus,
    /// What came of it, if it was done, also if it was undone since.
    pub output: Option<Vec<u8>>,
    /// Why it, or its undo, was refused last.
    pub error: Option<String>,
}

/// What is known of a saga.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where it stands.
    pub status: Status,
    /// Its steps, in the order of its definition; none if that is not known.
    pub steps: Vec<StepReport>,
}

impl Report {
    /// What a saga's state says in the words of its definition.
    pub fn of(state: &State, definition: &Definition) -> Report {
        let steps = definition.steps().map(|step| step_report(state, definition, step));
        Report { status: status(state, definition), steps: steps.collect() }
    }
}

fn status(state: &State, definition: &Definition) -> Status {
    let name = |step: &Step| definition.name_of(*step).to_owned();
    let cause = |why: &Why| match why {
        Why::Refused { step, reason } => {
            Cause::Refused { step: name(step), reason: reason.clone() }
        }
        Why::Unknown { step } => Cause::Unknown { step: name(step) },
        Why::Cancelled => Cause::Cancelled,
    };
    match (state.ending(), state.halt(), state.why_back()) {
        (Some(Ending::Done { left }), ..) => {
            Status::Completed { left: left.iter().map(name).collect() }
        }
        (Some(Ending::Undone { why, left }), ..) => {
            Status::Failed { cause: cause(why), left: left.iter().map(name).collect() }
        }
        (None, Some(halt), _) => Status::Stuck {
            step: name(&halt.step),
            is_undo: halt.is_undo,
            reason: halt.reason.clone(),
        },
        (None, None, Some(why)) => Status::Compensating(cause(why)),
        (None, None, None) => {
            let asked = definition.steps().any(|step| state.progress(step).is_some());
            if asked { Status::Running } else { Status::Pending }
        }
    }
}

fn step_report(state: &State, definition: &Definition, step: Step) -> StepReport {
    let (status, error) = match state.progress(step) {
        None => (StepStatus::Pending, None),
        Some(Progress::Open { .. } | Progress::Unknown { .. }) => (StepStatus::Running, None),
        Some(Progress::Refused { reason, .. }) => (StepStatus::Failed, Some(reason.clone())),
        Some(Progress::Done { .. }) => (StepStatus::Completed, None),
        Some(Progress::UndoOpen { .. }) => (StepStatus::Compensating, None),
        Some(Progress::NotUndone { reason, .. }) => (StepStatus::Compensating, reason.clone()),
        Some(Progress::Undone) => (StepStatus::Compensated, None),
        Some(Progress::Left) => (StepStatus::Left, None),
    };
    let done = state.completed().iter().find(|(done, _)| *done == step);
    let output = done.map(|(_, output)| output.clone());
    StepReport { name: definition.name_of(step).to_owned(), status, output, error }
}
