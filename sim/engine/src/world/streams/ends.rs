//! What programs hold of streams: ends, listeners, attempts to connect. Each holds numbers only;
//! those of a boot that has ended do nothing and answer nothing.

use super::connect::Connecting;
use super::{CALLER, LISTENER, Stage, World};
use crate::choice::{Domain, below, chance, mix};
use crate::digest::Code;
use crate::table::Fault;
use crate::world::tasks::Waiter;
use crate::world::with;
use squall_env::platform::{ByteStream, Closed, Listening};
use squall_env::stream::{ConnectError, StreamError};
use squall_env::{Address, NodeId, Port};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A boot of a node.
#[derive(Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) node: u32,
    pub(crate) token: u64,
}

/// Asks the world for something that may have to be waited for. `ask` takes the waiter if it has
/// to; if there is none yet it answers nothing, and is asked again with one.
fn poll_world<R>(
    holder: Holder,
    cx: &mut Context<'_>,
    mut ask: impl FnMut(&mut World, &mut Option<Waiter>) -> Option<Poll<R>>,
) -> Poll<R> {
    let mut waiter = None;
    loop {
        let polled = with(|world| {
            if !world.alive(holder.node, holder.token) {
                return Some(Poll::Pending);
            }
            if waiter.is_none() {
                waiter = world.own_waker(cx).map(Waiter::Task);
            }
            ask(world, &mut waiter)
        });
        match polled {
            None => return Poll::Pending,
            Some(Some(polled)) => return polled,
            // A foreign waker is cloned outside: its code is not ours.
            Some(None) => waiter = Some(Waiter::Foreign(cx.waker().clone())),
        }
    }
}

/// A port on which connections are taken.
pub(crate) struct ListeningPort {
    pub(crate) holder: Holder,
    pub(crate) slot: u32,
    pub(crate) era: u32,
    pub(crate) port: Port,
}

impl Listening for ListeningPort {
    fn port(&self) -> Port {
        self.port
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn ByteStream>, Closed>> {
        let (holder, slot, era) = (self.holder, self.slot, self.era);
        let polled = poll_world(holder, cx, |world, waiter| world.accept(slot, era, waiter));
        polled.map(|accepted| {
            let (slot, peer, port) = accepted?;
            Ok(Box::new(End { holder, slot, side: LISTENER, peer, port }) as Box<dyn ByteStream>)
        })
    }
}

impl Drop for ListeningPort {
    fn drop(&mut self) {
        with(|world| {
            if world.alive(self.holder.node, self.holder.token) {
                world.unlisten(self.slot, false);
            }
        });
    }
}

/// An attempt to connect.
pub(crate) struct Attempt {
    pub(crate) holder: Holder,
    pub(crate) to: Address,
    pub(crate) begun: Option<Connecting>,
}

impl Future for Attempt {
    type Output = Result<Box<dyn ByteStream>, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (holder, to) = (self.holder, self.to);
        if self.begun.is_none() {
            let begun = with(|world| {
                let alive = world.alive(holder.node, holder.token);
                alive.then(|| world.connect(holder.node, to))
            });
            match begun.flatten() {
                None => return Poll::Pending,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(begun)) => self.begun = Some(begun),
            }
        }
        let Some(Connecting(slot)) = self.begun else { return Poll::Pending };
        let polled = poll_world(holder, cx, |world, waiter| world.connected(slot, waiter));
        polled.map(|connected| {
            connected?;
            // From here on the end closes by itself.
            self.begun = None;
            let end = End { holder, slot, side: CALLER, peer: to.node, port: to.port };
            Ok(Box::new(end) as Box<dyn ByteStream>)
        })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(Connecting(slot)) = self.begun {
            close(self.holder, slot, CALLER);
        }
    }
}

fn close(holder: Holder, slot: u32, side: usize) {
    with(|world| {
        if world.alive(holder.node, holder.token) {
            world.close_end(slot, side, false);
        }
    });
}

/// One end of a connection.
struct End {
    holder: Holder,
    slot: u32,
    side: usize,
    peer: NodeId,
    port: Port,
}

impl ByteStream for End {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn port(&self) -> Port {
        self.port
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (slot, side) = (self.slot, self.side);
        poll_world(self.holder, cx, |world, waiter| world.stream_read(slot, side, into, waiter))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (slot, side) = (self.slot, self.side);
        poll_world(self.holder, cx, |world, waiter| world.stream_write(slot, side, bytes, waiter))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was taken is on its way, as far as it may be.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let holder = self.holder;
        let shut = with(|world| {
            let alive = world.alive(holder.node, holder.token);
            alive.then(|| world.stream_shutdown(self.slot, self.side))
        });
        shut.flatten().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        close(self.holder, self.slot, self.side);
    }
}

/// A connection that was taken: its place, who has connected, and to which port.
type Accepted = (u32, NodeId, Port);

impl World {
    fn accept(
        &mut self,
        slot: u32,
        era: u32,
        waiter: &mut Option<Waiter>,
    ) -> Option<Poll<Result<Accepted, Closed>>> {
        let listener = &mut self.streams.listeners[slot];
        if listener.era != era {
            return Some(Poll::Ready(Err(Closed)));
        }
        let (node, port) = (listener.node, Port::from_number(listener.port));
        if let Some((connection, _)) = listener.waiting.pop_front() {
            let found = &self.streams.connections[connection];
            let (peer, name) = (found.ends[CALLER].node, found.name(0));
            self.note(node, Code::Accept, [name, u64::from(peer) + 1]);
            return Some(Poll::Ready(Ok((connection, self.nodes[peer as usize].id, port))));
        }
        let old = std::mem::replace(&mut listener.waiter, waiter.take()?);
        self.forget_waiter(old);
        self.waits("a connection", "");
        Some(Poll::Pending)
    }

    fn connected(
        &mut self,
        slot: u32,
        waiter: &mut Option<Waiter>,
    ) -> Option<Poll<Result<(), ConnectError>>> {
        let connection = &mut self.streams.connections[slot];
        match connection.stage {
            Stage::Standing => return Some(Poll::Ready(Ok(()))),
            Stage::Failed(error) => return Some(Poll::Ready(Err(error))),
            Stage::Calling | Stage::Free => {}
        }
        let old = std::mem::replace(&mut connection.ends[CALLER].reader, waiter.take()?);
        self.forget_waiter(old);
        self.waits("an answer to a connect", "");
        Some(Poll::Pending)
    }

    fn stream_read(
        &mut self,
        slot: u32,
        side: usize,
        into: &mut ReadBuf<'_>,
        waiter: &mut Option<Waiter>,
    ) -> Option<Poll<io::Result<()>>> {
        let short_ppm = self.weather.streams.short_io_ppm;
        let connection = &mut self.streams.connections[slot];
        let local = connection.is_local();
        let pipe = &mut connection.pipes[1 - side];
        let offset = pipe.read;
        let mut count = pipe.readable().min(into.remaining() as u64);
        if count == 0 {
            let error = connection.ends[side].error;
            return match error {
                _ if into.remaining() == 0 || pipe.end_arrived => Some(Poll::Ready(Ok(()))),
                Some(error) => Some(Poll::Ready(Err(error.into()))),
                None => {
                    let reader = &mut connection.ends[side].reader;
                    let old = std::mem::replace(reader, waiter.take()?);
                    self.forget_waiter(old);
                    self.waits("bytes of a stream", "");
                    Some(Poll::Pending)
                }
            };
        }
        if short_ppm > 0 && !local {
            count = self.perhaps_short(slot, (side, "read"), offset, count);
        }
        let connection = &mut self.streams.connections[slot];
        let pipe = &mut connection.pipes[1 - side];
        pipe.take(count, |piece| into.put_slice(piece));
        if pipe.readable() == 0 {
            let read = pipe.read;
            let (node, details) = (connection.ends[side].node, [connection.name(read), 0]);
            self.note(node, Code::StreamRead, details);
        }
        self.tell_room(slot, 1 - side);
        Some(Poll::Ready(Ok(())))
    }

    fn stream_write(
        &mut self,
        slot: u32,
        side: usize,
        bytes: &[u8],
        waiter: &mut Option<Waiter>,
    ) -> Option<Poll<io::Result<usize>>> {
        let (short_ppm, narrow) =
            (self.weather.streams.short_io_ppm, self.weather.streams.back_pressure);
        let connection = &mut self.streams.connections[slot];
        let (node, local) = (connection.ends[side].node, connection.is_local());
        let pipe = &mut connection.pipes[side];
        if let Some(error) = connection.ends[side].error {
            return Some(Poll::Ready(Err(error.into())));
        }
        if pipe.shut {
            return Some(Poll::Ready(Err(StreamError::ShutDown.into())));
        }
        let (offset, room) = (pipe.written, pipe.room());
        let mut count = (bytes.len() as u64).min(room);
        if bytes.is_empty() {
            return Some(Poll::Ready(Ok(0)));
        }
        if room == 0 {
            let old = std::mem::replace(&mut connection.ends[side].writer, waiter.take()?);
            self.forget_waiter(old);
            if narrow {
                self.fired(Fault::BackPressure);
            }
            self.waits("room in a stream", "");
            return Some(Poll::Pending);
        }
        if short_ppm > 0 && !local {
            count = self.perhaps_short(slot, (side, "write"), offset, count);
        }
        self.streams.connections[slot].pipes[side].push(&bytes[..count as usize]);
        self.pump(slot, side);
        self.strike_at_step(node);
        Some(Poll::Ready(Ok(count as usize)))
    }

    /// How much of what could be done is done, by the offset at which it begins.
    fn perhaps_short(
        &mut self,
        slot: u32,
        (side, what): (usize, &str),
        offset: u64,
        count: u64,
    ) -> u64 {
        let connection = &self.streams.connections[slot];
        let entity = connection.entity.with(side as u64).named(what);
        let bits = self.choices.draw(Domain::StreamShortIo, entity, offset);
        if count < 2 || !chance(bits, self.weather.streams.short_io_ppm) {
            return count;
        }
        let short = 1 + below(mix(bits), count - 1);
        let details = [connection.name(offset), Fault::StreamShortIo as u64];
        self.note(connection.ends[side].node, Code::StreamFault, details);
        self.fired(Fault::StreamShortIo);
        short
    }

    fn stream_shutdown(&mut self, slot: u32, side: usize) -> io::Result<()> {
        let connection = &mut self.streams.connections[slot];
        if let Some(error) = connection.ends[side].error {
            return Err(error.into());
        }
        let pipe = &mut connection.pipes[side];
        if !pipe.shut {
            pipe.shut = true;
            let (node, details) = connection.written(side);
            self.note(node, Code::StreamShut, details);
            self.pump(slot, side);
        }
        Ok(())
    }
}
