//! The whole system as real processes, disturbed for real, and judged.

use super::judge::{Finding, Judged};
use super::kind::Kind;
use super::namespaces;
use super::node::{Error, SkipSync};
use super::proxy::Done;
use super::schedule::{self, Episode, Fault, Group};
use super::system::{CLIENTS, Flips, System};
use super::tally::Counted;
use squall_real::faults::Lost;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often somebody looks whether a node has ended by itself.
const GLANCE: Duration = Duration::from_millis(20);

/// What to do.
pub struct Demo {
    /// What is run.
    pub kind: Kind,
    /// By how many nodes, where that can be chosen.
    pub nodes: usize,
    /// How long the clients go on.
    pub length: Duration,
    /// What faults and operations are drawn from.
    pub seed: u64,
    /// What is done.
    pub groups: Vec<Group>,
    /// Syncs that nodes leave out, so that a loss of power has something to find.
    pub skip_sync: Option<SkipSync>,
    /// Whether members take the end of a journal that cannot be read for that of a write that
    /// nobody was told of.
    pub trust_torn_tails: bool,
    /// How many KiB the disk of the last node has, if it is to be small.
    pub small_disk: Option<u32>,
    /// Whether connections are encrypted, and both ends prove their names.
    pub tls: bool,
    /// Whether each process has a network of its own, and the kernel parts them.
    pub netns: bool,
    /// Where data is kept; a temporary directory if it is not given.
    pub dir: Option<PathBuf>,
}

/// What came of it.
pub struct Report {
    /// What was run.
    pub kind: Kind,
    /// What was done.
    pub episodes: Vec<Episode>,
    /// What the nodes lost with their power.
    pub lost: Lost,
    /// What nodes made of journals with a byte that is another.
    pub flips: Flips,
    /// How often the node with a small disk ended by itself.
    pub full: u64,
    /// What the links did, if they were our own.
    pub links: Option<Done>,
    /// How many packets the kernel dropped, if it parted processes.
    pub dropped: Option<u64>,
    /// What the nodes counted.
    pub counted: Counted,
    /// What the clients saw, and whether that is allowed.
    pub judged: Judged,
    /// How long the clients went on.
    pub length: Duration,
}

impl Report {
    /// 0, 1 if the history is wrong, 3 if nobody knows.
    pub fn exit_code(&self) -> u8 {
        match self.judged.finding {
            Finding::Holds => 0,
            Finding::Violation(_) => 1,
            Finding::Undecided(_) => 3,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judged { counts, finding } = &self.judged;
        let all = counts.ok + counts.fail + counts.unknown;
        let rate = all as u64 / self.length.as_secs().max(1);
        let many = |is: fn(&Fault) -> bool| self.episodes.iter().filter(|e| is(&e.fault)).count();
        let kills = many(|fault| matches!(fault, Fault::Kill(_)));
        let pauses = many(|fault| matches!(fault, Fault::Pause(_)));
        let network = many(|fault| matches!(fault, Fault::Network { .. }));
        let losses = many(|fault| matches!(fault, Fault::PowerLoss(..) | Fault::Shutdown(_)));
        writeln!(
            f,
            "{kills} kills, {losses} losses of power, {pauses} pauses, \
             {network} troubles of the network"
        )?;
        let Lost { pending, files, names } = self.lost;
        writeln!(
            f,
            "disks: {pending} changes not synced when power was lost: {files} files changed, \
             {names} names"
        )?;
        writeln!(f, "disks: ended {} times for want of space", self.full)?;
        let Flips { refused, doubted, harmless } = self.flips;
        let flips = refused + doubted + harmless;
        writeln!(f, "journals: {flips} flipped bytes, {refused} refused, {doubted} doubted")?;
        if let Some(links) = &self.links {
            write!(f, "{links}")?;
        }
        if let Some(dropped) = self.dropped {
            writeln!(f, "kernel: {dropped} packets dropped between processes")?;
        }
        let counted = |name| self.counted.get(name).copied().unwrap_or(0);
        writeln!(
            f,
            "nodes: {} damaged frames and {} connections refused, {} times in doubt",
            counted("malformed"),
            counted("refused"),
            counted("doubted")
        )?;
        writeln!(
            f,
            "{all} operations ({} ok, {} not done, {} unknown), {rate} a second",
            counts.ok, counts.fail, counts.unknown
        )?;
        match finding {
            Finding::Holds => write!(f, "verdict: {}", self.kind.promise()),
            Finding::Violation(lines) => {
                write!(f, "verdict: {}\n  {}", self.kind.broken_promise(), lines.join("\n  "))
            }
            Finding::Undecided(why) => write!(f, "verdict: undecided ({why})"),
        }
    }
}

/// Runs it, and tells `say` what is done to whom.
///
/// # Errors
/// If a process or a file cannot be had, or a process ends by itself.
pub fn demo(demo: &Demo, say: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let mut own = tempfile::tempdir().map_err(Error::io("a temporary directory"))?;
    let dir = demo.dir.clone().unwrap_or_else(|| own.path().to_owned());
    std::fs::create_dir_all(&dir).map_err(Error::io(dir.display().to_string()))?;
    let done = demo_in(demo, &dir, say);
    if done.is_err() {
        own.disable_cleanup(true);
        say(&format!("what is on the disks stays in {}", dir.display()));
    }
    done
}

fn demo_in(demo: &Demo, dir: &Path, say: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    if demo.netns {
        for name in namespaces::remains()? {
            say(&format!("the namespace {name} remains of an earlier run: ip netns del {name}"));
        }
    }
    let mut system = System::prepare(demo, dir)?;
    let episodes = schedule::draw(demo.seed, demo.length, system.sizes(), &demo.groups);
    if let Some(kib) = demo.small_disk {
        system.tighten(kib)?;
    }
    system.start_all()?;
    let clients = 0..CLIENTS;
    let clients = clients.map(|number| system.client(number, demo.length, false));
    let mut clients = clients.collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    for step in schedule::steps(&episodes) {
        wait_until(start + step.at, &mut system)?;
        let episode = &episodes[step.episode];
        if step.begins {
            say(&episode.to_string());
            system.begin(&episode.fault)?;
        } else {
            system.end(&episode.fault)?;
        }
    }
    wait_until(start + demo.length, &mut system)?;
    clients.iter_mut().try_for_each(|client| system.finished(client))?;
    // Whatever a client was promised has to be on the disks now.
    let how = if system.has_power() { "lose their power" } else { "are killed" };
    say(&format!("all {how} at once and are started again"));
    system.kill_all()?;
    system.grow()?;
    system.start_all()?;
    let mut last = system.client(CLIENTS, demo.length, true)?;
    system.finished(&mut last)?;
    let (lost, flips, full) = (system.lost(), system.flips(), system.full());
    let (links, dropped, counted) = (system.links_did(), system.dropped()?, system.counted()?);
    let judged = system.judged()?;
    let (kind, length) = (demo.kind, demo.length);
    Ok(Report { kind, episodes, lost, flips, full, links, dropped, counted, judged, length })
}

fn wait_until(until: Instant, system: &mut System) -> Result<(), Error> {
    loop {
        system.check_all()?;
        match until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(GLANCE)),
            _ => return Ok(()),
        }
    }
}
