//! Every way from one process to another leads through here, and the weather on it can be set.
//!
//! A link is a way from one process to one node: a port on loopback that only that process is told
//! of. What it takes is cut into the frames of squall-real, which may then be delayed, lost,
//! doubled, overtaken or damaged one by one. Answers over the same connection meet the same
//! weather. With TLS nobody here can tell frames: what comes is damaged, delayed, throttled and
//! closed, and keeps its order.

mod cutter;
mod pump;
mod weather;

pub use weather::{Done, Gate, Weather};

use super::node::Error;
use pump::Pump;
use squall::choice::Stream;
use squall_env::{Either, race};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use weather::{Tally, one};

/// How many connections a link holds at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 16;

/// A way from one process to one node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link {
    /// Who connects.
    pub from: usize,
    /// To which node.
    pub to: usize,
}

/// The links between processes. Dropping it closes them.
pub struct Proxy {
    sources: usize,
    /// By source, then by node.
    addresses: Vec<SocketAddr>,
    weather: Vec<watch::Sender<Weather>>,
    tally: Arc<Tally>,
    stop: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

/// What a link needs to work.
struct Way {
    link: Link,
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
}

impl Proxy {
    /// Opens the links from so many processes to the nodes that listen at `targets`.
    ///
    /// # Errors
    /// If a port, a thread or a runtime cannot be had.
    pub fn start(sources: usize, targets: &[SocketAddr], seed: u64) -> Result<Proxy, Error> {
        let (mut addresses, mut weather, mut ways) = (Vec::new(), Vec::new(), Vec::new());
        for from in 0..sources {
            for (to, target) in targets.iter().enumerate() {
                let bound = TcpListener::bind(("127.0.0.1", 0))
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
                let listener = bound.map_err(Error::io("a port for a link"))?;
                addresses.push(listener.local_addr().map_err(Error::io("a port for a link"))?);
                let (sender, receiver) = watch::channel(Weather::default());
                weather.push(sender);
                let link = Link { from, to };
                ways.push(Way { link, listener, target: *target, weather: receiver });
            }
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("a runtime for the links"))?;
        let (tally, (stop, stopped)) = (Arc::new(Tally::default()), watch::channel(false));
        let shared = Arc::clone(&tally);
        let thread = std::thread::Builder::new()
            .name("links".to_owned())
            .spawn(move || serve(&runtime, ways, &shared, stopped, seed))
            .map_err(Error::io("a thread for the links"))?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Proxy { sources, addresses, weather, tally, stop, thread })
    }

    fn place(&self, link: Link) -> usize {
        link.from * (self.addresses.len() / self.sources) + link.to
    }

    /// Where a link begins.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn address(&self, link: Link) -> SocketAddr {
        self.addresses[self.place(link)]
    }

    /// Sets the weather on a link from now on.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn set(&self, link: Link, weather: &Weather) {
        self.weather[self.place(link)].send_replace(weather.clone());
    }

    /// What the links have done so far.
    pub fn done(&self) -> Done {
        self.tally.done()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and nobody is left to be told.
            let _ = thread.join();
        }
    }
}

fn serve(
    runtime: &Runtime,
    ways: Vec<Way>,
    tally: &Arc<Tally>,
    mut stopped: watch::Receiver<bool>,
    seed: u64,
) {
    runtime.block_on(async {
        for way in ways {
            runtime.spawn(listen(way, Arc::clone(tally), seed));
        }
        // The sender is dropped when it is time to stop.
        while stopped.changed().await.is_ok() {}
    });
}

/// Takes connections on one link for as long as the links are open.
async fn listen(way: Way, tally: Arc<Tally>, seed: u64) {
    let Ok(listener) = tokio::net::TcpListener::from_std(way.listener) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut number = 0u64;
    loop {
        let Ok((incoming, _)) = listener.accept().await else { return };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        if way.weather.borrow().gate == Gate::Closed {
            one(&tally.closed);
            continue;
        }
        number += 1;
        let (weather, target, tally) = (way.weather.clone(), way.target, Arc::clone(&tally));
        let Link { from, to } = way.link;
        let draws = ["there", "back"]
            .map(|way| Stream::new(seed, &format!("link {from} {to} {number} {way}")));
        tokio::spawn(async move {
            carry(incoming, target, weather, draws, &tally).await;
            drop(place);
        });
    }
}

/// Carries one connection until either end closes it or the weather does.
async fn carry(
    incoming: TcpStream,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    [there, back]: [Stream; 2],
    tally: &Tally,
) {
    // A node that is down refuses, and whoever wanted it sees its connection closed.
    let Ok(outgoing) = TcpStream::connect(target).await else { return };
    if incoming.set_nodelay(true).and(outgoing.set_nodelay(true)).is_err() {
        return;
    }
    one(&tally.connections);
    let (from_near, to_near) = incoming.into_split();
    let (from_far, to_far) = outgoing.into_split();
    let damaged = &AtomicBool::new(false);
    let pump = |from, to, draw| Pump { from, to, weather: weather.clone(), draw, tally, damaged };
    let (there, back) = (pump(from_near, to_far, there), pump(from_far, to_near, back));
    let (Either::Left(ended) | Either::Right(ended)) = race(there.run(), back.run()).await;
    let by_weather = matches!(ended, pump::Ended::Weather);
    if by_weather {
        one(&tally.closed);
    }
    if damaged.load(Ordering::Relaxed) {
        one(&tally.damaged);
        if !by_weather {
            one(&tally.broken);
        }
    }
}

#[cfg(test)]
mod tests;
