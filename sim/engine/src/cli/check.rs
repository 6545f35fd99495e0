//! Histories in files, held against a model.

use super::args::CheckArgs;
use super::output::{Out, note};
use super::{CLEAN, FAILED, Trouble, UNDECIDED, USAGE};
use serde::Serialize;
use squall_check::Limits;
use squall_check::file::{self, Finding, Format, Initial, Report, Request};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A line of JSON for a file.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    model: Option<&'a str>,
    level: Option<&'a str>,
    verdict: &'a str,
    ops: usize,
    millis: f64,
    explanation: &'a str,
}

/// Checks each file; the code is that of the worst of them.
pub(super) fn check(args: &CheckArgs, out: &mut Out) -> Result<u8, Trouble> {
    if args.timeline.is_some() && args.files.len() > 1 {
        return Err(Trouble::Usage("a timeline is drawn for one file at a time".to_owned()));
    }
    let request = request(args)?;
    let mut worst = CLEAN;
    for path in &args.files {
        let name = path.to_string_lossy();
        let code = match one(path, &request) {
            Ok(report) => {
                show(&name, &report, args.json, out)?;
                if let Some(page) = &args.timeline {
                    draw(page, &report)?;
                }
                code(report.finding)
            }
            Err(problem) => {
                note(&format!("error: {name}: {problem}"));
                if args.json {
                    let line = Line {
                        file: &name,
                        model: args.model.as_deref(),
                        level: args.level.as_deref(),
                        verdict: "error",
                        ops: 0,
                        millis: 0.0,
                        explanation: &problem,
                    };
                    out.json(&line)?;
                }
                USAGE
            }
        };
        worst = worse(worst, code);
    }
    Ok(worst)
}

fn request(args: &CheckArgs) -> Result<Request, Trouble> {
    let usage = |error: file::FileError| Trouble::Usage(error.to_string());
    let format = args.format.as_deref().map(str::parse::<Format>).transpose().map_err(usage)?;
    let initial = args.initial.as_deref().map(|text| match text.parse::<Initial>() {
        Ok(initial) => initial,
        Err(never) => match never {},
    });
    let mut limits = Limits::unhurried();
    if args.time.is_some() {
        limits.time = args.time;
    }
    Ok(Request { format, model: args.model.clone(), initial, level: args.level.clone(), limits })
}

fn one(path: &Path, request: &Request) -> Result<Report, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    file::check(&mut BufReader::new(file), request).map_err(|error| error.to_string())
}

fn show(name: &str, report: &Report, is_json: bool, out: &mut Out) -> Result<(), Trouble> {
    let Report { model, level, finding, operations, elapsed, explanation, .. } = report;
    // Rounded to microseconds: more digits of a time mean nothing.
    let millis = (elapsed.as_secs_f64() * 1e6).round() / 1e3;
    if is_json {
        let line = Line {
            file: name,
            model: Some(model),
            level: level.as_deref(),
            verdict: finding.word(),
            ops: *operations,
            millis,
            explanation,
        };
        return out.json(&line);
    }
    let against = match level {
        Some(level) => format!("{model}, {level}"),
        None => model.clone(),
    };
    let word = finding.word();
    out.line(&format!("{name}: {word} ({against}; {operations} operations, {millis} ms)"))?;
    for line in explanation.lines() {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}

fn draw(page: &Path, report: &Report) -> Result<(), Trouble> {
    let Some(timeline) = &report.timeline else { return Ok(()) };
    std::fs::write(page, timeline)
        .map_err(|error| Trouble::Infrastructure(format!("{}: {error}", page.display())))
}

fn code(finding: Finding) -> u8 {
    match finding {
        Finding::Valid => CLEAN,
        Finding::Violation => FAILED,
        Finding::Undecided => UNDECIDED,
    }
}

/// A file that cannot be read is worse than a violation, and that is worse than no answer.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |code| match code {
        USAGE => 3,
        FAILED => 2,
        UNDECIDED => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}
