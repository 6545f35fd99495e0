//! What is done to the links between processes.

use super::proxy::{Gate, Link, Weather};
use super::schedule::{Fault, Numbers, Sizes};
use squall::choice::Stream;
use std::time::Duration;

/// Draws what is done to the links: a partition, or weather on all of them.
pub(super) fn draw(draw: &mut Stream, sizes: Sizes) -> Fault {
    if (draw.chance(500_000) || !sizes.has_weather) && sizes.sources > 1 {
        partition(draw, sizes)
    } else {
        weather(draw, sizes)
    }
}

/// All links that this holds of.
fn links(sizes: Sizes, mut which: impl FnMut(usize, usize) -> bool) -> Vec<Link> {
    let pairs = (0..sizes.sources).flat_map(|from| (0..sizes.nodes).map(move |to| (from, to)));
    let cut = pairs.filter(|(from, to)| from != to && which(*from, *to));
    cut.map(|(from, to)| Link { from, to }).collect()
}

/// Some processes do not hear some others. Clients are with either side, or with both.
fn partition(draw: &mut Stream, sizes: Sizes) -> Fault {
    let gate = if draw.chance(700_000) { Gate::Stalled } else { Gate::Closed };
    let how = if gate == Gate::Stalled { "" } else { ", whose connections are closed" };
    let one = draw.between(0, sizes.nodes as u64 - 1) as usize;
    let clients = draw.chance(500_000);
    let mut sides: Vec<bool> = (0..sizes.sources).map(|_| draw.chance(500_000)).collect();
    // There are nodes on both sides, even without one of them.
    for (after, side) in [(0, true), (1, false), (2, true)].into_iter().take(sizes.nodes) {
        sides[(one + after) % sizes.nodes] = side;
    }
    let concerns = |from: usize| from < sizes.nodes || clients;
    let also = if clients { " and clients" } else { "" };
    let (what, links) = match draw.between(0, 5) {
        0 | 1 => {
            let cut = links(sizes, |from, to| concerns(from) && (from == one || to == one));
            (format!("cut node {} off from nodes{also}", one + 1), cut)
        }
        2 => {
            let cut = links(sizes, |from, _| from == one);
            (format!("let nobody hear node {}", one + 1), cut)
        }
        3 => {
            let cut = links(sizes, |from, to| concerns(from) && to == one);
            (format!("let node {} hear no nodes{also}", one + 1), cut)
        }
        4 => {
            let cut = links(sizes, |from, to| concerns(from) && sides[from] != sides[to]);
            let side: Vec<usize> = (0..sizes.nodes).filter(|node| sides[*node]).collect();
            (format!("part {} from the others{also}", Numbers(&side)), cut)
        }
        _ => {
            // Both sides still hear one node, which hears both.
            let bridged = |node: usize| node == one || node >= sizes.nodes;
            let cut =
                links(sizes, |from, to| !bridged(from) && !bridged(to) && sides[from] != sides[to]);
            (format!("leave node {} as the bridge between two sides", one + 1), cut)
        }
    };
    let weather = Weather { gate, ..Weather::default() };
    Fault::Network { what: format!("{what}{how}"), links, weather }
}

/// Weather on all links, or on those to and from one node.
fn weather(draw: &mut Stream, sizes: Sizes) -> Fault {
    let ms = Duration::from_millis;
    let calm = Weather::default();
    let (what, weather) = match draw.between(0, 6) {
        0 => ("delay", Weather { delay: ms(draw.log_uniform(5, 150)), jitter: ms(10), ..calm }),
        1 => {
            let often = draw.log_uniform(10_000, 300_000) as u32;
            let jitter = ms(draw.log_uniform(1, 50));
            (
                "overtake and double frames",
                Weather { reorder: often, duplicate: often, jitter, ..calm },
            )
        }
        2 => ("lose frames", Weather { lose: draw.log_uniform(10_000, 300_000) as u32, ..calm }),
        3 | 4 => ("damage", Weather { corrupt: draw.log_uniform(3_000, 100_000) as u32, ..calm }),
        5 => {
            let rate = Some(draw.log_uniform(5_000, 500_000) as u32);
            ("throttle", Weather { bytes_per_second: rate, ..calm })
        }
        _ => {
            let close = draw.log_uniform(1_000, 50_000) as u32;
            ("close connections", Weather { close, delay: ms(draw.between(0, 5)), ..calm })
        }
    };
    if draw.chance(300_000) {
        let one = draw.between(0, sizes.nodes as u64 - 1) as usize;
        let links = links(sizes, |from, to| from == one || to == one);
        return Fault::Network {
            what: format!("{what} on links of node {}", one + 1),
            links,
            weather,
        };
    }
    Fault::Network {
        what: format!("{what} on all links"),
        links: links(sizes, |_, _| true),
        weather,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    const SIZES: Sizes = Sizes { nodes: 5, sources: 8, has_doubts: true, has_weather: true };

    /// All that is drawn from many seeds, by the first word of what it is called.
    fn drawn() -> BTreeMap<String, Vec<(BTreeSet<Link>, Weather)>> {
        let mut all: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut stream = Stream::new(1, "test");
        for _ in 0..2_000 {
            let Fault::Network { what, links, weather } = draw(&mut stream, SIZES) else {
                panic!("that is none of the network's");
            };
            let first = what.split(' ').next().unwrap().to_owned();
            all.entry(first).or_default().push((links.into_iter().collect(), weather));
        }
        all
    }

    #[test]
    fn everything_is_drawn_and_does_something() {
        let drawn = drawn();
        let names: Vec<&str> = drawn.keys().map(String::as_str).collect();
        let all = [
            "close", "cut", "damage", "delay", "leave", "let", "lose", "overtake", "part",
            "throttle",
        ];
        assert_eq!(names, all);
        for (name, faults) in &drawn {
            assert!(faults.iter().any(|(links, _)| !links.is_empty()), "{name}");
            assert!(faults.iter().all(|(_, weather)| *weather != Weather::default()), "{name}");
        }
    }

    #[test]
    fn the_kernel_only_parts() {
        let sizes = Sizes { has_weather: false, ..SIZES };
        let mut stream = Stream::new(1, "test");
        for _ in 0..200 {
            let Fault::Network { what, weather, .. } = draw(&mut stream, sizes) else {
                panic!("that is none of the network's");
            };
            assert_eq!(weather, Weather { gate: weather.gate, ..Weather::default() }, "{what}");
            assert_ne!(weather.gate, Gate::Open, "{what}");
        }
    }

    #[test]
    fn partitions_are_symmetric_or_go_one_way() {
        let turned = |links: &BTreeSet<Link>| -> BTreeSet<Link> {
            let among = links.iter().filter(|link| link.from < SIZES.nodes);
            among.map(|link| Link { from: link.to, to: link.from }).collect()
        };
        for (name, faults) in drawn() {
            for (links, weather) in faults.iter().filter(|(_, w)| w.gate != Gate::Open) {
                let turned = turned(links);
                let both = turned.iter().filter(|link| links.contains(link)).count();
                match name.as_str() {
                    "let" => assert_eq!(both, 0, "{weather:?}"),
                    _ => assert_eq!(both, turned.len(), "{name}: {links:?}"),
                }
            }
        }
    }

    #[test]
    fn a_bridge_hears_everybody() {
        for (links, _) in &drawn()["leave"] {
            let lonely = (0..SIZES.nodes)
                .filter(|node| !links.iter().any(|link| link.from == *node || link.to == *node));
            assert!(lonely.count() >= 1, "{links:?}");
        }
    }
}
