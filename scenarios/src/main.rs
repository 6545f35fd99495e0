//! The `squall` command over the scenarios of the pattern library, and its real processes.

use squall_scenarios::{cluster, scenarios, specimens};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if cluster::is_ours(arguments.peek()) {
        return cluster::main(arguments);
    }
    squall::cli::main(scenarios(), specimens())
}
