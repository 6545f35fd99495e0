//! Room that a world leaves for the next one of its thread, so that a sweep of short runs does not
//! ask the allocator for the same blocks again and again.
//!
//! It is made of buffers with nothing in them: of a world that is over no value comes into another.
//! Whatever one run has blown up far beyond the usual goes back to the allocator.

use super::World;
use super::clock::Timer;
use super::disk::{DiskOperation, Handle};
use super::files::Files;
use super::net::{Message, Socket};
use super::process::Node;
use super::queue::{Counts, Queue, Slab};
use super::tasks::Task;
use std::cell::RefCell;

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::new(Spare::default());
}

/// So many things of a kind get room from the world before.
const ITEMS_MAX: usize = 4_096;

/// So many nodes and so many buffers of files get it.
const NODES_MAX: usize = 64;
const BUFFERS_MAX: usize = 64;

/// And so large a buffer is kept at most, in bytes.
const BUFFER_MAX: usize = 64 << 10;

/// Empty buffers.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) queue: Queue,
    pub(super) tasks: Slab<Task>,
    pub(super) timers: Slab<Timer>,
    pub(super) messages: Slab<Message>,
    pub(super) sockets: Slab<Socket>,
    pub(super) disk_operations: Slab<DiskOperation>,
    pub(super) counts: Counts,
    pub(super) nodes: Vec<Node>,
    pub(super) rooms: Vec<Room>,
    pub(super) buffers: Vec<Vec<u8>>,
}

/// What a node's own lists leave.
#[derive(Default)]
pub(super) struct Room {
    pub(super) tasks: Vec<u32>,
    pub(super) ports: Vec<(u32, u32)>,
    pub(super) handles: Vec<Option<Handle>>,
}

impl Spare {
    /// What the last world of this thread has left, with room for so many nodes at least.
    pub(super) fn take(nodes: usize) -> Spare {
        let mut spare = SPARE.try_with(RefCell::take).unwrap_or_default();
        // What most runs need at the least: growing step by step costs more than a little room.
        let room = 2 * nodes;
        spare.nodes.reserve(nodes);
        spare.queue.reserve(4 * room);
        spare.tasks.reserve(room);
        spare.timers.reserve(room);
        spare.messages.reserve(2 * room);
        spare.sockets.reserve(room);
        spare
    }

    /// Leaves what this world has of it to the next one.
    pub(super) fn keep(mut world: Box<World>) {
        let mut nodes = std::mem::take(&mut world.nodes);
        let mut buffers = std::mem::take(&mut world.buffers);
        let mut rooms = Vec::with_capacity(nodes.len().min(NODES_MAX));
        for node in &mut nodes {
            node.disk.files.leave(&mut buffers);
            if rooms.len() < NODES_MAX {
                rooms.push(Room {
                    tasks: emptied(&mut node.tasks),
                    ports: emptied(&mut node.ports),
                    handles: emptied(&mut node.disk.handles),
                });
            }
        }
        nodes.clear();
        let spare = Spare {
            queue: std::mem::take(&mut world.queue).emptied(ITEMS_MAX),
            tasks: std::mem::take(&mut world.tasks).emptied(ITEMS_MAX),
            timers: std::mem::take(&mut world.timers).emptied(ITEMS_MAX),
            messages: std::mem::take(&mut world.messages).emptied(ITEMS_MAX),
            sockets: std::mem::take(&mut world.sockets).emptied(ITEMS_MAX),
            disk_operations: std::mem::take(&mut world.disk_operations).emptied(ITEMS_MAX),
            counts: std::mem::take(&mut world.counts).emptied(ITEMS_MAX),
            nodes: if nodes.capacity() > NODES_MAX { Vec::new() } else { nodes },
            rooms,
            buffers,
        };
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|kept| kept.replace(spare));
    }
}

fn emptied<T>(list: &mut Vec<T>) -> Vec<T> {
    let mut list = std::mem::take(list);
    list.clear();
    if list.capacity() > ITEMS_MAX { Vec::new() } else { list }
}

/// Puts a buffer that nobody needs any more to the spare ones.
pub(super) fn leave(buffers: &mut Vec<Vec<u8>>, mut buffer: Vec<u8>) {
    let usual = 1..=BUFFER_MAX;
    if usual.contains(&buffer.capacity()) && buffers.len() < BUFFERS_MAX {
        buffer.clear();
        buffers.push(buffer);
    }
}

impl Files {
    /// Leaves the room of all files.
    fn leave(&mut self, buffers: &mut Vec<Vec<u8>>) {
        for file in self.inodes.drain(..).flatten() {
            file.leave(buffers);
        }
        self.spare.drain(..).for_each(|buffer| leave(buffers, buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_empty_and_no_larger_than_usual() {
        let mut buffers = Vec::new();
        leave(&mut buffers, vec![7; BUFFER_MAX]);
        leave(&mut buffers, vec![7; BUFFER_MAX + 1]);
        leave(&mut buffers, Vec::new());
        assert_eq!(buffers, [[0u8; 0]]);
        assert_eq!(buffers[0].capacity(), BUFFER_MAX);
        (0..2 * BUFFERS_MAX).for_each(|_| leave(&mut buffers, vec![7]));
        assert_eq!(buffers.len(), BUFFERS_MAX);
        let kept = emptied(&mut vec![7; ITEMS_MAX]);
        assert!(kept.is_empty() && kept.capacity() == ITEMS_MAX);
        assert_eq!(emptied(&mut vec![7; ITEMS_MAX + 1]).capacity(), 0);
    }

    #[test]
    fn a_slab_that_is_used_again_numbers_from_the_start() {
        let mut slab = Slab::<u64>::default();
        let [first, second] = [slab.take(), slab.take()];
        slab.give_back(first);
        slab[second] = 7;
        let mut again = slab.emptied(ITEMS_MAX);
        assert_eq!([again.take(), again.take()], [0, 1]);
        assert_eq!([again[0], again[1]], [0, 0]);
        let mut counts = Counts::default();
        counts.next(1 << 40);
        assert_eq!(counts.emptied(ITEMS_MAX).next(1 << 40), 0);
    }
}
