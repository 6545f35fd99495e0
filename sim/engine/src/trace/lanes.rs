//! A trace for a terminal: a line for each turn that a node takes, with a column for each node.

use crate::digest::{Code, Entry};
use crate::plan::Plan;
use crate::words::{Words, seconds};
use crate::world::Line;
use squall_env::Roster;
use std::collections::BTreeMap;

/// What a sign in a node's column means.
const LEGEND: &str = "^ boots  + is ready  ! crashes  x stops  ? asks  = is told  # panics  \
                      ~ a fault  * heals  X breaks a property; | is up  : starts  ~ is struck";

/// The columns are named anew after so many lines.
const PAGE: u64 = 40;

/// Draws the turns of a run.
pub(crate) struct Lanes {
    names: Vec<String>,
    /// What is in the column of each node while nothing happens to it.
    up: Vec<char>,
    struck: Vec<u32>,
    /// The nodes of each episode.
    episodes: BTreeMap<u64, Vec<usize>>,
    lines: u64,
}

/// The shortest names under which all nodes of a roster differ.
fn short_names(roster: &Roster) -> Vec<String> {
    let names: Vec<String> = roster.all().map(|node| roster.name(node)).collect();
    let short = |letters: usize| {
        let cut = |name: &String| match name.rsplit_once('-') {
            Some((role, ordinal)) => role.chars().take(letters).collect::<String>() + ordinal,
            None => name.clone(),
        };
        names.iter().map(cut).collect::<Vec<String>>()
    };
    let differ = |short: &Vec<String>| {
        let mut sorted = short.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == short.len()
    };
    (1..=8).map(short).find(differ).unwrap_or(names)
}

impl Lanes {
    pub(crate) fn new(plan: &Plan) -> Lanes {
        let roster = plan.roster();
        let names = short_names(&roster);
        let place = |name: &String| roster.all().position(|node| roster.name(node) == *name);
        let nodes = |kind: &crate::plan::Kind| kind.nodes().iter().filter_map(place).collect();
        let episodes = plan.episodes.iter();
        let episodes = episodes.map(|one| (u64::from(one.id), nodes(&one.kind))).collect();
        let (up, struck) = (vec![' '; names.len()], vec![0; names.len()]);
        Lanes { names, up, struck, episodes, lines: 0 }
    }

    /// The lines for a line of a trace: none, unless it is a turn.
    pub(crate) fn lines(&mut self, line: &Line, words: &Words) -> Vec<String> {
        let Line::Entry(entry) = line else { return Vec::new() };
        let Some(sign) = sign(entry) else { return Vec::new() };
        let mut lines = Vec::new();
        if self.lines == 0 {
            lines.push(LEGEND.to_owned());
        }
        if self.lines.is_multiple_of(PAGE) {
            lines.push(format!("{:>15} {}", "", self.columns(|node| self.names[node].clone())));
        }
        self.lines += 1;
        let node = usize::from(entry.node);
        self.turn(node, entry);
        let hit = self.hit(node, entry);
        let columns = self.columns(|at| match () {
            () if hit.contains(&at) => sign.to_string(),
            () if self.up[at] != ' ' && self.struck[at] > 0 => "~".to_owned(),
            () => self.up[at].to_string(),
        });
        let who = match self.names.get(node) {
            Some(name) => name.as_str(),
            None => "world",
        };
        let (at, what) = (seconds(entry.time), words.what(entry));
        lines.push(format!("{at:>15} {columns} {who} {what}"));
        lines
    }

    fn columns(&self, of: impl Fn(usize) -> String) -> String {
        let width = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(1);
        let cells = (0..self.names.len()).map(|node| format!("{:^width$}", of(node)));
        cells.collect::<Vec<String>>().join(" ")
    }

    /// In whose columns it shows: what the world does shows at those that it strikes.
    fn hit(&self, node: usize, entry: &Entry) -> Vec<usize> {
        match entry.code {
            _ if node < self.names.len() => vec![node],
            Code::Heal => (0..self.names.len()).collect(),
            Code::FaultStrikes => self.episodes.get(&entry.details[0]).cloned().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn turn(&mut self, node: usize, entry: &Entry) {
        let now = match entry.code {
            Code::Boot => ':',
            Code::Ready => '|',
            Code::Crash | Code::Exit => ' ',
            Code::FaultStrikes | Code::FaultEnds => {
                for struck in self.episodes.get(&entry.details[0]).into_iter().flatten() {
                    let many = &mut self.struck[*struck];
                    *many = match entry.code {
                        Code::FaultStrikes => *many + 1,
                        _ => many.saturating_sub(1),
                    };
                }
                return;
            }
            _ => return,
        };
        if let Some(up) = self.up.get_mut(node) {
            *up = now;
        }
    }
}

/// The sign of a turn, if it is one.
fn sign(entry: &Entry) -> Option<char> {
    Some(match entry.code {
        Code::Boot => '^',
        Code::Ready => '+',
        Code::Crash => '!',
        Code::Exit => 'x',
        Code::Invoke => '?',
        Code::Return => '=',
        Code::Panic => '#',
        Code::FaultStrikes | Code::FaultEnds | Code::Damaged => '~',
        Code::Heal => '*',
        Code::Property => 'X',
        Code::ScriptStep => '>',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Episode, Kind, RoleNodes, When};
    use crate::scenario::Scenario;

    #[test]
    fn each_turn_is_a_line_with_its_sign_in_the_column_of_its_node() {
        let role = |role: &str, nodes| RoleNodes { role: role.to_owned(), nodes };
        let mut plan = Plan::calm(vec![role("replica", 2), role("client", 1)], 9);
        let nodes = Kind::Pause { node: "replica-2".to_owned() };
        plan.episodes.push(Episode { id: 7, kind: nodes, from: When::AtNs(1), for_ns: Some(2) });
        let (mut lanes, words) =
            (Lanes::new(&plan), Words::of(&Scenario::new("test/lanes"), &plan));
        let mut tell = |node, code, details| {
            let line = Line::Entry(Entry { time: 1_500_000_000, node, code, details });
            lanes.lines(&line, &words).pop().unwrap_or_default()
        };
        assert_eq!(
            tell(0, Code::Boot, [1, 0]),
            "     1.500000 s ^        r1 boots, for the 1. time"
        );
        assert!(tell(1, Code::Boot, [1, 0]).starts_with("     1.500000 s :  ^     r2"));
        assert!(tell(0, Code::Ready, [0, 0]).starts_with("     1.500000 s +  :     r1 is ready"));
        assert!(tell(3, Code::FaultStrikes, [7, 0]).starts_with("     1.500000 s |  ~     world"));
        assert!(tell(0, Code::Invoke, [0, 0]).starts_with("     1.500000 s ?  ~     r1 begins"));
        assert!(tell(3, Code::FaultEnds, [7, 0]).starts_with("     1.500000 s |  :     world"));
        assert!(tell(0, Code::Crash, [7, 0]).starts_with("     1.500000 s !  :     r1 crashes"));
        assert!(tell(3, Code::Heal, [0, 0]).starts_with("     1.500000 s *  *  *  world heals"));
        assert_eq!(tell(0, Code::Poll, [7, 0]), "", "what is no turn has no line");
    }

    #[test]
    fn columns_have_the_shortest_names_that_differ() {
        let roster = Roster::new("test").with("replica", 2).with("client", 1);
        assert_eq!(short_names(&roster), ["r1", "r2", "c1"]);
        let roster = Roster::new("test").with("server", 1).with("sender", 2);
        assert_eq!(short_names(&roster), ["ser1", "sen1", "sen2"]);
    }

    #[test]
    fn columns_are_named_first_and_again_on_each_page() {
        let plan = Plan::calm(vec![RoleNodes { role: "node".to_owned(), nodes: 1 }], 9);
        let (mut lanes, words) =
            (Lanes::new(&plan), Words::of(&Scenario::new("test/lanes"), &plan));
        let line = Line::Entry(Entry { time: 0, node: 0, code: Code::Ready, details: [0, 0] });
        let counts: Vec<usize> = (0..=PAGE).map(|_| lanes.lines(&line, &words).len()).collect();
        assert_eq!((counts[0], counts[1], counts[PAGE as usize]), (3, 1, 2));
    }
}
