//! Members as processes of this test, which end with it.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_squall");

/// How long a test waits for what has to happen; other programs may have the processors.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Free ports of this machine. All are held until the last is found, so that none comes twice.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// A cluster on loopback. Its processes end with it.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    peers: Vec<SocketAddr>,
    /// So many of the members know of each other, the first ones.
    pub(crate) known: usize,
    /// So many found the cluster, the others join it.
    pub(crate) founders: usize,
    pub(crate) clients: Vec<SocketAddr>,
    members: Vec<Option<Child>>,
    /// What every member is told beside its number and addresses.
    pub(crate) more: Vec<String>,
    pub(crate) variables: Vec<(String, String)>,
}

impl Cluster {
    pub(crate) fn prepare(count: usize) -> Cluster {
        let addresses = free_addresses(2 * count);
        let (peers, clients) = addresses.split_at(count);
        Cluster {
            dir: tempfile::tempdir().unwrap(),
            peers: peers.to_vec(),
            known: count,
            founders: count,
            clients: clients.to_vec(),
            members: (0..count).map(|_| None).collect(),
            more: vec!["--plaintext".to_owned()],
            variables: Vec::new(),
        }
    }

    /// Starts so many members, and waits until all know a leader.
    pub(crate) fn start(count: usize) -> Cluster {
        let mut cluster = Cluster::prepare(count);
        cluster.start_all();
        cluster
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.members.len()).for_each(|nth| self.start_member(nth));
        (0..self.members.len()).for_each(|nth| self.wait_until_healthy(nth));
    }

    fn log(&self, nth: usize) -> PathBuf {
        self.dir.path().join(format!("member-{}.log", nth + 1))
    }

    /// What a member has logged in all of its lives.
    pub(crate) fn logged(&self, nth: usize) -> String {
        let mut text = String::new();
        File::open(self.log(nth)).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub(crate) fn start_member(&mut self, nth: usize) {
        let name = |(nth, peer): (usize, &SocketAddr)| format!("{}={peer}", nth + 1);
        let known = self.peers[..self.known].iter().enumerate();
        let peers: Vec<String> = known.map(name).collect();
        let log = OpenOptions::new().create(true).append(true).open(self.log(nth)).unwrap();
        let child = Command::new(PROGRAM)
            .args(["serve", "--id", &(nth + 1).to_string(), "--peers", &peers.join(",")])
            .args(["--client", &self.clients[nth].to_string()])
            .arg("--data")
            .arg(self.dir.path().join(format!("member-{}", nth + 1)))
            .args((nth >= self.founders).then_some("--join"))
            .args(&self.more)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        self.members[nth] = Some(child.unwrap());
    }

    pub(crate) fn wait_until_healthy(&mut self, nth: usize) {
        let until = Instant::now() + PATIENCE;
        while !health(self.clients[nth]).starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < until, "member {nth} is not healthy:\n{}", self.logged(nth));
            let ended = self.members[nth].as_mut().and_then(|child| child.try_wait().unwrap());
            assert_eq!(ended, None, "member {nth} has ended:\n{}", self.logged(nth));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, nth: usize, signal: Signal) {
        let child = self.members[nth].as_ref().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it as the system does when it runs out of memory: at once.
    pub(crate) fn kill(&mut self, nth: usize) {
        if let Some(mut child) = self.members[nth].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Has it stand still for a while.
    pub(crate) fn pause(&self, nth: usize, length: Duration) {
        self.signal(nth, Signal::STOP);
        std::thread::sleep(length);
        self.signal(nth, Signal::CONT);
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stop(&mut self, nth: usize) -> ExitStatus {
        self.signal(nth, Signal::TERM);
        let mut child = self.members[nth].take().expect("it runs");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > until {
                child.kill().unwrap();
                panic!("member {nth} does not stop:\n{}", self.logged(nth));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.clients.iter().map(|client| format!("http://{client}")).collect()
    }

    /// Runs a command of the client.
    pub(crate) fn config(&self, arguments: &[&str]) -> Output {
        config(&self.urls(), arguments)
    }

    /// Runs one that has to succeed, and gives what it prints.
    pub(crate) fn say(&self, arguments: &[&str]) -> String {
        said(&self.config(arguments), 0)
    }

    /// The number of the member that leads, from 0.
    pub(crate) fn leader(&self) -> usize {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for client in &self.clients {
                let body = health(*client);
                let name = body.split_once(r#""leader":"member-"#).map(|(_, rest)| rest);
                let number = name.and_then(|rest| rest.split('"').next()?.parse::<usize>().ok());
                if let Some(number) = number {
                    return number - 1;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nobody leads");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.members.iter_mut().flatten() {
            // Both fail only if it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a command of the client against these endpoints.
pub(crate) fn config(urls: &[String], arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("config").args(arguments).args(["--endpoints", &urls.join(",")]);
    command.args(["--timeout", "30s"]).stdin(Stdio::null()).output().unwrap()
}

/// What a command printed, which ended with this code.
pub(crate) fn said(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}\n{errors}");
    text
}

/// What a member answers to a question about its health; nothing if it does not.
pub(crate) fn health(client: SocketAddr) -> String {
    request(client, "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

/// Sends bytes as any program may, and gives what comes back.
pub(crate) fn request(client: SocketAddr, text: &str) -> String {
    let mut said = String::new();
    let limit = Duration::from_secs(10);
    if let Ok(mut stream) = TcpStream::connect_timeout(&client, limit) {
        stream.set_read_timeout(Some(limit)).unwrap();
        // A member that is being killed answers in part or not at all.
        let written = stream.write_all(text.as_bytes());
        let _ = written.and_then(|()| stream.read_to_string(&mut said));
    }
    said
}
