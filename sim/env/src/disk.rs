//! Operations on files, how they fail, and how their completion finds its way back.
//!
//! Data, length and directory entry of a file become durable apart from each other: a file that
//! was written and synced can still be missing after a power loss if its directory was not synced.

use crate::platform::{Disk, DiskSlot};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// An open file of a node, as the disk numbers it. It dies with the node's process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileToken(pub u64);

/// What a disk can be asked. Buffers are owned and come back in [`Done`], so that whoever calls
/// often need not allocate. Paths are relative to the node's own directory, with `/` between parts.
#[derive(Debug)]
pub enum Operation {
    /// Opens a file, and creates it if `create` is set.
    Open {
        /// Which file.
        path: String,
        /// Whether a missing file is made.
        create: bool,
    },
    /// Closes a file. Unsynced data stays unsynced.
    Close {
        /// Which file.
        file: FileToken,
    },
    /// Reads up to `length` bytes. Fewer may come back at any time, but none only at the end of the
    /// file.
    Read {
        /// Which file.
        file: FileToken,
        /// The first byte's offset.
        offset: u64,
        /// How many bytes.
        length: usize,
        /// Is cleared, filled and given back.
        buffer: Vec<u8>,
    },
    /// Writes at an offset; a gap behind the end reads as zeros.
    Write {
        /// Which file.
        file: FileToken,
        /// The first byte's offset.
        offset: u64,
        /// What to write; given back.
        data: Vec<u8>,
    },
    /// Writes as [`Operation::Write`] does and then syncs as [`Operation::Sync`] does, with one
    /// answer for both. An error may be that of either, and part of the data may be durable.
    WriteSync {
        /// Which file.
        file: FileToken,
        /// The first byte's offset.
        offset: u64,
        /// What to write; given back.
        data: Vec<u8>,
    },
    /// Cuts or extends a file to this length.
    Truncate {
        /// Which file.
        file: FileToken,
        /// The new length.
        length: u64,
    },
    /// Makes data and length of a file durable. After a failure nothing is known of what was
    /// written since the last success, and asking again proves nothing: the node must stop.
    Sync {
        /// Which file.
        file: FileToken,
    },
    /// Makes a directory: parents must exist. It is not an error if it is there.
    CreateDirectory {
        /// Which directory.
        path: String,
    },
    /// Makes the names in a directory durable.
    SyncDirectory {
        /// Which directory; the empty path is the node's own.
        path: String,
    },
    /// Gives a file another name and replaces what had it, in one step.
    Rename {
        /// The old path.
        from: String,
        /// The new path.
        to: String,
    },
    /// Removes a file.
    Remove {
        /// Which file.
        path: String,
    },
    /// The names of the files in a directory, sorted.
    List {
        /// Which directory; the empty path is the node's own.
        path: String,
    },
}

/// What came of an operation that succeeded.
#[derive(Debug)]
pub enum Done {
    /// Nothing more to say.
    Unit,
    /// [`Operation::Open`]: the file and how long it is.
    Opened {
        /// The open file.
        file: FileToken,
        /// Its length in bytes.
        length: u64,
    },
    /// [`Operation::Read`]: what was read. [`Operation::Write`] and [`Operation::WriteSync`]: the
    /// buffer, given back.
    Buffer(Vec<u8>),
    /// [`Operation::List`].
    Names(Vec<String>),
}

/// Why a disk operation failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiskError {
    /// There is no such file or directory.
    #[error("{0:?}: no such file or directory")]
    NotFound(String),
    /// The device reports an error. A write may have taken effect in part.
    #[error("input/output error")]
    Io,
    /// The device is full.
    #[error("no space left on the device")]
    NoSpace,
    /// The path leads out of the node's directory, or the file is not open.
    #[error("{0}")]
    Invalid(String),
    /// The node has stopped; what came of the operation is unknown.
    #[error("the node has stopped")]
    Stopped,
    /// Another error of the operating system, in its words.
    #[error("{0}")]
    Other(String),
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Pending(Option<Waker>),
    Ready(Result<Done, DiskError>),
}

/// The way back of one operation. Dropping it unanswered answers [`DiskError::Stopped`].
pub struct Completion(Option<Arc<Mutex<State>>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Completion {
    /// For an operation that nobody waits for.
    pub fn unobserved() -> Completion {
        Completion(None)
    }

    /// Hands the result to whoever waits. This wakes a task: an adapter calls it outside of any
    /// lock of its own.
    pub fn complete(mut self, result: Result<Done, DiskError>) {
        // Whoever waits may use its slot again before this is dropped, so the drop must not look.
        if let Some(state) = self.0.take() {
            Completion::settle(&state, result);
        }
    }

    fn settle(state: &Mutex<State>, result: Result<Done, DiskError>) {
        let mut guard = lock(state);
        let before = mem::replace(&mut *guard, State::Ready(result));
        drop(guard);
        if let State::Pending(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            Completion::settle(&state, Err(DiskError::Stopped));
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Completion")
    }
}

/// A place for one operation at a time on one disk, to be used again and again without allocating.
#[derive(Default)]
pub struct Slot(Kept);

#[derive(Default)]
enum Kept {
    #[default]
    Unused,
    /// The disk keeps the answer, if an operation was started since the last one.
    Own {
        slot: Box<dyn DiskSlot>,
        asked: bool,
    },
    Shared(Arc<Mutex<State>>),
}

impl Kept {
    fn of<D: Disk + ?Sized>(disk: &D) -> Kept {
        match disk.disk_slot() {
            Some(slot) => Kept::Own { slot, asked: false },
            None => Kept::Shared(Arc::new(Mutex::new(State::Idle))),
        }
    }
}

impl Slot {
    /// Starts an operation. One that is still under way in this slot goes on unobserved.
    pub fn submit<D: Disk + ?Sized>(&mut self, disk: &D, operation: Operation) {
        if let Kept::Unused = self.0 {
            self.0 = Kept::of(disk);
        }
        match &mut self.0 {
            Kept::Unused => {}
            Kept::Own { slot, asked } => {
                *asked = true;
                slot.submit(operation);
            }
            Kept::Shared(shared) => {
                let before = mem::replace(&mut *lock(shared), State::Pending(None));
                if let State::Pending(waker) = before {
                    *lock(shared) = State::Pending(waker);
                    *shared = Arc::new(Mutex::new(State::Pending(None)));
                }
                disk.submit(operation, Completion(Some(Arc::clone(shared))));
            }
        }
    }

    /// The result of the operation that was started last; each result is handed out once.
    ///
    /// # Panics
    /// If no operation was started since the last result.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, DiskError>> {
        const IDLE: &str = "a disk slot was polled without an operation in it";
        match &mut self.0 {
            Kept::Unused | Kept::Own { asked: false, .. } => panic!("{IDLE}"),
            Kept::Own { slot, asked } => {
                let polled = slot.poll(cx);
                *asked = polled.is_pending();
                polled
            }
            Kept::Shared(shared) => {
                let mut guard = lock(shared);
                match mem::replace(&mut *guard, State::Idle) {
                    State::Ready(result) => Poll::Ready(result),
                    State::Idle => panic!("{IDLE}"),
                    State::Pending(Some(old)) if old.will_wake(cx.waker()) => {
                        *guard = State::Pending(Some(old));
                        Poll::Pending
                    }
                    State::Pending(old) => {
                        *guard = State::Pending(Some(cx.waker().clone()));
                        drop(guard);
                        drop(old);
                        Poll::Pending
                    }
                }
            }
        }
    }

    /// Starts an operation as soon as the disk has room for it, and waits for its end. Dropped
    /// before it was started, it never is.
    ///
    /// # Errors
    /// What the disk answers.
    pub async fn run<D: Disk + ?Sized>(
        &mut self,
        disk: &D,
        operation: Operation,
    ) -> Result<Done, DiskError> {
        poll_fn(|cx| disk.poll_room(cx)).await;
        self.submit(disk, operation);
        poll_fn(|cx| self.poll(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keep(Mutex<Vec<Completion>>);

    /// A disk with slots of its own, each of which answers at the second time of asking.
    struct Own;

    struct Twice(u32);

    impl Disk for Own {
        fn submit(&self, _operation: Operation, _done: Completion) {
            panic!("a disk with slots of its own is asked through them");
        }

        fn disk_slot(&self) -> Option<Box<dyn DiskSlot>> {
            Some(Box::new(Twice(0)))
        }
    }

    impl DiskSlot for Twice {
        fn submit(&mut self, _operation: Operation) {
            self.0 = 0;
        }

        fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Done, DiskError>> {
            self.0 += 1;
            if self.0 < 2 { Poll::Pending } else { Poll::Ready(Ok(Done::Unit)) }
        }
    }

    impl Disk for Keep {
        fn submit(&self, _operation: Operation, done: Completion) {
            self.0.lock().unwrap().push(done);
        }
    }

    fn list() -> Operation {
        Operation::List { path: String::new() }
    }

    #[test]
    fn a_dropped_completion_answers_stopped() {
        let (disk, mut slot) = (Keep(Mutex::default()), Slot::default());
        let mut cx = Context::from_waker(Waker::noop());
        slot.submit(&disk, list());
        assert!(slot.poll(&mut cx).is_pending());
        disk.0.lock().unwrap().clear();
        assert!(matches!(slot.poll(&mut cx), Poll::Ready(Err(DiskError::Stopped))));
    }

    #[test]
    fn a_disk_with_slots_of_its_own_is_asked_through_them() {
        let (mut slot, mut cx) = (Slot::default(), Context::from_waker(Waker::noop()));
        for _ in 0..2 {
            slot.submit(&Own, list());
            assert!(slot.poll(&mut cx).is_pending());
            assert!(matches!(slot.poll(&mut cx), Poll::Ready(Ok(Done::Unit))));
        }
    }

    #[test]
    #[should_panic(expected = "without an operation")]
    fn a_slot_of_the_disks_own_answers_once() {
        let (mut slot, mut cx) = (Slot::default(), Context::from_waker(Waker::noop()));
        slot.submit(&Own, list());
        assert!(slot.poll(&mut cx).is_pending());
        assert!(slot.poll(&mut cx).is_ready());
        let _ = slot.poll(&mut cx);
    }

    #[test]
    #[should_panic(expected = "without an operation")]
    fn a_slot_without_an_operation_has_no_answer() {
        let _ = Slot::default().poll(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn the_answer_to_an_abandoned_operation_does_not_reach_the_next() {
        let (disk, mut slot) = (Keep(Mutex::default()), Slot::default());
        let mut cx = Context::from_waker(Waker::noop());
        slot.submit(&disk, list());
        slot.submit(&disk, list());
        let first = disk.0.lock().unwrap().remove(0);
        first.complete(Err(DiskError::NoSpace));
        assert!(slot.poll(&mut cx).is_pending());
        let second = disk.0.lock().unwrap().remove(0);
        second.complete(Ok(Done::Unit));
        assert!(matches!(slot.poll(&mut cx), Poll::Ready(Ok(Done::Unit))));
    }
}
