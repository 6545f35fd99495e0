//! A node that is a member of the store's cluster.

use super::Store;
use crate::raft::{self, Config, Lessor, Raft, ServeError};
use squall_env::{Either, Env, Handle, race};

/// A node that keeps a copy of the store, serves its clients, and lets leases expire while it
/// leads.
///
/// # Errors
/// If the member cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env, config: Config) -> Result<(), ServeError> {
    serve_beside(env, config, |_| std::future::pending()).await
}

/// The same, and beside it what `beside` makes of the member: the node ends when that does.
///
/// # Errors
/// Those of [`serve`], and what `beside` ends with.
pub async fn serve_beside<F>(
    env: Env,
    config: Config,
    beside: impl FnOnce(Handle<Raft<Store>>) -> F,
) -> Result<(), ServeError>
where
    F: Future<Output = Result<(), ServeError>>,
{
    let lessor_env = env.clone();
    raft::serve_beside::<Store, _>(env, config, |member| async move {
        let lessor = Lessor::new(&lessor_env, member.clone());
        match race(lessor.run(), beside(member)).await {
            Either::Left(()) => Ok(()),
            Either::Right(ended) => ended,
        }
    })
    .await
}
