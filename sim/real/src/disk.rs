//! The thread that carries out a node's disk operations, in the order in which they are submitted.
//!
//! What waits for it is bounded by those who ask whether there is room, and wait for it: nothing is
//! lost, and nobody holds the node's thread meanwhile. Who submits without asking is taken all the
//! same; such are the few operations that a journal has under way, and the closing of files.

use crate::config::Limits;
use crate::counters::Counters;
use crate::error::RunError;
use crate::tasks::Ending;
use squall_env::disk::{Completion, DiskError, Done, Operation};
use std::mem;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Carries one operation out. It has the node's files, and closes them when it is dropped.
pub(crate) type Executor = Box<dyn FnMut(Operation) -> Result<Done, DiskError> + Send>;

/// The way to a node's disk thread.
#[derive(Clone)]
pub(crate) struct DiskThread {
    jobs: Sender<Job>,
    room: Arc<Room>,
}

enum Job {
    Run(Operation, Completion),
    Stop,
}

/// How much is queued or under way, and who waits until it is less.
struct Room {
    state: Mutex<State>,
    operations_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    operations: usize,
    bytes: usize,
    stopping: bool,
    waiting: Vec<Waker>,
}

impl Room {
    fn new(limits: &Limits) -> Room {
        Room {
            state: Mutex::default(),
            operations_max: limits.disk_operations_max,
            bytes_max: limits.disk_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether so much of each bound is free that one more operation may come.
    fn is_free(&self, state: &State) -> bool {
        state.stopping || state.operations < self.operations_max && state.bytes < self.bytes_max
    }

    fn poll(&self, cx: &mut Context<'_>, counters: &Counters) -> Poll<()> {
        let mut state = self.lock();
        if self.is_free(&state) {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
            counters.disk_waits.one();
        }
        Poll::Pending
    }

    fn enter(&self, bytes: usize) {
        let mut state = self.lock();
        state.operations += 1;
        state.bytes = state.bytes.saturating_add(bytes);
    }

    /// An operation is done. Those who wait are woken when half of the room is free: then they
    /// find some, and are not woken one by one for nothing.
    fn leave(&self, bytes: usize) {
        let mut state = self.lock();
        state.operations -= 1;
        state.bytes = state.bytes.saturating_sub(bytes);
        let half = state.operations <= self.operations_max / 2 && state.bytes <= self.bytes_max / 2;
        let waiting = if half { mem::take(&mut state.waiting) } else { Vec::new() };
        // Wakers are the tasks' own code: they run outside of the lock.
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn is_stopping(&self) -> bool {
        self.lock().stopping
    }
}

/// How many bytes an operation holds or asks for.
fn bytes_of(operation: &Operation) -> usize {
    match operation {
        Operation::Write { data, .. } | Operation::WriteSync { data, .. } => data.len(),
        // What is asked for may be more than there is.
        Operation::Read { length, buffer, .. } => buffer.capacity().min(*length),
        _ => 0,
    }
}

impl DiskThread {
    /// Starts the thread, which has the executor from now on and drops it when it ends.
    pub(crate) fn start(
        execute: Executor,
        node: &str,
        ending: Arc<Ending>,
        limits: &Limits,
        counters: Arc<Counters>,
    ) -> Result<(DiskThread, JoinHandle<()>), RunError> {
        let (jobs, receiver) = mpsc::channel();
        let room = Arc::new(Room::new(limits));
        let disk = DiskThread { jobs, room: Arc::clone(&room) };
        let thread = thread::Builder::new()
            .name(format!("{node} disk"))
            .spawn(move || {
                ending.guard("disk", || carry_out(execute, receiver, &room, &counters));
                // Whoever still waits would wait for ever.
                room.stop();
            })
            .map_err(|source| RunError::System { what: "thread", source })?;
        Ok((disk, thread))
    }

    /// Queues an operation. One that is never carried out is answered by the drop of its
    /// completion.
    pub(crate) fn submit(&self, operation: Operation, done: Completion) {
        self.room.enter(bytes_of(&operation));
        let unsent = self.jobs.send(Job::Run(operation, done));
        drop(unsent);
    }

    /// Ready once there is room for another operation. With several threads each may bring one.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>, counters: &Counters) -> Poll<()> {
        self.room.poll(cx, counters)
    }

    /// Lets the operation under way finish, and no other begin.
    pub(crate) fn stop(&self) {
        self.room.stop();
        let unsent = self.jobs.send(Job::Stop);
        drop(unsent);
    }
}

/// Whether an operation waits for the device.
fn is_sync(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::WriteSync { .. } | Operation::Sync { .. } | Operation::SyncDirectory { .. }
    )
}

fn carry_out(mut execute: Executor, jobs: Receiver<Job>, room: &Room, counters: &Counters) {
    while let Ok(Job::Run(operation, done)) = jobs.recv() {
        if room.is_stopping() {
            return;
        }
        let bytes = bytes_of(&operation);
        let start = is_sync(&operation).then(Instant::now);
        let result = execute(operation);
        if let Some(start) = start {
            counters.synced(start.elapsed());
        }
        room.leave(bytes);
        done.complete(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;
    use squall_env::disk::Slot;
    use squall_env::platform::Disk;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Queue(Sender<Job>);

    impl Disk for Queue {
        fn submit(&self, operation: Operation, done: Completion) {
            self.0.send(Job::Run(operation, done)).unwrap_or_else(|_| panic!("nobody listens"));
        }
    }

    #[test]
    fn what_waits_when_the_disk_stops_is_not_carried_out() {
        let root = tempfile::tempdir().unwrap();
        let (jobs, receiver) = mpsc::channel();
        let mut slot = Slot::default();
        let open = Operation::Open { path: "never".to_owned(), create: true };
        slot.submit(&Queue(jobs), open);
        let room = Room::new(&Limits::default());
        room.stop();
        let mut files = Files::open(root.path()).unwrap();
        carry_out(
            Box::new(move |operation| files.execute(operation)),
            receiver,
            &room,
            &Counters::default(),
        );
        let answer = slot.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(DiskError::Stopped))));
        assert!(!root.path().join("never").exists());
        // The lock went with the files.
        Files::open(root.path()).unwrap();
    }

    fn is_ready(room: &Room, waker: &Waker, counters: &Counters) -> bool {
        room.poll(&mut Context::from_waker(waker), counters).is_ready()
    }

    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_finds_no_room_is_woken_when_there_is_some() {
        let (counters, woken) = (Counters::default(), Arc::new(Woken(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&woken));
        let limits = Limits { disk_operations_max: 4, disk_bytes_max: 100, ..Limits::default() };
        let room = Room::new(&limits);
        for _ in 0..4 {
            assert!(is_ready(&room, &waker, &counters));
            room.enter(1);
        }
        assert!(!is_ready(&room, &waker, &counters) && !is_ready(&room, &waker, &counters));
        assert_eq!(counters.metrics().disk_waits, 1, "the same task waits but once");
        room.leave(1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        room.leave(1);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        room.enter(100);
        assert!(!is_ready(&room, &waker, &counters), "the bytes are bounded as well");
        room.stop();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(is_ready(&room, &waker, &counters), "a disk that stops answers everybody");
    }
}
