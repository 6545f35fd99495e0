//! Traces with causes, in files: exports and reports. A worker writes them.

use super::args::ReportArgs;
use super::library::Library;
use super::output::{Out, note};
use super::pool::Pool;
use super::protocol::{Done, Single};
use super::{CLEAN, Trouble};
use crate::plan::Plan;
use crate::report::page::{Around, Parted, page};
use crate::run::Outcome;
use crate::scenario::Scenario;
use crate::trace::{ARROWS, Trace};
use crate::words::seconds;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a trace is written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
pub(super) enum Format {
    /// Lines of JSON: every event, with its cause
    Jsonl,
    /// A sequence diagram of the last messages, for Mermaid
    Mermaid,
    /// A log with vector clocks, for ShiViz
    Shiviz,
    #[value(skip)]
    Html,
}

/// What a worker is to write of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Export {
    pub(super) format: Format,
    pub(super) file: PathBuf,
    /// The command that shows the run again.
    pub(super) command: String,
    /// What a page is to compare it with.
    pub(super) beside: Option<Beside>,
}

/// Another run: its name, and its trace as lines of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) file: PathBuf,
}

impl Beside {
    fn parting(&self, trace: &Trace) -> Result<Parted, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", self.file.display());
        let file = File::open(&self.file).map_err(|error| wrong(&error))?;
        let other = Trace::read_jsonl(&mut BufReader::new(file)).map_err(|error| wrong(&error))?;
        let at = trace.parts_from(&other).and_then(|parting| trace.events.get(parting.at));
        Ok(Parted {
            name: self.name.clone(),
            lines: trace.difference(&other, ["this run", "the other"]),
            event: at.map(|event| event.id),
        })
    }
}

impl Export {
    /// Writes the trace of a run that was watched with its causes, and tells what led to its
    /// failure. The error is why it cannot.
    pub(super) fn write(
        &self,
        scenario: &Scenario,
        (seed, plan): (u64, &Plan),
        outcome: &mut Outcome,
    ) -> Result<Vec<String>, String> {
        let Some(trace) = outcome.trace(scenario, seed, plan) else {
            return Err("no trace was kept".to_owned());
        };
        let parted = self.beside.as_ref().map(|beside| beside.parting(&trace)).transpose()?;
        let write = || -> io::Result<()> {
            let mut file = BufWriter::new(File::create(&self.file)?);
            match self.format {
                Format::Jsonl => trace.write_jsonl(&mut file)?,
                Format::Mermaid => trace.write_mermaid(&mut file, ARROWS)?,
                Format::Shiviz => trace.write_shiviz(&mut file)?,
                Format::Html => {
                    let around = Around { command: &self.command, plan, outcome, parted };
                    file.write_all(page(&trace, &around).as_bytes())?;
                }
            }
            file.flush()
        };
        write().map_err(|error| format!("cannot write {}: {error}", self.file.display()))?;
        Ok(trace.why())
    }
}

/// A run that is asked for by scenario and seed, or by a repro file.
#[derive(Clone)]
pub(super) struct Subject<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) seed: u64,
    pub(super) plan: Plan,
    /// The command that shows it again.
    pub(super) command: String,
    /// What its page is to compare it with.
    pub(super) beside: Option<Beside>,
}

impl<'a> Subject<'a> {
    /// The run of a seed, with the plan that the library's weather makes of it.
    pub(super) fn of_seed(
        library: &'a Library,
        name: &str,
        seed: u64,
        weather: Option<&str>,
    ) -> Result<Subject<'a>, Trouble> {
        let scenario = library.resolve_one(name)?;
        let weather = weather.map_or(String::new(), |text| format!(" --weather {text}"));
        let command = format!("{} run {} --seed {seed}{weather}", program(), scenario.name());
        Ok(Subject { scenario, seed, plan: scenario.plan(seed), command, beside: None })
    }

    /// The run of a repro file.
    pub(super) fn of_file(library: &'a Library, file: &Path) -> Result<Subject<'a>, Trouble> {
        let (scenario, repro) = library.repro(file)?;
        let command = format!("{} replay {}", program(), file.display());
        Ok(Subject { scenario, seed: repro.seed, plan: repro.plan, command, beside: None })
    }

    /// What a worker is asked, to write its trace.
    fn ask(&self, format: Format, file: &Path) -> Single {
        Single {
            scenario: self.scenario.name().to_owned(),
            seed: self.seed,
            plan: Some(self.plan.clone()),
            export: Some(Export {
                format,
                file: file.to_owned(),
                command: self.command.clone(),
                beside: self.beside.clone(),
            }),
            ..Single::default()
        }
    }

    /// Runs it in a fresh process and writes its trace to a file.
    pub(super) fn write(&self, format: Format, file: &Path) -> Result<Done, Trouble> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| {
                Trouble::Infrastructure(format!("cannot make {}: {error}", folder.display()))
            })?;
        }
        let done = Pool::new(Some(1)).single(self.ask(format, file), &mut |_| {})?;
        if done.last.is_none() {
            return Err(Trouble::Infrastructure(format!(
                "{} seed {} does not end, so there is no trace with causes; --trace shows how far \
                 it comes",
                self.scenario.name(),
                self.seed
            )));
        }
        Ok(done)
    }

    /// Runs it and gives its trace to the file, or else to the standard output.
    pub(super) fn export(
        &self,
        format: Format,
        file: Option<&Path>,
        out: &mut Out,
    ) -> Result<Done, Trouble> {
        if let Some(file) = file {
            return self.write(format, file);
        }
        let file = Scratch::new("export");
        let done = self.write(format, &file.0)?;
        let text = fs::read_to_string(&file.0);
        let text = text.map_err(|error| Trouble::Infrastructure(error.to_string()))?;
        text.lines().try_for_each(|line| out.line(line))?;
        Ok(done)
    }
}

/// A file that is gone when it is not needed any more.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(what: &str) -> Scratch {
        let name = format!("squall-{what}-{}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What this program is called.
pub(super) fn program() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_ref().and_then(|path| path.file_stem());
    name.map_or("squall".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes a run's report, and says why it failed.
pub(super) fn report(library: &Library, args: &ReportArgs, out: &mut Out) -> Result<u8, Trouble> {
    let mut subject = match args.seed {
        Some(seed) => Subject::of_seed(library, &args.name, seed, args.weather.as_deref())?,
        None => Subject::of_file(library, super::library::repro_file(&args.name)?)?,
    };
    // The file stays until the page is written.
    let other = super::diff::other(library, args, &subject)?;
    subject.beside =
        other.as_ref().map(|(name, file)| Beside { name: name.clone(), file: file.0.clone() });
    let done = subject.write(Format::Html, &args.output)?;
    let name = subject.scenario.name();
    match done.found.first() {
        Some(found) => {
            let (property, at) = (&found.failure.property, seconds(found.failure.at_ns));
            out.line(&format!("{name} seed {} breaks at {at}: {property}", subject.seed))?;
        }
        None => out.line(&format!("{name} seed {}: nothing failed", subject.seed))?,
    }
    out.lines(&done.chain)?;
    note(&format!("the report is in {}", args.output.display()));
    Ok(CLEAN)
}
