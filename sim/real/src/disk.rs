//! The thread that carries out a node's disk operations, in the order in which they are submitted.

use crate::error::RunError;
use crate::files::Files;
use crate::tasks::Ending;
use squall_env::disk::{Completion, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

/// The way to a node's disk thread.
#[derive(Clone)]
pub(crate) struct DiskThread {
    jobs: Sender<Job>,
    stopping: Arc<AtomicBool>,
}

enum Job {
    Run(Operation, Completion),
    Stop,
}

impl DiskThread {
    /// Starts the thread, which has the files from now on and closes them when it ends.
    pub(crate) fn start(
        files: Files,
        node: &str,
        ending: Arc<Ending>,
    ) -> Result<(DiskThread, JoinHandle<()>), RunError> {
        let (jobs, receiver) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let disk = DiskThread { jobs, stopping: Arc::clone(&stopping) };
        let thread = thread::Builder::new()
            .name(format!("{node} disk"))
            .spawn(move || {
                ending.guard("disk", || carry_out(files, receiver, &stopping));
            })
            .map_err(|source| RunError::System { what: "thread", source })?;
        Ok((disk, thread))
    }

    /// Queues an operation. One that is never carried out is answered by the drop of its
    /// completion.
    pub(crate) fn submit(&self, operation: Operation, done: Completion) {
        let unsent = self.jobs.send(Job::Run(operation, done));
        drop(unsent);
    }

    /// Lets the operation under way finish, and no other begin.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let unsent = self.jobs.send(Job::Stop);
        drop(unsent);
    }
}

fn carry_out(mut files: Files, jobs: Receiver<Job>, stopping: &AtomicBool) {
    while let Ok(Job::Run(operation, done)) = jobs.recv() {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        done.complete(files.execute(operation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_env::disk::{DiskError, Slot};
    use squall_env::platform::Disk;
    use std::task::{Context, Poll, Waker};

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
        carry_out(Files::open(root.path()).unwrap(), receiver, &AtomicBool::new(true));
        let answer = slot.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(DiskError::Stopped))));
        assert!(!root.path().join("never").exists());
        // The lock went with the files.
        Files::open(root.path()).unwrap();
    }
}
