//! Nodes that go down, stand still, are slow, or are asked to stop: nothing of a boot has an effect
//! after its end, and each boot ends by a fault and goes on without one.

use super::cuts::planned_end;
use super::{Blind, MS, name, witness};
use squall::plan::Kind;
use squall::{Conditions, Most, Scenario, Struck, Tolerance, conditions};
use squall_env::platform::BindError;
use squall_env::{Either, Env, NodeId, Port, View, race};
use std::collections::BTreeMap;
use std::time::Duration;

const CONTRACT: &str = "a boot ends by a fault, and nothing of it goes on";
const BACK: &str = "whoever is not down for good is back";
const IN_TIME: &str = "a node stopped in time";

/// What a boot shows of itself.
#[derive(Clone, Copy, Default)]
struct Beat {
    /// Names the boot.
    boot: u64,
    nth: u64,
    slept_ns: u64,
    asked_ns: u64,
    clock_ns: u64,
    /// It was asked to stop.
    stopping: bool,
    /// The last beat that it heard of another node.
    heard: Option<(NodeId, u64, u64)>,
}

/// Nodes that beat, and tell the others.
pub fn nodes(blind: Blind) -> Scenario {
    blind
        .scenario("nodes", CONTRACT)
        .nodes("node", 2..=4, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(Tolerance::nothing().impaired("node", Most::Any).crashes())
        .sometimes(IN_TIME)
        .always(CONTRACT, move || {
            let mut watch = Watch { blind, boots: BTreeMap::new(), latest: BTreeMap::new() };
            move |view: &View<'_>| watch.look(view)
        })
        .eventually(BACK, Duration::from_secs(5), || {
            |_view: &View<'_>| {
                let Some(now) = conditions() else { return false };
                let mut nodes = now.nodes.iter().filter(|node| node.node.role() == 0);
                nodes.all(|node| node.up && node.ready || is_down_for_good(&now, node.node))
            }
        })
}

fn is_down_for_good(now: &Conditions, node: NodeId) -> bool {
    now.struck.iter().any(|struck| {
        let Kind::Crash { node: who, .. } = &struck.episode.kind else { return false };
        *who == name(node) && struck.episode.for_ns.is_none()
    })
}

async fn serve(env: Env) -> Result<(), BindError> {
    let boot = env.random();
    let clock_ns = env.now().as_nanos();
    let shown = env.show("beat", Beat { boot, clock_ns, ..Beat::default() });
    let mut socket = env.bind(Port::named("beats"))?;
    let others = env.addresses("node", socket.port());
    // Something to recover, so that a crash can come in the middle of it.
    for part in ["a", "b", "c"] {
        let _ = env.open_file(part, true).await;
    }
    env.ready();
    let (own, seen) = (env.clone(), shown.clone());
    env.spawn("hear", async move {
        let mut bytes = Vec::new();
        while let Ok(from) = socket.receive(&mut bytes).await {
            let number = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
            let heard = Some((from.node, number(0), number(8)));
            seen.update(&own, |seen| seen.heard = heard);
        }
    });
    let out = env.bind(Port::ANY)?;
    let beating = async {
        for nth in 1u64.. {
            let asked_ns = env.random_below(40 * MS);
            let before = env.now();
            env.sleep(Duration::from_nanos(asked_ns)).await;
            let clock_ns = env.now().as_nanos();
            let slept_ns = clock_ns - before.as_nanos();
            shown.update(&env, |beat| {
                (beat.nth, beat.slept_ns, beat.asked_ns) = (nth, slept_ns, asked_ns);
                beat.clock_ns = clock_ns;
            });
            let bytes: Vec<u8> = [boot, nth].into_iter().flat_map(u64::to_le_bytes).collect();
            for to in others.iter().filter(|to| to.node != env.me()) {
                out.send(*to, &bytes);
            }
        }
    };
    if let Either::Right(()) = race(beating, env.stopping()).await {
        shown.update(&env, |beat| beat.stopping = true);
        env.sleep(Duration::from_nanos(env.random_below(300 * MS))).await;
        env.sometimes(IN_TIME);
    }
    Ok(())
}

struct Watch {
    blind: Blind,
    /// The last beat that each boot has shown.
    boots: BTreeMap<u64, u64>,
    latest: BTreeMap<NodeId, Latest>,
}

/// What was last seen of a node.
struct Latest {
    beat: Beat,
    /// When it last beat.
    at_ns: u64,
    /// Since when it knows that it is to stop.
    stopping_since: Option<u64>,
}

impl Watch {
    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let now = conditions().ok_or("no run is under way")?;
        let shown: Vec<(NodeId, Beat)> = view.up::<Beat>().map(|beat| (beat.node, *beat)).collect();
        for (node, latest) in &self.latest {
            let up =
                shown.iter().any(|(other, beat)| other == node && beat.boot == latest.beat.boot);
            if !up {
                self.has_ended(*node, latest, &now)?;
            }
        }
        self.latest.retain(|node, latest| {
            shown.iter().any(|(other, beat)| other == node && beat.boot == latest.beat.boot)
        });
        for (node, beat) in shown {
            self.beats(node, beat, &now).map_err(|story| format!("{}: {story}", name(node)))?;
        }
        Ok(())
    }

    fn beats(&mut self, node: NodeId, beat: Beat, now: &Conditions) -> Result<(), String> {
        let own = |struck: &&Struck| struck.episode.kind.nodes().contains(&name(node));
        for struck in now.struck.iter().filter(own).filter(|s| s.holds_at(now.now_ns)) {
            if matches!(struck.episode.kind, Kind::Crash { .. } | Kind::CrashInRecovery { .. }) {
                return Err(format!("it is up in episode {}", struck.episode.id));
            }
        }
        if let Some((from, boot, nth)) = beat.heard {
            let shown = self.boots.get(&boot).copied();
            // The crash may have come before the beat was seen, and after it was sent.
            if shown.is_none_or(|shown| nth > shown + 1) {
                return Err(format!("it heard beat {nth} of {}, which was over", name(from)));
            }
        }
        let before = self.boots.insert(beat.boot, beat.nth);
        let fresh = Latest { beat, at_ns: now.now_ns, stopping_since: None };
        let latest = self.latest.entry(node).or_insert(fresh);
        if beat.stopping {
            let since = *latest.stopping_since.get_or_insert(now.now_ns);
            let last = deadline(self.blind, now, node, since).ok_or("nobody asked it to stop")?;
            if now.now_ns > last {
                return Err(format!("it was to stop until {last} ns"));
            }
        }
        let advanced = before.is_some_and(|before| beat.nth > before);
        if !advanced {
            latest.beat = beat;
            return Ok(());
        }
        let (then, last) = (latest.at_ns, latest.beat);
        (latest.beat, latest.at_ns) = (beat, now.now_ns);
        let still = |struck: &Struck| {
            matches!(struck.episode.kind, Kind::Pause { .. } | Kind::Suspend { .. })
        };
        if let Some(struck) = now
            .struck
            .iter()
            .filter(own)
            .find(|struck| still(struck) && struck.holds_at(now.now_ns))
        {
            return Err(format!("it moves in episode {}", struck.episode.id));
        }
        let known = |struck: &&Struck| self.blind.knows(struck.episode.kind.fault());
        let of = |wanted: fn(&Kind) -> bool| {
            let all = now.struck.iter().filter(own).filter(known);
            let windows =
                all.filter(move |s| wanted(&s.episode.kind) && s.overlaps(then, now.now_ns));
            windows.map(|s| (s.since_ns.max(then), s.until_ns.unwrap_or(now.now_ns)))
        };
        let suspended = union(of(|kind| matches!(kind, Kind::Suspend { .. })).collect());
        let own_ns = beat.clock_ns - last.clock_ns;
        if own_ns != now.now_ns - then - suspended {
            return Err(format!("{own_ns} ns of its clock went by in {}", now.now_ns - then));
        }
        let halted = of(|kind| matches!(kind, Kind::Pause { .. } | Kind::Suspend { .. }));
        let halted: Vec<(u64, u64)> = halted.collect();
        let slow = now.struck.iter().filter(own).filter(known).filter_map(|struck| {
            let Kind::SlowNode { by_ns, .. } = struck.episode.kind else { return None };
            (struck.since_ns <= now.now_ns && struck.until_ns.is_none_or(|until| until >= then))
                .then_some(by_ns)
        });
        // A timer that comes up too early for a clock that stood still is set anew.
        let slow = slow.max().unwrap_or_default() * (1 + halted.len() as u64);
        let late = beat.slept_ns.checked_sub(beat.asked_ns).ok_or("a timer was early")?;
        if late > slow + union(halted) {
            return Err(format!("a timer was {late} ns late"));
        }
        Ok(())
    }

    /// Whether there was a reason for this boot to end now.
    fn has_ended(&self, node: NodeId, latest: &Latest, now: &Conditions) -> Result<(), String> {
        let stopping = latest.stopping_since;
        let cause = now.struck.iter().any(|struck| {
            let kind = &struck.episode.kind;
            let strikes = match kind {
                Kind::Crash { .. } | Kind::CrashInRecovery { .. } => struck.since_ns == now.now_ns,
                Kind::CrashLoop { .. } => struck.until_ns.is_none_or(|until| until >= now.now_ns),
                Kind::GracefulStop { .. } => {
                    stopping.is_some() && struck.until_ns.is_none_or(|until| until >= now.now_ns)
                        || planned(struck, now) == now.now_ns
                }
                _ => false,
            };
            strikes && kind.nodes().contains(&name(node)) && self.blind.knows(kind.fault())
        });
        match cause {
            true => Ok(()),
            false => Err(format!("{} went down and nothing had struck it", name(node))),
        }
    }
}

/// When a node that is asked to stop is stopped.
fn planned(struck: &Struck, now: &Conditions) -> u64 {
    let Kind::GracefulStop { grace_ns, .. } = struck.episode.kind else { return u64::MAX };
    planned_end(struck, now.heal_at_ns).min(struck.since_ns + grace_ns.max(1))
}

/// By when a node has to stop that knows so since a time.
fn deadline(blind: Blind, now: &Conditions, node: NodeId, since: u64) -> Option<u64> {
    let asks = now.struck.iter().filter(|struck| {
        let asks = matches!(&struck.episode.kind, Kind::GracefulStop { node: who, .. }
            if *who == name(node));
        let open = struck.until_ns.is_none_or(|until| until >= since);
        asks && open && struck.since_ns <= now.now_ns
    });
    let known = asks.filter(|struck| blind.knows(struck.episode.kind.fault()));
    known.map(|struck| planned(struck, now)).max()
}

/// How long some of these windows are open.
fn union(mut windows: Vec<(u64, u64)>) -> u64 {
    windows.sort_unstable();
    let (mut sum, mut end) = (0, 0);
    for (from, to) in windows {
        let from = from.max(end);
        if to > from {
            sum += to - from;
            end = to;
        }
    }
    sum
}
