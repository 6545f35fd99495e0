//! Many workers at work on many jobs.

use super::Trouble;
use super::process::{Death, NoAnswer, Process};
use super::protocol::{Ask, Batch, Done, Say, Single};
use crate::plan::WEATHER_VARIABLE;
use std::num::NonZero;
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};

/// Something for a worker to do.
pub(super) struct Job {
    /// Whose it is: the place of its scenario in the command's own list.
    pub(super) of: usize,
    pub(super) ask: Ask,
    /// Whether a new process has to do it.
    pub(super) fresh: bool,
}

/// So many workers, started as they are needed.
pub(super) struct Pool {
    jobs: usize,
    variables: Vec<(&'static str, String)>,
}

impl Pool {
    /// As many workers as are wanted, or else as there are processors.
    pub(super) fn new(jobs: Option<u16>) -> Pool {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = jobs.map_or_else(processors, usize::from);
        Pool { jobs, variables: Vec::new() }
    }

    pub(super) fn workers(&self) -> usize {
        self.jobs
    }

    /// Sets a variable in the environment of all workers.
    pub(super) fn with_variable(mut self, name: &'static str, value: String) -> Pool {
        self.variables.push((name, value));
        self
    }

    /// Has all workers draw this weather.
    pub(super) fn under(self, weather: Option<&str>) -> Pool {
        match weather {
            Some(text) => self.with_variable(WEATHER_VARIABLE, text.to_owned()),
            None => self,
        }
    }

    /// Does jobs until there are none left, and gives what came of each to `take`, in the order in
    /// which they end.
    pub(super) fn work(
        &self,
        next: impl FnMut() -> Option<Job> + Send,
        mut take: impl FnMut(&Job, Done) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let next: Mutex<Box<dyn FnMut() -> Option<Job> + Send>> = Mutex::new(Box::new(next));
        let (send, receive) = channel();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    let mut slot = Slot { process: None, variables: &self.variables };
                    loop {
                        let job = next.lock().unwrap_or_else(PoisonError::into_inner)();
                        let Some(job) = job else { return };
                        let done = slot.perform(&job);
                        // Whoever takes the results has given up.
                        if send.send((job, done)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let mut result = Ok(());
            for (job, done) in receive {
                result = done.and_then(|done| take(&job, done));
                if result.is_err() {
                    // Nothing more is begun; what is under way ends by itself.
                    let nothing = || None;
                    *next.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(nothing);
                    break;
                }
            }
            result
        })
    }

    /// Does one job in a fresh process.
    pub(super) fn single(
        &self,
        single: Single,
        hear: &mut dyn FnMut(Say),
    ) -> Result<Done, Trouble> {
        let mut slot = Slot { process: None, variables: &self.variables };
        match slot.ask(&Ask::Single(Box::new(single)), hear) {
            Ok(done) => Ok(done),
            Err(NoAnswer::Death(death)) => dead(*death),
            Err(NoAnswer::Trouble(trouble)) => Err(trouble),
        }
    }
}

/// A place for one worker at a time.
struct Slot<'a> {
    process: Option<Process>,
    variables: &'a [(&'static str, String)],
}

impl Slot<'_> {
    fn perform(&mut self, job: &Job) -> Result<Done, Trouble> {
        if job.fresh {
            self.process = None;
        }
        match (self.ask(&job.ask, &mut |_| {}), &job.ask) {
            (Ok(done), _) => Ok(done),
            (Err(NoAnswer::Death(death)), Ask::Batch(batch)) => self.split(batch, *death),
            (Err(NoAnswer::Death(death)), Ask::Single(_)) => dead(*death),
            (Err(NoAnswer::Death(death)), Ask::Seek(_)) => {
                // What it began with is the number of the run.
                let runs = death.found.as_ref().map_or(1, |found| found.seed + 1);
                let mut done = dead(*death)?;
                done.tally.seeds = runs;
                Ok(done)
            }
            (Err(NoAnswer::Trouble(trouble)), _) => Err(trouble),
        }
    }

    fn ask(&mut self, ask: &Ask, hear: &mut dyn FnMut(Say)) -> Result<Done, NoAnswer> {
        let process = match &mut self.process {
            Some(process) => process,
            none => {
                let started = Process::start(self.variables).map_err(NoAnswer::Trouble)?;
                none.insert(started)
            }
        };
        let answer = process.ask(ask, hear);
        if answer.is_err() {
            self.process = None;
        }
        answer
    }

    /// A worker died within a batch: runs its seeds again, each for itself, to find out of which.
    fn split(&mut self, batch: &Batch, death: Death) -> Result<Done, Trouble> {
        let one = |seed| Batch { from: seed, to: seed + 1, ..batch.clone() };
        if batch.to - batch.from <= 1 {
            let mut done = dead(death)?;
            if batch.digests {
                done.digests = vec![(batch.from, None)];
            }
            return Ok(done);
        }
        if let Some(found) = &death.found
            && Some(&found.failure.property) == batch.stop_at.as_ref()
        {
            // All seeds before it have ended otherwise, so it is the one that is looked for.
            let mut done = dead(death.clone())?;
            done.tally.seeds = found.seed - batch.from + 1;
            return Ok(done);
        }
        let mut all = Done::default();
        for seed in batch.from..batch.to {
            let one = one(seed);
            let done = match self.ask(&Ask::Batch(one.clone()), &mut |_| {}) {
                Ok(done) => done,
                Err(NoAnswer::Death(death)) => self.split(&one, *death)?,
                Err(NoAnswer::Trouble(trouble)) => return Err(trouble),
            };
            let wanted = batch.stop_at.as_ref();
            let stops = done.found.iter().any(|f| Some(&f.failure.property) == wanted);
            all.merge(done);
            if stops {
                return Ok(all);
            }
        }
        let lived = all.found.iter().all(|found| found.digest.is_some());
        if let (true, Some(found)) = (lived, death.found) {
            // No seed is deadly for itself: what was left from others made it so.
            all.found.retain(|other| other.seed != found.seed);
            all.found.push(found.not_reproducible(None));
        }
        Ok(all)
    }
}

/// What came of a seed of which a worker died.
fn dead(death: Death) -> Result<Done, Trouble> {
    let Some(found) = death.found else {
        let story = death.story.join("; ");
        return Err(Trouble::Infrastructure(format!("a worker ended before it began: {story}")));
    };
    let mut done = Done { found: vec![found], ..Done::default() };
    done.tally.seeds = 1;
    Ok(done)
}
