//! How each entry of a saga's log changes its state, and which entries follow from which.

use super::definition::Step;
use super::event::{Command, Entry, Event, Why};
use super::state::{Halt, Progress, State, Unreadable};

impl State {
    /// The state after one more entry.
    ///
    /// # Errors
    /// [`Unreadable::Nonsense`], if the entry does not follow from those before it.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Unreadable> {
        match self.try_apply(entry) {
            Some(()) => {
                self.version += 1;
                Ok(())
            }
            None => Err(Unreadable::Nonsense { at: self.version, event: entry.event.clone() }),
        }
    }

    fn try_apply(&mut self, entry: &Entry) -> Option<()> {
        if self.ending.is_some() {
            return None;
        }
        match &entry.event {
            Event::Started { .. } => return None,
            Event::Claimed => self.claimed(entry.token)?,
            Event::Commanded(command) => self.commanded(command)?,
            // All else is written by the owner.
            _ if entry.token != self.token => return None,
            Event::Intended { step, attempt } => {
                self.intend(*step, *attempt)?;
            }
            Event::UndoIntended { step, attempt } => self.intend_undo(*step, *attempt)?,
            Event::Done { step, output } => {
                self.attempts_if_open(*step)?;
                self.done(*step, output.clone());
            }
            Event::Refused { step, reason } => {
                let attempts = self.attempts_if_open(*step)?;
                let reason = reason.clone();
                self.steps.insert(*step, Progress::Refused { attempts, reason });
            }
            Event::Unknown { step } => {
                let attempts = self.attempts_if_open(*step)?;
                self.steps.insert(*step, Progress::Unknown { attempts });
            }
            Event::TurnedBack { why } => {
                if self.back.is_some() || self.halt.is_some() {
                    return None;
                }
                self.back = Some(why.clone());
                self.forget_calls();
            }
            Event::Undone { step } => {
                self.attempts_if_undo_open(*step)?;
                self.steps.insert(*step, Progress::Undone);
            }
            Event::NotUndone { step, reason } => {
                let attempts = self.attempts_if_undo_open(*step)?;
                let reason = reason.clone();
                self.steps.insert(*step, Progress::NotUndone { attempts, reason });
            }
            Event::Stuck { step, reason } => {
                if self.halt.is_some() {
                    return None;
                }
                let (step, is_undo, reason) = (*step, self.back.is_some(), reason.clone());
                self.halt = Some(Halt { step, is_undo, reason });
            }
            Event::Ended(ending) => {
                if self.halt.is_some() {
                    return None;
                }
                self.ending = Some(ending.clone());
            }
        }
        Some(())
    }

    /// Somebody else owns it. Who owned it before may have been answered, and took what it heard
    /// along.
    fn claimed(&mut self, token: u64) -> Option<()> {
        if token <= self.token {
            return None;
        }
        self.token = token;
        self.forget_calls();
        if self.flaws.undoes_done && self.back.is_none() && self.halt.is_none() {
            self.back = self.completed.last().map(|(step, _)| Why::Unknown { step: *step });
        }
        if self.flaws.undoes_again {
            for (step, output) in &self.completed {
                if self.steps.get(step) == Some(&Progress::Undone) {
                    self.steps.insert(*step, Progress::Done { output: output.clone() });
                }
            }
        }
        Some(())
    }

    /// Nobody waits for the calls that are open any more.
    fn forget_calls(&mut self) {
        for progress in self.steps.values_mut() {
            match *progress {
                Progress::Open { attempts } => *progress = Progress::Unknown { attempts },
                Progress::UndoOpen { attempts } => {
                    *progress = Progress::NotUndone { attempts, reason: None };
                }
                _ => {}
            }
        }
    }

    fn intend(&mut self, step: Step, attempt: u32) -> Option<()> {
        let before = match self.steps.get(&step) {
            _ if self.back.is_some() || self.halt.is_some() => return None,
            None => 0,
            Some(Progress::Unknown { attempts } | Progress::Refused { attempts, .. }) => *attempts,
            Some(_) => return None,
        };
        if attempt != before + 1 {
            return None;
        }
        if !self.intended.contains(&step) {
            self.intended.push(step);
        }
        self.steps.insert(step, Progress::Open { attempts: attempt });
        Some(())
    }

    fn intend_undo(&mut self, step: Step, attempt: u32) -> Option<()> {
        let before = match self.steps.get(&step)? {
            _ if self.back.is_none() || self.halt.is_some() => return None,
            Progress::Done { .. } | Progress::Unknown { .. } => 0,
            Progress::NotUndone { attempts, .. } => *attempts,
            _ => return None,
        };
        if attempt != before + 1 {
            return None;
        }
        self.steps.insert(step, Progress::UndoOpen { attempts: attempt });
        Some(())
    }

    fn done(&mut self, step: Step, output: Vec<u8>) {
        self.completed.push((step, output.clone()));
        self.steps.insert(step, Progress::Done { output });
    }

    fn attempts_if_open(&self, step: Step) -> Option<u32> {
        match self.steps.get(&step)? {
            Progress::Open { attempts } => Some(*attempts),
            _ => None,
        }
    }

    fn attempts_if_undo_open(&self, step: Step) -> Option<u32> {
        match self.steps.get(&step)? {
            Progress::UndoOpen { attempts } => Some(*attempts),
            _ => None,
        }
    }

    fn commanded(&mut self, command: &Command) -> Option<()> {
        if *command == Command::Cancel {
            let is_allowed = self.halt.is_none() && self.back.is_none();
            self.cancelled |= is_allowed;
            return is_allowed.then_some(());
        }
        let halt = self.halt.take()?;
        match (command, halt.is_undo) {
            (Command::Retry, false) => {
                // The others that were asked for often enough get as many tries again.
                for progress in self.steps.values_mut() {
                    match progress {
                        Progress::Unknown { attempts } | Progress::Refused { attempts, .. } => {
                            *attempts = 0;
                        }
                        _ => {}
                    }
                }
            }
            (Command::Retry, true) => {
                let reason = None;
                self.steps.insert(halt.step, Progress::NotUndone { attempts: 0, reason });
            }
            (Command::Force(output), false) => self.done(halt.step, output.clone()),
            (Command::Force(_), true) => {
                self.steps.insert(halt.step, Progress::Undone);
            }
            (Command::Skip, _) => {
                self.steps.insert(halt.step, Progress::Left);
            }
            (Command::Cancel, _) => return None,
        }
        Some(())
    }
}
