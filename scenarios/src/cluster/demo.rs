//! The whole system as real processes, disturbed for real, and judged.

use super::node::{Error, HistoryOf, VerdictOf, judge};
use super::process::Process;
use serde_json::json;
use squall::choice::Stream;
use squall_check::Verdict;
use std::fmt;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const REPLICAS: usize = 3;
const CLIENTS: u64 = 4;

/// How long a node may take until it listens.
const UP_MAX: Duration = Duration::from_secs(10);

/// What to do.
pub struct Demo {
    /// How long the clients go on.
    pub length: Duration,
    /// What faults and operations are drawn from.
    pub seed: u64,
    /// Where data is kept; a temporary directory if it is not given.
    pub dir: Option<PathBuf>,
}

/// What came of it.
pub struct Report {
    /// How often a replica was killed.
    pub kills: u64,
    /// How often a replica was stopped and let go on.
    pub pauses: u64,
    /// What all clients saw.
    pub history: HistoryOf,
    /// Whether that is allowed.
    pub verdict: VerdictOf,
    /// How long the clients went on.
    pub length: Duration,
}

impl Report {
    /// 0, 1 if the history is wrong, 3 if nobody knows.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Ok => 0,
            Verdict::Violation(_) => 1,
            Verdict::Undecided { .. } => 3,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.history.counts();
        let all = counts.ok + counts.fail + counts.unknown;
        let rate = all as u64 / self.length.as_secs().max(1);
        writeln!(f, "{} kills, {} pauses", self.kills, self.pauses)?;
        writeln!(
            f,
            "{all} operations ({} ok, {} not done, {} unknown), {rate} a second",
            counts.ok, counts.fail, counts.unknown
        )?;
        match &self.verdict {
            Verdict::Ok => write!(f, "verdict: linearizable, no acknowledged write was lost"),
            Verdict::Violation(violation) => {
                write!(f, "verdict: NOT linearizable\n  {}", violation.lines().join("\n  "))
            }
            Verdict::Undecided { reason, explored, .. } => {
                write!(f, "verdict: undecided ({reason:?} after {explored} steps)")
            }
        }
    }
}

/// Runs it, and tells `say` what is done to whom.
///
/// # Errors
/// If a process or a file cannot be had, or a process ends by itself.
pub fn demo(demo: &Demo, say: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let own = tempfile::tempdir().map_err(Error::io("a temporary directory"))?;
    let dir = demo.dir.clone().unwrap_or_else(|| own.path().to_owned());
    let mut system = System::prepare(&dir, demo)?;
    for number in 0..REPLICAS {
        system.start_replica(number)?;
    }
    (0..REPLICAS).try_for_each(|number| system.wait_for_replica(number))?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(system.start_client(number, demo.length)?);
    }
    let until = Instant::now() + demo.length;
    let mut draw = Stream::new(demo.seed, "demo");
    while Instant::now() < until {
        system.disturb(&mut draw, say)?;
    }
    for client in &mut clients {
        if !client.wait(Duration::from_secs(30)) {
            return Err(Error::Ended(client.name().to_owned()));
        }
    }
    // Whatever a client was promised has to be on the disks now.
    say("all replicas are killed at once and started again");
    for number in 0..REPLICAS {
        system.kill_replica(number);
    }
    for number in 0..REPLICAS {
        system.start_replica(number)?;
    }
    (0..REPLICAS).try_for_each(|number| system.wait_for_replica(number))?;
    let mut last = system.start_client(CLIENTS, Duration::ZERO)?;
    if !last.wait(Duration::from_secs(60)) {
        return Err(Error::Ended(last.name().to_owned()));
    }
    let files: Vec<PathBuf> = (0..=CLIENTS).map(|number| system.history(number)).collect();
    let (history, verdict) = judge(&files)?;
    let (kills, pauses) = (system.kills, system.pauses);
    Ok(Report { kills, pauses, history, verdict, length: demo.length })
}

struct System {
    dir: PathBuf,
    program: PathBuf,
    addresses: Vec<SocketAddr>,
    replicas: Vec<Option<Process>>,
    seed: u64,
    kills: u64,
    pauses: u64,
}

impl System {
    /// Chooses ports and writes down who is who.
    fn prepare(dir: &Path, demo: &Demo) -> Result<System, Error> {
        let program = std::env::current_exe().map_err(Error::io("this program's path"))?;
        // All are bound at once, so that none is chosen twice.
        let listeners: Vec<TcpListener> = (0..REPLICAS)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)))
            .collect::<Result<_, _>>()
            .map_err(Error::io("a free port"))?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()
            .map_err(Error::io("a free port"))?;
        let system = System {
            dir: dir.to_owned(),
            program,
            addresses,
            replicas: (0..REPLICAS).map(|_| None).collect(),
            seed: demo.seed,
            kills: 0,
            pauses: 0,
        };
        let replicas = (1..=REPLICAS).map(|number| format!("replica-{number}"));
        let clients = (1..=CLIENTS + 1).map(|number| format!("client-{number}"));
        for name in replicas.chain(clients) {
            system.write_config(&name)?;
        }
        Ok(system)
    }

    fn write_config(&self, name: &str) -> Result<(), Error> {
        let addresses: serde_json::Map<String, serde_json::Value> = self
            .addresses
            .iter()
            .enumerate()
            .map(|(at, address)| (format!("replica-{}", at + 1), json!(address.to_string())))
            .collect();
        let config = json!({
            "roster": {
                "cluster": "demo",
                "roles": [
                    { "name": "replica", "nodes": REPLICAS },
                    { "name": "client", "nodes": CLIENTS + 1 },
                ],
            },
            "me": name,
            "addresses": addresses,
            "data": self.dir.join(name),
            "limits": { "back_off_max_ms": 200 },
        });
        let path = self.config(name);
        std::fs::write(&path, config.to_string()).map_err(Error::io(path.display().to_string()))
    }

    fn config(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn history(&self, number: u64) -> PathBuf {
        self.dir.join(format!("history-{number}.jsonl"))
    }

    fn start_replica(&mut self, number: usize) -> Result<(), Error> {
        let name = format!("replica-{}", number + 1);
        let config = self.config(&name);
        let arguments =
            ["node".as_ref(), "replica".as_ref(), "--config".as_ref(), config.as_os_str()];
        self.replicas[number] = Some(Process::start(&self.program, &name, &arguments)?);
        Ok(())
    }

    /// Waits until the replica listens.
    fn wait_for_replica(&mut self, number: usize) -> Result<(), Error> {
        let until = Instant::now() + UP_MAX;
        let name = format!("replica-{}", number + 1);
        while Instant::now() < until {
            let limit = Duration::from_millis(200);
            if TcpStream::connect_timeout(&self.addresses[number], limit).is_ok() {
                return Ok(());
            }
            if self.replicas[number].as_mut().is_none_or(Process::has_ended) {
                return Err(Error::Ended(name));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::NotUp(name))
    }

    fn kill_replica(&mut self, number: usize) {
        if let Some(process) = self.replicas[number].take() {
            process.kill();
            self.kills += 1;
        }
    }

    fn start_client(&self, number: u64, length: Duration) -> Result<Process, Error> {
        let name = format!("client-{}", number + 1);
        let (config, history) = (self.config(&name), self.history(number));
        let [number, of, seconds, seed] =
            [number, CLIENTS + 1, length.as_secs(), self.seed].map(|value| value.to_string());
        let arguments = [
            "node".as_ref(),
            "client".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
            "--history".as_ref(),
            history.as_os_str(),
            "--number".as_ref(),
            number.as_ref(),
            "--of".as_ref(),
            of.as_ref(),
            "--seconds".as_ref(),
            seconds.as_ref(),
            "--seed".as_ref(),
            seed.as_ref(),
        ];
        Process::start(&self.program, &name, &arguments)
    }

    /// One fault in one replica, and its end: never are two of the three away at once.
    fn disturb(&mut self, draw: &mut Stream, say: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let number = draw.between(0, REPLICAS as u64 - 1) as usize;
        let length = Duration::from_millis(draw.log_uniform(20, 800));
        let name = format!("replica-{}", number + 1);
        if draw.chance(500_000) {
            say(&format!("{name} is killed, and started again after {} ms", length.as_millis()));
            self.kill_replica(number);
            std::thread::sleep(length);
            self.start_replica(number)?;
            self.wait_for_replica(number)?;
        } else if let Some(process) = &self.replicas[number] {
            say(&format!("{name} stands still for {} ms", length.as_millis()));
            let paused = process.pause();
            std::thread::sleep(length);
            drop(paused);
            self.pauses += 1;
        }
        std::thread::sleep(Duration::from_millis(draw.log_uniform(50, 500)));
        Ok(())
    }
}
