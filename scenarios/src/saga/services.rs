//! Those who take part in orders, each a machine on a node of its own that keeps its books and,
//! beside them, what it has done for sagas.

use super::books::{Books, Look, Order, Trouble};
use serde::{Deserialize, Serialize};
use squall_env::machine::{ServeError, serve_requests};
use squall_env::platform::{BindError, BoxFuture};
use squall_env::request::Caller;
use squall_env::{Address, Env, Machine, Port, RequestId, Shown, Turn, mutant, open};
use squall_protocols::saga::{Answer, Call, Effects, Mark, Participants, SagaId, Served};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a service is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// By the owner of a saga.
    Call(Call),
    /// By an operator, who makes possible what was refused.
    Mend(SagaId),
    /// By whoever wants to know what is in the books.
    Look(SagaId),
}

/// A service with its books.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Service<B> {
    /// Its books.
    pub(crate) books: B,
    effects: Effects,
    /// The calls of this boot that were not turned away: for which saga, under which token.
    pub(crate) accepted: Vec<(SagaId, u64)>,
}

/// What a service persists: a change with the mark that it was made, in one record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Record<C> {
    mark: Option<Mark>,
    change: Option<C>,
}

/// The mark of a change that is on disk already, in a mutant.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Late {
    id: RequestId,
    mark: Option<Mark>,
    answer: Answer,
}

impl<B: Books> Machine for Service<B> {
    type Config = B;
    type Timer = Late;
    type Message = ();
    type Request = Ask;
    type Reply = Answer;
    type Record = Record<B::Change>;
    type Snapshot = (B, Effects);

    fn restore(first: &B, snapshot: Option<(B, Effects)>) -> Service<B> {
        let (books, effects) = snapshot.unwrap_or_else(|| (first.clone(), Effects::default()));
        Service { books, effects, accepted: Vec::new() }
    }

    fn apply(&mut self, record: &Record<B::Change>) {
        record.mark.iter().for_each(|mark| self.effects.apply(mark));
        record.change.iter().for_each(|change| self.books.apply(change));
    }

    fn snapshot(&self) -> (B, Effects) {
        (self.books.clone(), self.effects.clone())
    }

    fn on_request(&mut self, id: RequestId, ask: Ask, turn: &mut Turn<Service<B>>) {
        let call = match ask {
            Ask::Call(call) => call,
            Ask::Mend(saga) => {
                turn.persist(self, Record { mark: None, change: Some(B::mend(saga)) });
                return turn.reply(id, Answer::Done(Vec::new()));
            }
            Ask::Look(saga) => {
                let look = serde_json::to_vec(&self.books.look(saga));
                return turn.reply(id, Answer::Done(look.expect("a look has an encoding")));
            }
        };
        let Ok(order) = serde_json::from_slice::<Order>(&call.input) else {
            return turn.reply(id, Answer::Refused("this is no order".to_owned()));
        };
        let act = || self.books.act(&call, &order);
        let served = self.effects.serve(&call, turn, act, |_| self.books.undo(&call, &order));
        let Served { answer, mark, change } = served;
        turn.trace(|| format!("{call:?} is answered {answer:?}, {mark:?}"));
        if matches!(answer, Answer::Refused(_)) && order.trouble == Trouble::Limit {
            let change = Some(B::mend(call.saga));
            turn.persist(self, Record { mark: None, change });
        }
        if answer != Answer::Overtaken {
            self.accepted.push((call.saga, call.token));
        } else {
            turn.sometimes("a service turned an owner away that was overtaken");
        }
        if mutant!(turn, "saga/records-an-effect-before-its-key") && change.is_some() {
            turn.persist(self, Record { mark: None, change });
            return turn.arm(Late { id, mark, answer }, Duration::from_millis(5));
        }
        if mark.is_some() {
            turn.persist(self, Record { mark, change });
        }
        turn.reply(id, answer);
    }

    fn on_timer(&mut self, Late { id, mark, answer }: Late, turn: &mut Turn<Service<B>>) {
        turn.persist(self, Record { mark, change: None });
        turn.reply(id, answer);
    }
}

const PORT: Port = Port::named("service");

/// One request in so many waits before it is served.
const LATE_OF: u64 = 8;

/// How long at most, in microseconds.
const LATE_MAX_US: u64 = 3_000_000;

/// A node that is a service with these books at first, and may take requests out of order.
pub(crate) async fn serve<B: Books, const LATE: bool>(
    env: Env,
    first: B,
) -> Result<(), ServeError> {
    let (service, run) = open::<Service<B>>(&env, "books", first).await?;
    let answer = |ask, back| {
        let (service, own) = (service.clone(), env.clone());
        async move {
            // Some wait for long before it is their turn, and are overtaken by later ones.
            if LATE && own.random_below(LATE_OF) == 0 {
                own.sleep(Duration::from_micros(own.random_below(LATE_MAX_US))).await;
            }
            service.answer(ask, back, None).await;
        }
    };
    serve_requests(&env, run, PORT, answer).await
}

/// A call that an owner has made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Made {
    /// For which saga.
    pub(crate) saga: SagaId,
    /// For which step.
    pub(crate) step: String,
    /// Whether to undo it.
    pub(crate) is_undo: bool,
    /// Under which token.
    pub(crate) token: u64,
}

/// Everything that was called from this node since it started.
#[derive(Clone, Default)]
pub(crate) struct Calls(pub Vec<Made>);

/// Which role does which step.
pub(crate) const ROLE_OF: [(&str, &str); 6] = [
    ("create", "shipping"),
    ("reserve", "stock"),
    ("credit", "payments"),
    ("charge", "payments"),
    ("ship", "shipping"),
    ("notify", "shipping"),
];

/// The services over the network.
pub(crate) struct Remote {
    env: Env,
    caller: Caller<Ask, Answer>,
    services: BTreeMap<&'static str, Address>,
    calls: Shown<Calls>,
}

impl Remote {
    /// The services, each the one node of its role.
    pub(crate) fn open(env: &Env) -> Result<Remote, BindError> {
        let address = |role| Address::new(env.peers(role)[0], PORT);
        let services = ROLE_OF.into_iter().map(|(step, role)| (step, address(role)));
        Ok(Remote {
            env: env.clone(),
            caller: Caller::open(env)?,
            services: services.collect(),
            calls: env.show("calls", Calls::default()),
        })
    }

    /// What whoever does a step has in its books of a saga, if that is answered.
    pub(crate) async fn look(&self, saga: SagaId, step: &str, limit: Duration) -> Option<Look> {
        let asked = self.caller.call(*self.services.get(step)?, Ask::Look(saga), limit);
        match asked.await {
            Ok(Answer::Done(look)) => serde_json::from_slice(&look).ok(),
            _ => None,
        }
    }

    /// Has an operator make possible what a step was refused for; whether that was answered.
    pub(crate) async fn mend(&self, saga: SagaId, step: &str, limit: Duration) -> bool {
        let Some(to) = self.services.get(step) else { return false };
        self.caller.call(*to, Ask::Mend(saga), limit).await.is_ok()
    }
}

/// Whether nobody has written down how to undo the step, in a mutant.
fn is_unhandled(env: &Env, call: &Call) -> bool {
    mutant!(env, "saga/takes-a-missing-undo-for-done") && call.is_undo && call.step == "create"
}

impl Participants for Remote {
    fn call(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let Some(to) = self.services.get(call.step.as_str()) else { return Answer::Unknown };
            let (saga, step) = (call.saga, call.step.clone());
            let made = Made { saga, step, is_undo: call.is_undo, token: call.token };
            self.calls.update(&self.env, |calls| calls.0.push(made));
            if is_unhandled(&self.env, &call) {
                return Answer::Done(Vec::new());
            }
            // Whoever calls has a deadline of its own, which comes first.
            let limit = Duration::from_secs(3_600);
            let answer = self.caller.call(*to, Ask::Call(call), limit).await;
            answer.unwrap_or(Answer::Unknown)
        })
    }
}
