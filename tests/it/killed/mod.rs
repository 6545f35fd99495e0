//! Processes that are killed while they write: a test starts its own binary as a child, ends it
//! with SIGKILL at different moments, starts it on the same files again, and looks at what is left
//! in them.
//!
//! Whatever the kernel has taken survives that, so it shows nothing of syncs. It shows what is
//! written in more than one step.

mod bus;
mod events;
mod outbox;
mod tables;

use crate::parity::{Checked, in_the_real_world};
use squall_env::Env;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Says to this test's own process that it is the one to be killed, and which file it is to use.
const FILE: &str = "SQUALL_TEST_KILLED_FILE";

/// So long after a confirmation each process is killed: at once, before a commit is synced, and
/// after it.
const DELAYS_US: [u64; 6] = [0, 150, 500, 1_100, 2_300, 4_700];

/// What processes that were killed have left.
pub(crate) struct Killed {
    /// The file that they had.
    pub(crate) file: &'static Path,
    /// What they said was durable.
    pub(crate) confirmed: &'static BTreeSet<u64>,
    /// Its folder, which goes with this value.
    _folder: tempfile::TempDir,
}

/// How many processes are killed.
pub(crate) const KILLS: usize = DELAYS_US.len();

/// Says from inside a process that is to be killed what is durable by now.
pub(crate) fn confirm(number: u64) {
    // Whoever reads has gone only if the test has failed.
    let _ = writeln!(std::io::stdout(), "confirmed {number}");
}

/// Has processes do some work on a file, one after the other, and kills each of them. `test` is the
/// name of the test that calls this: in their processes the work is done here, and nothing is given
/// back.
pub(crate) fn killed<F, Fut>(test: &str, work: F) -> Option<Killed>
where
    F: Fn(Env, &'static Path) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    if let Some(file) = std::env::var_os(FILE) {
        let file: &'static Path = Box::leak(Path::new(&file).into());
        in_the_real_world(1, move |env: Env| async move {
            work(env, file).await?;
            Err("nobody has killed it".to_owned())
        });
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file: &'static Path = Box::leak(folder.path().join("file.db").into_boxed_path());
    let mut confirmed = BTreeSet::new();
    for (round, delay) in (1..).zip(DELAYS_US) {
        // Never after the same number of commits.
        let wanted = 5 * round;
        let said = kill(test, file, (wanted, Duration::from_micros(delay)));
        assert!(said.len() >= wanted, "it confirmed only {said:?}");
        confirmed.extend(said);
    }
    let confirmed = Box::leak(Box::new(confirmed));
    Some(Killed { file, confirmed, _folder: folder })
}

/// Starts a process, kills it some time after so many confirmations, and gives all that it has
/// confirmed.
fn kill(test: &str, file: &Path, (wanted, delay): (usize, Duration)) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "--nocapture", test])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let numbers = lines.map_while(Result::ok).filter_map(|line| {
        line.split_once("confirmed ").and_then(|(_, number)| number.parse::<u64>().ok())
    });
    let mut said = Vec::new();
    for number in numbers {
        said.push(number);
        if said.len() == wanted {
            std::thread::sleep(delay);
            // SIGKILL. What it has said before that is read to the end.
            child.kill().expect("it runs");
        }
    }
    child.wait().expect("it ends");
    said
}

/// Every confirmed number is there, and of each process at most one more, which was durable before
/// it could say so.
pub(crate) fn all_confirmed(there: &BTreeSet<u64>, confirmed: &BTreeSet<u64>) -> Checked {
    if let Some(lost) = confirmed.difference(there).next() {
        return Err(format!("{lost} was confirmed and is lost"));
    }
    let more = there.len() - confirmed.len();
    if more > KILLS { Err(format!("{more} are there that nobody confirmed")) } else { Ok(()) }
}

/// A check that kills have to break: they show it of whoever writes in two steps.
pub(crate) fn torn(checked: Checked, by: &str) -> Checked {
    match checked {
        Err(why) if why.contains(by) => Ok(()),
        other => Err(format!("no kill came between two steps: {other:?}")),
    }
}
