//! The `squall` command over the scenarios of the pattern library, and its real processes.

use mimalloc::MiMalloc;
use squall_scenarios::{commands, scenarios, specimens, subjects};
use std::process::ExitCode;

/// A run makes and drops many small things, for which this allocator takes less than the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    squall::cli::main_exploring(scenarios(), specimens(), &subjects(), &commands())
}
