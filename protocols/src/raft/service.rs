//! A node that is a member, and the client that finds its way to the leader.

use super::config::Config;
use super::configuration::{Change, ChangeError, Configuration};
use super::machine::{NAME, Raft, Reply, Request};
use super::state_machine::StateMachine;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
pub use squall_env::machine::ServeError;
use squall_env::platform::BindError;
use squall_env::request::{CallError, Caller, ReplyTo, Responder};
use squall_env::{
    Address, Either, Env, Handle, HasOutcome, Instant, NodeId, Outcome, Port, open, race,
};
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

/// Where members take what clients ask.
const SERVICE: &str = "raft service";

/// After how long a client asks again who leads.
const RETRY: Duration = Duration::from_millis(20);

/// How long a question waits for one member before another one is asked, at first.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long it waits at most.
const PATIENCE_MAX: Duration = Duration::from_secs(10);

/// What a client asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Ask<C, Q> {
    OpenSession,
    Propose { session: u64, sequence: u64, command: C },
    Read(Q),
    Transfer(NodeId),
    Change(Vec<Change>),
    Members,
}

/// What a member tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Tell<O, A> {
    Session(u64),
    Applied(O),
    NoSession,
    Answer(A),
    NotLeader(Option<NodeId>),
    Busy,
    Overwritten,
    Transferred,
    NotTransferred,
    TooLarge,
    Changed,
    NotChanged(ChangeError),
    Members(Configuration),
}

type Question<S> = Ask<<S as StateMachine>::Command, <S as StateMachine>::Query>;
type Told<S> = Tell<<S as StateMachine>::Output, <S as StateMachine>::Answer>;

/// A state machine whose questions and answers can travel.
pub trait Served:
    StateMachine<
        Command: Clone,
        Query: Clone + Serialize + DeserializeOwned,
        Answer: Serialize + DeserializeOwned,
    >
{
}

impl<S> Served for S where
    S: StateMachine<
            Command: Clone,
            Query: Clone + Serialize + DeserializeOwned,
            Answer: Serialize + DeserializeOwned,
        >
{
}

/// A node that is a member of the cluster and serves clients.
///
/// # Errors
/// If the member cannot be opened or has to stop; the node should then be started anew.
pub async fn serve<S: Served>(env: Env, config: Config) -> Result<(), ServeError> {
    serve_beside::<S, _>(env, config, |_| pending()).await
}

/// The same, and beside it what `beside` makes of the member: the node ends when that does.
///
/// # Errors
/// Those of [`serve`], and what `beside` ends with.
pub async fn serve_beside<S: Served, F>(
    env: Env,
    config: Config,
    beside: impl FnOnce(Handle<Raft<S>>) -> F,
) -> Result<(), ServeError>
where
    F: Future<Output = Result<(), ServeError>>,
{
    let (member, run) = open::<Raft<S>>(&env, NAME, config).await?;
    let mut asked: Responder<Question<S>, Told<S>> = Responder::open(&env, Port::named(SERVICE))?;
    let is_doubtful = member.live().read(Raft::is_doubtful);
    if !is_doubtful {
        env.ready();
    }
    let repaired = async {
        if is_doubtful && member.request(Request::AwaitRepaired).await.is_ok() {
            env.ready();
        }
        pending::<Infallible>().await
    };
    let beside = beside(member.clone());
    let serving = async {
        loop {
            let (question, back) = asked.receive().await?;
            let member = member.clone();
            env.spawn("request", answer(member, question, back));
        }
    };
    match race(run, race(race(serving, beside), repaired)).await {
        Either::Left(stopped) => Ok(stopped?),
        Either::Right(Either::Left(Either::Left(ended) | Either::Right(ended))) => ended,
        Either::Right(Either::Right(never)) => match never {},
    }
}

async fn answer<S: Served>(member: Handle<Raft<S>>, question: Question<S>, back: ReplyTo<Told<S>>) {
    // Without an answer the client learns by its deadline that nobody knows.
    if let Some(told) = told(&member, question).await {
        back.reply(told);
    }
}

/// What a member tells whoever asks this; nothing if it does not know what became of it.
async fn told<S: Served>(member: &Handle<Raft<S>>, question: Question<S>) -> Option<Told<S>> {
    let request = match question {
        Ask::OpenSession => Request::OpenSession,
        Ask::Propose { session, sequence, command } => {
            Request::Propose { session, sequence, command }
        }
        Ask::Read(query) => Request::Read(query),
        Ask::Transfer(to) => Request::Transfer(to),
        Ask::Change(changes) => Request::Change(changes),
        Ask::Members => Request::Members,
    };
    let reply = match member.request(request).await {
        Ok(reply) => reply,
        Err(error) if error.outcome() == Outcome::NotDone => Reply::Busy,
        Err(_) => Reply::Unknown,
    };
    Some(match reply {
        Reply::Session(session) => Tell::Session(session),
        Reply::NoSession => Tell::NoSession,
        Reply::Applied(output) => Tell::Applied(output),
        Reply::Answer(answer) => Tell::Answer(answer),
        Reply::NotLeader(leader) => Tell::NotLeader(leader),
        Reply::Busy => Tell::Busy,
        Reply::TooLarge => Tell::TooLarge,
        Reply::Overwritten => Tell::Overwritten,
        Reply::Transferred => Tell::Transferred,
        Reply::NotTransferred => Tell::NotTransferred,
        Reply::Changed => Tell::Changed,
        Reply::NotChanged(why) => Tell::NotChanged(why),
        Reply::Members(configuration) => Tell::Members(configuration),
        Reply::Unknown | Reply::AppliedUpTo(_) | Reply::Repaired => return None,
    })
}

/// Why a client got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody led, or whoever did had no room, until the time was over. Nothing was done.
    #[error("no leader took it in time; nothing was done")]
    Unavailable,
    /// The command is larger than a command may be. Nothing was done.
    #[error("the command is too large; nothing was done")]
    TooLarge,
    /// The session ended while it was under way. It may have been done.
    #[error("the session ended; it may have been done")]
    NoSession,
    /// Whoever was asked has not answered. It may have been done.
    #[error("{0}")]
    Unanswered(#[from] CallError),
}

impl HasOutcome for ClientError {
    fn outcome(&self) -> Outcome {
        match self {
            ClientError::Unavailable | ClientError::TooLarge => Outcome::NotDone,
            ClientError::NoSession => Outcome::Indeterminate,
            ClientError::Unanswered(error) => error.outcome(),
        }
    }
}

/// A client of the cluster.
pub struct RaftClient<S: Served> {
    env: Env,
    caller: Caller<Question<S>, Told<S>>,
    members: Vec<NodeId>,
    /// The member on the own node, if there is one.
    beside: Option<Handle<Raft<S>>>,
    /// The session, and the number of its last command.
    session: Option<(u64, u64)>,
    /// Whom it asks first.
    next: NodeId,
    /// How long it waits for one member: twice as long after each that did not answer, for on a
    /// slow network no answer at all might come within a fixed time.
    patience: Duration,
}

impl<S: Served> RaftClient<S> {
    /// A client of these members.
    ///
    /// # Errors
    /// If the node has stopped.
    ///
    /// # Panics
    /// If there are no members.
    pub fn open(env: &Env, members: Vec<NodeId>) -> Result<RaftClient<S>, BindError> {
        let next = members[env.random_below(members.len() as u64) as usize];
        let caller = Caller::open(env)?;
        Ok(RaftClient {
            env: env.clone(),
            caller,
            members,
            beside: None,
            session: None,
            next,
            patience: PATIENCE,
        })
    }

    /// Asks the member on the own node without messages, where it is the one to ask.
    #[must_use]
    pub fn beside(self, member: Handle<Raft<S>>) -> RaftClient<S> {
        RaftClient { beside: Some(member), ..self }
    }

    /// Has a command replicated and applied, once.
    ///
    /// # Errors
    /// [`ClientError`], which knows the outcome.
    pub async fn propose(
        &mut self,
        command: &S::Command,
        limit: Duration,
    ) -> Result<S::Output, ClientError> {
        let until = self.env.now() + limit;
        let (session, sequence) = self.next_command(until).await?;
        let done = self.propose_as((session, sequence), command, until - self.env.now()).await;
        if matches!(done, Err(ClientError::NoSession)) {
            self.session = None;
        }
        done
    }

    /// Opens a session for somebody who numbers his commands himself.
    ///
    /// # Errors
    /// If the cluster does not answer within `limit`.
    pub async fn open_session(&mut self, limit: Duration) -> Result<u64, ClientError> {
        match self.ask_until(Ask::OpenSession, self.env.now() + limit).await {
            Ok(Tell::Session(session)) => Ok(session),
            // That a session may be open which nobody uses harms nobody.
            _ => Err(ClientError::Unavailable),
        }
    }

    /// Has a command replicated and applied, once however often it is asked for in this session and
    /// under this number: one more than that of the session's last command, which is no longer
    /// under way.
    ///
    /// # Errors
    /// [`ClientError`], which knows the outcome.
    pub async fn propose_as(
        &mut self,
        (session, sequence): (u64, u64),
        command: &S::Command,
        limit: Duration,
    ) -> Result<S::Output, ClientError> {
        let ask = Ask::Propose { session, sequence, command: command.clone() };
        match self.ask_until(ask, self.env.now() + limit).await? {
            Tell::Applied(output) => Ok(output),
            Tell::TooLarge => Err(ClientError::TooLarge),
            _ => Err(ClientError::NoSession),
        }
    }

    /// Opens a new session for the next command. Whoever has not used his for long does so, for it
    /// may have had to make room.
    pub fn renew_session(&mut self) {
        self.session = None;
    }

    /// The session and the number of its next command. Nobody waits for one that was given up.
    async fn next_command(&mut self, until: Instant) -> Result<(u64, u64), ClientError> {
        let (session, last) = match self.session {
            Some(session) => session,
            None => (self.open_session(until - self.env.now()).await?, 0),
        };
        self.session = Some((session, last + 1));
        Ok((session, last + 1))
    }

    /// Asks for the state that holds every command that was answered before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read(
        &mut self,
        query: &S::Query,
        limit: Duration,
    ) -> Result<S::Answer, ClientError> {
        let until = self.env.now() + limit;
        match self.ask_until(Ask::Read(query.clone()), until).await? {
            Tell::Answer(answer) => Ok(answer),
            _ => Err(ClientError::Unavailable),
        }
    }

    /// Has another member lead, and says whether the leader that was asked leads no more. Nobody
    /// knows who leads then: most often the one that was to.
    ///
    /// # Errors
    /// [`ClientError`]: without an answer, another may lead or not.
    pub async fn transfer(&mut self, to: NodeId, limit: Duration) -> Result<bool, ClientError> {
        let until = self.env.now() + limit;
        let told = self.ask_until(Ask::Transfer(to), until).await?;
        Ok(matches!(told, Tell::Transferred))
    }

    /// Changes who is a member, one or several at once, and waits until nothing of it is under way
    /// any more. A node has to be a learner first, until it has the log, to be a voter.
    ///
    /// # Errors
    /// [`ClientError`]: without an answer, the members may be changed or not, and to ask for the
    /// same again does no harm. The inner error says that nothing was changed, and why.
    pub async fn change(
        &mut self,
        changes: &[Change],
        limit: Duration,
    ) -> Result<Result<(), ChangeError>, ClientError> {
        let until = self.env.now() + limit;
        match self.ask_until(Ask::Change(changes.to_vec()), until).await? {
            Tell::NotChanged(why) => Ok(Err(why)),
            Tell::Changed => Ok(Ok(())),
            _ => Err(ClientError::Unanswered(CallError::Timeout)),
        }
    }

    /// Asks who is a member.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn members(&mut self, limit: Duration) -> Result<Configuration, ClientError> {
        let until = self.env.now() + limit;
        match self.ask_until(Ask::Members, until).await? {
            Tell::Members(configuration) => Ok(configuration),
            _ => Err(ClientError::Unavailable),
        }
    }

    /// Asks one member after the other until somebody leads and answers. Whatever is asked may be
    /// asked again.
    async fn ask_until(
        &mut self,
        ask: Question<S>,
        until: Instant,
    ) -> Result<Told<S>, ClientError> {
        let mut unanswered = None;
        loop {
            let left = (until - self.env.now()).min(self.patience);
            match self.ask(ask.clone(), left).await {
                Ok(told @ (Tell::NotLeader(_) | Tell::Busy | Tell::Overwritten)) => {
                    self.look_elsewhere(&told).await;
                }
                Ok(told) => return Ok(told),
                Err(error) => unanswered = Some(error),
            }
            if self.env.now() >= until {
                return Err(unanswered.unwrap_or(ClientError::Unavailable));
            }
        }
    }

    async fn ask(&mut self, ask: Question<S>, limit: Duration) -> Result<Told<S>, ClientError> {
        let told = match &self.beside {
            Some(member) if self.next == self.env.me() => {
                let answered = async {
                    match told(member, ask).await {
                        Some(told) => told,
                        None => pending().await,
                    }
                };
                self.env.timeout(limit, answered).await.map_err(|_| CallError::Timeout)
            }
            _ => {
                let to = Address::new(self.next, Port::named(SERVICE));
                self.caller.call(to, ask, limit).await
            }
        };
        self.patience = match told {
            // How fast a follower is says nothing of the leader.
            Ok(Tell::NotLeader(_)) => self.patience,
            Ok(_) => PATIENCE.max(self.patience - self.patience / 8),
            Err(_) => {
                self.ask_anyone();
                PATIENCE_MAX.min(self.patience * 2)
            }
        };
        Ok(told?)
    }

    fn ask_anyone(&mut self) {
        let nth = self.env.random_below(self.members.len() as u64) as usize;
        self.next = self.members[nth];
    }

    async fn look_elsewhere(&mut self, told: &Told<S>) {
        match told {
            Tell::NotLeader(Some(leader)) if *leader != self.next => self.next = *leader,
            _ => {
                self.ask_anyone();
                self.env.sleep(RETRY).await;
            }
        }
    }
}
