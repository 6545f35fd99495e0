//! The `squall` command over the scenarios of the pattern library, and its real processes.

use squall_scenarios::{cluster, scenarios, specimens};
use std::process::ExitCode;

fn main() -> ExitCode {
    squall::cli::main_with(scenarios(), specimens(), &cluster::COMMANDS)
}
