//! Datagrams: what arrives was sent, not too often, not too early, not too late, and not through a
//! cut; and what nothing has lost arrives.

use super::cuts::{clogs, planned_end, rings, separates};
use super::{Blind, MS, name, witness};
use squall::plan::Latency;
use squall::table::Group;
use squall::{Conditions, Fault, FaultSet, Most, Scenario, Tolerance, conditions};
use squall_env::platform::BindError;
use squall_env::{Env, Instant, NodeId, Port, Shown, Socket, View};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

const CONTRACT: &str = "what arrives was sent, in time, and not too often";
const COMPLETE: &str = "what nothing has lost arrives";
const OVERTAKEN: &str = "a letter was overtaken";
const TWICE: &str = "a letter came twice";

/// How many bursts each node sends; some of the last ones come when the world has healed.
const BURSTS: u32 = 45;

/// How long the slow receiver sleeps at most.
const NAP_MAX_NS: u64 = 150 * MS;

/// Whoever leads does so for this long.
const REIGN_NS: u64 = 100 * MS;

/// What a node has sent and received so far.
#[derive(Default)]
struct Traffic {
    sent: Vec<Sent>,
    arrived: Vec<Arrived>,
    /// When the slow socket was last looked at, and how much was in it.
    found: (u64, u32),
}

struct Sent {
    to: NodeId,
    slow: bool,
    at_ns: u64,
    bytes: Vec<u8>,
}

struct Arrived {
    from: NodeId,
    slow: bool,
    at_ns: u64,
    bytes: Vec<u8>,
}

/// Nodes that send each other letters in bursts, some to a socket that is seldom looked at.
pub fn links(blind: Blind) -> Scenario {
    blind
        .scenario("links", CONTRACT)
        .nodes("node", 3..=5, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(
            Tolerance::nothing()
                .faults_of(FaultSet::of(Group::Network))
                .impaired("node", Most::Nodes(0)),
        )
        .leader(|| |view: &View<'_>| reigning(view.now_ns(), &all(view)))
        .sometimes(OVERTAKEN)
        .sometimes(TWICE)
        .always(CONTRACT, move || {
            let mut post = Post::new(blind);
            move |view: &View<'_>| post.look(view)
        })
        .eventually(COMPLETE, Duration::from_secs(20), move || {
            let mut post = Post::new(blind);
            move |view: &View<'_>| post.look(view).is_ok() && post.is_complete(view)
        })
}

fn all(view: &View<'_>) -> Vec<NodeId> {
    view.up::<Traffic>().map(|traffic| traffic.node).collect()
}

/// Leadership goes round.
fn reigning(now_ns: u64, nodes: &[NodeId]) -> Option<NodeId> {
    nodes.get((now_ns / REIGN_NS) as usize % nodes.len().max(1)).copied()
}

async fn serve(env: Env) -> Result<(), BindError> {
    let start = env.now();
    let traffic = env.show("traffic", Traffic::default());
    let (prompt, slow) = (Port::named("prompt"), Port::named("slow"));
    let (quick, lazy) = (env.bind(prompt)?, env.bind(slow)?);
    env.spawn("quick", receive(env.clone(), quick, traffic.clone(), start));
    env.spawn("lazy", receive_late(env.clone(), lazy, traffic.clone(), start));
    env.ready();
    let me = env.me();
    let others: Vec<NodeId> = env.peers("node").into_iter().filter(|node| *node != me).collect();
    let out = env.bind(Port::ANY)?;
    let mut number = 0u32;
    for _ in 0..BURSTS {
        env.sleep(Duration::from_micros(env.random_below(180_000))).await;
        let to = others[env.random_below(others.len() as u64) as usize];
        let is_slow = env.random_below(4) == 0;
        let most = if is_slow { 80 } else { 6 };
        for _ in 0..=env.random_below(most) {
            let length = 16 + env.random_below(80);
            number += 1;
            let noise = (0..length).map(|_| env.random() as u8);
            let bytes: Vec<u8> = number.to_be_bytes().into_iter().chain(noise).collect();
            let port = if is_slow { slow } else { prompt };
            out.send(squall_env::Address::new(to, port), &bytes);
            let at_ns = (env.now() - start).as_nanos() as u64;
            let sent = Sent { to, slow: is_slow, at_ns, bytes };
            traffic.update(&env, |traffic| traffic.sent.push(sent));
        }
    }
    std::future::pending().await
}

/// Takes every letter when it arrives.
async fn receive(env: Env, mut socket: Socket, traffic: Shown<Traffic>, start: Instant) {
    let mut bytes = Vec::new();
    while let Ok(from) = socket.receive(&mut bytes).await {
        note(&env, &traffic, from.node, false, &bytes, start);
    }
}

fn note(
    env: &Env,
    traffic: &Shown<Traffic>,
    from: NodeId,
    slow: bool,
    bytes: &[u8],
    start: Instant,
) {
    let at_ns = (env.now() - start).as_nanos() as u64;
    let seen = traffic.read(|traffic| {
        traffic.arrived.iter().any(|letter| letter.from == from && letter.bytes == bytes)
    });
    if seen {
        env.sometimes(TWICE);
    }
    let before = traffic.read(|traffic| {
        let same = |letter: &&Arrived| letter.from == from && letter.slow == slow;
        traffic.arrived.iter().rev().find(same).map(|letter| letter.bytes[..4].to_vec())
    });
    if !seen && before.is_some_and(|before| before.as_slice() > &bytes[..4]) {
        env.sometimes(OVERTAKEN);
    }
    let arrived = Arrived { from, slow, at_ns, bytes: bytes.to_vec() };
    traffic.update(env, |traffic| traffic.arrived.push(arrived));
}

/// Looks now and then what there is.
async fn receive_late(env: Env, mut socket: Socket, traffic: Shown<Traffic>, start: Instant) {
    let mut bytes = Vec::new();
    loop {
        env.sleep(Duration::from_nanos(MS + env.random_below(NAP_MAX_NS - MS))).await;
        let mut found = 0;
        poll_fn(|cx| {
            while let Poll::Ready(Ok(from)) = socket.poll_receive(&mut bytes, cx) {
                found += 1;
                note(&env, &traffic, from.node, true, &bytes, start);
            }
            Poll::Ready(())
        })
        .await;
        let at_ns = (env.now() - start).as_nanos() as u64;
        traffic.update(&env, |traffic| traffic.found = (at_ns, found));
    }
}

/// All letters of a run.
struct Post {
    blind: Blind,
    /// How much of each node's traffic was read.
    read: BTreeMap<NodeId, (usize, usize)>,
    letters: BTreeMap<(NodeId, NodeId, bool), Vec<Letter>>,
    /// How many bytes were sent over each link.
    carried: BTreeMap<(NodeId, NodeId), u64>,
    /// Whom each node heard within a ring of majorities.
    heard: BTreeMap<(u32, NodeId), BTreeSet<NodeId>>,
}

struct Letter {
    bytes: Vec<u8>,
    sent_ns: u64,
    /// How many bytes its link had carried when it was sent, itself among them.
    carried: u64,
    arrivals: u32,
}

impl Post {
    fn new(blind: Blind) -> Post {
        Post {
            blind,
            read: BTreeMap::new(),
            letters: BTreeMap::new(),
            carried: BTreeMap::new(),
            heard: BTreeMap::new(),
        }
    }

    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let mut arrivals = Vec::new();
        for traffic in view.up::<Traffic>() {
            let read = self.read.entry(traffic.node).or_default();
            for sent in &traffic.sent[read.0..] {
                let link = self.carried.entry((traffic.node, sent.to)).or_default();
                *link += sent.bytes.len() as u64;
                let letter = Letter {
                    bytes: sent.bytes.clone(),
                    sent_ns: sent.at_ns,
                    carried: *link,
                    arrivals: 0,
                };
                let lane = (traffic.node, sent.to, sent.slow);
                self.letters.entry(lane).or_default().push(letter);
            }
            for (at, _) in traffic.arrived.iter().enumerate().skip(read.1) {
                arrivals.push((traffic.node, at));
            }
            *read = (traffic.sent.len(), traffic.arrived.len());
        }
        if arrivals.is_empty() {
            return Ok(());
        }
        let now = conditions().ok_or("no run is under way")?;
        let nodes = all(view);
        for traffic in view.up::<Traffic>() {
            let (room, (at_ns, found)) = (now.weather.mailbox_max, traffic.found);
            if room > 0 && found > room && at_ns < now.heal_at_ns {
                return Err(format!("{found} were in a socket for {room}"));
            }
            for (_, at) in arrivals.iter().filter(|(to, _)| *to == traffic.node) {
                self.arrive(&traffic.arrived[*at], traffic.node, &now, &nodes)?;
            }
        }
        Ok(())
    }

    fn arrive(
        &mut self,
        arrived: &Arrived,
        to: NodeId,
        now: &Conditions,
        nodes: &[NodeId],
    ) -> Result<(), String> {
        let (blind, weather) = (self.blind, &now.weather);
        let what = format!("what {} got from {} at {} ns", name(to), name(arrived.from), {
            arrived.at_ns
        });
        let flips = blind.see(Fault::Corruption, if weather.corruption_ppm > 0 { 8 } else { 0 }, 0);
        let lane = self.letters.entry((arrived.from, to, arrived.slow)).or_default();
        let letter = lane.iter_mut().rev().find(|letter| {
            letter.sent_ns < arrived.at_ns && distance(&letter.bytes, &arrived.bytes) <= flips
        });
        let letter = letter.ok_or_else(|| format!("{what} was not sent before"))?;
        letter.arrivals += 1;
        let twice = blind.knows(Fault::Duplication) && weather.duplication_ppm > 0;
        if letter.arrivals > 1 + u32::from(twice) {
            return Err(format!("{what} came {} times", letter.arrivals));
        }
        let (from, name_to) = (name(arrived.from), name(to));
        let (low, high) = bounds(&weather.latency);
        let mut earliest = letter.sent_ns + low;
        let mut latest = letter.sent_ns + high + weather.slow_link_ns;
        if weather.bandwidth > 0 && blind.knows(Fault::Bandwidth) {
            if letter.sent_ns < now.heal_at_ns {
                earliest += letter.bytes.len() as u64 * 1_000_000_000 / weather.bandwidth;
            }
            latest += letter.carried * 1_000_000_000 / weather.bandwidth + MS;
        }
        if weather.reordering_ppm > 0 && blind.knows(Fault::Reordering) {
            latest += weather.reordering_ns;
        }
        let mut held = 0;
        for struck in now.struck.iter().filter(|struck| {
            struck.since_ns <= letter.sent_ns && blind.knows(struck.episode.kind.fault())
        }) {
            let until = planned_end(struck, now.heal_at_ns);
            match clogs(struck, &from, &name_to) {
                Some(surely) if letter.sent_ns <= until => {
                    held = held.max(until - letter.sent_ns);
                    if surely && struck.since_ns < letter.sent_ns {
                        earliest = earliest.max(until);
                    }
                }
                _ => {}
            }
        }
        latest += held + if arrived.slow { NAP_MAX_NS } else { 0 };
        let sent_ns = letter.sent_ns;
        if arrived.at_ns < earliest || arrived.at_ns > latest {
            return Err(format!(
                "{what} was sent at {sent_ns} ns, and may arrive from {earliest} to {latest} ns"
            ));
        }
        self.through(arrived, to, sent_ns, now, nodes)
    }

    /// Nothing passes a cut.
    fn through(
        &mut self,
        arrived: &Arrived,
        to: NodeId,
        sent_ns: u64,
        now: &Conditions,
        nodes: &[NodeId],
    ) -> Result<(), String> {
        let (from, name_to) = (name(arrived.from), name(to));
        let leader = |at| reigning(at, nodes).map(name);
        for struck in now.struck.iter() {
            let prompt = !arrived.slow && struck.holds_at(arrived.at_ns);
            let crosses = prompt || struck.holds_at(sent_ns);
            if crosses && separates(struck, &from, &name_to, &leader) {
                return Err(format!(
                    "{name_to} heard {from} at {} ns through episode {}",
                    arrived.at_ns, struck.episode.id
                ));
            }
            if struck.holds_at(sent_ns) && prompt && rings(struck, &from, &name_to) {
                let heard = self.heard.entry((struck.episode.id, to)).or_default();
                heard.insert(arrived.from);
                let majority = struck.episode.kind.nodes().len() / 2;
                if heard.len() > majority {
                    return Err(format!("{name_to} heard more than {majority} on a ring"));
                }
            }
        }
        Ok(())
    }

    /// Whether every letter has arrived that nothing may have lost.
    fn is_complete(&self, view: &View<'_>) -> bool {
        let Some(now) = conditions() else { return false };
        let (blind, weather, nodes) = (self.blind, &now.weather, all(view));
        let leader = |at| reigning(at, &nodes).map(name);
        let bursts_left = self.letters.is_empty();
        let arrived = |(lane, letters): (&(NodeId, NodeId, bool), &Vec<Letter>)| {
            let (from, to) = (name(lane.0), name(lane.1));
            let lossy = blind.see(Fault::Loss, weather.loss_ppm, 0) > 0;
            let full = lane.2 && blind.see(Fault::QueueOverflow, weather.mailbox_max, 0) > 0;
            letters.iter().filter(|letter| letter.arrivals == 0).all(|letter| {
                let calm = letter.sent_ns > now.heal_at_ns;
                let cut = now.struck.iter().any(|struck| {
                    let over = struck.until_ns.is_some_and(|until| until < letter.sent_ns);
                    let stops = separates(struck, &from, &to, &leader) || rings(struck, &from, &to);
                    !over && stops && blind.knows(struck.episode.kind.fault())
                });
                (!calm && (lossy || full)) || cut
            })
        };
        !bursts_left && self.letters.iter().all(arrived)
    }
}

/// In how many bits two letters differ.
fn distance(one: &[u8], other: &[u8]) -> u32 {
    if one.len() != other.len() {
        return u32::MAX;
    }
    one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The least and the most that a latency may be.
pub(super) fn bounds(latency: &Latency) -> (u64, u64) {
    match *latency {
        Latency::Uniform { low_ns, high_ns } => (low_ns, high_ns),
        // The distribution ends somewhere.
        Latency::Exponential { low_ns, mean_ns } => (low_ns, low_ns + 45 * mean_ns),
        Latency::Tail { low_ns, tail_ns, .. } => (low_ns, tail_ns),
    }
}
