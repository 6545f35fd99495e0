//! Finds what makes a run depend on more than its build, scenario, seed and plan.
//!
//! Code under test reaches the world through its `Env` alone. Nothing stops it from asking the
//! system for the time, starting a thread, or walking through a hash map of random order, and then
//! a seed does not repeat what it showed. Two defences are shipped:
//!
//! - [`CLIPPY`] is a `clippy.toml` that bans these calls by what they resolve to. It sees through
//!   every alias and into macros, and belongs into a service's crate (`squall lint --print-clippy`
//!   prints it), together with `disallowed_methods`, `disallowed_types` and `disallowed_macros` set
//!   to `deny`.
//! - [`assert_clean`] reads sources and needs nothing else, so a test can call it:
//!
//! ```no_run
//! #[test]
//! fn the_service_touches_nothing_but_its_environment() {
//!     squall::lint::assert_clean("src");
//! }
//! # fn main() {}
//! ```
//!
//! It knows tokens and not types: it follows `use` declarations of the same file with their
//! aliases and globs, and finds in addition what clippy cannot tell apart: statics that can change,
//! a `tokio::select!` without `biased`, a hash map without a hasher of its own. It does not see a
//! banned type through another file's re-export or `type`, nor through a method of a value, nor
//! what a dependency does. Items under `#[cfg(test)]` are passed over.
//!
//! Where a call is right, a comment on its line or the line above says why:
//! `// squall-lint: allow the crate's own cache, the same in every run`.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "sources are read beside the world, not from within it"
)]

mod bans;
mod scan;
mod tests_aside;
mod tokens;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A `clippy.toml` for crates whose code runs within the world.
pub const CLIPPY: &str = include_str!("clippy.toml");

/// Something that has no place in code that runs within the world.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Finding {
    /// Which file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What it is: mostly a path, as in `std::time::Instant`.
    pub what: String,
    /// What to use instead.
    pub instead: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { file, line, column, what, instead } = self;
        write!(f, "{}:{line}:{column}: {what}: {instead}", file.display())
    }
}

/// Looks through the text of one file; findings call it `file`.
pub fn check_text(file: &Path, text: &str) -> Vec<Finding> {
    let source = tokens::read(text);
    let (tokens, _) = tests_aside::without_tests(&source.tokens);
    let finding = |line, column, what: &str, instead| Finding {
        file: file.to_owned(),
        line,
        column,
        what: what.to_owned(),
        instead,
    };
    let is_allowed = |line: u32| {
        let about = |on: u32, alone: bool| on == line || alone && on + 1 == line;
        source.exceptions.iter().any(|e| e.has_reason && about(e.line, e.alone))
    };
    let hits = scan::scan(&tokens).into_iter().filter(|hit| !is_allowed(hit.at.line));
    let mut findings: Vec<Finding> =
        hits.map(|hit| finding(hit.at.line, hit.at.column, hit.what, hit.instead)).collect();
    let bare = source.exceptions.iter().filter(|exception| !exception.has_reason);
    let instead = "say why, behind `allow`";
    findings.extend(bare.map(|e| finding(e.line, 1, "an exception without a reason", instead)));
    findings.sort();
    findings.dedup();
    findings
}

/// Looks through a file, or through every `.rs` file in a folder and those in it, but for modules
/// that are declared under `#[cfg(test)]`.
///
/// # Errors
/// If a file or folder cannot be read, or if there is no `.rs` file at all.
pub fn check(path: impl AsRef<Path>) -> io::Result<Vec<Finding>> {
    let path = path.as_ref();
    let mut files = Vec::new();
    collect(path, &mut files)?;
    if files.is_empty() {
        let text = format!("{} has no Rust sources", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    files.sort();
    let mut texts = Vec::new();
    let mut tests = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        let source = tokens::read(&text);
        let (_, modules) = tests_aside::without_tests(&source.tokens);
        tests.extend(modules.iter().flat_map(|module| tests_aside::files_of(&file, module)));
        texts.push((file, text));
    }
    let is_test = |file: &Path| tests.iter().any(|test| file.starts_with(test));
    let looked_at = texts.iter().filter(|(file, _)| !is_test(file));
    Ok(looked_at.flat_map(|(file, text)| check_text(file, text)).collect())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(named)? {
            let inner = entry.map_err(named)?.path();
            let is_source = inner.extension().is_some_and(|ending| ending == "rs");
            // A folder that a link leads to is looked at where it is.
            if is_source || inner.is_dir() && !inner.is_symlink() {
                collect(&inner, files)?;
            }
        }
        return Ok(());
    }
    fs::metadata(path).map_err(named)?;
    files.push(path.to_owned());
    Ok(())
}

/// Fails a test if [`check`] finds anything. A path is relative to the current folder, which under
/// `cargo test` is that of the package.
///
/// # Panics
/// If something is found, with all of it, or if the sources cannot be read.
#[track_caller]
pub fn assert_clean(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let findings = match check(path) {
        Ok(findings) => findings,
        Err(error) => panic!("the sources cannot be looked through: {error}"),
    };
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(
        findings.is_empty(),
        "{} places make runs depend on more than their seed:\n{}",
        lines.len(),
        lines.join("\n")
    );
}
