//! Disk operations: how long they take, how they fail, and what they do.

use super::files::{Files, parent};
use super::net::draw_latency;
use super::queue::{Event, Kind};
use super::{Outside, World};
use crate::choice::{Domain, Entity, Occasion, below, chance, hash_text, mix};
use crate::digest::{Code, hash_bytes};
use crate::table::Fault;
use squall_env::disk::{Completion, DiskError, Done, FileToken, Operation};

/// An operation on its way.
#[derive(Default)]
pub(crate) struct DiskOperation {
    node: u32,
    token: u64,
    code: u64,
    done: Option<Completion>,
    result: Option<Result<Done, DiskError>>,
    effect: Effect,
    /// Whether the answer is an error that a fault has made.
    fails: bool,
}

impl DiskOperation {
    pub(crate) fn into_completion(self) -> Option<Completion> {
        self.done
    }
}

/// What becomes durable when the operation is done.
#[derive(Default)]
enum Effect {
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
    inode: u32,
    entity: Entity,
}

/// A node's disk.
#[derive(Default)]
pub(crate) struct NodeDisk {
    pub(crate) files: Files,
    pub(crate) handles: Vec<Option<Handle>>,
    /// Operations since the node was made, for episodes that strike at one of them.
    pub(crate) operations: u64,
}

const CODE_SYNC: u64 = 6;

/// The operation's number in digests, and the path or file that its choices go by.
fn name(disk: &NodeDisk, operation: &Operation) -> (u64, u64) {
    let of = |file: &FileToken| {
        let handle = disk.handles.get(file.0 as usize).copied().flatten();
        handle.map_or(0, |handle| handle.entity.0)
    };
    match operation {
        Operation::Open { path, .. } => (1, hash_text(path)),
        Operation::Close { file } => (2, of(file)),
        Operation::Read { file, .. } => (3, of(file)),
        Operation::Write { file, .. } => (4, of(file)),
        Operation::Truncate { file, .. } => (5, of(file)),
        Operation::Sync { file } => (CODE_SYNC, of(file)),
        Operation::CreateDirectory { path } => (7, hash_text(path)),
        Operation::SyncDirectory { path } => (8, hash_text(path)),
        Operation::Rename { to, .. } => (9, hash_text(to)),
        Operation::Remove { path } => (10, hash_text(path)),
        Operation::List { path } => (11, hash_text(path)),
    }
}

fn check_path(path: &str) -> Result<(), DiskError> {
    let good = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.split('/').all(good) {
        return Ok(());
    }
    Err(DiskError::Invalid(format!("{path:?} is not a path within the node's directory")))
}

impl World {
    /// Takes an operation. Its effect on what programs see is at once; what it makes durable, and
    /// the answer, come after the drawn time.
    pub(crate) fn submit(&mut self, node: u32, operation: Operation, done: Completion) {
        let owner = &mut self.nodes[node as usize];
        let (code, subject) = name(&owner.disk, &operation);
        owner.disk.operations += 1;
        let token = owner.boot;
        let content = match &operation {
            Operation::Write { data, offset, .. } => hash_bytes(data) ^ mix(*offset),
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
        let operation = self.twist(node, operation, occasion);
        let latency = if sync { &self.weather.sync_latency } else { &self.weather.disk_latency };
        let after = match operation {
            Operation::Close { .. } => 1,
            _ => {
                let owner = &self.nodes[node as usize];
                let usual = draw_latency(latency, occasion.draw(Domain::DiskLatency));
                let slow = below(occasion.draw(Domain::SlowNode), owner.slow_ns);
                usual.saturating_mul(u64::from(owner.slow_disk)).saturating_add(slow)
            }
        };
        let (result, effect) = match self.astray(node, &operation, occasion) {
            Some(result) => (result, Effect::None),
            None => {
                let owner = &mut self.nodes[node as usize];
                perform(&mut owner.disk, operation, failing, Health::of(owner.full, owner.lying))
            }
        };
        let fails = failing.is_some() || matches!(result, Err(DiskError::NoSpace));
        self.nodes[node as usize].failing += u32::from(fails);
        let slot = self.disk_operations.take();
        let (done, result) = (Some(done), Some(result));
        self.disk_operations[slot] =
            DiskOperation { node, token, code, done, result, effect, fails };
        let tie = (occasion.draw(Domain::EventOrder) >> 32) as u32;
        self.queue.push(Event::new(self.now + after.max(1), tie, Kind::Disk, slot));
        self.strike_at_step(node);
    }

    /// A read may give less than there is.
    fn twist(&mut self, node: u32, mut operation: Operation, occasion: Occasion) -> Operation {
        let ppm = self.weather.short_io_ppm;
        if let Operation::Read { length, .. } = &mut operation
            && ppm > 0
            && *length > 1
        {
            let bits = occasion.draw(Domain::ShortIo);
            if chance(bits, ppm) {
                *length = 1 + below(mix(bits), *length as u64 - 1) as usize;
                self.fired(Fault::ShortIo);
                self.note(node, Code::DiskFault, [3, Fault::ShortIo as u64]);
            }
        }
        operation
    }

    /// What becomes of a write that goes astray: it answers well.
    fn astray(
        &mut self,
        node: u32,
        operation: &Operation,
        occasion: Occasion,
    ) -> Option<Result<Done, DiskError>> {
        let (Operation::Write { data, .. }, Some(slot)) =
            (operation, self.nodes[node as usize].misdirect)
        else {
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
        if ppm == 0 || code == 2 {
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
        let (done, code) = (operation.done.take(), operation.code);
        let result = operation.result.take().unwrap_or(Err(DiskError::Stopped));
        let effect = std::mem::take(&mut operation.effect);
        let fails = std::mem::take(&mut operation.fails);
        self.disk_operations.give_back(slot);
        let owner = &mut self.nodes[node as usize];
        owner.failing -= u32::from(fails);
        owner.owes_ready |= fails;
        let files = &mut owner.disk.files;
        match effect {
            Effect::None => {}
            Effect::Sync { inode, mark } => files.synced(inode, mark, result.is_ok()),
            Effect::SyncDirectory { path, mark } => {
                files.directory_synced(&path, mark, result.is_ok());
            }
        }
        let content = match &result {
            Ok(Done::Buffer(bytes)) if code == 3 => hash_bytes(bytes),
            Ok(Done::Opened { length, .. }) => *length,
            Ok(_) => 0,
            Err(_) => 1,
        };
        self.note(node, Code::DiskDone, [code, content]);
        if let Some(done) = done {
            self.outside.push(Outside::Complete(done, result));
        }
    }

    /// Drops an operation whose node went down. Its completion is dropped outside.
    fn forget_disk_operation(&mut self, slot: u32) {
        let done = self.disk_operations[slot].done.take();
        self.disk_operations[slot] = DiskOperation::default();
        self.disk_operations.give_back(slot);
        if let Some(done) = done {
            self.outside.push(Outside::DropCompletion(done));
        }
    }
}

/// What is wrong with a disk for a while.
#[derive(Clone, Copy)]
struct Health {
    full: bool,
    lying: bool,
}

impl Health {
    fn of(full: bool, lying: bool) -> Health {
        Health { full, lying }
    }
}

fn perform(
    disk: &mut NodeDisk,
    operation: Operation,
    failing: Option<u64>,
    health: Health,
) -> (Result<Done, DiskError>, Effect) {
    if health.full && grows(disk, &operation) {
        return (Err(DiskError::NoSpace), Effect::None);
    }
    match operation {
        Operation::Sync { file } => {
            let Some(handle) = disk.handles.get(file.0 as usize).copied().flatten() else {
                return (Err(not_open()), Effect::None);
            };
            let (inode, mark) = (handle.inode, disk.files.sync_mark(handle.inode));
            let failed = failing.is_some();
            if health.lying && !failed {
                disk.files.lie(inode, mark);
                return (Ok(Done::Unit), Effect::None);
            }
            let effect = Effect::Sync { inode, mark };
            (if failed { Err(DiskError::Io) } else { Ok(Done::Unit) }, effect)
        }
        Operation::SyncDirectory { path } => {
            if !disk.files.directory_exists(&path) {
                return (Err(DiskError::NotFound(path)), Effect::None);
            }
            let (mark, failed) = (disk.files.directory_mark(), failing.is_some());
            if health.lying && !failed {
                disk.files.lie_about_directory(path, mark);
                return (Ok(Done::Unit), Effect::None);
            }
            let effect = Effect::SyncDirectory { path, mark };
            (if failed { Err(DiskError::Io) } else { Ok(Done::Unit) }, effect)
        }
        other => match failing {
            Some(bits) => (Err(fail(disk, other, bits)), Effect::None),
            None => (change(disk, other), Effect::None),
        },
    }
}

/// Whether an operation needs space that is not there.
fn grows(disk: &mut NodeDisk, operation: &Operation) -> bool {
    let length = |disk: &mut NodeDisk, file: FileToken| {
        let handle = disk.handles.get(file.0 as usize).copied().flatten();
        handle.map_or(u64::MAX, |handle| disk.files.length(handle.inode))
    };
    match operation {
        Operation::Open { path, create } => *create && disk.files.find(path).is_none(),
        Operation::Write { file, offset, data } => {
            *offset + data.len() as u64 > length(disk, *file)
        }
        Operation::Truncate { file, length: wanted } => *wanted > length(disk, *file),
        Operation::CreateDirectory { path } => !disk.files.directory_exists(path),
        _ => false,
    }
}

fn not_open() -> DiskError {
    DiskError::Invalid("the file is not open".to_owned())
}

/// An operation that answers with an error may have taken effect all the same, or in part.
fn fail(disk: &mut NodeDisk, operation: Operation, bits: u64) -> DiskError {
    match operation {
        Operation::Write { file, offset, mut data } => {
            data.truncate(below(bits, data.len() as u64 + 1) as usize);
            let _ = change(disk, Operation::Write { file, offset, data });
        }
        Operation::Truncate { .. } | Operation::Rename { .. } | Operation::Remove { .. }
            if bits & 1 == 0 =>
        {
            let _ = change(disk, operation);
        }
        _ => {}
    }
    DiskError::Io
}

fn change(disk: &mut NodeDisk, operation: Operation) -> Result<Done, DiskError> {
    let handle = |disk: &NodeDisk, file: FileToken| {
        disk.handles.get(file.0 as usize).copied().flatten().ok_or_else(not_open)
    };
    match operation {
        Operation::Open { path, create } => open(disk, path, create),
        Operation::Close { file } => {
            let handle = handle(disk, file)?;
            disk.handles[file.0 as usize] = None;
            disk.files.closed(handle.inode);
            Ok(Done::Unit)
        }
        Operation::Read { file, offset, length, mut buffer } => {
            let handle = handle(disk, file)?;
            disk.files.read(handle.inode, offset, length, &mut buffer);
            Ok(Done::Buffer(buffer))
        }
        Operation::Write { file, offset, data } => {
            let handle = handle(disk, file)?;
            disk.files.write(handle.inode, offset, &data);
            Ok(Done::Buffer(data))
        }
        Operation::Truncate { file, length } => {
            let handle = handle(disk, file)?;
            disk.files.truncate(handle.inode, length);
            Ok(Done::Unit)
        }
        Operation::CreateDirectory { path } => {
            check_path(&path)?;
            if !disk.files.directory_exists(parent(&path)) {
                return Err(DiskError::NotFound(path));
            }
            if !disk.files.directory_exists(&path) {
                disk.files.make(&path, true);
            }
            Ok(Done::Unit)
        }
        Operation::Rename { from, to } => {
            check_path(&to)?;
            if disk.files.find(&from).is_none() || !disk.files.directory_exists(parent(&to)) {
                return Err(DiskError::NotFound(from));
            }
            disk.files.rename(&from, &to);
            Ok(Done::Unit)
        }
        Operation::Remove { path } => {
            if disk.files.find(&path).is_none() {
                return Err(DiskError::NotFound(path));
            }
            disk.files.remove(&path);
            Ok(Done::Unit)
        }
        Operation::List { path } => {
            if !disk.files.directory_exists(&path) {
                return Err(DiskError::NotFound(path));
            }
            Ok(Done::Names(disk.files.list(&path)))
        }
        Operation::Sync { .. } | Operation::SyncDirectory { .. } => Ok(Done::Unit),
    }
}

fn open(disk: &mut NodeDisk, path: String, create: bool) -> Result<Done, DiskError> {
    check_path(&path)?;
    let inode = match disk.files.find(&path) {
        Some(inode) => inode,
        None if create && disk.files.directory_exists(parent(&path)) => {
            disk.files.make(&path, false)
        }
        None => return Err(DiskError::NotFound(path)),
    };
    disk.files.opened(inode);
    let entry = Some(Handle { inode, entity: Entity(hash_text(&path)) });
    let place = match disk.handles.iter().position(Option::is_none) {
        Some(free) => {
            disk.handles[free] = entry;
            free
        }
        None => {
            disk.handles.push(entry);
            disk.handles.len() - 1
        }
    };
    let length = disk.files.length(inode);
    Ok(Done::Opened { file: FileToken(place as u64), length })
}
