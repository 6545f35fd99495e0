//! squall's commands over the Raft of others: `sweep`, `run`, `replay`, `shrink` and all the rest.

use std::process::ExitCode;

fn main() -> ExitCode {
    squall::cli::main(raft_peers::scenarios(), raft_peers::specimens())
}
