//! What is wrong with links: cuts, through which nothing passes, clogs, in which everything waits,
//! and how much a link carries.

use super::World;
use crate::choice::{Entity, below, between, chance, exponential, mix};
use crate::plan::Latency;
use crate::table::Fault;

/// Nothing passes between some nodes, for as long as an episode lasts.
pub(crate) struct Cut {
    pub(crate) episode: u32,
    shape: Shape,
}

enum Shape {
    /// Whether each node is on the cut side, and whether that side does not hear the other either.
    Sides { side: Vec<bool>, both: bool },
    /// Each node's place on the ring, if it has one; how far it hears to either hand.
    Ring { place: Vec<Option<u32>>, around: u32, before: u32, behind: u32 },
    /// The side of each node; the bridge is on both.
    Bridge { side: Vec<bool>, bridge: u32 },
    /// What is on its way waits; nothing is stopped.
    Held { link: (u32, u32) },
}

impl Cut {
    /// Cuts these nodes off from `all` others: nobody hears them, and with `both` they hear nobody.
    pub(crate) fn sides(episode: u32, all: usize, nodes: &[u32], both: bool) -> Cut {
        Cut { episode, shape: Shape::Sides { side: marked(all, nodes), both } }
    }

    /// A ring of majorities: of `n` nodes each hears `n / 2 + 1`, itself among them.
    pub(crate) fn ring(episode: u32, all: usize, nodes: &[u32]) -> Cut {
        let mut place = vec![None; all];
        for (at, node) in nodes.iter().enumerate() {
            place[*node as usize] = Some(at as u32);
        }
        let around = nodes.len() as u32;
        let others = around / 2;
        let (before, behind) = (others / 2, others - others / 2);
        Cut { episode, shape: Shape::Ring { place, around, before, behind } }
    }

    /// Two sides that only the first of these nodes connects; the rest of them are one side.
    pub(crate) fn bridge(episode: u32, all: usize, nodes: &[u32]) -> Option<Cut> {
        let (bridge, nodes) = nodes.split_first()?;
        let shape = Shape::Bridge { side: marked(all, nodes), bridge: *bridge };
        Some(Cut { episode, shape })
    }

    /// What a script holds on this link.
    pub(crate) fn held(link: (u32, u32)) -> Cut {
        Cut { episode: u32::MAX, shape: Shape::Held { link } }
    }

    /// Whether a script holds this link.
    pub(crate) fn holds(&self, wanted: (u32, u32)) -> bool {
        matches!(self.shape, Shape::Held { link } if link == wanted)
    }

    pub(crate) fn stops(&self, from: u32, to: u32) -> bool {
        match &self.shape {
            Shape::Sides { side, both } => {
                let (from, to) = (side[from as usize], side[to as usize]);
                from != to && (*both || from)
            }
            Shape::Ring { place, around, before, behind } => {
                match (place[from as usize], place[to as usize]) {
                    (Some(from), Some(to)) => {
                        let ahead = (from + around - to) % around;
                        ahead > *behind && around - ahead > *before
                    }
                    _ => false,
                }
            }
            Shape::Bridge { side, bridge } => {
                from != *bridge && to != *bridge && side[from as usize] != side[to as usize]
            }
            Shape::Held { .. } => false,
        }
    }
}

fn marked(all: usize, nodes: &[u32]) -> Vec<bool> {
    let mut side = vec![false; all];
    nodes.iter().for_each(|node| side[*node as usize] = true);
    side
}

/// What is sent over some links between two times arrives no earlier than the second.
pub(crate) struct Clog {
    pub(crate) episode: u32,
    links: Links,
    since: u64,
    until: u64,
}

enum Links {
    One(u32, u32),
    Of(u32),
}

impl Clog {
    pub(crate) fn link(episode: u32, from: u32, to: u32, since: u64, until: u64) -> Clog {
        Clog { episode, links: Links::One(from, to), since, until }
    }

    pub(crate) fn node(episode: u32, node: u32, since: u64, until: u64) -> Clog {
        Clog { episode, links: Links::Of(node), since, until }
    }

    fn holds(&self, from: u32, to: u32, now: u64) -> bool {
        let link = match self.links {
            Links::One(one, other) => (one, other) == (from, to),
            Links::Of(node) => node == from || node == to,
        };
        link && (self.since..self.until).contains(&now)
    }
}

/// Draws how long something takes.
#[inline]
pub(crate) fn draw_latency(latency: &Latency, bits: u64) -> u64 {
    match *latency {
        Latency::Uniform { low_ns, high_ns } => between(bits, low_ns, high_ns),
        Latency::Exponential { low_ns, mean_ns } => low_ns + exponential(bits, mean_ns),
        Latency::Tail { low_ns, high_ns, tail_ns, tail_ppm } => {
            if chance(bits, tail_ppm) {
                between(mix(bits), high_ns, tail_ns)
            } else {
                between(mix(bits), low_ns, high_ns)
            }
        }
    }
}

impl World {
    #[inline]
    pub(crate) fn is_cut(&mut self, from: u32, to: u32) -> bool {
        !self.cuts.is_empty() && self.some_cut_stops(from, to)
    }

    pub(crate) fn some_cut_stops(&mut self, from: u32, to: u32) -> bool {
        let Some(cut) = self.cuts.iter().find(|cut| cut.stops(from, to)) else { return false };
        let episode = cut.episode;
        self.episode_fired(episode);
        true
    }

    /// How much longer a message takes because its link is clogged, slow or busy.
    #[inline]
    pub(crate) fn link_extra(&mut self, from: u32, to: u32, bytes: usize) -> u64 {
        let mut extra = 0;
        if self.weather.slow_link_ns > 0 {
            extra += self.slow_link(from, to);
        }
        if !self.clogs.is_empty() {
            extra += self.clogged(from, to);
        }
        if self.weather.bandwidth > 0 {
            extra += self.transmit(from, to, bytes);
        }
        extra
    }

    pub(super) fn link(&self, from: u32, to: u32) -> Entity {
        let (from, to) = (&self.nodes[from as usize], &self.nodes[to as usize]);
        Entity(from.entity.0.rotate_left(1) ^ to.entity.0)
    }

    /// What a link takes longer than others, always.
    pub(crate) fn slow_link(&self, from: u32, to: u32) -> u64 {
        let bits = self.choices.draw_lasting(crate::choice::Domain::Link, self.link(from, to), 0);
        if bits & 3 == 0 { below(mix(bits), self.weather.slow_link_ns) } else { 0 }
    }

    pub(crate) fn clogged(&mut self, from: u32, to: u32) -> u64 {
        let now = self.now;
        let holding = self.clogs.iter().filter(|clog| clog.holds(from, to, now));
        let Some(longest) = holding.max_by_key(|clog| clog.until) else { return 0 };
        let (episode, until) = (longest.episode, longest.until);
        self.episode_fired(episode);
        until - now
    }

    /// How long a message waits for those before it, and takes to be sent.
    pub(crate) fn transmit(&mut self, from: u32, to: u32, bytes: usize) -> u64 {
        const SECOND: u128 = 1_000_000_000;
        let takes = bytes as u128 * SECOND / u128::from(self.weather.bandwidth);
        let link = self.link(from, to).named("bandwidth");
        let busy_until = self.busy.at(link.0);
        *busy_until = (*busy_until).max(self.now).saturating_add(takes as u64);
        let extra = *busy_until - self.now;
        if extra > takes as u64 {
            self.fired(Fault::Bandwidth);
        }
        extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_ring_of_majorities_everybody_hears_another_majority() {
        for n in 3..10u32 {
            let nodes: Vec<u32> = (0..n).rev().collect();
            let cut = Cut::ring(1, n as usize + 1, &nodes);
            let mut heard: Vec<Vec<u32>> = Vec::new();
            for to in 0..n {
                let hears: Vec<u32> = (0..n).filter(|from| !cut.stops(*from, to)).collect();
                assert_eq!(hears.len() as u32, n / 2 + 1, "{n}");
                assert!(hears.contains(&to));
                assert!(!cut.stops(n, to) && !cut.stops(to, n), "who is not on it is not cut");
                assert!(!heard.contains(&hears), "two of {n} hear the same");
                heard.push(hears);
            }
        }
    }

    #[test]
    fn a_bridge_is_the_only_way() {
        let cut = Cut::bridge(1, 5, &[2, 0, 1]).unwrap();
        let stopped = |from, to| cut.stops(from, to);
        assert!(stopped(0, 3) && stopped(3, 0) && stopped(4, 1));
        assert!(!stopped(0, 1) && !stopped(3, 4));
        for node in [0, 1, 3, 4] {
            assert!(!stopped(2, node) && !stopped(node, 2));
        }
    }
}
