//! Two runs, and where they part.

use super::args::{DiffArgs, ReportArgs};
use super::export::{Format, Scratch, Subject};
use super::library::Library;
use super::output::Out;
use super::{CLEAN, FAILED, Trouble};
use crate::plan::Plan;
use crate::shrink::without;
use crate::table::Fault;
use crate::trace::Trace;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

#[derive(Serialize)]
struct DiffJson<'a> {
    same: bool,
    /// How many events are the same from the start.
    agree: usize,
    at_ns: Option<u64>,
    digests: [&'a str; 2],
    properties: [Option<&'a str>; 2],
}

/// Says where two runs part.
pub(super) fn diff(library: &Library, args: &DiffArgs, out: &mut Out) -> Result<u8, Trouble> {
    let other = match (&args.other, &args.off[..]) {
        (Some(other), _) => other,
        (None, [_, ..]) => &args.one,
        (None, []) => {
            let text = "with one run, say which fault is off in the other: --off FAULT";
            return Err(Trouble::Usage(text.to_owned()));
        }
    };
    let off = args.off.iter().map(|name| fault(name)).collect::<Result<Vec<_>, _>>()?;
    let one = side(library, &args.one, &[])?;
    let two = side(library, other, &off)?;
    let parting = one.parts_from(&two);
    if args.json {
        let at = parting.map(|parting| parting.at);
        let time = |at: usize| [&one, &two].map(|run| run.events.get(at).map(|e| e.at_ns));
        let property = |trace: &'_ Trace| trace.about.failure.as_ref().map(|f| f.property.clone());
        let properties = [property(&one), property(&two)];
        out.json(&DiffJson {
            same: at.is_none(),
            agree: at.unwrap_or(one.events.len()),
            at_ns: at.and_then(|at| time(at).into_iter().flatten().min()),
            digests: [&one.about.digest, &two.about.digest],
            properties: [properties[0].as_deref(), properties[1].as_deref()],
        })?;
    } else {
        let name = |name: &str, which| format!("{which} ({name})");
        let without = match &args.off[..] {
            [] => other.clone(),
            off => format!("{other} without {}", off.join(", ")),
        };
        let names = [name(&args.one, "the one"), name(&without, "the other")];
        out.lines(&one.difference(&two, [&names[0], &names[1]]))?;
        for (trace, name) in [(&one, &names[0]), (&two, &names[1])] {
            let ended = match &trace.about.failure {
                Some(failure) => format!("breaks: {}", failure.property),
                None => "does not fail".to_owned(),
            };
            out.line(&format!("{name} {ended}"))?;
        }
    }
    Ok(if parting.is_none() { CLEAN } else { FAILED })
}

/// The run that a report is to be compared with, if any: what it is called, and its trace.
pub(super) fn other(
    library: &Library,
    args: &ReportArgs,
    subject: &Subject<'_>,
) -> Result<Option<(String, Scratch)>, Trouble> {
    let off = args.off.iter().map(|name| fault(name)).collect::<Result<Vec<_>, _>>()?;
    let (name, trace) = match &args.against {
        Some(other) => (other.clone(), side(library, other, &[])?),
        None if off.is_empty() => return Ok(None),
        None => {
            let name = format!("the same run without {}", args.off.join(", "));
            (name, run(subject.clone(), &off)?)
        }
    };
    let file = Scratch::new("beside");
    let written = File::create(&file.0).and_then(|made| {
        let mut made = BufWriter::new(made);
        trace.write_jsonl(&mut made)?;
        made.flush()
    });
    written.map_err(|error| {
        Trouble::Infrastructure(format!("cannot write {}: {error}", file.0.display()))
    })?;
    Ok(Some((name, file)))
}

fn fault(name: &str) -> Result<Fault, Trouble> {
    let known = crate::table::TABLE.iter().find(|row| row.name == name);
    known.map(|row| row.fault).ok_or_else(|| {
        Trouble::Usage(format!("there is no fault {name:?}: the guide's page on weather has all"))
    })
}

/// The trace of `NAME:SEED`, of a repro file, or of an exported one.
fn side(library: &Library, text: &str, off: &[Fault]) -> Result<Trace, Trouble> {
    let file = Path::new(text);
    if file.is_file() {
        if is_trace(file) {
            return match off {
                [] => read(file),
                _ => Err(Trouble::Usage(format!(
                    "{text} is a trace, in which no fault can be switched off"
                ))),
            };
        }
        return run(Subject::of_file(library, file)?, off);
    }
    let seed = text.rsplit_once(':').and_then(|(name, seed)| Some((name, seed.parse().ok()?)));
    let Some((name, seed)) = seed else {
        return Err(Trouble::Usage(format!(
            "{text:?} is neither a file nor NAME:SEED, as in register/atomic:218"
        )));
    };
    run(Subject::of_seed(library, name, seed, None)?, off)
}

/// Whether a file begins as an exported trace does.
fn is_trace(file: &Path) -> bool {
    let mut line = String::new();
    let read = File::open(file).and_then(|file| BufReader::new(file).read_line(&mut line));
    read.is_ok() && line.starts_with("{\"trace\":")
}

fn read(file: &Path) -> Result<Trace, Trouble> {
    let wrong = |error: String| Trouble::Usage(format!("{}: {error}", file.display()));
    let opened = File::open(file).map_err(|error| wrong(error.to_string()))?;
    Trace::read_jsonl(&mut BufReader::new(opened)).map_err(|error| wrong(error.to_string()))
}

fn run(mut subject: Subject<'_>, off: &[Fault]) -> Result<Trace, Trouble> {
    subject.plan = off.iter().fold(subject.plan, |plan: Plan, fault| without(&plan, *fault));
    let file = Scratch::new("diff");
    subject.write(Format::Jsonl, &file.0)?;
    read(&file.0)
}
