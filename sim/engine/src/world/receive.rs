//! Sockets: who receives, and who waits for something to receive.

use super::net::NONE;
use super::tasks::Waiter;
use super::{Outside, World, with};
use crate::digest::Code;
use squall_env::Address;
use squall_env::platform::Closed;
use std::task::{Context, Poll};

impl World {
    #[inline]
    fn receive(
        &mut self,
        (node, token): (u32, u64),
        (slot, era): (u32, u32),
        into: &mut Vec<u8>,
    ) -> Received {
        if !self.alive(node, token) {
            return Received::Nothing;
        }
        let Some(socket) = self.sockets.get_mut(slot).filter(|s| s.era == era && s.open) else {
            return Received::Closed;
        };
        let head = socket.head;
        if head == NONE {
            return Received::Wait;
        }
        let message = &self.messages[head];
        socket.head = message.next;
        socket.length -= 1;
        if socket.head == NONE {
            socket.tail = NONE;
        }
        let (from, hash) = (message.from, message.hash);
        if let Some(causes) = &mut self.queue.causes {
            causes.receives(head);
        }
        message.copy_to(into);
        self.free_message(head);
        self.note(node, Code::Receive, [0, hash]);
        Received::From(from)
    }

    /// Nothing is there yet for a waker.
    fn wait_at(&mut self, slot: u32, waiter: Waiter) {
        let old = std::mem::replace(&mut self.sockets[slot].waiter, waiter);
        if let Waiter::Foreign(waker) = old {
            self.outside.push(Outside::DropWaker(waker));
        }
        self.waits("a datagram", "");
    }
}

/// What came of an attempt to receive.
enum Received {
    From(Address),
    Closed,
    Nothing,
    /// There is nothing yet.
    Wait,
}

/// A receive polled by whoever holds the context.
#[inline]
pub(crate) fn poll_receive(
    boot: (u32, u64),
    socket: (u32, u32),
    into: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<Address, Closed>> {
    let received = with(|world| {
        let received = world.receive(boot, socket, into);
        if matches!(received, Received::Wait)
            && let Some(id) = world.own_waker(cx)
        {
            let before = world.sockets[socket.0].waiter.replace_by(id);
            world.drop_foreign(before);
            world.waits("a datagram", "");
            return Received::Nothing;
        }
        received
    });
    match received.unwrap_or(Received::Nothing) {
        Received::From(from) => Poll::Ready(Ok(from)),
        Received::Nothing => Poll::Pending,
        Received::Closed => Poll::Ready(Err(Closed)),
        Received::Wait => wait_with(boot, socket, cx),
    }
}

/// A foreign waker is cloned outside: its code is not ours.
#[cold]
fn wait_with(
    (node, token): (u32, u64),
    (slot, era): (u32, u32),
    cx: &mut Context<'_>,
) -> Poll<Result<Address, Closed>> {
    let mut waker = Some(cx.waker().clone());
    with(|world| {
        let is_same = world.sockets.get(slot).is_some_and(|s| s.era == era && s.open);
        if world.alive(node, token)
            && is_same
            && let Some(waker) = waker.take()
        {
            world.wait_at(slot, Waiter::Foreign(waker));
        }
    });
    Poll::Pending
}
