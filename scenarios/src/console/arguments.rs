//! The arguments of `squall config`.

use super::endpoints::{EndpointError, Endpoints};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The environment's variable with the endpoints.
const VARIABLE: &str = "SQUALL_ENDPOINTS";

/// Where the first member of the README listens.
const DEFAULT: &str = "http://127.0.0.1:8101";

#[derive(Parser, Debug)]
#[command(about = super::ABOUT, after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

const AFTER_HELP: &str = "\
Without --endpoints the variable SQUALL_ENDPOINTS says where the members are, and without that \
it is http://127.0.0.1:8101.
Exit code: 0 done; 1 not there, not equal or refused; 2 wrong arguments; 3 nobody knows whether \
it was done; 75 nobody answers, and nothing was done.";

#[derive(Args, Debug)]
struct Common {
    /// The members' client addresses: http://HOST:PORT,... or https://HOST:PORT,...
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',')]
    endpoints: Vec<String>,
    /// The roots that the members' certificates lead to (PEM), for https.
    #[arg(long, global = true, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// A certificate to show to the members (PEM).
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// That certificate's private key (PEM).
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// How long to go on when nobody answers: 5s, 500ms.
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = time)]
    timeout: Duration,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Prints the value of a key, or keys and values.
    Get {
        /// The key.
        name: String,
        /// All keys that begin so.
        #[arg(long)]
        prefix: bool,
    },
    /// Puts a value; - takes it from standard input.
    Put {
        /// The key.
        name: String,
        /// The value.
        value: String,
        /// Attaches the key to a lease.
        #[arg(long, value_name = "ID")]
        lease: Option<u64>,
    },
    /// Puts a value if the key was last put at a revision (compare and set).
    Cas {
        /// The key.
        name: String,
        /// The value; - takes it from standard input.
        value: String,
        /// The revision, as `get --json` calls mod_revision; 0 if the key shall not be there.
        #[arg(long, value_name = "N")]
        revision: u64,
        /// Attaches the key to a lease.
        #[arg(long, value_name = "ID")]
        lease: Option<u64>,
    },
    /// Removes a key.
    Delete {
        /// The key.
        name: String,
        /// All keys that begin so.
        #[arg(long, conflicts_with = "revision")]
        prefix: bool,
        /// Only if the key was last put at this revision.
        #[arg(long, value_name = "N")]
        revision: Option<u64>,
    },
    /// Prints every change of a key, until it is ended.
    Watch {
        /// The key.
        name: String,
        /// All keys that begin so.
        #[arg(long)]
        prefix: bool,
        /// From this revision on, instead of from now on.
        #[arg(long, value_name = "N")]
        from: Option<u64>,
        /// Ends after so many changes.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Leases, which take their keys with them.
    Lease {
        #[command(subcommand)]
        lease: Lease,
    },
    /// Forgets the history up to a revision and with it.
    Compact {
        /// The revision.
        revision: u64,
    },
    /// Says of every endpoint what it knows of itself and the cluster.
    Status,
    /// Who is a member.
    Members {
        #[command(subcommand)]
        members: Members,
    },
    /// Has another member lead.
    Transfer {
        /// Its name or number: member-2, 2.
        to: String,
    },
}

#[derive(Subcommand, Debug)]
pub(super) enum Lease {
    /// Grants a lease, and prints its number.
    Grant {
        /// How long it lasts when nobody keeps it alive: 30s, 1500ms, or 30 for seconds.
        #[arg(value_parser = time)]
        ttl: Duration,
        /// Its number; without one it gets one.
        #[arg(long, value_name = "ID")]
        id: Option<u64>,
    },
    /// Keeps a lease alive for as long as it runs.
    KeepAlive {
        /// Which one.
        id: u64,
        /// Once, and no more.
        #[arg(long)]
        once: bool,
    },
    /// Ends a lease, and its keys with it.
    Revoke {
        /// Which one.
        id: u64,
    },
    /// Prints a lease and its keys.
    Show {
        /// Which one.
        id: u64,
    },
    /// Prints all leases.
    List,
}

#[derive(Subcommand, Debug)]
pub(super) enum Members {
    /// Prints who votes, and who learns.
    List,
    /// Adds a member, which runs with --join: it learns what there is, and votes then.
    Add {
        /// Its name or number: member-4, 4.
        name: String,
        /// It goes on learning and does not vote.
        #[arg(long)]
        learner: bool,
    },
    /// Removes a member, for good: nothing may come back under its name with an empty directory.
    Remove {
        /// Its name or number.
        name: String,
    },
}

/// A time: seconds if nothing else is said.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no time, as 5s or 500ms"))?;
    let each = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => return Err(format!("{other:?} is no unit: ms, s, m or h")),
    };
    number
        .checked_mul(each)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is too long"))
}

impl Arguments {
    pub(super) fn json(&self) -> bool {
        self.common.json
    }

    pub(super) fn timeout(&self) -> Duration {
        self.common.timeout
    }

    /// The endpoints of the arguments, of the environment, or the usual one.
    pub(super) fn endpoints(&self) -> Result<Endpoints, EndpointError> {
        let Common { endpoints, cacert, cert, key, .. } = &self.common;
        let variable = std::env::var(VARIABLE).unwrap_or_default();
        let named = variable.split(',').filter(|text| !text.is_empty()).map(str::to_owned);
        let urls = match (endpoints.is_empty(), named.collect::<Vec<_>>()) {
            (false, _) => endpoints.clone(),
            (true, named) if !named.is_empty() => named,
            (true, _) => vec![DEFAULT.to_owned()],
        };
        let shown = cert.as_deref().zip(key.as_deref());
        Endpoints::new(&urls, cacert.as_deref(), shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "5d", "-1s", "99999999999999999999s", "9999999999999999999h", "ä"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
