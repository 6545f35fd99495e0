//! openraft's own suite for runtimes, each part of it in a simulated world.

use openraft_rt::testing::Suite;
use raft_peers::runtime::NodeRuntime;

#[test]
fn the_runtime_passes_the_suite_of_openraft() {
    Suite::<NodeRuntime>::test_all();
}
