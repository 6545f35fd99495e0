//! Processes that each have a network of their own, joined by a bridge that is in no other
//! namespace either, and parted by the filters of the kernel. Only root may make them.
//!
//! Nothing outside the namespaces is touched: no address, no route and no filter of the machine.

use super::node::Error;
use super::proxy::{Gate, Link};
use super::root::run;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where nodes listen: nobody else does in their namespaces.
const PORT: u16 = 7_000;

/// What the names of all namespaces begin with; the number of the process that made them follows.
const PREFIX: &str = "squall-";

/// How many have been made by this process.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one run. Dropping it takes them away.
pub(super) struct Namespaces {
    nodes: usize,
    /// That of the bridge.
    hub: String,
    /// By source.
    names: Vec<String>,
    closed: BTreeMap<Link, Gate>,
}

/// The address of a source.
fn address(source: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 83, 0, source as u8 + 1)
}

fn ip(line: &str) -> Result<String, Error> {
    run("ip", &line.split(' ').collect::<Vec<_>>(), "")
}

/// Namespaces of processes that are gone.
///
/// # Errors
/// If the namespaces of the machine cannot be listed.
pub(super) fn remains() -> Result<Vec<String>, Error> {
    let listed = ip("netns list")?;
    let of = |name: &str| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok();
    let is_gone = |name: &&str| {
        of(name).is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
    };
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    Ok(names.filter(is_gone).map(str::to_owned).collect())
}

impl Namespaces {
    /// Makes one for each of so many sources, of which the first are nodes.
    ///
    /// # Errors
    /// If this is not root, or one of the programs `ip`, `nft` and `nsenter` is not there. What was
    /// made until then is taken away.
    pub(super) fn make(sources: usize, nodes: usize) -> Result<Namespaces, Error> {
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("{PREFIX}{}-{made}", std::process::id());
        let hub = format!("{prefix}-hub");
        ip(&format!("netns add {hub}"))?;
        let mut all = Namespaces { nodes, hub, names: Vec::new(), closed: BTreeMap::new() };
        let hub = &all.hub;
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} link set bridge up"))?;
        for source in 0..sources {
            let name = format!("{prefix}-{}", source + 1);
            ip(&format!("netns add {name}"))?;
            all.names.push(name.clone());
            let (hub, port) = (&all.hub, format!("port{}", source + 1));
            ip(&format!("-n {hub} link add {port} type veth peer name eth0 netns {name}"))?;
            ip(&format!("-n {hub} link set {port} master bridge up"))?;
            ip(&format!("-n {name} addr add {}/24 dev eth0", address(source)))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        (0..nodes).try_for_each(|node| all.nft(node, TABLE).map(drop))?;
        Ok(all)
    }

    /// What tells `nsenter` where a source is: all but its network is that of everybody, as its
    /// mounts are.
    pub(super) fn inside(&self, source: usize) -> String {
        format!("--net=/run/netns/{}", self.names[source])
    }

    /// Where a node listens.
    pub(super) fn address(&self, node: usize) -> SocketAddr {
        (address(node), PORT).into()
    }

    fn nft(&self, node: usize, script: &str) -> Result<String, Error> {
        run("nsenter", &[&self.inside(node), "nft", "-f", "-"], script)
    }

    /// Lets nothing pass on these links from now on, or everything.
    ///
    /// # Errors
    /// If the filters cannot be changed.
    pub(super) fn set(&mut self, links: &[Link], gate: Gate) -> Result<(), Error> {
        for link in links {
            match gate {
                Gate::Open => self.closed.remove(link),
                Gate::Stalled | Gate::Closed => self.closed.insert(*link, gate),
            };
        }
        let struck: BTreeSet<usize> = links.iter().map(|link| link.to).collect();
        struck.into_iter().try_for_each(|to| self.nft(to, &rules(to, &self.closed)).map(drop))
    }

    /// How many packets were dropped or refused so far.
    ///
    /// # Errors
    /// If the filters cannot be read.
    pub(super) fn dropped(&self) -> Result<u64, Error> {
        let counts = (0..self.nodes).map(|node| {
            let listed = self.nft(node, "list counter inet squall dropped\n")?;
            let why = || std::io::Error::other(format!("no count of packets: {listed}"));
            packets(&listed).ok_or_else(|| Error::io("nft list counter")(why()))
        });
        counts.sum()
    }

    /// Whether a process listens where this node does.
    pub(super) fn listens(&self, process: u32, node: usize) -> bool {
        let listed = std::fs::read_to_string(format!("/proc/{process}/net/tcp"));
        listed.is_ok_and(|sockets| has_listener(&sockets, node))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in self.names.iter().chain([&self.hub]) {
            if let Err(error) = ip(&format!("netns del {name}")) {
                eprintln!("error: {error}");
            }
        }
    }
}

/// What a node's namespace begins with. The counter outlives the rules that count.
const TABLE: &str = "table inet squall {
  counter dropped {}
  chain input { type filter hook input priority 0; policy accept; }
}
";

/// What a node no longer takes in: packets vanish, or are answered so that connections end.
fn rules(to: usize, closed: &BTreeMap<Link, Gate>) -> String {
    let mut script = "flush chain inet squall input\n".to_owned();
    for (link, gate) in closed.iter().filter(|(link, _)| link.to == to) {
        let from = address(link.from);
        let what = match gate {
            Gate::Closed => "meta l4proto tcp counter name dropped reject with tcp reset",
            Gate::Stalled | Gate::Open => "counter name dropped drop",
        };
        writeln!(script, "add rule inet squall input ip saddr {from} {what}")
            .expect("a string takes everything");
    }
    script
}

/// The number of packets in what `nft list counter` wrote.
fn packets(listed: &str) -> Option<u64> {
    let mut words = listed.split_whitespace();
    words.find(|word| *word == "packets")?;
    words.next()?.parse().ok()
}

/// Whether the sockets of a namespace, as in proc(5), have one that listens where this node does.
fn has_listener(sockets: &str, node: usize) -> bool {
    let address = u32::from_le_bytes(address(node).octets());
    let listens = [format!("{address:08X}:{PORT:04X}"), "0A".to_owned()];
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.nth(1).zip(words.nth(1)) == Some((&listens[0], &listens[1]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_node_drops_what_comes_over_closed_links_to_it() {
        let link = |from, to| Link { from, to };
        let closed = BTreeMap::from([
            (link(0, 1), Gate::Stalled),
            (link(1, 0), Gate::Stalled),
            (link(4, 1), Gate::Closed),
        ]);
        assert_eq!(
            rules(1, &closed),
            "flush chain inet squall input\n\
             add rule inet squall input ip saddr 10.83.0.1 counter name dropped drop\n\
             add rule inet squall input ip saddr 10.83.0.5 meta l4proto tcp \
             counter name dropped reject with tcp reset\n"
        );
        assert_eq!(rules(2, &closed), "flush chain inet squall input\n");
    }

    #[test]
    fn counts_and_sockets_are_read() {
        let listed = "table inet squall {\n\tcounter dropped {\n\t\tpackets 12 bytes 720\n\t}\n}\n";
        assert_eq!(packets(listed), Some(12));
        assert_eq!(packets("table inet squall {\n}\n"), None);
        let line = |state: &str| format!("  0: 0200530A:1B58 00000000:0000 {state} 00000000:0\n");
        assert!(has_listener(&line("0A"), 1));
        assert!(!has_listener(&line("01"), 1), "that is a connection");
        assert!(!has_listener(&line("0A"), 0), "that is another's address");
        assert!(!has_listener("  sl  local_address rem_address   st\n", 1));
    }

    /// Sends one packet: what bash sends there is a datagram.
    fn send(all: &Namespaces, from: usize, to: usize) {
        let line = format!("echo x > /dev/udp/{}/9", address(to));
        run("nsenter", &[&all.inside(from), "bash", "-c", &line], "").unwrap();
    }

    #[test]
    #[ignore = "makes network namespaces, which only root may do; continuous integration runs it"]
    fn packets_are_dropped_one_way_and_all_is_gone_after_a_panic() {
        let ours = || {
            let own = format!("{PREFIX}{}-", std::process::id());
            ip("netns list").unwrap().matches(&own).count()
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut all = Namespaces::make(2, 2).unwrap();
            assert_eq!(ours(), 3);
            assert!(remains().unwrap().iter().all(|name| !all.names.contains(name)));
            send(&all, 0, 1);
            assert_eq!(all.dropped().unwrap(), 0);
            all.set(&[Link { from: 0, to: 1 }], Gate::Stalled).unwrap();
            send(&all, 0, 1);
            assert_eq!(all.dropped().unwrap(), 1);
            // The other way is open; what is dropped is the answer that nobody listens there.
            send(&all, 1, 0);
            assert_eq!(all.dropped().unwrap(), 2);
            all.set(&[Link { from: 0, to: 1 }], Gate::Open).unwrap();
            send(&all, 0, 1);
            assert_eq!(all.dropped().unwrap(), 2);
            panic!("in the middle of a partition");
        }));
        let why = panicked.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"in the middle of a partition"));
        assert_eq!(ours(), 0);
    }
}
