//! What is done to a system of real processes, and when: drawn from a seed before the run begins.

use super::flip::Place;
use super::network;
use super::proxy::{Link, Weather};
use squall::choice::Stream;
use std::fmt;
use std::time::Duration;

/// How long nodes miss what others write, before these lose it.
const BEHIND: Duration = Duration::from_secs(1);

/// How long nodes that are behind then are alone with one that has forgotten.
const ALONE: Duration = Duration::from_millis(1_500);

/// Enough to tell what comes first.
const MOMENT: Duration = Duration::from_millis(1);

/// What is done to nodes. Nodes count from 0 here, and from 1 in what is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// They are killed, and started again at the end.
    Kill(Vec<usize>),
    /// They are killed and lose what they had not synced, or any part of it, which is drawn from
    /// this; and they are started again at the end.
    PowerLoss(Vec<usize>, u64),
    /// Their file systems are shut down by the kernel and they are killed. They are started again
    /// at the end on what had reached the disks.
    Shutdown(Vec<usize>),
    /// The node is killed, one byte of its journal becomes another, and it is started. If it has
    /// refused that, the byte is put back at the end, and the node is started again.
    Flip(usize, Place),
    /// The same, while others that know what it knows are away: they are killed as well, and
    /// started again at the end.
    FlipAlone {
        /// The node.
        node: usize,
        /// The others.
        away: Vec<usize>,
        /// The byte.
        place: Place,
    },
    /// They stand still until the end.
    Pause(Vec<usize>),
    /// The weather on these links is another until the end.
    Network {
        /// What that is called.
        what: String,
        /// Which links.
        links: Vec<Link>,
        /// What they do.
        weather: Weather,
    },
}

/// What may be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Group {
    /// Nodes are killed and stopped.
    Processes,
    /// A byte of the journal of a node that is down becomes another. Of members of Raft the same
    /// minority is struck in the whole run, so they have to be three.
    Files,
    /// Nodes that are killed may lose what they had not synced.
    Power,
    /// The links between processes do what links do.
    Network,
    /// Nodes lose what they had not synced by their file systems being shut down, each of which is
    /// ext4 on a disk of its own. Only root can do so, and then nobody's power is lost otherwise.
    Ext4,
}

/// How many there are of everything that can be struck.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Nodes; they are the first sources.
    pub(super) nodes: usize,
    /// Processes from which links begin: the nodes and behind them the clients.
    pub(super) sources: usize,
    /// Whether nodes forget what they cannot read, and a minority of them may.
    pub(super) has_doubts: bool,
    /// Whether links can do more than be closed.
    pub(super) has_weather: bool,
}

impl Sizes {
    /// Whether journals can be damaged without any harm to what was promised.
    pub(super) fn may_flip(self) -> bool {
        !self.has_doubts || self.nodes > 2
    }
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

/// Draws episodes for a run of this length. All have ended when the run ends. What one group does
/// hangs on no other.
pub(super) fn draw(seed: u64, length: Duration, sizes: Sizes, groups: &[Group]) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let has = |group| groups.contains(&group);
    let (ext4, processes) = (has(Group::Ext4), has(Group::Processes));
    let (power, files) = (has(Group::Power) || ext4, has(Group::Files) && sizes.may_flip());
    let lose = |targets, bits| match ext4 {
        true => Fault::Shutdown(targets),
        false => Fault::PowerLoss(targets, bits),
    };
    if power || processes || files {
        let mut draw = Stream::new(seed, "processes");
        let forgetful = forgetful(seed, sizes);
        let rot = (forgetful.as_slice(), sizes.nodes);
        episodes.extend(lane(length, (20, 800, 3_000), &mut draw, |draw, within| {
            let targets = targets(draw, sizes.nodes);
            let (kind, bits) = (draw.between(0, 8), draw.bits());
            let fault = match kind {
                0 if files => return flip(targets[0], bits, within, length, rot),
                1 | 2 if power => lose(targets, bits),
                _ if processes => match kind % 2 {
                    0 => Fault::Kill(targets),
                    _ => Fault::Pause(targets),
                },
                _ if power => lose(targets, bits),
                _ => return flip(targets[0], bits, within, length, rot),
            };
            within.of(fault)
        }));
    }
    if groups.contains(&Group::Network) {
        let mut draw = Stream::new(seed, "network");
        episodes.extend(lane(length, (200, 2_000, 6_000), &mut draw, |draw, within| {
            within.of(network::draw(draw, sizes))
        }));
    }
    episodes
}

/// The nodes that may forget their last records: the same minority for the whole run, for nobody
/// knows how long the others need to tell them.
fn forgetful(seed: u64, sizes: Sizes) -> Vec<usize> {
    let mut draw = Stream::new(seed, "forgetful");
    let minority = if sizes.has_doubts { (sizes.nodes - 1) / 2 } else { 0 };
    some(&mut draw, sizes.nodes, minority)
}

/// When an episode begins and ends.
#[derive(Clone, Copy)]
struct Within {
    at: Duration,
    length: Duration,
}

impl Within {
    fn of(self, fault: Fault) -> Vec<Episode> {
        vec![Episode { at: self.at, length: self.length, fault }]
    }
}

/// A byte of the journal of a node that becomes another. Of members that doubt, only those that may
/// forget are struck, wherever that byte is: they give up all that comes behind it.
fn flip(
    node: usize,
    bits: u64,
    within: Within,
    length: Duration,
    (forgetful, nodes): (&[usize], usize),
) -> Vec<Episode> {
    if forgetful.is_empty() {
        return within.of(Fault::Flip(node, Place::Early(bits)));
    }
    let node = forgetful[node % forgetful.len()];
    let flip = |place| within.of(Fault::Flip(node, place));
    match (bits >> 32) % 8 {
        0 | 1 => flip(Place::Early(bits)),
        2 | 3 => flip(Place::Anywhere(bits)),
        4 | 5 => flip(Place::Last(bits)),
        _ if nodes % 2 == 0 || within.at + BEHIND + ALONE > length => flip(Place::Last(bits)),
        _ => flip_alone(node, bits, within.at, nodes),
    }
}

/// Half of the others are killed and miss what is written then. They come back when the rest is
/// away and the node has forgotten its last records: of those that are left none knows them, and
/// they are a majority.
fn flip_alone(node: usize, bits: u64, at: Duration, nodes: usize) -> Vec<Episode> {
    let mut behind: Vec<usize> = (1..nodes).map(|after| (node + after) % nodes).collect();
    let mut away = behind.split_off(nodes / 2);
    [&mut behind, &mut away].into_iter().for_each(|nodes| nodes.sort_unstable());
    let fault = Fault::FlipAlone { node, away, place: Place::Last(bits) };
    vec![
        Episode { at, length: BEHIND + MOMENT, fault: Fault::Kill(behind) },
        Episode { at: at + BEHIND, length: ALONE, fault },
    ]
}

/// Episodes of which none begins before the last is over; their lengths are drawn from the least
/// up, in milliseconds, and some may be longer than the most.
fn lane(
    length: Duration,
    (least, most, longest): (u64, u64, u64),
    draw: &mut Stream,
    mut fault: impl FnMut(&mut Stream, Within) -> Vec<Episode>,
) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += Duration::from_millis(draw.log_uniform(50, 500));
        let most = if draw.chance(100_000) { longest } else { most };
        let within = Within { at, length: Duration::from_millis(draw.log_uniform(least, most)) };
        if at + within.length > length {
            return episodes;
        }
        let drawn = fault(draw, within);
        at = drawn.iter().map(|episode| episode.at + episode.length).fold(at, Duration::max);
        episodes.extend(drawn);
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
    some(draw, nodes, count.clamp(1, nodes))
}

/// So many of the nodes.
fn some(draw: &mut Stream, nodes: usize, count: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..nodes).collect();
    let mut chosen = Vec::new();
    while chosen.len() < count {
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
pub(super) struct Numbers<'a>(pub(super) &'a [usize]);

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
            Fault::PowerLoss(nodes, _) => write!(f, "take the power from {}", Numbers(nodes)),
            Fault::Shutdown(nodes) => write!(f, "shut down the file systems of {}", Numbers(nodes)),
            Fault::Flip(node, place) => write!(f, "flip {place} of {}", Numbers(&[*node])),
            Fault::FlipAlone { node, away, place } => {
                let is = if away.len() == 1 { "is" } else { "are" };
                let (node, away) = ([*node], Numbers(away));
                write!(f, "flip {place} of {} while {away} {is} away", Numbers(&node))
            }
            Fault::Pause(nodes) => write!(f, "pause {}", Numbers(nodes)),
            Fault::Network { what, .. } => write!(f, "{what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LENGTH: Duration = Duration::from_secs(600);

    fn of(seed: u64, nodes: usize, groups: &[Group]) -> Vec<Episode> {
        let sizes = Sizes { nodes, sources: nodes + 2, has_doubts: true, has_weather: true };
        draw(seed, LENGTH, sizes, groups)
    }

    #[test]
    fn a_schedule_is_its_seeds() {
        let all = [Group::Processes, Group::Network];
        assert_eq!(of(7, 5, &all), of(7, 5, &all));
        assert_ne!(of(7, 5, &all), of(8, 5, &all));
        let apart = [of(7, 5, &all[..1]), of(7, 5, &all[1..])].concat();
        assert_eq!(of(7, 5, &all), apart, "one group hangs on another");
        let is_loss = |episode: &&Episode| matches!(episode.fault, Fault::PowerLoss(..));
        assert_eq!(apart.iter().filter(is_loss).count(), 0);
        let shutdown = |episode: &Episode| matches!(episode.fault, Fault::Shutdown(..));
        assert!(of(7, 5, &[Group::Ext4]).iter().all(shutdown));
        let power = of(7, 5, &[Group::Power]);
        assert_eq!(power.iter().filter(is_loss).count(), power.len());
        let both = of(7, 5, &[Group::Power, Group::Processes]);
        assert!((1..both.len() / 2).contains(&both.iter().filter(is_loss).count()));
    }

    #[test]
    fn the_episodes_of_a_group_come_one_after_the_other_and_within_the_run() {
        for (nodes, group) in [(1, Group::Processes), (3, Group::Network), (5, Group::Network)] {
            let episodes = of(1, nodes, &[group]);
            let mut before = Duration::ZERO;
            for episode in &episodes {
                assert!(episode.at > before, "{episode}");
                before = episode.at + episode.length;
            }
            assert!(before <= LENGTH && episodes.len() > 200, "{} episodes", episodes.len());
        }
    }

    #[test]
    fn every_number_of_nodes_is_struck() {
        let counts = |nodes| {
            let count = |episode: &Episode| match &episode.fault {
                Fault::Kill(nodes)
                | Fault::PowerLoss(nodes, _)
                | Fault::Shutdown(nodes)
                | Fault::Pause(nodes) => nodes.len(),
                Fault::Network { .. } | Fault::Flip(..) | Fault::FlipAlone { .. } => 0,
            };
            of(1, nodes, &[Group::Processes]).iter().map(count).collect::<BTreeSet<usize>>()
        };
        assert_eq!(counts(3), [1, 2, 3].into());
        assert_eq!(counts(5), [1, 2, 3, 5].into());
    }

    /// Whose journals have a byte flipped, and how.
    fn struck(has_doubts: bool, nodes: usize) -> (BTreeSet<usize>, [usize; 4]) {
        let sizes = Sizes { nodes, sources: nodes + 2, has_doubts, has_weather: true };
        let episodes = draw(7, LENGTH, sizes, &[Group::Files]);
        let (mut who, mut how) = (BTreeSet::new(), [0; 4]);
        for (number, episode) in episodes.iter().enumerate() {
            let (kind, node) = match &episode.fault {
                Fault::Flip(node, Place::Early(_)) => (0, *node),
                Fault::Flip(node, Place::Anywhere(_)) => (1, *node),
                Fault::Flip(node, Place::Last(_)) => (2, *node),
                Fault::FlipAlone { node, away, .. } => {
                    let before = &episodes[number - 1];
                    let Fault::Kill(behind) = &before.fault else { panic!("nobody is behind") };
                    let all: BTreeSet<usize> = behind.iter().chain(away).copied().collect();
                    assert_eq!((behind.len(), all.len()), (nodes / 2, nodes - 1));
                    assert!(!all.contains(node) && before.at + before.length > episode.at);
                    (3, *node)
                }
                Fault::Kill(_) => continue,
                other => panic!("{other} strikes no journal"),
            };
            how[kind] += 1;
            who.insert(node);
        }
        (who, how)
    }

    #[test]
    fn only_a_minority_of_those_that_doubt_is_struck() {
        for (nodes, minority) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            let (who, how) = struck(true, nodes);
            assert_eq!(who.len(), minority, "{how:?}");
            assert!(how[..3].iter().all(|count| (*count > 20) == (minority > 0)), "{how:?}");
            assert_eq!(how[3] > 20, nodes == 3 || nodes == 5, "{how:?}");
            let (who, how) = struck(false, nodes);
            assert!(who.len() == nodes && how[0] > 50 && how[1..] == [0; 3], "{how:?}");
        }
    }

    #[test]
    fn each_episode_begins_before_it_ends() {
        let episodes = of(3, 3, &[Group::Processes, Group::Network]);
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
