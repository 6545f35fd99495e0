//! What happened, in words: for traces, and for the first difference of two runs.

use crate::choice::hash_text;
use crate::digest::{Code, Entry};
use crate::names::Names;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::script::Step;
use crate::table::TABLE;
use crate::world::Line;
use squall_env::{NodeId, Roster};
use std::collections::BTreeMap;

/// A time of a run, as in `1.203117 s`: exact, with nine digits after the point if six do not do.
pub(crate) fn seconds(ns: u64) -> String {
    let (whole, part) = (ns / 1_000_000_000, ns % 1_000_000_000);
    match part % 1_000 {
        0 => format!("{whole}.{:06} s", part / 1_000),
        _ => format!("{whole}.{part:09} s"),
    }
}

/// A duration, in the unit that suits it.
pub(crate) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{}.{} ms", ns / 1_000_000, ns / 100_000 % 10),
        _ => format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100),
    }
}

/// Tells entries in the words of a run's roster.
pub(crate) struct Words {
    names: Vec<String>,
    roster: Roster,
    /// Texts that digests know by their hash.
    texts: BTreeMap<u64, &'static str>,
    /// The steps of the run's script.
    script: Vec<String>,
    /// What the code calls what it sends and does.
    given: Names,
}

/// What a disk is asked for, by its number in digests.
pub(crate) fn operation(code: u64) -> &'static str {
    match code {
        1 => "open",
        2 => "close",
        3 => "read",
        4 => "write",
        5 => "truncate",
        6 => "sync",
        7 => "create directory",
        8 => "sync directory",
        9 => "rename",
        10 => "remove",
        _ => "list",
    }
}

fn fault(number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| TABLE.get(at)).map_or("fault", |row| row.name)
}

impl Words {
    /// The words of this roster.
    fn new(roster: Roster) -> Words {
        let names = roster.all().map(|node| roster.name(node)).collect();
        Words { names, roster, texts: BTreeMap::new(), script: Vec::new(), given: Names::default() }
    }

    /// The words of a scenario's run.
    pub(crate) fn of(scenario: &Scenario, plan: &Plan) -> Words {
        let each = scenario.each.iter().map(|each| &each.name);
        let all = scenario.sometimes.iter().chain(each);
        let texts = all.map(|text| (hash_text(text), *text)).collect();
        let script = plan.script.iter().map(Step::line).collect();
        Words { texts, script, ..Words::new(plan.roster()) }
    }

    /// The same, with these names of messages and operations.
    pub(crate) fn with(self, names: &Names) -> Words {
        Words { given: names.clone(), ..self }
    }

    fn text(&self, hash: u64) -> String {
        self.texts.get(&hash).map_or(format!("{hash:016x}"), |text| format!("{text:?}"))
    }

    fn name(&self, node: u64) -> &str {
        let found = usize::try_from(node).ok().and_then(|at| self.names.get(at));
        found.map_or("the world", String::as_str)
    }

    /// A line of a trace.
    pub(crate) fn line(&self, line: &Line) -> String {
        match line {
            Line::Entry(entry) => self.entry(entry),
            Line::Text { time, node, text } => {
                format!("{} {}: {text}", seconds(*time), self.name(u64::from(*node)))
            }
            Line::Event { time, node, boot: 0, text } | Line::Remark { time, node, text, .. } => {
                format!("{} {}: {text}", seconds(*time), self.name(u64::from(*node)))
            }
            Line::Event { time, node, boot, text } => {
                format!("{} {} boot {boot}: {text}", seconds(*time), self.name(u64::from(*node)))
            }
        }
    }

    /// An entry as a sentence, with its time.
    pub(crate) fn entry(&self, entry: &Entry) -> String {
        let node = self.name(u64::from(entry.node));
        format!("{} {node} {}", seconds(entry.time), self.what(entry))
    }

    /// What happened, without time and node.
    pub(crate) fn what(&self, entry: &Entry) -> String {
        let [a, b] = entry.details;
        match entry.code {
            Code::Boot => format!("boots, for the {a}. time"),
            Code::Crash if b == 1 => format!("crashes and loses power (episode {a})"),
            Code::Crash => format!("crashes (episode {a})"),
            Code::Damaged => format!("has sector {b} of file {a} damaged"),
            Code::CrashKept => format!("has kept on its disk what hashes to {a:016x}"),
            Code::Exit if a == 1 => "stops by itself, with an error".to_owned(),
            Code::Exit => "has finished".to_owned(),
            Code::Poll => format!("runs task {a:08x}, woken for the {b}. time"),
            Code::Spawn => format!("starts task {a:08x}"),
            Code::TaskEnd => format!("ends task {a:08x}"),
            Code::Bind => format!("binds port {a}"),
            Code::Unbind => format!("gives back port {a}"),
            Code::Panic => "panics".to_owned(),
            Code::Ready => "is ready".to_owned(),
            Code::Show => format!("shows the state {a:08x}"),
            _ => self.what_of_messages(entry),
        }
    }

    fn what_of_messages(&self, entry: &Entry) -> String {
        let ([a, b], node) = (entry.details, u32::from(entry.node));
        let own = |hash: u64| self.given.sent(node, hash);
        match entry.code {
            Code::Send => {
                let to = NodeId::new((a >> 16) as u16, a as u16);
                format!("sends {} to {} port {}", own(b), self.roster.name(to), a >> 32)
            }
            Code::Deliver => {
                let (from, port) = ((a >> 32) as u32, a as u32);
                self.given.delivered(node, b, from);
                let message = self.given.sent(from, b);
                format!("is delivered {message} from {} at port {port}", self.name(a >> 32))
            }
            Code::Receive => format!("receives {}", self.given.received(node, b)),
            Code::Lost if b == 1 => format!("has {} lost, as the plan says", own(a)),
            Code::Lost => format!("has {} lost on its way", own(a)),
            Code::Duplicated => format!("has {} doubled on its way", own(a)),
            Code::Delayed => format!("has {} held back, for {} in all", own(a), duration(b)),
            Code::Corrupted => format!("has a message damaged on its way: {}", own(a)),
            Code::Cut => {
                let message = self.given.between(node, a as u32, b);
                format!("is cut off from {}: {message} is lost", self.name(a))
            }
            Code::NoSocket => format!("has nobody at port {a} for {b:016x}"),
            Code::Overflow => format!("has no room at port {a} for {b:016x}"),
            Code::Rejected if b == 0 => format!("may not send {a} bytes at once"),
            Code::Rejected => {
                let from = NodeId::new((a >> 16) as u16, a as u16);
                format!("rejects a message from {}", self.roster.name(from))
            }
            _ => self.what_of_time(entry),
        }
    }

    fn what_of_time(&self, entry: &Entry) -> String {
        let [a, b] = entry.details;
        match entry.code {
            Code::SleepUntil => format!("sets a timer to {} of its clock", seconds(a)),
            Code::TimerFired => "has a timer run out".to_owned(),
            Code::TimerDropped => "takes a timer off".to_owned(),
            Code::ReadClock => format!("reads its clock: {}", seconds(a)),
            Code::ReadWall => format!("reads its wall clock: {} ns", a as i64),
            Code::Random => format!("draws {a:016x}"),
            Code::DiskSubmit => format!("asks its disk: {} ({b:016x})", operation(a >> 56)),
            Code::DiskDone if b == 0 => format!("has its disk's answer: {}", operation(a)),
            Code::DiskDone => format!("has its disk's answer: {} ({b:016x})", operation(a)),
            Code::DiskFault => format!("has a disk that fails: {} ({})", operation(a), fault(b)),
            Code::Blocking => "does blocking work".to_owned(),
            Code::Sometimes => format!("reaches the situation {}", self.text(a)),
            Code::Buggify => format!("does the rare thing {a:08x}, at pass {b}"),
            Code::Knob => format!("has the knob {a:08x} at {b}"),
            Code::FaultStrikes => format!("sees episode {a} begin: {}", fault(b)),
            Code::FaultEnds => format!("sees episode {a} end: {}", fault(b)),
            Code::FaultRefused => format!("is spared by the ledger: {}", fault(a)),
            Code::Invoke => {
                let operation = self.given.sent(u32::from(entry.node), b);
                format!("begins an operation as process {a}: {operation}")
            }
            Code::Return => {
                let result = self.given.sent(u32::from(entry.node), b);
                format!("ends its operation as process {a}: {result}")
            }
            Code::Heal => "heals".to_owned(),
            Code::ScriptStep => {
                let line = usize::try_from(a).ok().and_then(|at| self.script.get(at));
                format!("plays step {}, {}", a + 1, line.map_or("", String::as_str))
            }
            Code::Property => "sees a property fail".to_owned(),
            _ => self.what_of_streams(entry),
        }
    }

    /// Connections go by the first half of their names, which is in the first detail with how many
    /// bytes of a direction there were.
    fn what_of_streams(&self, entry: &Entry) -> String {
        let [a, b] = entry.details;
        let (stream, bytes) = (format!("stream {:08x}", a >> 32), a as u32);
        match entry.code {
            Code::Listen => format!("listens on port {a}"),
            Code::Unlisten => format!("listens no more on port {a}"),
            Code::Connect => {
                let to = self.roster.name(NodeId::new((a >> 16) as u16, a as u16));
                format!("connects to {to} port {}: stream {:08x}", a >> 32, b >> 32)
            }
            Code::ConnectEnd => {
                let ended = ["stands", "is refused", "gets no answer"];
                format!("learns that {stream} {}", ended[usize::from(b > 0) + usize::from(b > 1)])
            }
            Code::Accept if b == 0 => format!("has {stream} wait to be taken"),
            Code::Accept => format!("takes {stream} from {}", self.name(b - 1)),
            Code::SegmentSent => format!("sends on {stream} from byte {bytes} ({b:016x})"),
            Code::SegmentArrives => format!("has {stream} arrive up to byte {bytes} ({b:016x})"),
            Code::SegmentWaits => format!("has {stream} wait for {}", duration(b)),
            Code::StreamRead => format!("has read all {bytes} bytes of {stream}"),
            Code::StreamBreaks if b == 0 => format!("has {stream} reset"),
            Code::StreamBreaks => format!("gives {stream} up: its peer is silent"),
            Code::StreamShut => format!("shuts {stream} down at byte {bytes}"),
            Code::StreamClose => format!("lets go of {stream} at byte {bytes} ({b:016x})"),
            _ => format!("has {stream} struck at byte {bytes}: {}", fault(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_a_sentence() {
        let words = Words::new(Roster::new("test").with("replica", 2).with("client", 1));
        let entry = |node, code, details| Entry { time: 1_203_117_000, node, code, details };
        let send = entry(0, Code::Send, [7 << 32 | 1 << 16 | 1, 0xab]);
        assert_eq!(
            words.entry(&send),
            "1.203117 s replica-1 sends 00000000000000ab to client-1 port 7"
        );
        let crash = entry(1, Code::Crash, [80_001, 1]);
        assert_eq!(
            words.entry(&crash),
            "1.203117 s replica-2 crashes and loses power (episode 80001)"
        );
        let arrives = entry(2, Code::SegmentArrives, [0xabcd << 32 | 17, 3]);
        assert_eq!(
            words.entry(&arrives),
            "1.203117 s client-1 has stream 0000abcd arrive up to byte 17 (0000000000000003)"
        );
        let heal = entry(3, Code::Heal, [0, 0]);
        assert_eq!(words.entry(&heal), "1.203117 s the world heals");
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        let told = [7, 7_000, 7_350_000, 7_350_000_000].map(duration);
        assert_eq!(told, ["7 ns", "7 us", "7.3 ms", "7.35 s"]);
    }
}
