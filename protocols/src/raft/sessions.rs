//! Sessions, by which a command that is sent several times is applied once (Ongaro, 2014, section
//! 6.3). They are part of what is replicated: every member keeps the same ones.

use super::log::Index;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most sessions that are kept. For one more, the one that was used the longest ago goes.
pub(super) const SESSIONS_MAX: usize = 4_096;

/// The open sessions, by the index of the entry that opened them.
pub(super) struct Sessions<O> {
    open: BTreeMap<u64, Session<O>>,
    /// By when they were used last.
    used: BTreeMap<Index, u64>,
    most: usize,
}

struct Session<O> {
    used: Index,
    /// The last command and what it answered. A client has one command under way.
    last: Option<(u64, O)>,
}

/// A session as it is stored and sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct SessionImage<O> {
    number: u64,
    used: Index,
    last: Option<(u64, O)>,
}

/// What a session knows of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen<O> {
    /// Nothing: it is to be applied.
    New,
    /// It was applied, and this is what it answered.
    Before(O),
    /// The session is not open, or a later command was applied: nobody waits for this one.
    Gone,
}

impl<O: Clone> Sessions<O> {
    pub(super) fn new(most: usize) -> Sessions<O> {
        Sessions { open: BTreeMap::new(), used: BTreeMap::new(), most }
    }

    /// The sessions of a snapshot.
    pub(super) fn of(most: usize, sessions: Vec<SessionImage<O>>) -> Sessions<O> {
        let used = sessions.iter().map(|session| (session.used, session.number)).collect();
        let open = sessions
            .into_iter()
            .map(|SessionImage { number, used, last }| (number, Session { used, last }));
        Sessions { open: open.collect(), used, most }
    }

    /// The sessions, for a snapshot.
    pub(super) fn image(&self) -> Vec<SessionImage<O>> {
        let sessions = self.open.iter().map(|(number, session)| SessionImage {
            number: *number,
            used: session.used,
            last: session.last.clone(),
        });
        sessions.collect()
    }

    /// Opens a session with the entry at `index`.
    pub(super) fn open(&mut self, index: Index) {
        self.open.insert(index, Session { used: index, last: None });
        self.used.insert(index, index);
        if self.open.len() > self.most
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.open.remove(&oldest);
        }
    }

    /// Looks a command up that stands at `index`.
    pub(super) fn look_up(&mut self, session: u64, sequence: u64, index: Index) -> Seen<O> {
        let Some(found) = self.open.get_mut(&session) else { return Seen::Gone };
        self.used.remove(&found.used);
        self.used.insert(index, session);
        found.used = index;
        match &found.last {
            Some((last, output)) if *last == sequence => Seen::Before(output.clone()),
            Some((last, _)) if *last > sequence => Seen::Gone,
            _ => Seen::New,
        }
    }

    /// Keeps what a command answered.
    pub(super) fn keep(&mut self, session: u64, sequence: u64, output: O) {
        if let Some(found) = self.open.get_mut(&session) {
            found.last = Some((sequence, output));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_new_once() {
        let mut sessions = Sessions::new(8);
        sessions.open(3);
        assert_eq!(sessions.look_up(3, 1, 4), Seen::New);
        sessions.keep(3, 1, "one");
        assert_eq!(sessions.look_up(3, 1, 5), Seen::Before("one"));
        assert_eq!(sessions.look_up(3, 2, 6), Seen::New);
        sessions.keep(3, 2, "two");
        assert_eq!(sessions.look_up(3, 1, 7), Seen::Gone);
        assert_eq!(sessions.look_up(9, 1, 8), Seen::Gone);
    }

    #[test]
    fn a_snapshot_keeps_what_the_sessions_know() {
        let mut before = Sessions::new(2);
        before.open(1);
        before.open(2);
        assert_eq!(before.look_up(1, 1, 3), Seen::New);
        before.keep(1, 1, "one");
        let mut sessions = Sessions::of(2, before.image());
        assert_eq!(sessions.image(), before.image());
        assert_eq!(sessions.look_up(1, 1, 4), Seen::Before("one"));
        // The order in which they were used counts as well.
        sessions.open(5);
        assert_eq!(sessions.look_up(2, 1, 6), Seen::Gone);
    }

    #[test]
    fn the_session_used_the_longest_ago_goes_first() {
        let mut sessions: Sessions<()> = Sessions::new(2);
        sessions.open(1);
        sessions.open(2);
        assert_eq!(sessions.look_up(1, 1, 3), Seen::New);
        sessions.open(4);
        assert_eq!(sessions.look_up(2, 1, 5), Seen::Gone);
        assert_eq!(sessions.look_up(1, 1, 6), Seen::New);
        assert_eq!(sessions.look_up(4, 1, 7), Seen::New);
    }
}
