//! The `squall` command over the scenarios of the pattern library, and its real processes.

use squall_scenarios::{commands, scenarios, specimens, subjects};
use std::process::ExitCode;

fn main() -> ExitCode {
    squall::cli::main_exploring(scenarios(), specimens(), &subjects(), &commands())
}
