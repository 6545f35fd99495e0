//! Disks: what a node reads is what it wrote, and what a power loss leaves is what its faults may
//! leave. A model of the disk, apart from the simulator's, knows what that is.

mod model;

use super::links::bounds;
use super::{Blind, name, witness};
use model::{Disks, Losses};
use squall::plan::Kind;
use squall::{Conditions, Fault, Most, Scenario, Tolerance, conditions};
use squall_env::disk::{DiskError, Done, Operation, Slot};
use squall_env::{Env, NodeId, Shown, View};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

const CONTRACT: &str = "a disk holds what it was told, and what its faults have left";
const SHORT: &str = "a read gave less than there was";
const FULL: &str = "the disk was full";

/// Files are at most this long.
const LENGTH_MAX: u64 = 3_000;

/// What a node asks its disk.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Ask {
    /// Opens a file, for the question that follows.
    Open(&'static str),
    Create(&'static str),
    Write {
        path: &'static str,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: &'static str,
        length: u64,
    },
    Sync(&'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    SyncNames,
    Read(&'static str),
}

/// All names there may be.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What a boot shows.
#[derive(Default)]
struct Diary {
    /// All files, as they were found at the start.
    found: Option<BTreeMap<&'static str, Vec<u8>>>,
    /// How many questions there were, and the last one with its answer.
    asked: u64,
    ask: Option<Ask>,
    answer: Option<Result<Vec<u8>, DiskError>>,
}

/// Nodes that write, cut, rename and sync a few files at random, and read them all at each boot.
pub fn disks(blind: Blind) -> Scenario {
    blind
        .scenario("disks", CONTRACT)
        .nodes("node", 1..=3, serve)
        .clients("witness", 1..=1, witness)
        .tolerates(
            Tolerance::nothing()
                .impaired("node", Most::Any)
                .fault(Fault::Crash)
                .fault(Fault::CrashInRecovery)
                .fault(Fault::CrashLoop)
                .lost_unsynced_writes()
                .failing_disks(),
        )
        .sometimes(SHORT)
        .sometimes(FULL)
        .always(CONTRACT, move || {
            let mut nodes: BTreeMap<NodeId, Keeper> = BTreeMap::new();
            move |view: &View<'_>| {
                for diary in view.changed::<Diary>() {
                    let now = conditions().ok_or("no run is under way")?;
                    let keeper = nodes.entry(diary.node).or_insert_with(|| Keeper::new(blind));
                    let read = keeper.read(diary.number, &diary, diary.node, &now);
                    read.map_err(|story| format!("{}: {story}", name(diary.node)))?;
                }
                Ok(())
            }
        })
}

async fn serve(env: Env) -> Result<(), DiskError> {
    let diary = env.show("diary", Diary::default());
    let mut files = BTreeMap::new();
    for found in env.list("").await? {
        let Some(known) = NAMES.into_iter().find(|name| *name == found) else { continue };
        files.insert(known, env.read_file(known).await?.unwrap_or_default());
    }
    let mut lengths: BTreeMap<&'static str, u64> =
        files.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect();
    diary.update(&env, |diary| diary.found = Some(files));
    env.ready();
    let mut unsynced = 0;
    loop {
        env.sleep(Duration::from_micros(env.random_below(4_000))).await;
        let Some(question) = draw(&env, &lengths, unsynced) else { continue };
        let answer = ask(&env, &diary, question.clone()).await;
        match &answer {
            Ok(bytes) => {
                let length = |path| lengths.get(path).copied().unwrap_or_default();
                if matches!(question, Ask::Read(path) if length(path) > bytes.len() as u64) {
                    env.sometimes(SHORT);
                }
            }
            Err(DiskError::NoSpace) => {
                // It is as it was.
                env.sometimes(FULL);
                continue;
            }
            Err(_) => return answer.map(drop),
        }
        unsynced = match question {
            Ask::Create(_) | Ask::Rename(..) | Ask::Remove(_) => unsynced + 1,
            Ask::SyncNames => 0,
            _ => unsynced,
        };
        match question {
            Ask::Create(path) => drop(lengths.insert(path, 0)),
            Ask::Write { path, offset, bytes } => {
                let length = lengths.entry(path).or_default();
                *length = (*length).max(offset + bytes.len() as u64);
            }
            Ask::Truncate { path, length } => drop(lengths.insert(path, length)),
            Ask::Rename(from, to) => {
                let length = lengths.remove(from).unwrap_or_default();
                lengths.insert(to, length);
            }
            Ask::Remove(path) => drop(lengths.remove(path)),
            Ask::Open(_) | Ask::Sync(_) | Ask::SyncNames | Ask::Read(_) => {}
        }
    }
}

/// What to ask next. Names are synced before too many of them are not.
fn draw(env: &Env, lengths: &BTreeMap<&'static str, u64>, unsynced: u32) -> Option<Ask> {
    let below = |bound: u64| env.random_below(bound);
    if unsynced >= 5 {
        return Some(Ask::SyncNames);
    }
    let free = NAMES.into_iter().find(|name| !lengths.contains_key(name));
    let held: Vec<(&'static str, u64)> = lengths.iter().map(|(n, length)| (*n, *length)).collect();
    let which = below(100);
    if held.is_empty() || which < 8 && free.is_some() {
        return free.map(Ask::Create);
    }
    let (path, length) = held[below(held.len() as u64) as usize];
    Some(match which {
        0..55 => {
            // Mostly at the end, and sometimes with a gap.
            let offset =
                if below(2) == 0 { length + below(2) * below(600) } else { below(length + 1) };
            let offset = offset.min(LENGTH_MAX);
            let bytes = (0..=below(1_200)).map(|_| 1 + below(255) as u8).collect();
            Ask::Write { path, offset, bytes }
        }
        55..72 => Ask::Sync(path),
        72..78 => Ask::Truncate { path, length: below(length + 1) },
        78..84 => Ask::Rename(path, NAMES[below(4) as usize]),
        84..88 => Ask::Remove(path),
        88..94 => Ask::SyncNames,
        _ => Ask::Read(path),
    })
    .filter(|ask| !matches!(ask, Ask::Rename(from, to) if from == to))
}

/// Asks a question, and before it for the file that it is about.
async fn ask(env: &Env, diary: &Shown<Diary>, ask: Ask) -> Result<Vec<u8>, DiskError> {
    let (disk, mut slot) = (env.platform(), Slot::default());
    let path = match &ask {
        Ask::Write { path, .. }
        | Ask::Truncate { path, .. }
        | Ask::Sync(path)
        | Ask::Read(path) => path,
        Ask::Create(path) | Ask::Open(path) => {
            return run(env, diary, ask.clone(), slot, open(path, true)).await.map(bytes_of);
        }
        Ask::Rename(from, to) => {
            let rename = Operation::Rename { from: (*from).to_owned(), to: (*to).to_owned() };
            return run(env, diary, ask, slot, rename).await.map(bytes_of);
        }
        Ask::Remove(path) => {
            let remove = Operation::Remove { path: (*path).to_owned() };
            return run(env, diary, ask, slot, remove).await.map(bytes_of);
        }
        Ask::SyncNames => {
            let sync = Operation::SyncDirectory { path: String::new() };
            return run(env, diary, ask, slot, sync).await.map(bytes_of);
        }
    };
    let opened = run(env, diary, Ask::Open(path), Slot::default(), open(path, false)).await?;
    let Done::Opened { file, .. } = opened else { return Err(DiskError::Stopped) };
    let operation = match &ask {
        Ask::Write { offset, bytes, .. } => {
            Operation::Write { file, offset: *offset, data: bytes.clone() }
        }
        Ask::Truncate { length, .. } => Operation::Truncate { file, length: *length },
        Ask::Sync(_) => Operation::Sync { file },
        _ => {
            let length = 2 * LENGTH_MAX as usize;
            Operation::Read { file, offset: 0, length, buffer: Vec::new() }
        }
    };
    let read = matches!(ask, Ask::Read(_));
    let done = run(env, diary, ask, Slot::default(), operation).await;
    slot.submit(disk, Operation::Close { file });
    Ok(if read { bytes_of(done?) } else { done.map(|_| Vec::new())? })
}

fn open(path: &str, create: bool) -> Operation {
    Operation::Open { path: path.to_owned(), create }
}

/// The bytes of an answer that has any.
fn bytes_of(done: Done) -> Vec<u8> {
    match done {
        Done::Buffer(bytes) => bytes,
        _ => Vec::new(),
    }
}

/// Shows a question, asks it, and shows the answer. In between properties can look.
async fn run(
    env: &Env,
    diary: &Shown<Diary>,
    ask: Ask,
    mut slot: Slot,
    operation: Operation,
) -> Result<Done, DiskError> {
    diary.update(env, |diary| {
        diary.asked += 1;
        (diary.ask, diary.answer) = (Some(ask), None);
    });
    give_way().await;
    let answer = slot.run(env.platform(), operation).await;
    let shown = match &answer {
        Ok(Done::Buffer(bytes)) => Ok(bytes.clone()),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(error.clone()),
    };
    diary.update(env, |diary| diary.answer = Some(shown));
    give_way().await;
    answer
}

/// Lets everything else of this instant go first.
async fn give_way() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Keeps the model of a node's disk.
struct Keeper {
    blind: Blind,
    disk: Disks,
    boot: Option<u64>,
    power_losses: u64,
    judged: bool,
    asked: u64,
    asked_at_ns: u64,
    answered: bool,
}

impl Keeper {
    fn new(blind: Blind) -> Keeper {
        let disk = Disks::default();
        let (boot, power_losses, judged) = (None, 0, false);
        let (asked, asked_at_ns, answered) = (0, 0, true);
        Keeper { blind, disk, boot, power_losses, judged, asked, asked_at_ns, answered }
    }

    fn read(
        &mut self,
        boot: u64,
        diary: &Diary,
        node: NodeId,
        now: &Conditions,
    ) -> Result<(), String> {
        if self.boot != Some(boot) {
            (self.boot, self.judged) = (Some(boot), false);
            (self.asked, self.answered) = (0, true);
        }
        if let (Some(found), false) = (&diary.found, self.judged) {
            self.judged = true;
            let power_losses = now.node(node).map_or(0, |node| node.power_losses);
            let losses = (power_losses > self.power_losses).then(|| self.losses(now));
            self.power_losses = power_losses;
            self.disk.found(found, losses)?;
        }
        if diary.asked > self.asked {
            (self.asked, self.asked_at_ns, self.answered) = (diary.asked, now.now_ns, false);
            self.disk.asked(diary.ask.as_ref());
        }
        if let (Some(answer), false, Some(ask)) = (&diary.answer, self.answered, &diary.ask) {
            self.answered = true;
            self.may_answer(ask, answer, node, now)?;
            self.disk.answered(ask, answer)?;
        }
        Ok(())
    }

    /// What a power loss may take.
    fn losses(&self, now: &Conditions) -> Losses {
        let on = |fault, on: bool| on && self.blind.knows(fault);
        let weather = &now.weather;
        Losses {
            writes: on(Fault::LostWrites, weather.lost_writes),
            torn: on(Fault::TornWrites, weather.torn_writes),
            garbage: on(Fault::Garbage, weather.garbage),
            lengths: on(Fault::LengthWithoutData, weather.length_without_data),
            entries: on(Fault::LostEntries, weather.lost_entries),
        }
    }

    /// Whether the disk may answer so, and now.
    fn may_answer(
        &self,
        ask: &Ask,
        answer: &Result<Vec<u8>, DiskError>,
        node: NodeId,
        now: &Conditions,
    ) -> Result<(), String> {
        let weather = &now.weather;
        let own = now.struck.iter().filter(|struck| {
            let kind = &struck.episode.kind;
            kind.nodes().contains(&name(node)) && self.blind.knows(kind.fault())
        });
        let since = self.asked_at_ns.saturating_sub(1);
        let overlapping = own.filter(|s| s.overlaps(since, now.now_ns + 1));
        let (mut factor, mut stalled, mut full) = (1, 0, false);
        for struck in overlapping {
            match struck.episode.kind {
                Kind::SlowDisk { factor: times, .. } => factor = factor.max(u64::from(times)),
                Kind::DiskFull { .. } => full = true,
                Kind::Stall { .. } => {
                    let until = struck.until_ns.unwrap_or(now.now_ns);
                    stalled += until - struck.since_ns.max(self.asked_at_ns).min(until);
                    if struck.holds_at(now.now_ns) {
                        return Err(format!("it answers in episode {}", struck.episode.id));
                    }
                }
                _ => {}
            }
        }
        let sync = matches!(ask, Ask::Sync(_) | Ask::SyncNames);
        let fails = match sync {
            true => self.blind.see(Fault::SyncFailure, weather.sync_failure_ppm, 0),
            false => self.blind.see(Fault::Eio, weather.eio_ppm, 0),
        };
        let excused = match answer {
            Err(DiskError::NoSpace) => full,
            Err(DiskError::Io) => fails > 0,
            Err(_) => false,
            Ok(_) => true,
        };
        if !excused {
            return Err(format!("{ask:?} failed without a fault: {answer:?}"));
        }
        let short = weather.short_io_ppm > 0 && self.blind.knows(Fault::ShortIo);
        if let (Ask::Read(_), Ok(bytes)) = (ask, answer)
            && !short
            && bytes.len() < self.disk.length(ask)
        {
            return Err(format!("a read gave {} bytes and no more", bytes.len()));
        }
        let (_, disk) = bounds(&weather.disk_latency);
        let (_, synced) = bounds(&weather.sync_latency);
        let most = if sync { synced } else { disk }.max(1) * factor + stalled;
        let took = now.now_ns - self.asked_at_ns;
        match took > most {
            true => Err(format!("{ask:?} took {took} ns, more than {most}")),
            false => Ok(()),
        }
    }
}
