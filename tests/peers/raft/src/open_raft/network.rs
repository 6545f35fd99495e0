//! openraft's calls as requests in datagrams.

use super::{Raft, Types};
use crate::register::numbered;
use crate::runtime::scope::scoped;
use openraft::alias::{SnapshotMetaOf, SnapshotOf, VoteOf};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2, Snapshot};
use serde::{Deserialize, Serialize};
use squall_env::platform::{BindError, Closed};
use squall_env::request::{CallError, Caller, ReplyTo, Responder};
use squall_env::{Address, Either, Env, Port, race};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const PORT: &str = "openraft";

#[derive(Serialize, Deserialize)]
enum Call {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Snapshot { vote: VoteOf<Types>, meta: SnapshotMetaOf<Types>, data: Vec<u8> },
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Append(AppendEntriesResponse<Types>),
    Vote(VoteResponse<Types>),
    Snapshot(SnapshotResponse<Types>),
}

/// Answers what other members call.
pub struct Peers(Responder<Call, Answer>);

impl Peers {
    pub fn open(env: &Env) -> Result<Peers, BindError> {
        Responder::open(env, Port::named(PORT)).map(Peers)
    }

    /// Answers for ever, each call in a task of its own.
    pub async fn serve(&mut self, env: &Env, raft: &Raft) -> Result<(), Closed> {
        loop {
            let (call, back) = self.0.receive().await?;
            env.spawn("call", scoped(env, answer(raft.clone(), call, back)));
        }
    }
}

/// Who has to stop answers nothing.
async fn answer(raft: Raft, call: Call, back: ReplyTo<Answer>) {
    let answer = match call {
        Call::Append(call) => raft.append_entries(call).await.ok().map(Answer::Append),
        Call::Vote(call) => raft.vote(call).await.ok().map(Answer::Vote),
        Call::PreVote(call) => raft.pre_vote(call).await.ok().map(Answer::Vote),
        Call::Snapshot { vote, meta, data } => {
            let snapshot = Snapshot { meta, snapshot: data };
            raft.install_full_snapshot(vote, snapshot).await.ok().map(Answer::Snapshot)
        }
    };
    if let Some(answer) = answer {
        back.reply(answer);
    }
}

/// Makes the calls of this member.
pub struct Clients {
    env: Env,
    caller: Arc<Caller<Call, Answer>>,
}

impl Clients {
    pub fn open(env: &Env) -> Result<Clients, BindError> {
        Ok(Clients { env: env.clone(), caller: Arc::new(Caller::open(env)?) })
    }
}

impl RaftNetworkFactory<Types> for Clients {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Peer {
        let node = numbered(&self.env, target).expect("openraft calls members alone");
        Peer { to: Address::new(node, Port::named(PORT)), caller: Arc::clone(&self.caller) }
    }
}

/// Another member.
pub struct Peer {
    to: Address,
    caller: Arc<Caller<Call, Answer>>,
}

impl Peer {
    async fn call(&self, call: Call, limit: Duration) -> Result<Answer, CallError> {
        self.caller.call(self.to, call, limit).await
    }
}

/// No answer, or one to another question: openraft may try again at once.
fn unanswered(error: CallError) -> NetworkError<Types> {
    NetworkError::new(&error)
}

fn mistaken() -> Unreachable<Types> {
    Unreachable::from_string("an answer to another question")
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        call: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        match self.call(Call::Append(call), option.hard_ttl()).await {
            Ok(Answer::Append(answer)) => Ok(answer),
            Ok(_) => Err(mistaken().into()),
            Err(error) => Err(unanswered(error).into()),
        }
    }

    async fn vote(
        &mut self,
        call: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(Call::Vote(call), option.hard_ttl()).await {
            Ok(Answer::Vote(answer)) => Ok(answer),
            Ok(_) => Err(mistaken().into()),
            Err(error) => Err(unanswered(error).into()),
        }
    }

    async fn pre_vote(
        &mut self,
        call: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(Call::PreVote(call), option.hard_ttl()).await {
            Ok(Answer::Vote(answer)) => Ok(answer),
            Ok(_) => Err(mistaken().into()),
            Err(error) => Err(unanswered(error).into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Vec<u8>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let call = Call::Snapshot { vote, meta: snapshot.meta, data: snapshot.snapshot };
        match race(cancel, self.call(call, option.hard_ttl())).await {
            Either::Left(closed) => Err(closed.into()),
            Either::Right(Ok(Answer::Snapshot(answer))) => Ok(answer),
            Either::Right(Ok(_)) => Err(mistaken().into()),
            Either::Right(Err(error)) => Err(unanswered(error).into()),
        }
    }
}
