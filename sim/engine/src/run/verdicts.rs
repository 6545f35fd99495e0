//! What went wrong with a run, as failures.

use super::panics;
use crate::check::Judgement;
use crate::digest::Code;
use crate::failure::{Class, Failure};
use crate::world::{POLLS_MAX, World, with};

pub(super) fn livelock() {
    with(|world| {
        let failure = Failure {
            class: Class::Livelock,
            property: "time moves on".to_owned(),
            place: world.who_runs().first().cloned().unwrap_or_default(),
            story: std::iter::once(format!("{POLLS_MAX} polls and time did not move; these run:"))
                .chain(world.who_runs())
                .collect(),
            at_ns: world.now,
        };
        world.fail(failure);
    });
}

impl World {
    pub(super) fn panicked(&mut self, panic: &panics::Panic) {
        let node = self.current.map(|id| self.node_of(id));
        self.panicked_at(node.unwrap_or_else(|| self.itself()), panic);
    }

    pub(super) fn panicked_at(&mut self, node: u32, panic: &panics::Panic) {
        let name = self.nodes.get(node as usize).map_or_else(
            || "a waker or a blocking call".to_owned(),
            |node| self.roster.name(node.id),
        );
        self.note(node, Code::Panic, [crate::choice::hash_text(&panic.message), 0]);
        let failure = Failure {
            class: Class::Panic,
            property: "no node panics".to_owned(),
            place: panic.place.clone(),
            story: vec![format!("{name} panicked at {}: {}", panic.place, panic.message)],
            at_ns: self.now,
        };
        self.fail(failure);
    }

    /// A goal was not reached: who waits for whom.
    pub(super) fn stuck(&mut self, class: Class, goal: &str) {
        let class = if self.is_still() { Class::Deadlock } else { class };
        let head = match class {
            Class::Deadlock => "nothing is left to happen; these wait:".to_owned(),
            _ => "the time after healing is over; these wait:".to_owned(),
        };
        let story = std::iter::once(head).chain(self.who_waits()).collect();
        let property = goal.to_owned();
        self.fail(Failure { class, property, place: String::new(), story, at_ns: self.now });
    }

    /// A line of a history that begins with the number of a process, with the client's name. A
    /// client that does not know what came of an operation goes on as another process.
    fn with_client(&self, line: String) -> String {
        let number = line.strip_prefix("process ").and_then(|rest| rest.split_once(' '));
        let number = number.and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let clients: Vec<_> = self.nodes.iter().filter(|node| node.client).collect();
        match number {
            Some((number, rest)) if !clients.is_empty() => {
                let name = self.roster.name(clients[number % clients.len()].id);
                let later = number >= clients.len();
                let process = if later { format!(" (process {number})") } else { String::new() };
                format!("{name}{process} {rest}")
            }
            _ => line,
        }
    }

    pub(super) fn judged(&mut self, name: &str, judgement: Judgement) {
        let (class, story) = match judgement {
            Judgement::Fine => return,
            Judgement::Wrong(story) => {
                (Class::Property, story.into_iter().map(|line| self.with_client(line)).collect())
            }
            Judgement::Undecided(why) => (Class::Undecided, vec![why]),
        };
        let (property, place) = (name.to_owned(), String::new());
        self.fail(Failure { class, property, place, story, at_ns: self.now });
    }
}
