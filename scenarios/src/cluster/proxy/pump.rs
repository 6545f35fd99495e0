//! One direction of one connection: pieces come in, and go out when their time has come.

use super::cutter::{Cutter, Piece};
use super::weather::{Gate, Tally, Weather, one};
use squall::choice::Stream;
use squall_env::{Either, race};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// How much waits at a time; what is more waits with the sender.
const HELD_MAX: usize = 4 << 20;

/// How much longer than others a frame takes that is overtaken, at least.
const OVERTAKEN: Duration = Duration::from_millis(5);

/// Why a direction has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the sender has closed it")]
    End,
    #[error("the weather has closed it")]
    Weather,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What waits for its time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    until: Instant,
    number: u64,
    bytes: Vec<u8>,
}

/// One direction of one connection.
pub(super) struct Pump<'a> {
    pub(super) from: OwnedReadHalf,
    pub(super) to: OwnedWriteHalf,
    pub(super) weather: watch::Receiver<Weather>,
    pub(super) draw: Stream,
    pub(super) tally: &'a Tally,
    /// Set once a bit of the connection is another.
    pub(super) damaged: &'a AtomicBool,
}

struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    held: usize,
    number: u64,
    /// Nothing that keeps its place may leave before this.
    last: Instant,
}

impl Queue {
    fn add(&mut self, until: Instant, bytes: Vec<u8>) {
        self.held += bytes.len();
        self.number += 1;
        self.waiting.push(Reverse(Waiting { until, number: self.number, bytes }));
    }
}

impl Pump<'_> {
    /// Passes on what comes until either end closes or the weather does.
    pub(super) async fn run(mut self) -> Ended {
        let mut cutter = Cutter::new();
        let last = Instant::now();
        let mut queue = Queue { waiting: BinaryHeap::new(), held: 0, number: 0, last };
        let mut bytes = vec![0; 64 << 10];
        loop {
            let gate = self.weather.borrow_and_update().gate;
            let is_open = gate == Gate::Open;
            if gate == Gate::Closed {
                return Ended::Weather;
            }
            let due = queue.waiting.peek().map(|Reverse(next)| next.until);
            let leaves = async {
                match due {
                    Some(until) if is_open => sleep_until(until).await,
                    _ => pending().await,
                }
            };
            let comes = async {
                if is_open && queue.held < HELD_MAX {
                    return self.from.read(&mut bytes).await;
                }
                pending().await
            };
            match race(self.weather.changed(), race(leaves, comes)).await {
                Either::Left(Ok(())) => {}
                Either::Left(Err(_)) => return Ended::Weather,
                Either::Right(Either::Left(())) => {
                    let Some(Reverse(next)) = queue.waiting.pop() else { continue };
                    queue.held -= next.bytes.len();
                    if let Err(ended) = self.write(&next.bytes).await {
                        return ended;
                    }
                }
                Either::Right(Either::Right(Ok(0))) => return Ended::End,
                Either::Right(Either::Right(Err(error))) => return Ended::Io(error),
                Either::Right(Either::Right(Ok(count))) => {
                    cutter.push(&bytes[..count]);
                    while let Some(piece) = cutter.next() {
                        if !self.take(piece, &mut queue) {
                            return Ended::Weather;
                        }
                    }
                }
            }
        }
    }

    /// Writes everything, as fast as the weather lets it.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let rate = self.weather.borrow().bytes_per_second;
        if let Some(rate) = rate {
            sleep(Duration::from_secs_f64(bytes.len() as f64 / f64::from(rate.max(1)))).await;
        }
        let mut weather = self.weather.clone();
        // Whoever takes nothing in must not keep the weather from closing.
        let closed =
            async { weather.wait_for(|weather| weather.gate == Gate::Closed).await.map(drop) };
        match race(self.to.write_all(bytes), closed).await {
            Either::Left(written) => Ok(written?),
            Either::Right(_) => Err(Ended::Weather),
        }
    }

    /// Decides what becomes of a piece. Says whether the connection goes on.
    fn take(&mut self, piece: Piece, queue: &mut Queue) -> bool {
        let weather = self.weather.borrow().clone();
        let draw = &mut self.draw;
        let is_frame = matches!(piece, Piece::Frame(_));
        let is_greeting = matches!(piece, Piece::Greeting(_));
        let (Piece::Greeting(mut bytes) | Piece::Frame(mut bytes) | Piece::Bytes(mut bytes)) =
            piece;
        if !is_greeting && draw.chance(weather.close) {
            return false;
        }
        if is_frame && draw.chance(weather.lose) {
            one(&self.tally.lost);
            return true;
        }
        if draw.chance(weather.corrupt) {
            one(&self.tally.corrupted);
            self.damaged.store(true, Ordering::Relaxed);
            let bit = draw.between(0, bytes.len() as u64 * 8 - 1) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let jitter = draw.between(0, weather.jitter.as_micros() as u64);
        let on_time = Instant::now() + weather.delay + Duration::from_micros(jitter);
        if is_frame && draw.chance(weather.duplicate) {
            one(&self.tally.duplicated);
            queue.add(queue.last.max(on_time) + OVERTAKEN, bytes.clone());
        }
        if is_frame && draw.chance(weather.reorder) {
            one(&self.tally.reordered);
            queue.add(queue.last.max(on_time) + OVERTAKEN + weather.jitter, bytes);
        } else {
            queue.last = queue.last.max(on_time);
            queue.add(queue.last, bytes);
        }
        one(&self.tally.passed);
        true
    }
}
