//! Slots for disk operations: numbers under which the world keeps what came of them.

use super::disk::Way;
use super::tasks::Waiter;
use super::{Outside, World, with};
use squall_env::disk::{DiskError, Done, Operation};
use squall_env::platform::DiskSlot;
use std::mem;
use std::task::{Context, Poll};

/// A slot of one boot of a node.
pub(super) struct BootSlot {
    node: u32,
    token: u64,
    asked: Asked,
}

/// The operation that was started last.
enum Asked {
    Nothing,
    /// By a boot that was over, which has no effect.
    TooLate,
    /// The number of the operation. It has none if the node went down in the middle of it.
    Number(Option<u64>),
}

impl BootSlot {
    pub(super) fn new(node: u32, token: u64) -> BootSlot {
        BootSlot { node, token, asked: Asked::Nothing }
    }

    fn abandon(&mut self) {
        if let Asked::Number(Some(number)) = mem::replace(&mut self.asked, Asked::Nothing) {
            with(|world| world.abandon_operation(self.token, number));
        }
    }
}

impl DiskSlot for BootSlot {
    fn submit(&mut self, mut operation: Operation) {
        if let Asked::Number(Some(_)) = self.asked {
            self.abandon();
        }
        let (node, token) = (self.node, self.token);
        let number = with(|world| {
            let way = Way::Kept(Waiter::Nobody);
            world.alive(node, token).then(|| world.submit(node, &mut operation, way))
        });
        self.asked = number.flatten().map_or(Asked::TooLate, Asked::Number);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, DiskError>> {
        let number = match self.asked {
            Asked::Nothing | Asked::Number(None) => return Poll::Pending,
            Asked::TooLate => return Poll::Ready(Err(DiskError::Stopped)),
            Asked::Number(Some(number)) => number,
        };
        let boot = (self.node, self.token);
        match with(|world| world.poll_operation(boot, number, cx)) {
            Some(Polled::Over(result)) => {
                self.asked = Asked::Nothing;
                Poll::Ready(result)
            }
            Some(Polled::Waits) => Poll::Pending,
            Some(Polled::Foreign) => {
                // A foreign waker is cloned outside: its code is not ours.
                let waker = cx.waker().clone();
                with(|world| world.wait_for_operation(number, Waiter::Foreign(waker)));
                Poll::Pending
            }
            None => Poll::Ready(Err(DiskError::Stopped)),
        }
    }
}

/// What came of asking after an operation.
enum Polled {
    Over(Result<Done, DiskError>),
    Waits,
    /// It goes on, and the waker is not that of the running task.
    Foreign,
}

impl Drop for BootSlot {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl World {
    /// What came of an operation, if it is over; otherwise the running task waits for it.
    #[inline]
    fn poll_operation(
        &mut self,
        (node, token): (u32, u64),
        number: u64,
        cx: &Context<'_>,
    ) -> Polled {
        if !self.alive(node, token) {
            return Polled::Waits;
        }
        let (slot, era) = (number as u32, (number >> 32) as u32);
        let operation = &mut self.disk_operations[slot];
        if operation.over && operation.era == era {
            let result = operation.result.take().unwrap_or(Err(DiskError::Stopped));
            self.free_operation(slot);
            return Polled::Over(result);
        }
        let Some(id) = self.own_waker(cx) else { return Polled::Foreign };
        let operation = &mut self.disk_operations[slot];
        if operation.era == era
            && let Way::Kept(waiter) = &mut operation.way
        {
            let before = waiter.replace_by(id);
            self.drop_foreign(before);
        }
        Polled::Waits
    }

    fn wait_for_operation(&mut self, number: u64, waiter: Waiter) {
        let (slot, era) = (number as u32, (number >> 32) as u32);
        let operation = self.disk_operations.get_mut(slot).filter(|o| o.era == era);
        let before = operation.map(|o| mem::replace(&mut o.way, Way::Kept(waiter)));
        if let Some(Way::Kept(Waiter::Foreign(waker))) = before {
            self.outside.push(Outside::DropWaker(waker));
        }
    }

    /// Nobody will ask what came of an operation. It goes on all the same.
    fn abandon_operation(&mut self, token: u64, number: u64) {
        let (slot, era) = (number as u32, (number >> 32) as u32);
        let operation = self.disk_operations.get_mut(slot);
        let Some(operation) = operation.filter(|o| o.era == era && o.token == token) else {
            return;
        };
        if let Way::Kept(Waiter::Foreign(waker)) = mem::take(&mut operation.way) {
            self.outside.push(Outside::DropWaker(waker));
        }
        if operation.over {
            operation.result = None;
            self.free_operation(slot);
        }
    }

    /// Gives the slot of an operation back.
    pub(super) fn free_operation(&mut self, slot: u32) {
        let operation = &mut self.disk_operations[slot];
        operation.era = operation.era.wrapping_add(1);
        operation.over = false;
        self.disk_operations.give_back(slot);
    }

    /// An operation is over: whoever asked for it is told.
    pub(super) fn tell_answer(&mut self, slot: u32) {
        let operation = &mut self.disk_operations[slot];
        match mem::take(&mut operation.way) {
            Way::Kept(waiter) => {
                operation.over = true;
                self.tell(waiter);
                if self.ready.is_empty() {
                    self.outside.push(Outside::Answered);
                }
            }
            way => {
                let result = operation.result.take().unwrap_or(Err(DiskError::Stopped));
                self.free_operation(slot);
                self.outside.push(match way {
                    Way::Given(done) => Outside::Complete(done, result),
                    _ => Outside::Answered,
                });
            }
        }
    }
}
