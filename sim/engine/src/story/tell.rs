//! From notes to sentences.

use super::Sentence;
use super::drawn::stream_fault;
use super::notes::{Note, Notes, Unsynced, What};
use crate::digest::Code;
use crate::plan::{Episode, Kind, Plan, tell_kind};
use crate::script::Action;
use crate::table::TABLE;
use crate::words::{duration, operation};
use std::collections::BTreeMap;

/// So many messages, connections and branches that were struck are told one by one.
const STRUCK_MAX: u64 = 40;

/// So many kinds of messages are listed together.
const LISTED: usize = 6;

/// An operation that has begun.
struct Open {
    /// The place of the sentence that says so.
    sentence: usize,
    began: u64,
    name: String,
    /// What its node was sent since: what, and by whom.
    heard: Vec<(String, u32)>,
}

/// A node that is down.
struct Down {
    /// The place of the sentence that says so.
    sentence: usize,
    /// For how long it is, if that is fixed, in nanoseconds.
    for_ns: Option<u64>,
    /// What it was sent meanwhile.
    missed: Vec<(String, u32)>,
}

/// A cut of the network.
struct Cut {
    /// The place of the sentence that says so.
    sentence: usize,
    /// What it has stopped: what, from whom and to whom.
    stopped: Vec<(String, (u32, u32))>,
}

struct Teller<'a> {
    notes: &'a Notes,
    /// The names of the nodes.
    nodes: &'a [String],
    plan: &'a Plan,
    said: Vec<Sentence>,
    /// By node and process.
    open: BTreeMap<(u32, u64), Open>,
    /// What each node has sent last: when, to whom, and the payload.
    sent: BTreeMap<u32, (u64, u32, u64)>,
    /// The nodes that are down.
    down: BTreeMap<u32, Down>,
    /// The cuts that are open, by episode.
    cuts: BTreeMap<u64, Cut>,
    struck: u64,
    struck_more: u64,
}

/// The sentences of a run of this plan, in the order of time.
pub(crate) fn tell(notes: &Notes, nodes: &[String], plan: &Plan) -> Vec<Sentence> {
    let mut teller = Teller {
        notes,
        nodes,
        plan,
        said: Vec::new(),
        open: BTreeMap::new(),
        sent: BTreeMap::new(),
        down: BTreeMap::new(),
        cuts: BTreeMap::new(),
        struck: 0,
        struck_more: 0,
    };
    if notes.left_out > 0 {
        teller.say(0, format!("... {} earlier things are not told ...", notes.left_out));
    }
    notes.all.iter().for_each(|note| teller.take(note));
    teller.end()
}

impl Teller<'_> {
    fn say(&mut self, at_ns: u64, text: String) -> usize {
        self.said.push(Sentence { at_ns, text });
        self.said.len() - 1
    }

    fn node(&self, node: u32) -> &str {
        self.nodes.get(node as usize).map_or("somebody", String::as_str)
    }

    /// What a message is called.
    fn message(&self, from: u32, payload: u64) -> String {
        match self.notes.names.get(&(from, payload)) {
            Some(name) if !name.is_empty() => format!("`{name}`"),
            _ => "a message".to_owned(),
        }
    }

    /// Which operation a message is about: the one that its sender or receiver is in the middle of.
    fn about(&self, from: u32, to: u32) -> String {
        let open = [from, to].into_iter().find_map(|node| {
            let mut own = self.open.range((node, 0)..=(node, u64::MAX));
            own.next().map(|(_, open)| (node, open))
        });
        open.map_or(String::new(), |(node, open)| match node == to {
            true => format!(" for its {}", open.name),
            false => format!(" (for {} of {})", open.name, self.node(node)),
        })
    }

    fn take(&mut self, note: &Note) {
        let Note { time, node, ref what } = *note;
        match what {
            What::Sends { to, payload } => {
                self.sent.insert(node, (time, *to, *payload));
            }
            What::Takes(after) => {
                let fate = format!("takes {}", duration(*after));
                self.struck(time, node, &fate);
            }
            What::Misses { from, payload } => {
                let name = self.message(*from, *payload);
                if let Some(down) = self.down.get_mut(&node) {
                    down.missed.push((name, *from));
                }
            }
            What::PowerLoss(unsynced) => {
                let text = lost(unsynced);
                if let Some(down) = self.down.get(&node) {
                    self.said[down.sentence].text += &text;
                }
            }
            What::Entry(code, details) => self.entry(time, node, *code, *details),
        }
    }

    fn entry(&mut self, time: u64, node: u32, code: Code, [a, b]: [u64; 2]) {
        let name = self.node(node).to_owned();
        match code {
            Code::Deliver => {
                let from = (a >> 32) as u32;
                let heard = (self.message(from, b), from);
                for (_, open) in self.open.range_mut((node, 0)..=(node, u64::MAX)) {
                    open.heard.push(heard.clone());
                }
            }
            Code::Lost => self.struck(time, node, "is lost"),
            Code::Duplicated => self.struck(time, node, "arrives twice"),
            Code::Delayed => {
                self.struck(time, node, &format!("is held back and takes {}", duration(b)));
            }
            Code::Corrupted => self.struck(time, node, "is damaged on its way"),
            Code::Cut => self.cut(time, (node, a as u32), b),
            Code::Overflow => {
                self.say(time, format!("{name} has no room for another message: it is dropped"));
            }
            Code::Crash => self.crash(time, node, a, b == 1),
            Code::Boot => {
                self.misses(node);
                self.say(time, format!("{name} starts again"));
            }
            Code::Exit => {
                self.say(time, format!("{name} stops by itself, with an error"));
            }
            Code::Panic => {
                self.say(time, format!("{name} panics"));
            }
            Code::DiskFault => {
                let fault = TABLE.get(b as usize).map_or("fault", |row| row.name);
                let text = format!("the disk of {name} fails: {} ({fault})", operation(a));
                self.say(time, text);
            }
            Code::Damaged => {
                self.say(time, format!("the disk of {name} has a sector damaged"));
            }
            Code::StreamFault => {
                if let Some(text) = stream_fault(&name, b).filter(|_| self.has_room()) {
                    self.say(time, text);
                }
            }
            Code::Buggify if self.has_room() => {
                let branch = self.notes.names.get(&(node, a)).map_or("?", String::as_str);
                self.say(time, format!("{name} takes the unlikely branch `{branch}`"));
            }
            Code::FaultStrikes => self.strikes(time, node, a),
            Code::FaultEnds => self.ends(time, a),
            Code::Invoke => self.invoke(time, (node, a), b),
            Code::Return => self.returned(time, (node, a), b),
            Code::Heal => {
                self.say(time, "the faults are over, and the world heals".to_owned());
            }
            Code::ScriptStep => self.step(time, a),
            _ => {}
        }
    }

    /// A step of the script is played. The beginning of a fault is told when it strikes.
    fn step(&mut self, time: u64, at: u64) {
        let step = usize::try_from(at).ok().and_then(|at| self.plan.script.get(at));
        let Some(step) = step else { return };
        if !matches!(step.then, Action::Fault { .. } | Action::Nothing {}) {
            self.say(time, format!("step {} of the script: {}", at + 1, step.then.line()));
        }
    }

    /// Whether one more of what is drawn so often is told one by one.
    fn has_room(&mut self) -> bool {
        let is_told = self.struck < STRUCK_MAX;
        *(if is_told { &mut self.struck } else { &mut self.struck_more }) += 1;
        is_told
    }

    /// The message that a node has sent last is struck.
    fn struck(&mut self, time: u64, from: u32, fate: &str) {
        let Some((_, to, payload)) = self.sent.get(&from).copied() else { return };
        if !self.has_room() {
            return;
        }
        let (message, about) = (self.message(from, payload), self.about(from, to));
        let (from, to) = (self.node(from), self.node(to));
        let text = format!("{message} from {from} to {to}{about} {fate}");
        self.say(time, text);
    }

    /// A cut stops a message: at its sender, or on its way to its receiver.
    fn cut(&mut self, time: u64, (node, other): (u32, u32), payload: u64) {
        let is_sender = self.sent.get(&node).is_some_and(|sent| *sent == (time, other, payload));
        let (from, to) = if is_sender { (node, other) } else { (other, node) };
        let message = self.message(from, payload);
        if let Some((_, cut)) = self.cuts.iter_mut().next_back() {
            cut.stopped.push((message, (from, to)));
            return;
        }
        let text = format!("{message} from {} to {} is cut off", self.node(from), self.node(to));
        self.say(time, text);
    }

    fn crash(&mut self, time: u64, node: u32, episode: u64, power_loss: bool) {
        self.misses(node);
        let verb = if power_loss { "loses its power" } else { "crashes" };
        let mut text = format!("{} {verb}", self.node(node));
        if let Some((sent, to, payload)) = self.sent.remove(&node) {
            let (message, about) = (self.message(node, payload), self.about(node, to));
            let since = duration(time.saturating_sub(sent));
            text += &format!(", {since} after it sent {message} to {}{about}", self.node(to));
        }
        let cut_off = self.open.extract_if((node, 0)..=(node, u64::MAX), |_, _| true);
        let cut_off: Vec<String> = cut_off.map(|(_, open)| open.name).collect();
        if !cut_off.is_empty() {
            text += &format!(", in the middle of {}", cut_off.join(" and "));
        }
        let episode = self.episode(episode & u64::from(u32::MAX));
        let whole = |episode: Episode| match episode.kind {
            Kind::Crash { .. } | Kind::CrashInRecovery { .. } | Kind::Wipe { .. } => episode.for_ns,
            _ => None,
        };
        let (for_ns, missed) = (episode.and_then(whole), Vec::new());
        let sentence = self.say(time, text);
        self.down.insert(node, Down { sentence, for_ns, missed });
    }

    /// Says what a node has missed that was down and is no more.
    fn misses(&mut self, node: u32) {
        let Some(Down { sentence, for_ns, missed }) = self.down.remove(&node) else { return };
        let mut text = String::new();
        if let Some(length) = for_ns {
            text += &format!("; it is down for {}", duration(length));
        }
        if !missed.is_empty() {
            text += &format!("; meanwhile it misses {}", self.together(&missed));
        }
        self.said[sentence].text += &text;
    }

    /// The episode of this number, of the plan or of its script.
    fn episode(&self, id: u64) -> Option<Episode> {
        let own = self.plan.episodes.iter().find(|episode| u64::from(episode.id) == id).cloned();
        let step = || {
            let at = usize::try_from(id).ok()?.checked_sub(1)?;
            self.plan.script.get(at)?.then.episode(id as u32)
        };
        // Steps count from one; a plan with a script has no other episodes.
        if self.plan.script.is_empty() { own } else { step().or(own) }
    }

    fn strikes(&mut self, time: u64, node: u32, id: u64) {
        let Some(episode) = self.episode(id) else { return };
        if matches!(
            episode.kind,
            Kind::Crash { .. } | Kind::CrashInRecovery { .. } | Kind::CrashLoop { .. }
        ) {
            // Each crash is told by itself.
            return;
        }
        let mut text = match &episode.kind {
            Kind::IsolateLeader {} if (node as usize) < self.nodes.len() => {
                format!("{} leads, and is cut off", self.node(node))
            }
            // Who that is will be said.
            Kind::IsolateLeader {} => return,
            Kind::Partition { nodes } => {
                let [one, other] = self.sides(nodes);
                format!("a partition: {one} on one side, {other} on the other")
            }
            Kind::PartitionOneWay { nodes } => {
                let [one, other] = self.sides(nodes);
                let send = if nodes.len() == 1 { "sends" } else { "send" };
                format!("a partition: what {one} {send} does not reach {other}")
            }
            kind => tell_kind(kind),
        };
        match episode.for_ns {
            Some(length) if !episode.kind.is_instant() => {
                text += &format!(", for {}", duration(length));
            }
            _ => {}
        }
        let at = self.say(time, text);
        if episode.kind.is_network() {
            self.cuts.insert(id, Cut { sentence: at, stopped: Vec::new() });
        }
    }

    /// Two sides, by name.
    fn sides(&self, nodes: &[String]) -> [String; 2] {
        let others = self.nodes.iter().filter(|node| !nodes.contains(node)).cloned();
        [listed(nodes.to_vec()), listed(others.collect())]
    }

    fn ends(&mut self, time: u64, id: u64) {
        self.stopped(id);
        let Some(episode) = self.episode(id) else { return };
        if !episode.kind.is_crash() && !episode.kind.is_instant() {
            let what = match &episode.kind {
                Kind::Partition { .. } | Kind::PartitionOneWay { .. } => "the partition".to_owned(),
                kind => tell_kind(kind),
            };
            self.say(time, format!("over: {what}"));
        }
    }

    /// Says what a cut has stopped.
    fn stopped(&mut self, id: u64) {
        let Some(Cut { sentence: at, stopped }) = self.cuts.remove(&id) else { return };
        if stopped.is_empty() {
            return;
        }
        let mut counts: Vec<(String, (u32, u32), u64)> = Vec::new();
        for (name, way) in stopped {
            match counts.iter_mut().find(|(known, on, _)| *known == name && *on == way) {
                Some((_, _, count)) => *count += 1,
                None => counts.push((name, way, 1)),
            }
        }
        let texts = counts.iter().map(|(name, (from, to), count)| {
            let times = if *count > 1 { format!("{count} times ") } else { String::new() };
            format!("{times}{name} from {} to {}", self.node(*from), self.node(*to))
        });
        let stopped = listed(texts.collect());
        self.said[at].text += &format!("; it stops {stopped}");
    }

    fn invoke(&mut self, time: u64, who: (u32, u64), hash: u64) {
        let known = self.notes.names.get(&(who.0, hash));
        let name = known.map_or("an operation".to_owned(), |name| format!("`{name}`"));
        let sentence = self.say(time, format!("{} begins {name}", self.node(who.0)));
        self.open.insert(who, Open { sentence, began: time, name, heard: Vec::new() });
    }

    fn returned(&mut self, time: u64, who: (u32, u64), hash: u64) {
        let Some(open) = self.open.remove(&who) else { return };
        let result = self.notes.names.get(&(who.0, hash));
        let result = result.map_or("an answer".to_owned(), |result| format!("`{result}`"));
        let heard = match open.heard.is_empty() {
            true => String::new(),
            false => format!(", having heard {}", self.together(&open.heard)),
        };
        let (node, name) = (self.node(who.0), &open.name);
        let took = duration(time.saturating_sub(open.began));
        if open.sentence + 1 == self.said.len() {
            // Nothing else came between.
            let text = format!("{node} does {name} and gets {result} after {took}{heard}");
            self.said[open.sentence].text = text;
            return;
        }
        let text = format!("{node} gets {result} for its {name}, {took} after it began{heard}");
        self.say(time, text);
    }

    /// Messages of one name together, with who sent them.
    fn together(&self, heard: &[(String, u32)]) -> String {
        let mut names: Vec<(&String, Vec<u32>)> = Vec::new();
        for (name, from) in heard {
            match names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, who)) if who.contains(from) => {}
                Some((_, who)) => who.push(*from),
                None => names.push((name, vec![*from])),
            }
        }
        let texts = names.iter_mut().map(|(name, who)| {
            who.sort_unstable();
            let who: Vec<String> = who.iter().map(|node| self.node(*node).to_owned()).collect();
            format!("{name} from {}", listed(who))
        });
        listed(texts.collect())
    }

    fn end(mut self) -> Vec<Sentence> {
        let down: Vec<u32> = self.down.keys().copied().collect();
        down.into_iter().for_each(|node| self.misses(node));
        let cuts: Vec<u64> = self.cuts.keys().copied().collect();
        cuts.into_iter().for_each(|id| self.stopped(id));
        for (_, open) in std::mem::take(&mut self.open) {
            let mut text = " and has no answer to the end".to_owned();
            if !open.heard.is_empty() {
                text += &format!("; it has heard {}", self.together(&open.heard));
            }
            self.said[open.sentence].text += &text;
        }
        if self.struck_more > 0 {
            let text = format!(
                "... and {} more messages, connections and branches were struck ...",
                self.struck_more
            );
            let at_ns = self.said.last().map_or(0, |last| last.at_ns);
            self.say(at_ns, text);
        }
        self.said
    }
}

/// What a power loss has taken.
fn lost(unsynced: &Unsynced) -> String {
    let Unsynced { files, lost, torn, names } = unsynced;
    if files.is_empty() && *names == 0 {
        return ", when all that it had written was synced".to_owned();
    }
    let files = files.iter().map(|(file, changes)| match changes {
        1 => format!("a write to {file}"),
        many => format!("{many} writes to {file}"),
    });
    let files = listed(files.collect());
    let mut taken = Vec::new();
    let mut note = |count: u64, one: &str, many: &str| match count {
        0 => {}
        1 => taken.push(format!("1 {one}")),
        count => taken.push(format!("{count} {many}")),
    };
    note(*lost, "sector is lost", "sectors are lost");
    note(*torn, "sector is torn", "sectors are torn");
    note(*names, "file's name is lost", "files' names are lost");
    let taken = if taken.is_empty() { "nothing is lost".to_owned() } else { taken.join(", ") };
    format!(", before the sync of {files} ({taken})")
}

/// Texts with commas, and "and" before the last; of many only the first.
fn listed(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(LISTED);
    texts.truncate(LISTED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_with_and_and_are_not_endless() {
        let texts = |count: usize| (0..count).map(|n| n.to_string()).collect();
        assert_eq!(listed(texts(0)), "nothing");
        assert_eq!(listed(texts(1)), "0");
        assert_eq!(listed(texts(3)), "0, 1 and 2");
        assert_eq!(listed(texts(9)), "0, 1, 2, 3, 4, 5 and 3 more");
    }

    #[test]
    fn a_power_loss_says_what_was_not_synced_and_what_of_it_is_gone() {
        assert_eq!(lost(&Unsynced::default()), ", when all that it had written was synced");
        let files = vec![("log".to_owned(), 1), ("index".to_owned(), 3)];
        let mut unsynced = Unsynced { files, ..Unsynced::default() };
        let kept = ", before the sync of a write to log and 3 writes to index (nothing is lost)";
        assert_eq!(lost(&unsynced), kept);
        (unsynced.lost, unsynced.torn) = (2, 1);
        assert!(lost(&unsynced).ends_with(" (2 sectors are lost, 1 sector is torn)"));
    }
}
