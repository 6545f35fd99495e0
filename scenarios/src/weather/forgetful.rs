//! Disks that forget what was synced: what a node finds is empty, old, not synced, or another
//! node's, exactly if a fault has made it so.

use super::{Blind, name, witness};
use squall::plan::Kind;
use squall::{Conditions, Fault, Most, Scenario, Struck, Tolerance, conditions};
use squall_env::disk::DiskError;
use squall_env::{Env, NodeId, View};
use std::collections::BTreeMap;
use std::time::Duration;

const CONTRACT: &str = "a node finds what its faults have left it";
const FOREIGN: &str = "a node found another's disk";

const PATH: &str = "number";

/// Owns what is no number of anybody.
const TORN: u16 = u16::MAX;

/// What a boot shows.
#[derive(Clone, Copy)]
struct Number {
    /// Whose number was found at the start, and which; nothing is on an empty disk.
    found: Option<Option<(u16, u64)>>,
    /// Which number it is about to store.
    begun: u64,
    /// Which it has stored.
    stored: u64,
}

/// Nodes that store one number after the other, each in the place of the one before.
pub fn forgetful(blind: Blind) -> Scenario {
    blind
        .scenario("forgetful", CONTRACT)
        .nodes("node", 2..=4, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(
            Tolerance::nothing()
                .impaired("node", Most::Any)
                .fault(Fault::Crash)
                .lost_unsynced_writes()
                .forgetful_disks()
                .swapped_disks(),
        )
        .sometimes(FOREIGN)
        .always(CONTRACT, move || {
            let mut archive = Archive { blind, nodes: BTreeMap::new(), seen: Vec::new() };
            move |view: &View<'_>| archive.look(view)
        })
}

async fn serve(env: Env) -> Result<(), DiskError> {
    let shown = env.show("number", Number { found: None, begun: 0, stored: 0 });
    let me = env.me().ordinal();
    let found = env.read_file(PATH).await?;
    let found = found.as_deref().map(|bytes| {
        let field = |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
        let [owner, number, check] = [0, 8, 16].map(|at| field(at).map_or(0, u64::from_le_bytes));
        // What is torn is no number of anybody.
        let whole = check == owner ^ number ^ u64::MAX;
        if whole { (owner as u16, number) } else { (TORN, 0) }
    });
    shown.update(&env, |shown| shown.found = Some(found));
    env.ready();
    let mut number = match found {
        Some((owner, _)) if owner != me => {
            if owner != TORN {
                env.sometimes(FOREIGN);
            }
            // It is not this node's to write on, or nobody knows whose it is.
            return std::future::pending().await;
        }
        Some((_, number)) => number,
        None => 0,
    };
    loop {
        number += 1;
        shown.update(&env, |shown| shown.begun = number);
        // Let it be seen before anything can happen.
        env.sleep(Duration::from_micros(10)).await;
        let fields = [u64::from(me), number, u64::from(me) ^ number ^ u64::MAX];
        let bytes = fields.into_iter().flat_map(u64::to_le_bytes).collect();
        env.replace_file(PATH, bytes).await?;
        shown.update(&env, |shown| shown.stored = number);
        env.sleep(Duration::from_micros(env.random_below(30_000))).await;
    }
}

struct Archive {
    blind: Blind,
    nodes: BTreeMap<NodeId, History>,
    /// Which episodes have been taken in.
    seen: Vec<u32>,
}

/// All that is known of what a node has stored: what its disk holds is at least what was durable
/// last, and at most what was begun last.
#[derive(Default)]
struct History {
    /// Which exhibit was seen last, and what it showed.
    boot: Option<u64>,
    judged: bool,
    begun: u64,
    stored: u64,
    /// When each number was begun, and when each was durable: time and number.
    begins: Vec<(u64, u64)>,
    durable: Vec<(u64, u64)>,
    power_losses: u64,
    judged_at_ns: u64,
    /// Whether what was found last is torn, which it then stays, as nobody writes on it.
    torn: bool,
    /// Who found this disk empty in the place of its own, and writes there.
    lodger: Option<u16>,
}

impl Archive {
    fn look(&mut self, view: &View<'_>) -> Result<(), String> {
        let now = conditions().ok_or("no run is under way")?;
        for struck in now.struck.iter() {
            if !self.seen.contains(&struck.episode.id) {
                self.seen.push(struck.episode.id);
                self.replace(struck);
            }
        }
        let shown: Vec<(NodeId, u64, Number)> =
            view.up::<Number>().map(|shown| (shown.node, shown.number, *shown)).collect();
        for (node, boot, number) in shown {
            let history = self.nodes.entry(node).or_default();
            if history.boot != Some(boot) {
                (history.boot, history.judged) = (Some(boot), false);
                (history.begun, history.stored) = (0, 0);
            }
            let judged = self.nodes.get(&node).is_some_and(|history| history.judged);
            if let (Some(found), false) = (number.found, judged) {
                let judged = self.judge(node, found, &now);
                judged.map_err(|story| format!("{} {story}", name(node)))?;
            }
            self.note(node, number, &now);
        }
        Ok(())
    }

    /// Another disk is put in place.
    fn replace(&mut self, struck: &Struck) {
        let kind = &struck.episode.kind;
        let (who, at_ns) = match kind {
            Kind::Wipe { node } => (node, None),
            Kind::OldDisk { node, age_ns } => {
                (node, Some(struck.since_ns.saturating_sub((*age_ns).max(1))))
            }
            _ => return,
        };
        if !self.blind.knows(kind.fault()) {
            return;
        }
        for (_, history) in self.nodes.iter_mut().filter(|(node, _)| name(**node) == *who) {
            let (least, most) = at_ns.map_or((0, 0), |at| history.at(at));
            history.durable.push((struck.since_ns, least));
            history.begins.push((struck.since_ns, most));
        }
    }

    /// Whose disk a node has.
    fn owner_of(&self, node: NodeId, now: &Conditions) -> String {
        let known = |struck: &&Struck| self.blind.knows(struck.episode.kind.fault());
        let swapped = now.struck.iter().filter(known).find_map(|struck| {
            let Kind::SwappedDisks { nodes } = &struck.episode.kind else { return None };
            let mine = struck.until_ns.is_none() && nodes.contains(&name(node));
            nodes.iter().find(|other| mine && **other != name(node)).cloned()
        });
        swapped.unwrap_or_else(|| name(node))
    }

    fn note(&mut self, node: NodeId, number: Number, now: &Conditions) {
        if self.owner_of(node, now) != name(node) {
            return;
        }
        let knows = self.blind.knows(Fault::LyingSync);
        let history = self.nodes.entry(node).or_default();
        if number.begun > history.begun {
            history.begun = number.begun;
            history.begins.push((now.now_ns, number.begun));
        }
        if number.stored > history.stored {
            history.stored = number.stored;
            // A lie may have been told at any time since this number was begun.
            let since = history.begins.last().map_or(0, |(at, _)| *at);
            if !(knows && lied(now, &name(node), since)) {
                history.durable.push((now.now_ns, number.stored));
            }
        }
    }

    /// Whether a node may find this.
    fn judge(
        &mut self,
        node: NodeId,
        found: Option<(u16, u64)>,
        now: &Conditions,
    ) -> Result<(), String> {
        let owner = self.owner_of(node, now);
        let whose = self.nodes.keys().copied().find(|node| name(*node) == owner);
        let history = whose.and_then(|whose| self.nodes.get(&whose)).ok_or("has a strange disk")?;
        let (least, most) = history.at(u64::MAX);
        let synced_at = history.durable.last().map_or(0, |(at, _)| *at);
        let right = match found {
            None => least == 0,
            // Without a sync the name may be there before the content is.
            Some((TORN, _)) => {
                history.torn || self.blind.knows(Fault::LyingSync) && lied(now, &owner, synced_at)
            }
            Some((ordinal, _)) if history.lodger == Some(ordinal) => true,
            Some((ordinal, number)) => {
                format!("node-{ordinal}") == owner && (least..=most).contains(&number)
            }
        };
        if !right {
            return Err(format!("found {found:?}, and {owner} has left {least} to {most} there"));
        }
        if let (None, Some(history), true) =
            (found, whose.and_then(|whose| self.nodes.get_mut(&whose)), owner != name(node))
        {
            history.lodger = Some(node.ordinal());
        }
        let power_losses = now.node(node).map_or(0, |node| node.power_losses);
        let own = self.nodes.entry(node).or_default();
        own.judged = true;
        let torn = matches!(found, Some((TORN, _)));
        if owner == name(node) {
            own.torn = torn;
        }
        if owner == name(node) && !torn {
            let number = found.map_or(0, |(_, number)| number);
            own.begins.push((now.now_ns, number));
            let swapped = now.struck.iter().any(|struck| {
                let Kind::SwappedDisks { nodes } = &struck.episode.kind else { return false };
                nodes.contains(&owner) && struck.overlaps(own.judged_at_ns, now.now_ns)
            });
            // A power loss while it had another's disk was none of its own.
            if power_losses > own.power_losses && !swapped {
                own.durable.push((now.now_ns, number));
            }
        }
        (own.power_losses, own.judged_at_ns) = (power_losses, now.now_ns);
        Ok(())
    }
}

/// Whether a node's disk may have lied about a sync since a time.
fn lied(now: &Conditions, who: &str, since_ns: u64) -> bool {
    now.struck.iter().any(|struck| {
        let Kind::LyingSync { node } = &struck.episode.kind else { return false };
        node == who && struck.overlaps(since_ns.saturating_sub(1), now.now_ns + 1)
    })
}

impl History {
    /// The least and the greatest number that may have been on the disk at a time.
    fn at(&self, at_ns: u64) -> (u64, u64) {
        let last = |list: &[(u64, u64)], before: u64| {
            list.iter().rev().find(|(time, _)| *time <= before).map_or(0, |(_, number)| *number)
        };
        // What is stored at that very moment may or may not be there.
        (last(&self.durable, at_ns.saturating_sub(1)), last(&self.begins, at_ns))
    }
}
