//! Raft on journals of both formats, in one cluster and on one disk.

use super::{Value, cluster, members};
use squall::Scenario;
use squall_env::Env;
use squall_protocols::raft::{Config, ServeError, serve};

/// The cluster of `raft/register`, whose members are given, at each start, the build that seals its
/// batches or the one that does not: each goes on with what the other has written.
pub fn formats() -> Scenario {
    cluster(Scenario::new("raft/formats").nodes("member", 3..=5, member))
        .sometimes("a journal went on in the other format")
}

async fn member(env: Env) -> Result<(), ServeError> {
    let mut config = Config::of(members(&env));
    config.snapshot_entries = 16;
    config.tail_entries = 4;
    config.doubts_torn_tails = env.random_below(2) == 0;
    if is_sealed(&env).await.is_some_and(|sealed| sealed != config.doubts_torn_tails) {
        env.sometimes("a journal went on in the other format");
    }
    serve::<Value>(env, config).await
}

/// Whether the last segment that can be read has the format with seals; nothing if there is none.
async fn is_sealed(env: &Env) -> Option<bool> {
    let names = env.list("").await.ok()?;
    let last = names.into_iter().rfind(|name| name.ends_with(".log"))?;
    let bytes = env.read_file(&last).await.ok()??;
    // The version stands behind four bytes that tell what the file is.
    Some(bytes.get(4) == Some(&2))
}
