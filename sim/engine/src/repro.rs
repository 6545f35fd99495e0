//! Repro files: a scenario's name, a seed and a plan, which together say everything about a run,
//! and what came of it when the file was written.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "files are written beside the world, never from within it"
)]

use crate::digest::hash_bytes;
use crate::plan::{Invalid, Matched, Plan};
use crate::run::Outcome;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

/// The version of repro files that this build writes; it reads no other one.
pub const FORMAT: u32 = 1;

/// A repro file has at most so many bytes.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// So many overrides that matched nothing are told one by one.
const MISSED_MAX: usize = 10;

/// What is in a repro file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repro {
    /// The version of the file's format.
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Which build wrote the file: [`build_id`].
    pub build: String,
    /// What came of the run.
    pub expected: Expected,
    /// The plan.
    pub plan: Plan,
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The property that broke, if one did.
    pub property: Option<String>,
    /// The failure's fingerprint.
    pub fingerprint: Option<String>,
    /// The run's digest, in hexadecimal digits; none if the run did not end.
    pub digest: Option<String>,
}

impl Expected {
    /// What came of this run.
    pub fn of(outcome: &Outcome) -> Expected {
        let failure = outcome.failure.as_ref();
        Expected {
            property: failure.map(|failure| failure.property.clone()),
            fingerprint: failure.map(crate::Failure::fingerprint),
            digest: Some(outcome.digest.to_string()),
        }
    }
}

/// Why a repro file is not read, written or run.
#[derive(Debug, thiserror::Error)]
pub enum ReproError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any that was written.
    #[error("{} has more than {BYTES_MAX} bytes, which no repro file has", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what a repro file is.
    #[error(
        "{} is not a repro file of format {FORMAT}: {source} (such a file is JSON, as a failing \
         test or `run --save` writes it)",
        file.display()
    )]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
    /// The file has another version.
    #[error(
        "{} has format {found}, and this build reads format {FORMAT}: use the version of squall \
         that wrote it",
        file.display()
    )]
    Format {
        /// Which file.
        file: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The file's plan cannot be run.
    #[error("the plan in {} cannot be run: {source}", file.display())]
    Plan {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: Invalid,
    },
}

impl Repro {
    /// The repro file of a run.
    pub fn new(scenario: &str, seed: u64, plan: &Plan, expected: Expected) -> Repro {
        Repro {
            format: FORMAT,
            scenario: scenario.to_owned(),
            seed,
            build: build_id().to_owned(),
            expected,
            plan: plan.clone(),
        }
    }

    /// What the file of this scenario and seed is best called: a name without a folder.
    pub fn file_name(scenario: &str, seed: u64) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        format!("{}-{seed}.json", scenario.chars().map(plain).collect::<String>())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If there is none, or it is no repro file of this version.
    pub fn read(file: &Path) -> Result<Repro, ReproError> {
        let unread = |source| ReproError::Read { file: file.to_owned(), source };
        let mut bytes = Vec::new();
        let opened = fs::File::open(file).map_err(unread)?;
        opened.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(ReproError::TooLarge { file: file.to_owned() });
        }
        Repro::parse(file, &bytes)
    }

    /// Reads a file's content; `file` is what errors call it.
    ///
    /// # Errors
    /// If it is no repro file of this version.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Repro, ReproError> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Head {
            format: u64,
        }
        let malformed = |source| ReproError::Malformed { file: file.to_owned(), source };
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.format != u64::from(FORMAT) {
            return Err(ReproError::Format { file: file.to_owned(), found: head.format });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// Writes the file, and makes the folders above it.
    ///
    /// # Errors
    /// If the file or a folder cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), ReproError> {
        let failed = |source| ReproError::Write { file: file.to_owned(), source };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        fs::write(file, text + "\n").map_err(failed)
    }

    /// Checks that the scenario can run the file's plan; `file` is what errors call it.
    ///
    /// # Errors
    /// If the plan does not suit the scenario, or has numbers out of range.
    pub fn check(&self, file: &Path, scenario: &Scenario) -> Result<(), ReproError> {
        let invalid = |source| ReproError::Plan { file: file.to_owned(), source };
        scenario.check_plan(&self.plan).map_err(invalid)
    }

    /// What a replay says: whether the same property broke, and if the plan has overrides, by what
    /// they matched and which did not. `missed` are the places in the plan of those.
    pub fn verdict(&self, seen: &Expected, overrides: &Matched, missed: &[usize]) -> Vec<String> {
        let mut lines = Vec::new();
        if self.build != build_id() {
            let this = build_id();
            lines.push(format!("another build wrote the file ({}; this is {this})", self.build));
        } else if self.expected.digest == seen.digest {
            lines.push("the run is the same as when the file was written".to_owned());
        } else {
            let why = "the plan was edited, or runs are not reproducible";
            lines.push(format!("the build is the same, and the run is not ({why})"));
        }
        lines.extend(overrides.line());
        let wishes = missed.iter().filter_map(|place| self.plan.overrides.get(*place));
        lines.extend(wishes.take(MISSED_MAX).map(|wish| format!("  not matched: {wish}")));
        if missed.len() > MISSED_MAX {
            lines.push(format!("  and {} more", missed.len() - MISSED_MAX));
        }
        let is_same = self.expected.fingerprint == seen.fingerprint;
        lines.push(match (&self.expected.property, &seen.property) {
            (Some(wanted), Some(found)) if wanted == found && is_same => {
                format!("the same property breaks: {wanted}")
            }
            (Some(wanted), Some(found)) if wanted == found => format!(
                "the same property breaks in another way: {}, where it was: {}",
                seen.fingerprint.as_deref().unwrap_or_default(),
                self.expected.fingerprint.as_deref().unwrap_or_default()
            ),
            (Some(wanted), Some(found)) => {
                format!("another property breaks: {found}, where it was: {wanted}")
            }
            (Some(wanted), None) => format!("nothing breaks any more; it was: {wanted}"),
            (None, Some(found)) => format!("a property breaks where none did: {found}"),
            (None, None) => "nothing breaks, as when the file was written".to_owned(),
        });
        lines
    }
}

/// Which build this is: the engine's version, and a hash of the running program's content, which
/// is computed once.
pub fn build_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let version = env!("CARGO_PKG_VERSION");
        match std::env::current_exe().and_then(fs::read) {
            Ok(program) => format!("{version}-{:016x}", hash_bytes(&program)),
            Err(_) => format!("{version}-unknown"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tolerance;
    use crate::script::{Script, end, hold, power_loss, sent, sync};
    use proptest::prelude::*;

    fn scenario() -> Scenario {
        let stay = |_env| std::future::pending::<Result<(), String>>();
        let tolerance = Tolerance::minority_impaired("node")
            .any_network()
            .any_clock()
            .crashes()
            .lost_unsynced_writes()
            .failing_disks()
            .rare_paths();
        Scenario::new("test/repro").nodes("node", 3..=5, stay).tolerates(tolerance)
    }

    fn repro(seed: u64) -> Repro {
        let expected = Expected { property: None, fingerprint: None, digest: None };
        let mut plan = scenario().plan(seed);
        let script = Script::new()
            .when(sync("node-1").nth(2), power_loss("node-1").named("a"))
            .when(sent("node-2", "node-1").of_kind(1), hold("node-2", "node-1"))
            .then(end("a"));
        plan.script = script.steps().to_vec();
        Repro::new("test/repro", seed, &plan, expected)
    }

    /// The error, in words.
    fn error(text: &str) -> String {
        let parsed = Repro::parse(Path::new("a-file.json"), text.as_bytes());
        parsed.expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_written_is_read_and_suits_its_scenario() {
        let folder = tempfile::tempdir().unwrap();
        for seed in 0..200 {
            let repro = repro(seed);
            let file = folder.path().join("deeper").join(Repro::file_name("a/b c", seed));
            repro.write(&file).unwrap();
            let read = Repro::read(&file).unwrap();
            assert_eq!(read, repro);
            read.check(&file, &scenario()).unwrap();
        }
        assert_eq!(Repro::file_name("register/atomic", 218), "register-atomic-218.json");
    }

    #[test]
    fn errors_name_the_file_and_say_what_would_be_right() {
        let good = serde_json::to_string(&repro(1)).unwrap();
        let later = error(&good.replacen("\"format\":1", "\"format\":7", 1));
        assert!(later.contains("a-file.json has format 7"), "{later}");
        assert!(later.contains("reads format 1"), "{later}");
        let unknown = error(&good.replacen("\"seed\"", "\"sed\":1,\"seed\"", 1));
        assert!(unknown.contains("unknown field `sed`, expected one of"), "{unknown}");
        let missing = error("{\"format\": 1}");
        assert!(missing.contains("missing field `scenario`"), "{missing}");
        assert!(error("{}").contains("missing field `format`"));
        assert!(error("not JSON").contains("line 1 column"));
        assert!(error("").contains("a-file.json is not a repro file"));
        let gone = Repro::read(Path::new("no-such-file.json")).expect_err("there is none");
        assert!(gone.to_string().starts_with("cannot read no-such-file.json:"), "{gone}");
    }

    #[test]
    fn a_plan_for_other_roles_is_refused() {
        let mut other = repro(1);
        other.plan.nodes[0].role = "replica".to_owned();
        let refused = other.check(Path::new("f"), &scenario()).expect_err("roles differ");
        assert!(refused.to_string().contains("replica"), "{refused}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Repro::parse(Path::new("f"), &bytes);
        }

        #[test]
        fn a_damaged_file_is_read_or_refused_and_what_is_read_can_be_checked(
            seed in 0..50_u64, at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = serde_json::to_vec(&repro(seed)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(repro) = Repro::parse(Path::new("f"), &bytes) {
                let _ = repro.check(Path::new("f"), &scenario());
                let _ = repro.plan.lines();
            }
        }
    }
}
