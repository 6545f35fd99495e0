//! Reads from a leader that is none any more.

use super::logs::{a_leader_that_nobody_hears, quick_third};
use super::{APPEND, Value, ms, read_from_the_first, told, write};
use squall::script::{crash, cue, release, returned, sent};
use squall::{Client, Scenario, Script};
use squall_env::platform::BindError;
use squall_protocols::raft::RaftClient;

/// Writes twice, each time at its cue.
pub(super) async fn write_twice(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut raft = RaftClient::<Value>::open(env, env.peers("member"))?;
    for value in [1, 2] {
        write(&client, &mut raft, value).await;
    }
    Ok(())
}

/// Another leader answers another write, and somebody reads from the one that nobody hears.
fn a_deposed_leader() -> Script {
    a_leader_that_nobody_hears()
        .then(crash("member-2").lasting(ms(10)))
        .when(sent("member-3", "member-2").of_kind(APPEND), cue("write 2"))
        .when(returned("writer-1"), cue("read"))
        .when(returned("reader-1"), release("member-1", "member-2"))
        .then(release("member-1", "member-3"))
        .then(release("member-2", "member-1"))
        .then(release("member-3", "member-1"))
        .then(release("writer-1", "member-1"))
}

/// Reads from a leader that was deposed and has not heard so.
pub fn reads() -> Scenario {
    told("story/raft-read")
        .nodes("member", 3..=3, quick_third)
        .clients("writer", 1..=1, write_twice)
        .clients("reader", 1..=1, read_from_the_first)
        .script(a_deposed_leader())
        .expect("the story names its own nodes")
}
