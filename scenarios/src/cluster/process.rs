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

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended already needs no signal; it is ours until it is waited for.
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Stops it until the guard is dropped.
    pub fn pause(&self) -> Paused<'_> {
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
        let until = Instant::now() + limit;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(_) => return false,
            }
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A stopped process. Dropping the guard lets it go on, whatever happens in between.
pub struct Paused<'a>(&'a Process);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.signal(Signal::CONT);
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

    #[test]
    fn a_stopped_process_goes_on_even_after_a_panic() {
        let sleep = Process::start(std::path::Path::new("sleep"), "sleep", &["60"]).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _paused = sleep.pause();
            eventually(&sleep, &['T']);
            panic!("in the middle of a pause");
        }));
        assert!(panicked.is_err());
        eventually(&sleep, &['S', 'R']);
    }

    #[test]
    fn a_dropped_process_is_gone_even_if_it_was_stopped() {
        let sleep = Process::start(std::path::Path::new("sleep"), "sleep", &["60"]).unwrap();
        let path = format!("/proc/{}", sleep.child.id());
        std::mem::forget(sleep.pause());
        eventually(&sleep, &['T']);
        drop(sleep);
        assert!(!std::path::Path::new(&path).exists());
    }
}
