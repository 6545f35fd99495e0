//! The processes of one run: who they are, where they listen, and whether they run.

use super::certificates::Authority;
use super::demo::Demo;
use super::ext4::Ext4;
use super::flip::Flip;
use super::judge::Judged;
use super::kind::Kind;
use super::net::Net;
use super::node::{Error, SkipSync};
use super::process::{Paused, Process};
use super::proxy::{Done, Link};
use super::schedule::{Group, Sizes};
use super::tally;
use super::tight::Tight;
use serde_json::json;
use squall_real::faults::Lost;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a node may take until it listens.
const UP_MAX: Duration = Duration::from_secs(10);

/// How long the clients may take for what they began last.
const LAST_MAX: Duration = Duration::from_secs(60);

/// After how long a node that ended for want of space is started again.
const AGAIN: Duration = Duration::from_millis(500);

/// The directory of a node's data on a disk of its own.
const DATA: &str = "data";

/// What the cluster is called.
const CLUSTER: &str = "demo";

/// How many clients load the system.
pub(super) const CLIENTS: u64 = 4;

/// A node: whether it runs.
pub(super) enum Slot {
    Down,
    Up(Process),
    Still(Paused),
    /// It was started on a journal with a byte that is another.
    Flipped(Process, Flip),
}

/// What nodes made of journals with a byte that is another.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flips {
    /// The node refused it.
    pub refused: u64,
    /// The node took its last records for lost, and is in doubt until others have told it.
    pub doubted: u64,
    /// The byte meant nothing, or there was no journal yet.
    pub harmless: u64,
}

/// The processes of one run. Dropping it ends all of them.
pub(super) struct System {
    kind: Kind,
    roles: Vec<(&'static str, usize)>,
    trusts: bool,
    dir: PathBuf,
    program: PathBuf,
    pub(super) nodes: Vec<Slot>,
    /// It goes when all that use it have gone.
    pub(super) net: Net,
    pub(super) seed: u64,
    /// What nodes lost whose power can be lost.
    pub(super) power: Option<Lost>,
    /// Syncs that they leave out.
    skip: Option<SkipSync>,
    pub(super) flips: Flips,
    pub(super) disks: Vec<Ext4>,
    tight: Option<Tight>,
    /// How often the node on it ended by itself, and when it is started again.
    full: u64,
    again: Option<Instant>,
}

impl System {
    /// Chooses ports and writes down who is who.
    pub(super) fn prepare(demo: &Demo, dir: &Path) -> Result<System, Error> {
        let roles = demo.kind.roles(demo.nodes);
        let (count, seed) = (roles.iter().map(|(_, nodes)| nodes).sum(), demo.seed);
        let power = demo.groups.contains(&Group::Power).then(Lost::default);
        let program = std::env::current_exe().map_err(Error::io("this program's path"))?;
        let sources = count + CLIENTS as usize + 1;
        let net = match demo.netns {
            true => Net::of_namespaces(sources, count)?,
            false => Net::of_links(sources, count, seed)?,
        };
        let nodes = (0..count).map(|_| Slot::Down).collect();
        let mut system = System {
            kind: demo.kind,
            roles,
            trusts: demo.trust_torn_tails,
            dir: dir.to_owned(),
            program,
            net,
            nodes,
            seed,
            power,
            skip: demo.skip_sync,
            flips: Flips::default(),
            disks: Vec::new(),
            tight: None,
            full: 0,
            again: None,
        };
        if demo.groups.contains(&Group::Ext4) {
            let paths = (0..count).map(|node| dir.join(system.name(node)));
            system.disks = paths.map(|path| Ext4::make(&path, DATA)).collect::<Result<_, _>>()?;
        }
        let authority = demo.tls.then(|| Authority::new(dir)).transpose()?;
        let sources = 0..system.sizes().sources;
        sources
            .into_iter()
            .try_for_each(|source| system.write_config(source, authority.as_ref()))?;
        Ok(system)
    }

    /// How many there are of everything.
    pub(super) fn sizes(&self) -> Sizes {
        let nodes = self.nodes.len();
        let sources = nodes + CLIENTS as usize + 1;
        // One or two that trust what they find refuse what they cannot read.
        let has_doubts = self.kind == Kind::Raft && (nodes > 2 || !self.trusts);
        let has_weather = matches!(self.net, Net::Links(..));
        Sizes { nodes, sources, has_doubts, has_weather }
    }

    pub(super) fn name(&self, source: usize) -> String {
        let mut number = source;
        for (role, nodes) in &self.roles {
            if number < *nodes {
                return format!("{role}-{}", number + 1);
            }
            number -= nodes;
        }
        format!("client-{}", number + 1)
    }

    /// Tells a process that the others are where its links begin.
    fn write_config(&self, source: usize, authority: Option<&Authority>) -> Result<(), Error> {
        let name = &self.name(source);
        let address = |to: usize| self.net.address(Link { from: source, to });
        let addresses: serde_json::Map<String, serde_json::Value> = (0..self.nodes.len())
            .map(|to| (self.name(to), json!(address(to).to_string())))
            .collect();
        let roles = self.roles.iter().copied().chain([("client", CLIENTS as usize + 1)]);
        let roles = roles.map(|(name, nodes)| json!({ "name": name, "nodes": nodes }));
        let roles: Vec<serde_json::Value> = roles.collect();
        let tls = authority.map(|authority| authority.certify(name, CLUSTER)).transpose()?;
        let config = json!({
            "roster": { "cluster": CLUSTER, "roles": roles },
            "me": name,
            "addresses": addresses,
            "data": self.data(name),
            "tls": tls,
            // Links that are half open are to be noticed within a run.
            "limits": {
                "back_off_max_ms": 200,
                "connect_timeout_ms": 500,
                "ping_interval_ms": 300,
                "silence_max_ms": 1_500,
            },
        });
        let path = self.config(name);
        std::fs::write(&path, config.to_string()).map_err(Error::io(path.display().to_string()))
    }

    fn config(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    pub(super) fn data(&self, name: &str) -> PathBuf {
        // What is mounted has a directory of its own in it.
        if self.disks.is_empty() { self.dir.join(name) } else { self.dir.join(name).join(DATA) }
    }

    pub(super) fn undo(&self, name: &str) -> PathBuf {
        match self.disks.is_empty() {
            true => self.dir.join(format!("{name}.undo")),
            false => self.dir.join(name).join("undo"),
        }
    }

    pub(super) fn metrics(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{}.metrics.jsonl", self.name(number)))
    }

    fn history(&self, number: u64) -> PathBuf {
        self.dir.join(format!("history-{number}.jsonl"))
    }

    /// Starts all nodes, and waits until they listen.
    pub(super) fn start_all(&mut self) -> Result<(), Error> {
        (0..self.nodes.len()).try_for_each(|number| self.start(number))?;
        (0..self.nodes.len()).try_for_each(|number| self.wait_for(number))
    }

    pub(super) fn start(&mut self, number: usize) -> Result<(), Error> {
        let name = self.name(number);
        let (config, metrics) = (self.config(&name), self.metrics(number));
        let undo = self.undo(&name);
        let mut arguments: Vec<&OsStr> = vec![
            "node".as_ref(),
            self.kind.command().as_ref(),
            "--config".as_ref(),
            config.as_ref(),
            "--metrics".as_ref(),
            metrics.as_ref(),
        ];
        if self.trusts {
            arguments.push(OsStr::new("--trust-torn-tails"));
        }
        let has_disks = !self.disks.is_empty();
        if self.power.is_some() || has_disks && self.skip.is_some() {
            arguments.extend([OsStr::new("--undo"), undo.as_ref()]);
        }
        if let Some(skip) = self.skip.filter(|_| has_disks || self.power.is_some()) {
            arguments.extend([OsStr::new("--skip-sync"), skip.name().as_ref()]);
        }
        self.nodes[number] =
            Slot::Up(self.net.start(&self.program, (&name, number), &arguments)?);
        if self.is_tight(number) {
            self.again = None;
        }
        Ok(())
    }

    /// Waits until the node listens.
    fn wait_for(&mut self, number: usize) -> Result<(), Error> {
        let until = Instant::now() + UP_MAX;
        while Instant::now() < until {
            if let Slot::Up(process) = &self.nodes[number]
                && self.net.listens(number, process.id())
            {
                return Ok(());
            }
            self.check(number)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::NotUp(self.name(number)))
    }

    fn check(&mut self, number: usize) -> Result<(), Error> {
        let has_ended = match &mut self.nodes[number] {
            Slot::Up(process) => process.has_ended(),
            Slot::Down | Slot::Still(_) | Slot::Flipped(..) => false,
        };
        if !has_ended {
            return Ok(());
        }
        if !self.is_tight(number) {
            return Err(Error::Ended(self.name(number)));
        }
        self.nodes[number] = Slot::Down;
        self.full += 1;
        self.again = Some(Instant::now() + AGAIN);
        Ok(())
    }

    /// Gives the last node a disk of so many KiB.
    pub(super) fn tighten(&mut self, kib: u32) -> Result<(), Error> {
        let name = self.name(self.nodes.len() - 1);
        self.tight = Some(Tight::mount(&self.data(&name), kib)?);
        Ok(())
    }

    /// Gives every node room: from now on none may end.
    pub(super) fn grow(&mut self) -> Result<(), Error> {
        self.again = None;
        self.tight.as_ref().map_or(Ok(()), Tight::grow)
    }

    /// How often the node with a small disk has ended by itself.
    pub(super) fn full(&self) -> u64 {
        self.full
    }

    fn is_tight(&self, number: usize) -> bool {
        self.tight.is_some() && number + 1 == self.nodes.len()
    }

    /// Sees to it that no node has ended by itself.
    pub(super) fn check_all(&mut self) -> Result<(), Error> {
        (0..self.nodes.len()).try_for_each(|number| self.check(number))?;
        match self.again.take_if(|again| *again <= Instant::now()) {
            Some(_) => self.start(self.nodes.len() - 1),
            None => Ok(()),
        }
    }

    /// Starts one of the clients; the last one, which reads everything, if `last` is set.
    pub(super) fn client(
        &self,
        number: u64,
        length: Duration,
        last: bool,
    ) -> Result<Process, Error> {
        let name = format!("client-{}", number + 1);
        let (config, history) = (self.config(&name), self.history(number));
        let numbers = [number, CLIENTS + 1, self.seed].map(|value| value.to_string());
        let time = format!("{}ms", length.as_millis());
        let mut arguments: Vec<&OsStr> = vec![
            "node".as_ref(),
            self.kind.client().as_ref(),
            "--config".as_ref(),
            config.as_ref(),
            "--history".as_ref(),
            history.as_ref(),
            "--time".as_ref(),
            time.as_ref(),
        ];
        for (name, value) in ["--number", "--of", "--seed"].into_iter().zip(&numbers) {
            arguments.extend([OsStr::new(name), value.as_ref()]);
        }
        if last {
            arguments.push("--last".as_ref());
        }
        let source = self.nodes.len() + number as usize;
        self.net.start(&self.program, (&name, source), &arguments)
    }

    /// Waits until a client has done all that it was told.
    pub(super) fn finished(&self, client: &mut Process) -> Result<(), Error> {
        if client.wait(LAST_MAX) { Ok(()) } else { Err(Error::Ended(client.name().to_owned())) }
    }

    /// Judges what all clients saw.
    pub(super) fn judged(&self) -> Result<Judged, Error> {
        let files: Vec<PathBuf> = (0..=CLIENTS).map(|number| self.history(number)).collect();
        self.kind.judge(&files)
    }

    /// What the nodes have lost with their power.
    pub(super) fn lost(&self) -> Lost {
        self.power.unwrap_or_default()
    }

    /// Whether the power of nodes can be lost.
    pub(super) fn has_power(&self) -> bool {
        self.power.is_some() || !self.disks.is_empty()
    }

    /// What the nodes made of journals with a byte that is another.
    pub(super) fn flips(&self) -> Flips {
        self.flips
    }

    /// What the links have done, if they are our own.
    pub(super) fn links_did(&self) -> Option<Done> {
        self.net.done()
    }

    /// How many packets the kernel has dropped, if it parts processes.
    pub(super) fn dropped(&self) -> Result<Option<u64>, Error> {
        self.net.dropped()
    }

    /// What the nodes have counted, over all that each of them ran.
    ///
    /// # Errors
    /// If what they wrote down cannot be read.
    pub(super) fn counted(&self) -> Result<tally::Counted, Error> {
        let files: Vec<PathBuf> = (0..self.nodes.len()).map(|node| self.metrics(node)).collect();
        tally::read(&files)
    }
}
