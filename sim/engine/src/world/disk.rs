//! Disk operations: how long they take, how they fail, and what they do.

use super::files::Files;
use super::net::draw_latency;
use super::perform::{CODE_CLOSE, CODE_READ, CODE_WRITE, Health, name, perform};
use super::queue::{Event, Kind};
use super::tasks::Waiter;
use super::{Outside, World};
use crate::choice::{Domain, Entity, Occasion, below, chance, hash_text, mix};
use crate::digest::{Code, hash_bytes};
use crate::table::Fault;
use squall_env::disk::{Completion, DiskError, Done, Operation};

/// What an operation takes at most because its disk is slow, in nanoseconds. Without a bound, one
/// that was begun before the world heals might last for longer than everybody may take behind it.
const SLOW_MAX: u64 = 5_000_000_000;

/// An operation on its way.
#[derive(Default)]
pub(crate) struct DiskOperation {
    /// Which of those that used its slot.
    pub(super) era: u32,
    node: u32,
    pub(super) token: u64,
    code: u64,
    pub(super) way: Way,
    pub(super) result: Option<Result<Done, DiskError>>,
    /// Whether the answer has been told and is kept.
    pub(super) over: bool,
    effect: Effect,
    /// Whether the answer is an error that a fault has made.
    fails: bool,
    /// Of a write with its sync, whether each of them went well.
    both: Option<[bool; 2]>,
}

/// The way of an operation's answer to whoever asked.
#[derive(Default)]
pub(super) enum Way {
    /// There is none.
    #[default]
    Unobserved,
    Given(Completion),
    /// The world keeps it until it is asked for.
    Kept(Waiter),
}

/// What was decided about an operation when it began.
struct Begun {
    code: u64,
    result: Result<Done, DiskError>,
    both: Option<[bool; 2]>,
    effect: Effect,
    fails: bool,
    after: u64,
    tie: u32,
}

impl Begun {
    /// A write and the sync behind it, which have one answer when both are done.
    fn and(&mut self, sync: Begun) {
        self.both = Some([self.result.is_ok(), sync.result.is_ok()]);
        if let (Ok(_), Err(error)) = (&self.result, sync.result) {
            self.result = Err(error);
        }
        self.fails |= sync.fails;
        self.after = self.after.max(sync.after);
        (self.code, self.effect, self.tie) = (sync.code, sync.effect, sync.tie);
    }
}

impl DiskOperation {
    /// What has to be dropped of it outside.
    pub(super) fn left(way: Way) -> Option<Outside> {
        match way {
            Way::Given(done) => Some(Outside::DropCompletion(done)),
            Way::Kept(Waiter::Foreign(waker)) => Some(Outside::DropWaker(waker)),
            _ => None,
        }
    }

    pub(super) fn into_left(self) -> Option<Outside> {
        DiskOperation::left(self.way)
    }
}

/// What becomes durable when the operation is done.
#[derive(Default)]
pub(super) enum Effect {
    #[default]
    None,
    Sync {
        inode: u32,
        mark: u64,
    },
    SyncDirectory {
        path: String,
        mark: u64,
    },
}

/// An open file.
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    pub(super) inode: u32,
    pub(super) entity: Entity,
}

/// A node's disk.
#[derive(Default)]
pub(crate) struct NodeDisk {
    pub(crate) files: Files,
    pub(crate) handles: Vec<Option<Handle>>,
}

impl World {
    /// Takes an operation, and out of it what it holds. Its effect on what programs see is at once;
    /// what it makes durable, and the answer, come after the drawn time. Gives the operation's
    /// number: its slot, and in the upper half which of those it is that used the slot; nothing if
    /// the node goes down before it is all begun.
    pub(super) fn submit(&mut self, node: u32, operation: &mut Operation, way: Way) -> Option<u64> {
        let token = self.nodes[node as usize].boot;
        let mut begun = self.begin_operation(node, operation);
        if let Operation::WriteSync { file, .. } = *operation {
            self.strike_at_step(node);
            if !self.alive(node, token) {
                self.outside.push(DiskOperation::left(way).unwrap_or(Outside::Answered));
                return None;
            }
            begun.and(self.begin_operation(node, &mut Operation::Sync { file }));
        }
        let Begun { code, result, both, effect, fails, after, tie } = begun;
        self.nodes[node as usize].failing += u32::from(fails);
        let slot = self.disk_operations.take();
        let entry = &mut self.disk_operations[slot];
        let era = entry.era;
        (entry.node, entry.token, entry.code, entry.way) = (node, token, code, way);
        (entry.both, entry.fails) = (both, fails);
        (entry.result, entry.effect) = (Some(result), effect);
        self.queue.push(Event::new(self.now + after.max(1), tie, Kind::Disk, slot));
        self.strike_at_step(node);
        Some(u64::from(era) << 32 | u64::from(slot))
    }

    /// Begins an operation; of a write with its sync, the write.
    fn begin_operation(&mut self, node: u32, operation: &mut Operation) -> Begun {
        let owner = &mut self.nodes[node as usize];
        if matches!(operation, Operation::Open { create: true, .. }) {
            // A file takes up to three buffers.
            let more = self.buffers.len().saturating_sub(3);
            owner.disk.files.spare.extend(self.buffers.drain(more..));
        }
        let (code, subject) = name(&owner.disk, operation);
        let content = match &*operation {
            Operation::Write { data, offset, .. } | Operation::WriteSync { data, offset, .. } => {
                hash_bytes(data) ^ mix(*offset)
            }
            Operation::Read { offset, length, .. } => mix(*offset) ^ *length as u64,
            Operation::Truncate { length, .. } => *length,
            Operation::Open { create, .. } => u64::from(*create),
            Operation::Rename { from, .. } => hash_text(from),
            _ => 0,
        };
        let entity = owner.boot_entity.with(subject).with(code);
        self.note(node, Code::DiskSubmit, [code << 56 ^ subject >> 8, content]);
        let n = self.counts.next(entity.0);
        let occasion = self.choices.occasion(entity, n);
        let sync = matches!(operation, Operation::Sync { .. } | Operation::SyncDirectory { .. });
        let failing = self.draw_disk_fault(node, sync, occasion, code);
        self.twist(node, operation, occasion);
        let latency = if sync { &self.weather.sync_latency } else { &self.weather.disk_latency };
        let after = match operation {
            Operation::Close { .. } => 1,
            _ => {
                let owner = &self.nodes[node as usize];
                let usual = draw_latency(latency, occasion.draw(Domain::DiskLatency));
                let slow = below(occasion.draw(Domain::SlowNode), owner.slow_ns);
                let slowed = usual.saturating_mul(u64::from(owner.slow_disk));
                slowed.min(SLOW_MAX.max(usual)).saturating_add(slow)
            }
        };
        let (result, effect) = match self.astray(node, operation, occasion) {
            Some(result) => (result, Effect::None),
            None => {
                let owner = &mut self.nodes[node as usize];
                perform(&mut owner.disk, operation, failing, Health::of(owner.full, owner.lying))
            }
        };
        let fails = failing.is_some() || matches!(result, Err(DiskError::NoSpace));
        let tie = (occasion.draw(Domain::EventOrder) >> 32) as u32;
        Begun { code, result, both: None, effect, fails, after, tie }
    }

    /// A read may give less than there is.
    fn twist(&mut self, node: u32, operation: &mut Operation, occasion: Occasion) {
        let ppm = self.weather.short_io_ppm;
        if let Operation::Read { length, .. } = operation
            && ppm > 0
            && *length > 1
        {
            let bits = occasion.draw(Domain::ShortIo);
            if chance(bits, ppm) {
                *length = 1 + below(mix(bits), *length as u64 - 1) as usize;
                self.fired(Fault::ShortIo);
                self.note(node, Code::DiskFault, [CODE_READ, Fault::ShortIo as u64]);
            }
        }
    }

    /// What becomes of a write that goes astray: it answers well.
    fn astray(
        &mut self,
        node: u32,
        operation: &Operation,
        occasion: Occasion,
    ) -> Option<Result<Done, DiskError>> {
        let slot = self.nodes[node as usize].misdirect?;
        let (Operation::Write { data, .. } | Operation::WriteSync { data, .. }) = operation else {
            return None;
        };
        if !self.nodes[node as usize].disk.files.holds_something() {
            return None;
        }
        self.nodes[node as usize].misdirect = None;
        if !self.admit(&[node], Fault::MisdirectedWrite) {
            return None;
        }
        let owner = &mut self.nodes[node as usize];
        owner.damage();
        let state = &mut self.episodes[slot as usize];
        (state.since, state.ended) = (Some(self.now), Some(self.now));
        self.conditions_changed();
        let owner = &mut self.nodes[node as usize];
        let spot = owner.disk.files.misdirect(occasion.draw(Domain::Place), data)?;
        self.note(node, Code::Damaged, [u64::from(spot.inode), spot.sector]);
        Some(Ok(Done::Buffer(data.clone())))
    }

    /// Whether this operation fails, and the draw that says how.
    fn draw_disk_fault(
        &mut self,
        node: u32,
        sync: bool,
        occasion: Occasion,
        code: u64,
    ) -> Option<u64> {
        let (ppm, fault) = if sync {
            (self.weather.sync_failure_ppm, Fault::SyncFailure)
        } else {
            (self.weather.eio_ppm, Fault::Eio)
        };
        if ppm == 0 || code == CODE_CLOSE {
            return None;
        }
        let bits = occasion.draw(Domain::DiskError);
        if !chance(bits, ppm) {
            return None;
        }
        if !self.admit(&[node], fault) {
            return None;
        }
        self.note(node, Code::DiskFault, [code, fault as u64]);
        Some(mix(bits))
    }

    /// An operation is done.
    pub(crate) fn disk_event(&mut self, event: Event) {
        let slot = event.slot();
        let (node, token) = (self.disk_operations[slot].node, self.disk_operations[slot].token);
        let owner = &mut self.nodes[node as usize];
        if owner.boot != token {
            self.forget_disk_operation(slot);
            return;
        }
        if owner.stalled > 0 {
            owner.stalled_operations.push(event);
            return;
        }
        if owner.paused > 0 {
            owner.held.push(event);
            return;
        }
        self.advance(event.time());
        let operation = &mut self.disk_operations[slot];
        let (code, both) = (operation.code, operation.both);
        let well = both.map_or(matches!(operation.result, Some(Ok(_))), |[_, synced]| synced);
        let content = match &operation.result {
            Some(Ok(Done::Buffer(bytes))) if code == CODE_READ => hash_bytes(bytes),
            Some(Ok(Done::Opened { length, .. })) => *length,
            _ => u64::from(!well),
        };
        let effect = std::mem::take(&mut operation.effect);
        let fails = std::mem::take(&mut operation.fails);
        let owner = &mut self.nodes[node as usize];
        owner.failing -= u32::from(fails);
        owner.owes_ready |= fails;
        let files = &mut owner.disk.files;
        match effect {
            Effect::None => {}
            Effect::Sync { inode, mark } => files.synced(inode, mark, well),
            Effect::SyncDirectory { path, mark } => files.directory_synced(&path, mark, well),
        }
        if let Some([wrote, _]) = both {
            self.note(node, Code::DiskDone, [CODE_WRITE, u64::from(!wrote)]);
        }
        self.note(node, Code::DiskDone, [code, content]);
        self.tell_answer(slot);
    }

    /// Drops an operation whose node went down. Whoever waits for it is dropped outside.
    fn forget_disk_operation(&mut self, slot: u32) {
        let operation = &mut self.disk_operations[slot];
        (operation.result, operation.effect) = (None, Effect::None);
        let left = DiskOperation::left(std::mem::take(&mut operation.way));
        self.free_operation(slot);
        self.outside.push(left.unwrap_or(Outside::Answered));
    }
}
