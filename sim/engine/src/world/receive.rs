//! Sockets: who receives, and who waits for something to receive.

use super::net::NONE;
use super::tasks::Waiter;
use super::{Outside, World, with};
use crate::digest::Code;
use squall_env::Address;
use squall_env::platform::Closed;
use std::task::{Context, Poll, Waker};

impl World {
    fn receive(
        &mut self,
        (node, token): (u32, u64),
        (slot, era): (u32, u32),
        into: &mut Vec<u8>,
        cx: &Context<'_>,
        foreign: &mut Option<Waker>,
    ) -> Received {
        if !self.alive(node, token) {
            return Received::Nothing;
        }
        let own = self.own_waker(cx);
        let Some(socket) = self.sockets.get_mut(slot).filter(|s| s.era == era && s.open) else {
            return Received::Closed;
        };
        let head = socket.head;
        if head == NONE {
            let new = match own {
                Some(id) => Waiter::Task(id),
                None => match foreign.take() {
                    Some(waker) => Waiter::Foreign(waker),
                    None => return Received::Unknown,
                },
            };
            let old = std::mem::replace(&mut socket.waiter, new);
            if let Waiter::Foreign(waker) = old {
                self.outside.push(Outside::DropWaker(waker));
            }
            self.waits("a datagram", "");
            return Received::Nothing;
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
        into.clear();
        into.extend_from_slice(message.payload());
        self.free_message(head);
        self.note(node, Code::Receive, [0, hash]);
        Received::From(from)
    }
}

/// What came of an attempt to receive.
enum Received {
    From(Address),
    Closed,
    Nothing,
    /// There is nothing, and who waits for it is not known yet.
    Unknown,
}

/// A receive polled by whoever holds the context.
pub(crate) fn poll_receive(
    boot: (u32, u64),
    socket: (u32, u32),
    into: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<Address, Closed>> {
    let mut foreign = None;
    loop {
        let received = with(|world| world.receive(boot, socket, into, cx, &mut foreign));
        match received.unwrap_or(Received::Nothing) {
            Received::From(from) => return Poll::Ready(Ok(from)),
            Received::Nothing => return Poll::Pending,
            Received::Closed => return Poll::Ready(Err(Closed)),
            // A foreign waker is cloned outside: its code is not ours.
            Received::Unknown => foreign = Some(cx.waker().clone()),
        }
    }
}
