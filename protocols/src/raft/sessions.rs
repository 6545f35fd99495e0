//! Sessions, by which a command that is sent several times is applied once (Ongaro, 2014, section
//! 6.3). They are part of what is replicated: every member keeps the same ones.

use super::log::Index;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most sessions that are kept. For one more, the one that was used the longest ago goes.
pub(super) const SESSIONS_MAX: usize = 4_096;

/// The most bytes of answers that all sessions keep, encoded, but for the last answer of all. For
/// more, the sessions that were used the longest ago go. Every member counts the same bytes.
pub(super) const ANSWERS_MAX: usize = 16 << 20;

/// The open sessions, by the index of the entry that opened them.
pub(super) struct Sessions<O> {
    open: BTreeMap<u64, Session<O>>,
    /// By when they were used last.
    used: BTreeMap<Index, u64>,
    /// How many bytes their answers have.
    bytes: usize,
    most: Most,
}

/// What the sessions may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) sessions: usize,
    pub(super) bytes: usize,
}

/// What every member keeps.
pub(super) const MOST: Most = Most { sessions: SESSIONS_MAX, bytes: ANSWERS_MAX };

struct Session<O> {
    used: Index,
    /// How many bytes its answer has.
    bytes: usize,
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

/// How many bytes an answer has, encoded.
fn size<O: Serialize>(answer: &O) -> usize {
    let size = postcard::ser_flavors::Size::default();
    postcard::serialize_with_flavor(answer, size).expect("an answer can be encoded")
}

impl<O: Clone + Serialize> Sessions<O> {
    pub(super) fn new(most: Most) -> Sessions<O> {
        Sessions { open: BTreeMap::new(), used: BTreeMap::new(), bytes: 0, most }
    }

    /// The sessions of a snapshot.
    pub(super) fn of(most: Most, sessions: Vec<SessionImage<O>>) -> Sessions<O> {
        let mut all = Sessions::new(most);
        for SessionImage { number, used, last } in sessions {
            let bytes = last.as_ref().map_or(0, |(_, answer)| size(answer));
            all.bytes += bytes;
            all.used.insert(used, number);
            all.open.insert(number, Session { used, bytes, last });
        }
        all
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
        self.open.insert(index, Session { used: index, bytes: 0, last: None });
        self.used.insert(index, index);
        self.expire();
    }

    /// The sessions that were used the longest ago go, until the others fit.
    fn expire(&mut self) {
        let fits = |all: &Sessions<O>| {
            all.open.len() <= all.most.sessions && all.bytes <= all.most.bytes || all.used.len() < 2
        };
        while !fits(self)
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.bytes -= self.open.remove(&oldest).map_or(0, |session| session.bytes);
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
        let Some(found) = self.open.get_mut(&session) else { return };
        self.bytes -= found.bytes;
        found.bytes = size(&output);
        self.bytes += found.bytes;
        found.last = Some((sequence, output));
        self.expire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(sessions: usize) -> Most {
        Most { sessions, bytes: 100 }
    }

    #[test]
    fn a_command_is_new_once() {
        let mut sessions = Sessions::new(most(8));
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
        let mut before = Sessions::new(most(2));
        before.open(1);
        before.open(2);
        assert_eq!(before.look_up(1, 1, 3), Seen::New);
        before.keep(1, 1, "one");
        let mut sessions = Sessions::of(most(2), before.image());
        assert_eq!(sessions.image(), before.image());
        assert_eq!(sessions.look_up(1, 1, 4), Seen::Before("one"));
        // The order in which they were used counts as well.
        sessions.open(5);
        assert_eq!(sessions.look_up(2, 1, 6), Seen::Gone);
    }

    #[test]
    fn the_session_used_the_longest_ago_goes_first() {
        let mut sessions: Sessions<()> = Sessions::new(most(2));
        sessions.open(1);
        sessions.open(2);
        assert_eq!(sessions.look_up(1, 1, 3), Seen::New);
        sessions.open(4);
        assert_eq!(sessions.look_up(2, 1, 5), Seen::Gone);
        assert_eq!(sessions.look_up(1, 1, 6), Seen::New);
        assert_eq!(sessions.look_up(4, 1, 7), Seen::New);
    }
    #[test]
    fn answers_that_are_too_much_go_with_their_sessions() {
        let mut sessions = Sessions::new(most(8));
        for session in 1..=3 {
            sessions.open(session);
        }
        let answer = "x".repeat(40);
        for (session, index) in [(2, 4), (1, 5)] {
            assert_eq!(sessions.look_up(session, 1, index), Seen::New);
            sessions.keep(session, 1, answer.clone());
        }
        // With its length, an answer has 41 bytes. The third session was used the longest ago.
        assert_eq!(sessions.bytes, 82);
        assert_eq!(sessions.look_up(3, 1, 6), Seen::New);
        sessions.keep(3, 1, answer.clone());
        assert_eq!((sessions.bytes, sessions.open.len()), (82, 2));
        assert_eq!(sessions.look_up(2, 1, 7), Seen::Gone);
        // One answer is kept, whatever its size, or nobody could be answered again.
        assert_eq!(sessions.look_up(1, 2, 8), Seen::New);
        sessions.keep(1, 2, "x".repeat(400));
        assert_eq!(sessions.open.len(), 1);
        assert_eq!(Sessions::of(most(8), sessions.image()).bytes, sessions.bytes);
        sessions.keep(1, 3, String::new());
        assert_eq!(sessions.bytes, 1);
    }
}
