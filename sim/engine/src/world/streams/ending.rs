//! How connections end: closed, reset, given up, or gone with their node.

use super::{CALLER, LISTENER, Stage, What};
use crate::choice::Domain;
use crate::digest::Code;
use crate::world::tasks::Waiter;
use crate::world::{Outside, World};
use squall_env::stream::{ConnectError, StreamError};

impl World {
    /// An end can be used no more.
    pub(super) fn break_end(&mut self, slot: u32, side: usize, error: StreamError) {
        let choices = self.choices;
        let connection = &mut self.streams.connections[slot];
        if !connection.lives(side) {
            return;
        }
        connection.ends[side].error = Some(error);
        connection.pipes[side].lose_unsent();
        connection.pipes[side].lose_flight();
        // Some systems still give what had arrived before a reset, and some do not.
        let entity = connection.entity.with(side as u64);
        if error == StreamError::Reset && choices.draw(Domain::ResetTakes, entity, 0) & 1 == 0 {
            connection.pipes[1 - side].lose_arrived();
        }
        if side == CALLER && connection.stage == Stage::Calling {
            connection.stage = Stage::Failed(match error {
                StreamError::Silent => ConnectError::TimedOut,
                _ => ConnectError::Reset,
            });
        }
        let (node, name) = (connection.ends[side].node, connection.name(0));
        self.note(node, Code::StreamBreaks, [name, u64::from(error == StreamError::Silent)]);
        self.wake_end(slot, side);
        if error == StreamError::Silent {
            self.plan_probe(slot, 1 - side);
        }
    }

    pub(super) fn wake_end(&mut self, slot: u32, side: usize) {
        let end = &mut self.streams.connections[slot].ends[side];
        let waiters = [std::mem::take(&mut end.reader), std::mem::take(&mut end.writer)];
        waiters.into_iter().for_each(|waiter| self.tell(waiter));
    }

    /// Tells an end that its connection is no more.
    pub(super) fn send_reset(&mut self, slot: u32, to: usize) {
        let connection = &self.streams.connections[slot];
        if !connection.lives(to) {
            return;
        }
        let entity = connection.entity.named("reset");
        let occasion = self.choices.occasion(entity, to as u64);
        // One that is lost is not sent again: the end then asks by itself.
        match self.travel(slot, to, occasion) {
            Some(after) => self.plan_stream(slot, to, What::Reset, self.now + after),
            None => self.plan_probe(slot, to),
        }
    }

    pub(super) fn reset_event(&mut self, slot: u32, side: usize) {
        if self.passes(slot, side) {
            self.break_end(slot, side, StreamError::Reset);
        } else {
            self.plan_probe(slot, side);
        }
    }

    /// An end that has reason to doubt its peer will ask whether it is still there.
    pub(super) fn plan_probe(&mut self, slot: u32, side: usize) {
        let connection = &mut self.streams.connections[slot];
        if connection.lives(side) && !connection.ends[side].probing {
            connection.ends[side].probing = true;
            let at = self.now + connection.keep_alive;
            self.plan_stream(slot, side, What::Probe, at);
        }
    }

    pub(super) fn probe_event(&mut self, slot: u32, side: usize) {
        self.streams.connections[slot].ends[side].probing = false;
        if !self.streams.connections[slot].lives(side) {
            return;
        }
        if !(self.passes(slot, 1 - side) && self.passes(slot, side)) {
            self.break_end(slot, side, StreamError::Silent);
            return;
        }
        let connection = &self.streams.connections[slot];
        let peer = &connection.ends[1 - side];
        let silent_end = !peer.held && !connection.pipes[1 - side].end_sent;
        if peer.lost || peer.error.is_some() || silent_end {
            self.break_end(slot, side, StreamError::Reset);
        }
    }

    /// A program lets go of its end, or its process has ended.
    pub(super) fn close_end(&mut self, slot: u32, side: usize, abort: bool) {
        let connection = &self.streams.connections[slot];
        if !connection.ends[side].held {
            return;
        }
        let (node, details) = connection.written(side);
        self.note(node, Code::StreamClose, details);
        let connection = &mut self.streams.connections[slot];
        let unread = connection.pipes[1 - side].readable() > 0;
        let stands = connection.stage == Stage::Standing || side == LISTENER;
        if stands && connection.ends[side].error.is_none() {
            if unread || abort {
                connection.pipes[side].lose_unsent();
                connection.pipes[side].lose_flight();
                connection.pipes[side].end_sent = true;
                self.send_reset(slot, 1 - side);
            } else {
                connection.pipes[side].shut = true;
                self.pump(slot, side);
            }
        }
        self.let_go(slot, side);
    }

    /// An end is held by nobody any more. With the second one the connection goes.
    pub(super) fn let_go(&mut self, slot: u32, side: usize) {
        let connection = &mut self.streams.connections[slot];
        let end = &mut connection.ends[side];
        end.held = false;
        let waiters = [std::mem::take(&mut end.reader), std::mem::take(&mut end.writer)];
        waiters.into_iter().for_each(|waiter| self.forget_waiter(waiter));
        let connection = &mut self.streams.connections[slot];
        if connection.ends.iter().any(|end| end.held) {
            return;
        }
        connection.era = connection.era.wrapping_add(1);
        connection.stage = Stage::Free;
        connection.pipes.iter_mut().for_each(|pipe| pipe.reset(0, 0));
        self.streams.connections.give_back(slot);
    }

    /// A waiter is wanted no more; a foreign waker is dropped once the world is left.
    pub(super) fn forget_waiter(&mut self, waiter: Waiter) {
        if let Waiter::Foreign(waker) = waiter {
            self.outside.push(Outside::DropWaker(waker));
        }
    }

    /// A boot of a node has ended. Its operating system closes what the process held open; with
    /// the power, that is gone as well.
    pub(crate) fn stop_streams(&mut self, node: u32, power_loss: bool) {
        let ports = self.streams.ports.range((node, 0)..=(node, u32::MAX));
        let listeners: Vec<u32> = ports.map(|(_, slot)| *slot).collect();
        for slot in listeners {
            self.unlisten(slot, power_loss);
        }
        for slot in 0..self.streams.connections.len() {
            for side in [CALLER, LISTENER] {
                let end = &self.streams.connections[slot].ends[side];
                if !end.held || end.node != node {
                    continue;
                }
                if power_loss {
                    self.lose_end(slot, side);
                } else {
                    self.close_end(slot, side, false);
                }
            }
        }
        if power_loss {
            self.streams.dark.insert(node);
        }
    }

    /// What has left arrives; nothing else will come from this end.
    pub(super) fn lose_end(&mut self, slot: u32, side: usize) {
        let connection = &mut self.streams.connections[slot];
        connection.ends[side].lost = true;
        connection.pipes[side].lose_unsent();
        self.plan_probe(slot, 1 - side);
        self.let_go(slot, side);
    }
}
