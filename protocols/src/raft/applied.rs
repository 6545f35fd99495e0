//! What a log's entries make when they are applied.

use super::log::{Index, Payload};
use super::machine::Reply;
use super::sessions::{MOST, Seen, SessionImage, Sessions};
use super::state_machine::StateMachine;
use serde::{Deserialize, Serialize};

/// The state machine, and the sessions of its clients.
pub(super) struct Applied<S: StateMachine> {
    pub(super) machine: S,
    sessions: Sessions<S::Output>,
}

/// The same as it is stored and sent. Without the sessions, a command that came once before the
/// snapshot and once behind it would be applied twice (section 6.3).
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Image<S: StateMachine> {
    machine: S::Snapshot,
    sessions: Vec<SessionImage<S::Output>>,
}

impl<S: StateMachine> Clone for Image<S> {
    fn clone(&self) -> Image<S> {
        Image { machine: self.machine.clone(), sessions: self.sessions.clone() }
    }
}

impl<S: StateMachine> Image<S> {
    /// For a mutant.
    pub(super) fn without_sessions(self) -> Image<S> {
        Image { machine: self.machine, sessions: Vec::new() }
    }
}

impl<S: StateMachine> Applied<S> {
    /// What no entry at all makes.
    pub(super) fn nothing() -> Applied<S> {
        Applied { machine: S::default(), sessions: Sessions::new(MOST) }
    }

    pub(super) fn of(image: Image<S>) -> Applied<S> {
        let sessions = Sessions::of(MOST, image.sessions);
        Applied { machine: S::restore(image.machine), sessions }
    }

    pub(super) fn image(&self) -> Image<S> {
        Image { machine: self.machine.snapshot(), sessions: self.sessions.image() }
    }

    /// Applies an entry, and gives the answer for whoever proposed it. A command that its session
    /// knows is not applied again, but for a mutant.
    pub(super) fn apply(&mut self, index: Index, payload: &Payload, again: bool) -> Reply<S> {
        let (session, sequence, command) = match payload {
            Payload::NoOp | Payload::Configuration(_) => return Reply::Overwritten,
            Payload::OpenSession => {
                self.sessions.open(index);
                return Reply::Session(index);
            }
            Payload::Command { session, sequence, command } => (*session, *sequence, command),
        };
        match self.sessions.look_up(session, sequence, index) {
            Seen::Before(output) if !again => return Reply::Applied(output),
            Seen::Gone => return Reply::NoSession,
            Seen::New | Seen::Before(_) => {}
        }
        // What nobody can read does nothing anywhere.
        let Ok(command) = postcard::from_bytes(command) else { return Reply::Overwritten };
        let output = self.machine.apply(index, command);
        self.sessions.keep(session, sequence, output.clone());
        Reply::Applied(output)
    }
}
