//! A client on the node of a member.

use super::{ensure, in_both_worlds, text};
use squall_env::{Either, Env, open, race};
use squall_protocols::raft::{ClientError, Config, NAME, Raft};
use squall_protocols::store::{Store, StoreClient, StoreError, Txn};
use std::time::Duration;

#[test]
fn a_client_beside_a_member_needs_no_messages_and_any_other_does() {
    in_both_worlds(1, |env: Env| async move {
        let (members, limit) = (vec![env.me()], Duration::from_secs(5));
        // Nobody takes what clients send.
        let config = Config::of(members.clone());
        let (member, run) = open::<Raft<Store>>(&env, NAME, config).await.map_err(text)?;
        let body = async {
            let far = StoreClient::open(&env, members.clone()).map_err(text)?;
            let near = StoreClient::open(&env, members).map_err(text)?.beside(member);
            let (mut far, mut near) = (far, near);
            let put = near.transact(Txn::put("a", "1"), limit).await.map_err(text)?;
            ensure(put.revision == 1, "it was not put once")?;
            let put = far.transact(Txn::put("a", "2"), Duration::from_millis(500)).await;
            let unheard = Err(StoreError::Raft(ClientError::Unavailable));
            ensure(put == unheard, "somebody heard a message")
        };
        match race(run, body).await {
            Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
            Either::Right(checked) => checked,
        }
    });
}
