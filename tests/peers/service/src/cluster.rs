//! Three processes that form a cluster, in fresh directories and on free ports of loopback.

use crate::clients::Failed;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many members a cluster has.
pub(crate) const MEMBERS: usize = 3;

/// How long a cluster may take until somebody leads it.
const START_MAX: Duration = Duration::from_secs(30);

const LOOK: Duration = Duration::from_millis(50);

/// Which program the members are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Etcd,
    Squall,
}

struct Member {
    /// The process that was started: the member, or strace around it.
    child: Child,
    /// The member.
    pid: Pid,
    syncs: PathBuf,
}

/// A cluster that runs until it is dropped.
pub(crate) struct Cluster {
    program: Program,
    members: Vec<Member>,
    /// Where its members are reached by clients.
    pub(crate) clients: Vec<SocketAddr>,
    /// Where they reach each other.
    pub(crate) peers: Vec<SocketAddr>,
    strace: bool,
}

fn free_ports(count: usize) -> Result<Vec<SocketAddr>, Failed> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?)
}

fn etcd_arguments(nth: usize, data: &Path, clients: &[SocketAddr], peers: &[SocketAddr]) -> Words {
    let url = |address: SocketAddr| format!("http://{address}");
    let all = peers.iter().enumerate().map(|(nth, at)| format!("m{nth}={}", url(*at)));
    let all = all.collect::<Vec<_>>().join(",");
    let mut words = Words::default();
    words.pair("--name", format!("m{nth}")).pair("--data-dir", data);
    words.pair("--listen-client-urls", url(clients[nth]));
    words.pair("--advertise-client-urls", url(clients[nth]));
    words.pair("--listen-peer-urls", url(peers[nth]));
    words.pair("--initial-advertise-peer-urls", url(peers[nth]));
    words.pair("--initial-cluster", all).pair("--initial-cluster-state", "new");
    words.pair("--logger", "zap").pair("--log-level", "warn");
    words
}

fn squall_arguments(
    nth: usize,
    data: &Path,
    clients: &[SocketAddr],
    peers: &[SocketAddr],
) -> Words {
    let all = peers.iter().enumerate().map(|(nth, at)| format!("{}={at}", nth + 1));
    let all = all.collect::<Vec<_>>().join(",");
    let mut words = Words(vec!["serve".into()]);
    words.pair("--id", (nth + 1).to_string()).pair("--data", data);
    words.pair("--peers", all).pair("--client", clients[nth].to_string());
    words.0.push("--plaintext".into());
    words
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn pair(&mut self, name: &str, value: impl Into<OsString>) -> &mut Words {
        self.0.extend([name.into(), value.into()]);
        self
    }
}

impl Cluster {
    /// Starts the members, under strace if their syncs are to be counted.
    pub(crate) fn start(
        program: Program,
        binary: &Path,
        directory: &Path,
        strace: bool,
    ) -> Result<Cluster, Failed> {
        let ports = free_ports(2 * MEMBERS)?;
        let (clients, peers) = ports.split_at(MEMBERS);
        let (clients, peers) = (clients.to_vec(), peers.to_vec());
        let mut cluster = Cluster { program, members: Vec::new(), clients, peers, strace };
        for nth in 0..MEMBERS {
            let data = directory.join(format!("member-{nth}"));
            let of = match program {
                Program::Etcd => etcd_arguments,
                Program::Squall => squall_arguments,
            };
            let words = of(nth, &data, &cluster.clients, &cluster.peers);
            let log = File::create(directory.join(format!("member-{nth}.log")))?;
            let syncs = directory.join(format!("member-{nth}.syncs"));
            let mut command = if strace {
                let mut command = Command::new("strace");
                let what = "trace=fsync,fdatasync";
                command.args(["-f", "--seccomp-bpf", "-c", "-e", what, "-o"]).arg(&syncs);
                command.arg(binary);
                command
            } else {
                Command::new(binary)
            };
            let command = command.args(&words.0).stdin(Stdio::null()).stdout(log.try_clone()?);
            let child = command.stderr(log).spawn()?;
            let pid = if strace { child_of(child.id())? } else { child.id() };
            let pid = Pid::from_raw(pid as i32).ok_or("a process has no number")?;
            cluster.members.push(Member { child, pid, syncs });
        }
        Ok(cluster)
    }

    /// Waits until somebody leads, and says who of them.
    pub(crate) fn leader(&mut self) -> Result<usize, Failed> {
        let begin = Instant::now();
        while begin.elapsed() < START_MAX {
            for member in &mut self.members {
                if let Some(status) = member.child.try_wait()? {
                    return Err(format!("a member has ended: {status}").into());
                }
            }
            if let Some(leader) = (0..MEMBERS).find(|nth| self.leads(*nth).unwrap_or(false)) {
                return Ok(leader);
            }
            sleep(LOOK);
        }
        Err("nobody leads".into())
    }

    fn leads(&self, nth: usize) -> Result<bool, Failed> {
        match self.program {
            Program::Etcd => {
                let metrics = fetch(self.clients[nth], "/metrics")?;
                Ok(metrics.lines().any(|line| line == "etcd_server_is_leader 1"))
            }
            Program::Squall => {
                let text = fetch(self.clients[nth], "/v1/status")?;
                let status: serde_json::Value = serde_json::from_str(&text)?;
                Ok(status["leader"].is_string() && status["leader"] == status["member"])
            }
        }
    }

    /// The processor time that the members have used up to now.
    pub(crate) fn processor_time(&self) -> Result<Duration, Failed> {
        let mut ticks = 0;
        for member in &self.members {
            let stat = fs::read_to_string(format!("/proc/{}/stat", member.pid.as_raw_nonzero()))?;
            let (_, rest) = stat.rsplit_once(')').ok_or("a process has no name")?;
            let numbers = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
            ticks += numbers.sum::<Result<u64, _>>()?;
        }
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Ends the members, and says how often each has called fsync and fdatasync, if that was
    /// counted.
    pub(crate) fn stop(mut self) -> Result<Vec<u64>, Failed> {
        self.end();
        let counted = if self.strace { self.members.as_slice() } else { &[] };
        counted.iter().map(|member| syncs(&fs::read_to_string(&member.syncs)?)).collect()
    }

    fn end(&mut self) {
        for member in &self.members {
            // Whoever has ended already cannot be ended.
            let _ = kill_process(member.pid, Signal::KILL);
        }
        for member in &mut self.members {
            let _ = member.child.wait();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
    }
}

/// The process that strace has started.
fn child_of(strace: u32) -> Result<u32, Failed> {
    let begin = Instant::now();
    while begin.elapsed() < START_MAX {
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"))?;
        for child in children.split_whitespace() {
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            // Before the program itself, strace has short-lived children of its own.
            if !name.is_empty() && name.trim() != "strace" {
                return Ok(child.parse()?);
            }
        }
        sleep(LOOK);
    }
    Err("strace has started nothing".into())
}

/// How many calls a summary of strace counts.
fn syncs(summary: &str) -> Result<u64, Failed> {
    let lines = summary.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let calls = lines
        .filter(|words| words.last().is_some_and(|name| ["fsync", "fdatasync"].contains(name)));
    let calls = calls.map(|words| {
        words.get(3).ok_or("strace's summary is cut off")?.parse::<u64>().map_err(Failed::from)
    });
    calls.sum()
}

fn fetch(from: SocketAddr, path: &str) -> Result<String, Failed> {
    let mut stream = TcpStream::connect(from)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("an answer has no body")?;
    Ok(body.to_owned())
}
