//! Where a saga stands, and what it does next: the pure core. The state is what its log folds to.

use super::definition::{Definition, Kind, NotDefined, Step};
use super::event::{Command, DecodeError, Ending, Entry, Event, Why};
use super::flaws::Flaws;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far a step is. One that is not mentioned was never asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It was asked for, and no answer is recorded.
    Open {
        /// How often.
        attempts: u32,
    },
    /// It was asked for, and nobody knows whether it is done.
    Unknown {
        /// How often.
        attempts: u32,
    },
    /// It was refused, and had no effect.
    Refused {
        /// How often it was asked for.
        attempts: u32,
        /// Why.
        reason: String,
    },
    /// It is done.
    Done {
        /// What came of it.
        output: Vec<u8>,
    },
    /// Its undo was asked for, and no answer is recorded.
    UndoOpen {
        /// How often.
        attempts: u32,
    },
    /// Its undo was asked for, and was refused or nobody knows.
    NotUndone {
        /// How often.
        attempts: u32,
        /// Why it was refused.
        reason: Option<String>,
    },
    /// It is undone.
    Undone,
    /// An operator has left it as it is.
    Left,
}

/// Where a saga stands still.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Halt {
    /// At which step.
    pub step: Step,
    /// Whether it is the step's undo.
    pub is_undo: bool,
    /// Why.
    pub reason: String,
}

/// What a saga began with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// The name of its definition.
    pub definition: String,
    /// The version.
    pub version: u32,
    /// What the definition's steps were.
    pub fingerprint: u32,
    /// What it was started with.
    pub input: Vec<u8>,
}

/// The state of a saga.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub(super) version: u64,
    pub(super) token: u64,
    pub(super) beginning: Beginning,
    pub(super) steps: BTreeMap<Step, Progress>,
    /// What was asked for, in the order in which it was the first time.
    pub(super) intended: Vec<Step>,
    /// What was done, in the order in which it was, with what came of it.
    pub(super) completed: Vec<(Step, Vec<u8>)>,
    pub(super) back: Option<Why>,
    pub(super) cancelled: bool,
    pub(super) halt: Option<Halt>,
    pub(super) ending: Option<Ending>,
    pub(super) flaws: Flaws,
}

/// Why a log gives no state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// An entry cannot be read.
    #[error("entry {at}: {why}")]
    Undecodable {
        /// Its number, from 0.
        at: u64,
        /// Why.
        why: DecodeError,
    },
    /// An entry does not follow from those before it.
    #[error("entry {at} does not follow from those before it: {event:?}")]
    Nonsense {
        /// Its number, from 0.
        at: u64,
        /// What it says.
        event: Event,
    },
    /// There is none.
    #[error("the log is empty")]
    Empty,
    /// The saga began with a definition that is not here.
    #[error(transparent)]
    NotDefined(#[from] NotDefined),
}

/// Why a command has no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAllowed {
    /// The saga is over.
    #[error("the saga is over")]
    Over,
    /// It is not stuck.
    #[error("the saga is not stuck")]
    NotStuck,
    /// What decides cannot be left out: whether it is done is what has to be found out.
    #[error("a pivot cannot be skipped")]
    Pivot,
    /// It may have passed the point of no return, or turns back already.
    #[error("the saga cannot be cancelled any more")]
    TooLate,
}

/// Something to ask of a participant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// For which step.
    pub step: Step,
    /// Whether it is to be undone.
    pub is_undo: bool,
    /// For which time, from 1.
    pub attempt: u32,
    /// How long to wait before.
    pub pause: Duration,
}

impl Ask {
    /// The event to record before the call.
    pub fn intent(&self) -> Event {
        let Ask { step, is_undo, attempt, .. } = *self;
        match is_undo {
            false => Event::Intended { step, attempt },
            true => Event::UndoIntended { step, attempt },
        }
    }
}

/// What there is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Record this, and look again.
    Record(Event),
    /// Record the intent of each of these, and then call; all at the same time. If there are none,
    /// wait for what is under way.
    Ask(Vec<Ask>),
    /// Nothing, until an operator says how to go on.
    Stuck(Halt),
    /// Nothing: it is over.
    Over(Ending),
}

impl State {
    /// The state of a saga whose log begins with this entry.
    ///
    /// # Errors
    /// [`Unreadable::Nonsense`] if it says anything but that the saga began.
    pub fn begin(entry: &Entry) -> Result<State, Unreadable> {
        let Event::Started { definition, version, fingerprint, input } = &entry.event else {
            return Err(Unreadable::Nonsense { at: 0, event: entry.event.clone() });
        };
        let beginning = Beginning {
            definition: definition.clone(),
            version: *version,
            fingerprint: *fingerprint,
            input: input.clone(),
        };
        Ok(State {
            version: 1,
            token: entry.token,
            beginning,
            steps: BTreeMap::new(),
            intended: Vec::new(),
            completed: Vec::new(),
            back: None,
            cancelled: false,
            halt: None,
            ending: None,
            flaws: Flaws::default(),
        })
    }

    /// The state that entries give.
    ///
    /// # Errors
    /// [`Unreadable`], if they give none.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, Unreadable> {
        let mut entries = entries.into_iter();
        let mut state = State::begin(entries.next().ok_or(Unreadable::Empty)?)?;
        entries.try_for_each(|entry| state.apply(entry))?;
        Ok(state)
    }

    /// The state that a log gives as it is stored.
    ///
    /// # Errors
    /// [`Unreadable`], if it gives none.
    pub fn read(log: &[Vec<u8>]) -> Result<State, Unreadable> {
        State::read_with(log, Flaws::default())
    }

    pub(super) fn read_with(log: &[Vec<u8>], flaws: Flaws) -> Result<State, Unreadable> {
        let mut state: Option<State> = None;
        for (at, bytes) in (0..).zip(log) {
            let entry = Entry::decode(bytes).map_err(|why| Unreadable::Undecodable { at, why })?;
            match &mut state {
                Some(state) => state.apply(&entry)?,
                None => state = Some(State { flaws, ..State::begin(&entry)? }),
            }
        }
        state.ok_or(Unreadable::Empty)
    }

    /// How many entries the log has.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The token of its owner.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// What it began with.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// How far a step is; nothing if it was never asked for.
    pub fn progress(&self, step: Step) -> Option<&Progress> {
        self.steps.get(&step)
    }

    /// What was done, in the order in which it was, with what came of it; also if it was undone
    /// since.
    pub fn completed(&self) -> &[(Step, Vec<u8>)] {
        &self.completed
    }

    /// Why it turned back, if it has.
    pub fn why_back(&self) -> Option<&Why> {
        self.back.as_ref()
    }

    /// Where it stands still, if it does.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// How it ended, if it has.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Whether a call for this is open: it was asked for, and no answer is recorded.
    pub fn is_open(&self, step: Step, is_undo: bool) -> bool {
        match self.steps.get(&step) {
            Some(Progress::Open { .. }) => !is_undo,
            Some(Progress::UndoOpen { .. }) => is_undo,
            _ => false,
        }
    }

    /// The definition that the saga began with.
    ///
    /// # Errors
    /// If it is not among these.
    pub fn definition<'a>(
        &self,
        all: &'a super::Definitions,
    ) -> Result<&'a Definition, NotDefined> {
        let Beginning { definition, version, fingerprint, .. } = &self.beginning;
        let found = all.pinned(definition, *version, *fingerprint)?;
        match self.intended.iter().find(|step| !found.has(**step)) {
            None => Ok(found),
            Some(_) => Err(NotDefined::Changed { name: definition.clone(), version: *version }),
        }
    }

    /// What there is to do. The definition is the one that the saga began with.
    pub fn next(&self, definition: &Definition) -> Next {
        if let Some(ending) = &self.ending {
            return Next::Over(ending.clone());
        }
        if let Some(halt) = &self.halt {
            return Next::Stuck(halt.clone());
        }
        match &self.back {
            Some(why) => self.next_back(definition, why),
            None => self.next_forward(definition),
        }
    }

    fn next_forward(&self, definition: &Definition) -> Next {
        if self.cancelled {
            return Next::Record(Event::TurnedBack { why: Why::Cancelled });
        }
        let is_over =
            |step| matches!(self.steps.get(&step), Some(Progress::Done { .. } | Progress::Left));
        let left = |step: &Step| !is_over(*step);
        let Some(phase) = definition.steps().filter(left).map(|s| definition.kind_of(s)).min()
        else {
            return Next::Record(Event::Ended(Ending::Done { left: self.left() }));
        };
        let (mut asks, mut is_open, mut exhausted) = (Vec::new(), false, None);
        let is_due = |step: &Step| {
            let kind = definition.kind_of(*step);
            kind == phase || self.flaws.decides_early && kind == Kind::Pivot
        };
        for step in definition.steps().filter(left).filter(is_due) {
            if !definition.before(step).all(is_over) {
                continue;
            }
            let (attempts, reason) = match self.steps.get(&step) {
                Some(Progress::Open { .. }) => {
                    is_open = true;
                    continue;
                }
                None => (0, None),
                Some(Progress::Unknown { attempts }) => (*attempts, None),
                Some(Progress::Refused { reason, .. }) if phase != Kind::Retriable => {
                    let why = Why::Refused { step, reason: reason.clone() };
                    return Next::Record(Event::TurnedBack { why });
                }
                Some(Progress::Refused { attempts, reason }) => (*attempts, Some(reason)),
                // The saga goes forward, so nothing else is possible.
                Some(_) => continue,
            };
            if attempts < definition.patience().attempts_max.max(1) {
                let (attempt, is_undo) = (attempts + 1, false);
                let pause = definition.patience().pause_before(attempt);
                asks.push(Ask { step, is_undo, attempt, pause });
            } else if phase == Kind::Compensatable {
                return Next::Record(Event::TurnedBack { why: Why::Unknown { step } });
            } else {
                exhausted = exhausted.or(Some((step, reason)));
            }
        }
        match exhausted {
            Some((step, reason)) if asks.is_empty() && !is_open => {
                let reason = reason.map_or("nobody knows whether it is done", String::as_str);
                Next::Record(Event::Stuck { step, reason: reason.to_owned() })
            }
            _ => Next::Ask(asks),
        }
    }

    /// What is to be undone, in this order: first what was never known to be done, which nothing
    /// that is done was waiting for; then what was done, the last first.
    fn to_undo(&self) -> Vec<Step> {
        let is_completed = |step: &Step| self.completed.iter().any(|(done, _)| done == step);
        let unknown = self.intended.iter().rev().copied().filter(|step| !is_completed(step));
        let unknown = unknown.filter(|_| !self.flaws.leaves_unknown);
        let completed = self.completed.iter().rev().map(|(step, _)| *step);
        let mut all: Vec<Step> = unknown.chain(completed).collect();
        if self.flaws.undoes_forwards {
            all.reverse();
        }
        all
    }

    fn next_back(&self, definition: &Definition, why: &Why) -> Next {
        if self.flaws.never_ends_empty && self.completed.is_empty() {
            return Next::Ask(Vec::new());
        }
        let mut at_once = Vec::new();
        for step in self.to_undo() {
            let (attempts, reason) = match self.steps.get(&step) {
                Some(Progress::UndoOpen { .. }) if self.flaws.undoes_at_once => continue,
                Some(Progress::UndoOpen { .. }) => return Next::Ask(Vec::new()),
                Some(Progress::NotUndone { attempts, reason }) => (*attempts, reason.as_deref()),
                Some(Progress::Done { .. } | Progress::Unknown { .. }) => (0, None),
                _ => continue,
            };
            if attempts < definition.patience().undo_attempts_max.max(1) {
                let (attempt, is_undo) = (attempts + 1, true);
                let pause = definition.patience().pause_before(attempt);
                at_once.push(Ask { step, is_undo, attempt, pause });
                match self.flaws.undoes_at_once {
                    true => continue,
                    false => return Next::Ask(at_once),
                }
            }
            if self.flaws.hides_stuck {
                continue;
            }
            let reason = reason.unwrap_or("nobody knows whether it is undone").to_owned();
            return Next::Record(Event::Stuck { step, reason });
        }
        let is_open = |progress: &Progress| matches!(progress, Progress::UndoOpen { .. });
        if !at_once.is_empty() || self.steps.values().any(is_open) {
            return Next::Ask(at_once);
        }
        let (why, left) = (why.clone(), self.left());
        Next::Record(Event::Ended(Ending::Undone { why, left }))
    }

    fn left(&self) -> Vec<Step> {
        let left =
            |(step, progress): (&Step, &Progress)| (*progress == Progress::Left).then_some(*step);
        self.steps.iter().filter_map(left).collect()
    }

    /// Whether an operator may say this now.
    ///
    /// # Errors
    /// [`NotAllowed`], if not.
    pub fn allows(&self, command: &Command, definition: &Definition) -> Result<(), NotAllowed> {
        if self.ending.is_some() {
            return Err(NotAllowed::Over);
        }
        let kind = |step: &Step| definition.kind_of(*step);
        match (command, &self.halt) {
            (Command::Cancel, None) => {
                let has_decided = self.intended.iter().any(|s| kind(s) != Kind::Compensatable);
                match has_decided || self.back.is_some() || self.cancelled {
                    false => Ok(()),
                    true => Err(NotAllowed::TooLate),
                }
            }
            // It stands still behind the point of no return, or on its way back.
            (Command::Cancel, Some(_)) => Err(NotAllowed::TooLate),
            (_, None) => Err(NotAllowed::NotStuck),
            (Command::Skip, Some(halt)) if kind(&halt.step) == Kind::Pivot => {
                Err(NotAllowed::Pivot)
            }
            _ => Ok(()),
        }
    }
}
