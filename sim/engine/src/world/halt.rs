//! Nodes that stand still, disks that do, and nodes that are asked to stop.

use super::tasks::Waiter;
use super::{Outside, World, with};
use std::task::{Context, Poll};

impl World {
    pub(crate) fn pause(&mut self, index: u32) {
        self.nodes[index as usize].paused += 1;
    }

    pub(crate) fn resume(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.paused -= 1;
        if node.paused == 0 {
            for event in std::mem::take(&mut node.held) {
                self.queue.push(event.at(self.now));
            }
            if node.stopping.is_some() {
                self.tell_to_stop(index);
            }
        }
        self.settle(index);
    }

    /// The node stands still, and so does its monotonic clock.
    pub(crate) fn suspend(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        if node.suspended.0 == 0 {
            node.suspended.1 = now;
        }
        node.suspended.0 += 1;
        self.pause(index);
    }

    pub(crate) fn wake_up(&mut self, index: u32) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        node.suspended.0 -= 1;
        if node.suspended.0 == 0 {
            let slept = node.clock.local(now) - node.clock.local(node.suspended.1);
            node.clock.origin = node.clock.origin.wrapping_sub(slept);
        }
        self.resume(index);
    }

    /// Asks a node to stop, by this episode.
    pub(crate) fn ask_to_stop(&mut self, index: u32, episode: u64) {
        let node = &mut self.nodes[index as usize];
        node.stopping = Some(episode);
        // One that stands still hears of it when it goes on.
        if node.paused == 0 {
            self.tell_to_stop(index);
        }
    }

    fn tell_to_stop(&mut self, index: u32) {
        for waiter in std::mem::take(&mut self.nodes[index as usize].stop_waiters) {
            self.tell(waiter);
        }
    }

    fn wait_for_stop(&mut self, index: u32, waiter: Waiter) {
        let waiters = &mut self.nodes[index as usize].stop_waiters;
        if !waiters.iter().any(|old| old.is_same(&waiter)) {
            waiters.push(waiter);
        } else if let Waiter::Foreign(waker) = waiter {
            self.outside.push(Outside::DropWaker(waker));
        }
        self.waits("being asked to stop", "");
    }

    pub(crate) fn stall(&mut self, index: u32) {
        self.nodes[index as usize].stalled += 1;
    }

    pub(crate) fn unstall(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.stalled -= 1;
        if node.stalled == 0 {
            for event in std::mem::take(&mut node.stalled_operations) {
                self.queue.push(event.at(self.now));
            }
        }
        self.settle(index);
    }
}

/// Ready once the boot has been asked to stop.
pub(crate) fn poll_stop((node, token): (u32, u64), cx: &mut Context<'_>) -> Poll<()> {
    let mut foreign = None;
    loop {
        let polled = with(|world| {
            if !world.alive(node, token) {
                return Some(Poll::Pending);
            }
            if world.nodes[node as usize].stopping.is_some() {
                return Some(Poll::Ready(()));
            }
            let waiter = match (world.own_waker(cx), foreign.take()) {
                (Some(id), _) => Waiter::Task(id),
                (None, Some(waker)) => Waiter::Foreign(waker),
                (None, None) => return None,
            };
            world.wait_for_stop(node, waiter);
            Some(Poll::Pending)
        });
        match polled {
            None => return Poll::Pending,
            Some(Some(polled)) => return polled,
            // A foreign waker is cloned outside: its code is not ours.
            Some(None) => foreign = Some(cx.waker().clone()),
        }
    }
}
