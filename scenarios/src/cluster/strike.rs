//! What is done to the processes of a run.

use super::flip::{Flip, Place};
use super::node::Error;
use super::process::Process;
use super::proxy::Weather;
use super::schedule::Fault;
use super::system::{Slot, System};
use super::tally;
use squall::choice::mix;
use squall_real::faults;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// How long a node may take to refuse its journal.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// What a node made of its journal.
enum Opened {
    /// It has ended as if nobody needed it.
    Ended,
    /// It has refused it.
    Refused,
    /// It runs, and may have forgotten what others count on.
    Doubtful,
    /// It runs.
    Trustful,
}

impl System {
    /// Kills all nodes, and takes their power if that can be.
    pub(super) fn kill_all(&mut self) -> Result<(), Error> {
        let all = 0..self.nodes.len();
        if !self.disks.is_empty() {
            all.clone().try_for_each(|number| self.shut_down(number))?;
            all.clone().try_for_each(|number| self.come_back(number))?;
        }
        // What was there is dropped, and with it the process.
        self.nodes.fill_with(|| Slot::Down);
        all.into_iter().try_for_each(|number| self.lose_power(number, self.seed))
    }

    /// Makes of the disk of a node that was killed what a loss of power may leave.
    fn lose_power(&mut self, number: usize, seed: u64) -> Result<(), Error> {
        let name = self.name(number);
        let (data, undo) = (self.data(&name), self.undo(&name));
        let Some(all) = &mut self.power else { return Ok(()) };
        let lost = faults::lose_power(&data, &undo, mix(seed ^ number as u64))?;
        all.pending += lost.pending;
        all.files += lost.files;
        all.names += lost.names;
        Ok(())
    }

    /// Kills a node and shuts its disk down: without power, no process sees what becomes of the
    /// disk, and nobody hears what it makes of that.
    fn shut_down(&mut self, number: usize) -> Result<(), Error> {
        drop(self.take(number));
        self.disks[number].shut_down()
    }

    /// Gives a node that was killed its disk back.
    fn come_back(&mut self, number: usize) -> Result<(), Error> {
        self.disks[number].come_back()?;
        // Nothing is undone on a disk that has lost something itself.
        let undo = self.undo(&self.name(number));
        match std::fs::remove_dir_all(&undo) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(undo.display().to_string())(error))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, number: usize) -> Slot {
        std::mem::replace(&mut self.nodes[number], Slot::Down)
    }

    /// Starts a node that was killed on a journal in which a byte is another.
    fn flip(&mut self, number: usize, place: Place) -> Result<(), Error> {
        let Some(flip) = Flip::draw(&self.data(&self.name(number)), place)? else {
            self.flips.harmless += 1;
            return self.start(number);
        };
        flip.turn()?;
        self.start(number)?;
        if let Slot::Up(process) = self.take(number) {
            self.nodes[number] = Slot::Flipped(process, flip);
        }
        Ok(())
    }

    /// Sees what the node made of that, and repairs what it has refused.
    fn repair(&mut self, number: usize) -> Result<(), Error> {
        match self.take(number) {
            Slot::Flipped(mut process, flip) => {
                match self.opened(number, &mut process)? {
                    Opened::Ended => return Err(Error::Ended(self.name(number))),
                    Opened::Refused => {
                        self.flips.refused += 1;
                        flip.turn()?;
                        return self.start(number);
                    }
                    Opened::Doubtful => self.flips.doubted += 1,
                    Opened::Trustful => self.flips.harmless += 1,
                }
                self.nodes[number] = Slot::Up(process);
                Ok(())
            }
            other => {
                self.nodes[number] = other;
                Ok(())
            }
        }
    }

    /// Waits until a node has made something of its journal.
    fn opened(&self, number: usize, process: &mut Process) -> Result<Opened, Error> {
        let until = Instant::now() + REFUSED_MAX;
        while Instant::now() < until {
            match process.end_within(Duration::from_millis(50)) {
                Some(true) => return Ok(Opened::Ended),
                Some(false) => return Ok(Opened::Refused),
                None => {}
            }
            match tally::opened(&self.metrics(number), process.id())? {
                Some(true) => return Ok(Opened::Doubtful),
                Some(false) => return Ok(Opened::Trustful),
                None => {}
            }
        }
        // Replicas of the register do not say so.
        Ok(Opened::Trustful)
    }

    /// Begins a fault.
    pub(super) fn begin(&mut self, fault: &Fault) -> Result<(), Error> {
        match fault {
            Fault::Kill(nodes) | Fault::PowerLoss(nodes, _) => {
                nodes.iter().for_each(|number| drop(self.take(*number)));
            }
            Fault::Shutdown(nodes) => {
                nodes.iter().try_for_each(|number| self.shut_down(*number))?;
            }
            Fault::Flip(number, place) => {
                drop(self.take(*number));
                self.flip(*number, *place)?;
            }
            Fault::FlipAlone { node, away, place } => {
                // Nothing more is acknowledged once the first of them is gone.
                drop(self.take(*node));
                away.iter().for_each(|number| drop(self.take(*number)));
                self.flip(*node, *place)?;
            }
            Fault::Pause(nodes) => {
                for number in nodes {
                    self.nodes[*number] = match self.take(*number) {
                        Slot::Up(process) => Slot::Still(process.pause()),
                        other => other,
                    };
                }
            }
            Fault::Network { links, weather, .. } => {
                self.net.set(links, weather)?;
            }
        }
        Ok(())
    }

    /// Ends it. A node that is started again need not listen yet.
    pub(super) fn end(&mut self, fault: &Fault) -> Result<(), Error> {
        match fault {
            Fault::Kill(nodes) => nodes.iter().try_for_each(|number| self.start(*number))?,
            Fault::PowerLoss(nodes, seed) => {
                for number in nodes {
                    self.lose_power(*number, *seed)?;
                    self.start(*number)?;
                }
            }
            Fault::Shutdown(nodes) => {
                for number in nodes {
                    self.come_back(*number)?;
                    self.start(*number)?;
                }
            }
            Fault::Flip(number, _) => self.repair(*number)?,
            Fault::FlipAlone { node, away, .. } => {
                self.repair(*node)?;
                away.iter().try_for_each(|number| self.start(*number))?;
            }
            Fault::Pause(nodes) => {
                for number in nodes {
                    self.nodes[*number] = match self.take(*number) {
                        Slot::Still(paused) => Slot::Up(paused.resume()),
                        other => other,
                    };
                }
            }
            Fault::Network { links, .. } => {
                self.net.set(links, &Weather::default())?;
            }
        }
        Ok(())
    }
}
