//! What is between the processes of a run: links of our own, or networks of the kernel.

use super::namespaces::Namespaces;
use super::node::Error;
use super::process::Process;
use super::proxy::{Done, Link, Proxy, Weather};
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// What is between the processes.
pub(super) enum Net {
    /// All are on loopback, where the nodes listen at these addresses, and each is told of links.
    Links(Vec<SocketAddr>, Proxy),
    /// Each has a network of its own.
    Namespaces(Namespaces),
}

impl Net {
    /// Links between so many sources, of which the first are nodes.
    pub(super) fn of_links(sources: usize, nodes: usize, seed: u64) -> Result<Net, Error> {
        // All are bound at once, so that none is chosen twice.
        let listeners: Vec<TcpListener> = (0..nodes)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)))
            .collect::<Result<_, _>>()
            .map_err(Error::io("a free port"))?;
        let addresses: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()
            .map_err(Error::io("a free port"))?;
        let proxy = Proxy::start(sources, &addresses, seed)?;
        Ok(Net::Links(addresses, proxy))
    }

    /// Networks of the kernel for so many sources.
    pub(super) fn of_namespaces(sources: usize, nodes: usize) -> Result<Net, Error> {
        Ok(Net::Namespaces(Namespaces::make(sources, nodes)?))
    }

    /// Where a node finds another, or itself.
    pub(super) fn address(&self, link: Link) -> SocketAddr {
        match self {
            Net::Links(addresses, _) if link.from == link.to => addresses[link.to],
            Net::Links(_, proxy) => proxy.address(link),
            Net::Namespaces(namespaces) => namespaces.address(link.to),
        }
    }

    /// Sets the weather on links. The kernel closes and opens them, and knows no other weather.
    pub(super) fn set(&mut self, links: &[Link], weather: &Weather) -> Result<(), Error> {
        match self {
            Net::Links(_, proxy) => {
                links.iter().for_each(|link| proxy.set(*link, weather));
                Ok(())
            }
            Net::Namespaces(namespaces) => namespaces.set(links, weather.gate),
        }
    }

    /// Starts a process where it belongs.
    pub(super) fn start(
        &self,
        program: &Path,
        (name, source): (&str, usize),
        arguments: &[&OsStr],
    ) -> Result<Process, Error> {
        let Net::Namespaces(namespaces) = self else {
            return Process::start(program, name, arguments);
        };
        // This program becomes the other, whose number is then its own.
        let place = namespaces.inside(source);
        let mut inside = vec![OsStr::new(&place), program.as_ref()];
        inside.extend(arguments);
        Process::start(Path::new("nsenter"), name, &inside)
    }

    /// Whether a node listens that is this process.
    pub(super) fn listens(&self, node: usize, process: u32) -> bool {
        match self {
            Net::Links(addresses, _) => {
                let limit = Duration::from_millis(200);
                TcpStream::connect_timeout(&addresses[node], limit).is_ok()
            }
            Net::Namespaces(namespaces) => namespaces.listens(process, node),
        }
    }

    /// What the links have done, if they are our own.
    pub(super) fn done(&self) -> Option<Done> {
        match self {
            Net::Links(_, proxy) => Some(proxy.done()),
            Net::Namespaces(_) => None,
        }
    }

    /// How many packets the kernel has dropped, if it parts processes.
    pub(super) fn dropped(&self) -> Result<Option<u64>, Error> {
        match self {
            Net::Links(..) => Ok(None),
            Net::Namespaces(namespaces) => namespaces.dropped().map(Some),
        }
    }
}
