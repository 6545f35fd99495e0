//! What is done to a system of real processes, and when: drawn from a seed before the run begins.

use squall::choice::Stream;
use std::fmt;
use std::time::Duration;

/// What is done to nodes. Nodes count from 0 here, and from 1 in what is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// They are killed, and started again at the end.
    Kill(Vec<usize>),
    /// They stand still until the end.
    Pause(Vec<usize>),
}

/// A fault, from when on and how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Episode {
    /// When it begins, from the start of the load.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// What it is.
    pub fault: Fault,
}

/// One end of an episode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// The number of the episode.
    pub episode: usize,
    /// Whether it begins or ends.
    pub begins: bool,
}

/// Draws episodes for a run of this length. All have ended when the run ends.
pub(super) fn draw(seed: u64, length: Duration, nodes: usize) -> Vec<Episode> {
    let mut draw = Stream::new(seed, "processes");
    lane(length, &mut draw, |draw| {
        let targets = targets(draw, nodes);
        if draw.chance(500_000) { Fault::Kill(targets) } else { Fault::Pause(targets) }
    })
}

/// Episodes of which none begins before the last is over.
fn lane(
    length: Duration,
    draw: &mut Stream,
    mut fault: impl FnMut(&mut Stream) -> Fault,
) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_millis(draw.log_uniform(50, 500));
        let longest = if draw.chance(100_000) { 3_000 } else { 800 };
        let episode = Duration::from_millis(draw.log_uniform(20, longest));
        if at + episode > length {
            return episodes;
        }
        episodes.push(Episode { at, length: episode, fault: fault(draw) });
        at += episode;
    }
}

/// Most often one node, sometimes a minority or a majority, and sometimes all.
fn targets(draw: &mut Stream, nodes: usize) -> Vec<usize> {
    let count = match draw.between(0, 9) {
        0 => nodes,
        1 => nodes / 2 + 1,
        2 | 3 => (nodes - 1) / 2,
        _ => 1,
    };
    let mut left: Vec<usize> = (0..nodes).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count.clamp(1, nodes) {
        let at = draw.between(0, left.len() as u64 - 1) as usize;
        chosen.push(left.swap_remove(at));
    }
    chosen.sort_unstable();
    chosen
}

/// Both ends of all episodes in the order of time. Where one ends and another begins at once, the
/// end comes first.
pub(super) fn steps(episodes: &[Episode]) -> Vec<Step> {
    let both = episodes.iter().enumerate().flat_map(|(episode, Episode { at, length, .. })| {
        let begin = Step { at: *at, episode, begins: true };
        [begin, Step { at: *at + *length, episode, begins: false }]
    });
    let mut steps: Vec<Step> = both.collect();
    steps.sort_by_key(|step| (step.at, step.begins, step.episode));
    steps
}

impl fmt::Display for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, length) = (self.at.as_secs_f64(), self.length.as_millis());
        write!(f, "{at:8.3} s  {}, for {length} ms", self.fault)
    }
}

/// The numbers of nodes as they are shown.
struct Numbers<'a>(&'a [usize]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, before) = self.0.split_last().expect("a fault strikes somebody");
        if before.is_empty() {
            return write!(f, "node {}", last + 1);
        }
        let before: Vec<String> = before.iter().map(|node| (node + 1).to_string()).collect();
        write!(f, "nodes {} and {}", before.join(", "), last + 1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(nodes) => write!(f, "kill {}", Numbers(nodes)),
            Fault::Pause(nodes) => write!(f, "pause {}", Numbers(nodes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(600);

    #[test]
    fn a_schedule_is_its_seeds() {
        assert_eq!(draw(7, LENGTH, 5), draw(7, LENGTH, 5));
        assert_ne!(draw(7, LENGTH, 5), draw(8, LENGTH, 5));
    }

    #[test]
    fn processes_are_struck_one_after_the_other_and_within_the_run() {
        for nodes in [1, 3, 5] {
            let episodes = draw(1, LENGTH, nodes);
            let mut before = Duration::ZERO;
            for episode in &episodes {
                assert!(episode.at > before, "{episode}");
                before = episode.at + episode.length;
            }
            assert!(before <= LENGTH && episodes.len() > 300, "{} episodes", episodes.len());
        }
    }

    #[test]
    fn every_number_of_nodes_is_struck() {
        let counts = |nodes| {
            let episodes = draw(1, LENGTH, nodes);
            let count = |episode: &Episode| match &episode.fault {
                Fault::Kill(nodes) | Fault::Pause(nodes) => nodes.len(),
            };
            episodes.iter().map(count).collect::<std::collections::BTreeSet<usize>>()
        };
        assert_eq!(counts(3), [1, 2, 3].into());
        assert_eq!(counts(5), [1, 2, 3, 5].into());
    }

    #[test]
    fn each_episode_begins_before_it_ends() {
        let episodes = draw(3, LENGTH, 3);
        let steps = steps(&episodes);
        assert!(steps.is_sorted_by_key(|step| step.at));
        for number in 0..episodes.len() {
            let own: Vec<bool> =
                steps.iter().filter(|s| s.episode == number).map(|s| s.begins).collect();
            assert_eq!(own, [true, false]);
        }
    }

    #[test]
    fn an_episode_says_what_it_does() {
        let of = |nodes| Episode {
            at: Duration::from_millis(1_234),
            length: Duration::from_millis(56),
            fault: Fault::Kill(nodes),
        };
        assert_eq!(of(vec![1]).to_string(), "   1.234 s  kill node 2, for 56 ms");
        assert_eq!(of(vec![0, 1, 4]).to_string(), "   1.234 s  kill nodes 1, 2 and 5, for 56 ms");
    }
}
