//! A worker as its parent sees it.

use super::found::Found;
use super::protocol::{Ask, Done, MARK, Say};
use super::{Trouble, worker};
use crate::failure::Class;
use crate::run::HANG;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A worker that begins no seed for so long is taken to hang. A single poll that does not return
/// is noticed much earlier, by the worker itself.
const SILENCE: Duration = Duration::from_secs(120);

/// So much of what a worker says waits for whoever asked it; a worker that says more waits itself.
const SAYS_MAX: usize = 1_024;

/// So many of the last lines that a worker wrote to its standard error are kept.
const LAST_LINES: usize = 20;

/// A running worker. Dropping it ends the process and waits for its end.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    says: Receiver<Say>,
    errors: Arc<Mutex<VecDeque<String>>>,
    error_reader: Option<JoinHandle<()>>,
}

/// A worker ended without an answer.
#[derive(Clone)]
pub(super) struct Death {
    /// The seed that it had begun, and the failure that its end is.
    pub(super) found: Option<Found>,
    pub(super) story: Vec<String>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    Death(Box<Death>),
    Trouble(Trouble),
}

impl Process {
    /// Starts a worker of this program, with more variables in its environment.
    pub(super) fn start(variables: &[(&str, String)]) -> Result<Process, Trouble> {
        let failed = |error| Trouble::Infrastructure(format!("cannot start a worker: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg(worker::COMMAND)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (say, says) = sync_channel(SAYS_MAX);
        let errors = Arc::<Mutex<VecDeque<String>>>::default();
        if let Some(output) = child.stdout.take() {
            let _ = std::thread::spawn(move || {
                for said in lines(output).filter_map(|line| heard(&line)) {
                    if say.send(said).is_err() {
                        return;
                    }
                }
            });
        }
        let kept = Arc::clone(&errors);
        let error_reader = child.stderr.take().map(|output| {
            std::thread::spawn(move || lines(output).for_each(|line| keep(&kept, line)))
        });
        let input = child.stdin.take();
        Ok(Process { child, input, says, errors, error_reader })
    }

    /// Asks the worker to do something and waits until it is done. Whatever else it says is given
    /// to `hear`.
    pub(super) fn ask(&mut self, ask: &Ask, hear: &mut dyn FnMut(Say)) -> Result<Done, NoAnswer> {
        let wrong = |text| NoAnswer::Trouble(Trouble::Infrastructure(text));
        let text = serde_json::to_string(ask).map_err(|error| wrong(error.to_string()))?;
        if let Some(input) = &mut self.input {
            // If the worker is dead already, it will be silent as well.
            let _ = writeln!(input, "{text}").and_then(|()| input.flush());
        }
        let mut begun = None;
        loop {
            match self.says.recv_timeout(SILENCE) {
                Ok(Say::Done(done)) => return Ok(*done),
                Ok(Say::Unable(why)) => return Err(wrong(why)),
                Ok(Say::Begin(seed)) => begun = Some(seed),
                Ok(said) => hear(said),
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = SILENCE.as_secs();
                    let story = vec![format!("the worker said nothing for {seconds} s")];
                    return Err(self.death(begun, Class::Hang, story));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let (class, story) = self.obituary();
                    return Err(self.death(begun, class, story));
                }
            }
        }
    }

    fn death(&mut self, begun: Option<u64>, class: Class, story: Vec<String>) -> NoAnswer {
        self.end();
        let found = begun.map(|seed| Found::dead(seed, class, story.clone()));
        NoAnswer::Death(Box::new(Death { found, story }))
    }

    /// How the process ended, and what it said last.
    fn obituary(&mut self) -> (Class, Vec<String>) {
        let ended = match self.child.wait() {
            Ok(status) => format!("the process that ran the seed ended: {status}"),
            Err(error) => format!("the process that ran the seed ended: {error}"),
        };
        if let Some(reader) = self.error_reader.take() {
            let _ = reader.join();
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        match errors.iter().find(|line| line.starts_with(HANG)) {
            Some(line) => (Class::Hang, vec![line.clone()]),
            None => (Class::Abort, std::iter::once(ended).chain(errors.iter().cloned()).collect()),
        }
    }

    fn end(&mut self) {
        self.input = None;
        // It may have ended by itself, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The lines of a pipe until its end. What is not UTF-8 is shown as well as it can be.
fn lines(pipe: impl Read) -> impl Iterator<Item = String> {
    let pieces = BufReader::new(pipe).split(b'\n').map_while(Result::ok);
    pieces.map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// What a line of a worker says; lines that user code printed say nothing.
fn heard(line: &str) -> Option<Say> {
    let (_, said) = line.split_once(MARK)?;
    serde_json::from_str(said).ok()
}

fn keep(errors: &Mutex<VecDeque<String>>, line: String) {
    let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
    if errors.len() == LAST_LINES {
        errors.pop_front();
    }
    errors.push_back(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_user_code_prints_is_not_heard() {
        assert!(heard("{\"Begin\":3}").is_none());
        assert!(heard("\u{1}squall nonsense").is_none());
        let said = heard("half a line\u{1}squall {\"Begin\":3}");
        assert!(matches!(said, Some(Say::Begin(3))));
    }
}
