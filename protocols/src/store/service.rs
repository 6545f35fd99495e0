//! A node that is a member of the store's cluster.

use super::Store;
use super::lessor::Lessor;
use crate::raft::{Config, ServeError, serve_beside};
use squall_env::Env;

/// A node that keeps a copy of the store, serves its clients, and lets leases expire while it
/// leads.
///
/// # Errors
/// If the member cannot be opened or has to stop; the node should then be started anew.
pub async fn serve(env: Env, config: Config) -> Result<(), ServeError> {
    let lessor_env = env.clone();
    serve_beside::<Store, _>(env, config, |member| async move {
        Lessor::new(&lessor_env, member).run().await;
        Ok(())
    })
    .await
}
