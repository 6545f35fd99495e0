//! Child processes that never outlive their owner, and never stay stopped.

use super::node::Error;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of ours. Dropping it ends it.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts this program with other arguments.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        program: &std::path::Path,
        name: &str,
        arguments: &[A],
    ) -> Result<Process, Error> {
        let started = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let child = started.map_err(Error::io(format!("starting {name}")))?;
        Ok(Process { name: name.to_owned(), child })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The system's number of it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended already needs no signal; it is ours until it is waited for.
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Makes it stand still until it is let go on.
    pub fn pause(self) -> Paused {
        self.signal(Signal::STOP);
        Paused(self)
    }

    /// Ends it at once, as a power button would end a program.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.signal(Signal::CONT);
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself; says whether it did so well and in time.
    pub fn wait(&mut self, limit: Duration) -> bool {
        self.end_within(limit) == Some(true)
    }

    /// Waits until it ends by itself, and says whether it did so well; `None` if it has not ended
    /// in time.
    pub fn end_within(&mut self, limit: Duration) -> Option<bool> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status.success()),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => return Some(false),
            }
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A process that stands still. Dropping it ends it, as it does one that runs: none stays stopped.
pub struct Paused(Process);

impl Paused {
    /// Lets it go on.
    pub fn resume(self) -> Process {
        self.0.signal(Signal::CONT);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn state(process: &Process) -> char {
        let path = format!("/proc/{}/stat", process.child.id());
        let stat = std::fs::read_to_string(path).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().chars().next().unwrap()
    }

    fn eventually(process: &Process, wanted: &[char]) {
        for _ in 0..200 {
            if wanted.contains(&state(process)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it is {:?}, not one of {wanted:?}", state(process));
    }

    fn sleep() -> Process {
        Process::start(std::path::Path::new("sleep"), "sleep", &["60"]).unwrap()
    }

    fn path(process: &Process) -> String {
        format!("/proc/{}", process.child.id())
    }

    #[test]
    fn a_stopped_process_goes_on_when_it_is_let() {
        let paused = sleep().pause();
        eventually(&paused.0, &['T']);
        eventually(&paused.resume(), &['S', 'R']);
    }

    #[test]
    fn a_stopped_process_is_gone_after_a_panic() {
        let sleep = sleep();
        let path = path(&sleep);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let paused = sleep.pause();
            eventually(&paused.0, &['T']);
            panic!("in the middle of a pause");
        }));
        assert!(panicked.is_err());
        assert!(!std::path::Path::new(&path).exists());
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let sleep = sleep();
        let path = path(&sleep);
        assert!(std::path::Path::new(&path).exists());
        drop(sleep);
        assert!(!std::path::Path::new(&path).exists());
    }
}
