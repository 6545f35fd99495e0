//! The promises of a bus, kept by every backend: a node in both worlds, and SQLite on real files.
//! And who breaks one of them is found out by it.

use crate::parity::{CHECK_MAX, text};
use crate::parity::{Checked, ensure, in_both_worlds, in_the_real_world, in_the_simulated_world};
use squall_env::sync::{Stop, stop};
use squall_env::{Either, Env, race};
use squall_protocols::bus::{
    self, Ask, Backend, Begin, BusClient, BusConfig, BusError, Given, Post, Refused, SqliteBus,
    Tell, contract, promises,
};
use squall_protocols::outbox::{Letter, OnBus, OutboxConfig, SqliteOutbox, relay};
use squall_protocols::queue::{Backoff, Failure, MessageId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CONFIG: BusConfig = BusConfig {
    posts_max: 6,
    remembers: 8,
    attempts_max: 3,
    parked_max: 2,
    claim: Duration::from_millis(700),
};

/// A node that is a bus of this configuration, and a check beside it.
async fn on_a_node<F: Future<Output = Checked>>(
    env: &Env,
    config: BusConfig,
    check: impl FnOnce(BusClient) -> F,
) -> Checked {
    let client = BusClient::open(env, env.me(), Duration::from_secs(5)).map_err(text)?;
    match race(bus::serve(env.clone(), config), check(client)).await {
        Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
        Either::Right(checked) => checked,
    }
}

#[test]
fn a_node_keeps_the_contract_in_both_worlds() {
    in_both_worlds(1, |env: Env| async move {
        let own = env.clone();
        let check = |bus| async move { contract(&own, &bus, CONFIG).await };
        on_a_node(&env, CONFIG, check).await
    });
}

#[test]
fn sqlite_keeps_the_contract_of_a_bus() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let bus = SqliteBus::open(&env, &folder.path().join("bus.db"), CONFIG).map_err(text)?;
        contract(&env, &bus, CONFIG).await
    });
}

async fn post(bus: &impl Backend, number: u8) -> Result<u64, String> {
    let id = MessageId(u128::from(number));
    let post = Post { id, kind: "counted".to_owned(), body: vec![number] };
    bus.post_again(post).await.map_err(text)
}

async fn fetch(bus: &impl Backend, name: &str, reader: u64) -> Result<Vec<Given>, String> {
    let ask = Ask::Fetch { name: name.to_owned(), reader, call: 1 };
    match bus.ask(ask).await.map_err(text)? {
        Tell::Given(given) => Ok(given),
        other => Err(format!("it was told {other:?}")),
    }
}

#[test]
fn a_bus_in_a_file_that_is_opened_again_has_all_that_subscriptions_have() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let file = folder.path().join("bus.db");
        let open = || SqliteBus::open(&env, &file, CONFIG).map_err(text);
        let mut bus = open()?;
        ensure(open().is_err(), "two processes could have the file")?;
        bus.subscribe("all", &[], Begin::Next).await.map_err(text)?;
        bus.subscribe("sold", &["sold"], Begin::Next).await.map_err(text)?;
        for number in 0..4 {
            post(&bus, number).await?;
        }
        bus.ask(Ask::Done("all".to_owned(), 0)).await.map_err(text)?;
        for reader in 1..=CONFIG.attempts_max {
            // Nobody knows of a claim of an earlier process, but its attempts are counted.
            drop(bus);
            bus = open()?;
            let given = fetch(&bus, "all", u64::from(reader)).await?;
            ensure(given.len() == 3 && given[0].position == 1, "its place is lost")?;
        }
        kept(&bus).await
    });
}

/// The post that was tried three times is parked; ids, kinds and positions are known.
async fn kept(bus: &SqliteBus) -> Checked {
    bus.ask(Ask::Failed("all".to_owned(), 1, "declined".to_owned())).await.map_err(text)?;
    let parked = bus.parked("all", None).await.map_err(text)?;
    ensure(parked.len() == 1 && parked[0].post.body == [1], "an attempt was not counted")?;
    ensure(post(bus, 3).await? == 3 && post(bus, 4).await? == 4, "a position is lost")?;
    let kinds = bus.subscribe("sold", &[], Begin::Next).await;
    ensure(kinds == Err(Refused::Differs.into()), "the kinds are lost")?;
    ensure(bus.standing("sold").await == Ok((5, 0)), "it waits for what it does not want")
}

#[test]
fn the_letters_of_an_outbox_go_to_a_bus_in_sqlite_once() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let (shop, file) = (folder.path().join("shop.db"), folder.path().join("bus.db"));
        let bus = SqliteBus::open(&env, &file, CONFIG).map_err(text)?;
        let config = OutboxConfig { claim: Duration::from_millis(50), ..OutboxConfig::default() };
        let outbox = SqliteOutbox::open(&env, &shop, config).map_err(text)?;
        bus.subscribe("all", &[], Begin::Next).await.map_err(text)?;
        let letters: Vec<Letter> =
            (1..=3).map(|number| Letter { key: None, body: vec![number] }).collect();
        outbox.change(move |_| Ok(((), letters))).await.map_err(text)?;
        // An earlier relay has posted the first, and died before it marked it.
        use squall_protocols::outbox::{Source, Target};
        let first = outbox.take(1).await?.remove(0);
        OnBus(&bus, "sold").publish(first.message(7)).await?;
        let (_stopper, stopped) = stop(&env, "relay");
        let relaying = relay(&env, &outbox, 7, OnBus(&bus, "sold"), stopped);
        let came = async {
            while fetch(&bus, "all", env.random()).await?.len() < 3 {
                env.sleep(CONFIG.claim + Duration::from_millis(50)).await;
            }
            Checked::Ok(())
        };
        if let Either::Right(came) = race(relaying, came).await {
            came?;
        }
        env.sleep(CONFIG.claim * 2).await;
        let given = fetch(&bus, "all", env.random()).await?;
        let said: Vec<(&str, u8)> =
            given.iter().map(|one| (&one.post.kind[..], one.post.body[0])).collect();
        ensure(said == [("sold", 1), ("sold", 2), ("sold", 3)], &format!("there is {said:?}"))
    });
}

/// How a bus breaks a promise.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    /// It knows another configuration than it is said to have.
    Config(BusConfig),
    IgnoresUnsubscribe,
    DrawsIds,
    KnowsIdsForEver,
    GivesTheLastFirst,
    BeginsWithTheNext,
    TakesGivenForDone,
    ForgetsWhatIsDone,
    CountsEveryCall,
    TakesAllForOneReader,
    LosesReasons,
    CountsFailuresAlone,
    CountsAllThatIsGiven,
    TriesWhatCannotBeRead,
    HidesReplays,
    KeepsWhatIsDropped,
    ForgetsWhenItWasPosted,
    TakesEveryKind,
    DropsWhenFull,
    HasOneError,
    HurriesOn,
}

use Flaw::*;

/// Of every promise at least one that breaks it.
const FLAWS: &[(&str, Flaw)] = &[
    ("nobody waits for who has unsubscribed", IgnoresUnsubscribe),
    ("a post has one position", DrawsIds),
    ("the ids of the window are known", KnowsIdsForEver),
    ("the ids of the window are known", Config(BusConfig { remembers: 7, ..CONFIG })),
    ("posts come in order to everybody", GivesTheLastFirst),
    ("a subscription begins where it says", BeginsWithTheNext),
    ("what is not done comes again", TakesGivenForDone),
    ("what is done comes no more", ForgetsWhatIsDone),
    ("a lost reader has used an attempt", CountsFailuresAlone),
    ("a lost reader has used an attempt", Config(BusConfig { attempts_max: 4, ..CONFIG })),
    ("the same call gets the same", CountsEveryCall),
    ("a subscription is one reader's", TakesAllForOneReader),
    ("a subscription is one reader's", Config(BusConfig { claim: Duration::MAX, ..CONFIG })),
    ("what fails too often is parked", LosesReasons),
    ("of several posts the first is tried", CountsAllThatIsGiven),
    ("a parked post can be tried again", HidesReplays),
    ("a parked post can be dropped", KeepsWhatIsDropped),
    ("what cannot be read is parked at once", TriesWhatCannotBeRead),
    ("a post says when it was posted", ForgetsWhenItWasPosted),
    ("a subscription hears of its kinds alone", TakesEveryKind),
    ("posters wait before a post is dropped", DropsWhenFull),
    ("posters wait before a post is dropped", Config(BusConfig { posts_max: 7, ..CONFIG })),
    ("who can park no more stands still", Config(BusConfig { parked_max: 3, ..CONFIG })),
    ("refusals are typed", HasOneError),
    ("readers go on one by one", HurriesOn),
];

/// What a bus with a flaw remembers, beside what it should.
#[derive(Default)]
struct Memory {
    ids: BTreeMap<MessageId, u64>,
    /// What was given last and nobody has said anything of, to whom and by which call.
    given: Option<(u64, Vec<Given>)>,
    calls: u64,
    last_call: Option<(u64, u64, Vec<Given>)>,
    /// How often something was given since something was done.
    fetches: u32,
}

/// A bus with a flaw, before one that has none.
#[derive(Clone)]
struct Flawed {
    env: Env,
    bus: BusClient,
    flaw: Flaw,
    memory: Arc<Mutex<Memory>>,
}

impl Flawed {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a request on its way.
    fn before(&self, mut ask: Ask) -> Ask {
        match (self.flaw, &mut ask) {
            (DrawsIds, Ask::Post(post)) => post.id = MessageId(u128::from(self.env.random())),
            (BeginsWithTheNext, Ask::Subscribe(_, _, begin)) => *begin = Begin::Next,
            (TakesEveryKind, Ask::Subscribe(_, kinds, _)) => *kinds = BTreeSet::new(),
            (LosesReasons, Ask::Failed(_, _, why)) => why.clear(),
            (TriesWhatCannotBeRead, Ask::Park(name, position, why)) => {
                ask = Ask::Failed(name.clone(), *position, why.clone());
            }
            (TakesAllForOneReader, Ask::Fetch { reader, .. }) => *reader = 1,
            (CountsEveryCall, Ask::Fetch { call, .. }) => {
                self.memory().calls += 1;
                *call = self.memory().calls;
            }
            _ => {}
        }
        ask
    }

    /// What is answered without asking.
    fn instead(&self, ask: &Ask) -> Option<Tell> {
        match (self.flaw, ask) {
            (IgnoresUnsubscribe, Ask::Unsubscribe(_))
            | (ForgetsWhatIsDone, Ask::Done(..))
            | (KeepsWhatIsDropped, Ask::Drop(..)) => Some(Tell::Ok),
            (KnowsIdsForEver, Ask::Post(post)) => {
                self.memory().ids.get(&post.id).map(|position| Tell::Posted(*position))
            }
            (CountsFailuresAlone, Ask::Fetch { reader, .. }) => {
                let memory = self.memory();
                let (_, given) = memory.given.as_ref().filter(|(whose, _)| whose == reader)?;
                Some(Tell::Given(given.clone()))
            }
            _ => None,
        }
    }

    /// What becomes of an answer on its way back.
    async fn after(&self, ask: &Ask, told: Result<Tell, BusError>) -> Result<Tell, BusError> {
        if let (Ask::Done(..) | Ask::Failed(..) | Ask::Unsubscribe(_), Ok(_)) = (ask, &told) {
            self.memory().given = None;
        }
        match (self.flaw, ask, told) {
            (KnowsIdsForEver, Ask::Post(post), Ok(Tell::Posted(position))) => {
                self.memory().ids.insert(post.id, position);
                Ok(Tell::Posted(position))
            }
            (DropsWhenFull, Ask::Post(_), Err(BusError::Refused(Refused::Full))) => {
                Ok(Tell::Posted(0))
            }
            (HasOneError, _, Err(BusError::Refused(Refused::TooLarge))) => Err(BusError::Foreign),
            (flaw, Ask::Fetch { name, reader, .. }, Ok(Tell::Given(mut given))) => {
                match flaw {
                    GivesTheLastFirst => given.reverse(),
                    ForgetsWhenItWasPosted => {
                        let replays = given.iter_mut().filter(|one| one.is_replay);
                        replays.for_each(|one| one.posted = None);
                    }
                    HidesReplays => given.iter_mut().for_each(|one| one.is_replay = false),
                    TakesGivenForDone => {
                        for one in &given {
                            self.bus.ask(Ask::Done(name.clone(), one.position)).await?;
                        }
                    }
                    CountsFailuresAlone if !given.is_empty() => {
                        self.memory().given = Some((*reader, given.clone()));
                    }
                    _ => {}
                }
                Ok(Tell::Given(given))
            }
            (.., told) => told,
        }
    }

    /// Every time that a post was given counts as an attempt of those behind it, too.
    async fn count_all(&self, ask: Ask) -> Result<Tell, BusError> {
        match ask {
            Ask::Fetch { name, reader, call } => {
                let last = self.memory().last_call.clone();
                match last {
                    Some((who, then, given)) if (who, then) == (reader, call) => {
                        return Ok(Tell::Given(given));
                    }
                    Some((who, then, _)) if who == reader && then > call => {
                        return Ok(Tell::Given(Vec::new()));
                    }
                    _ => {}
                }
                let told = self.fetch_on(&name, reader).await?;
                let Tell::Given(given) = &told else { return Ok(told) };
                let mut memory = self.memory();
                memory.fetches += 1;
                memory.last_call = Some((reader, call, given.clone()));
                drop(memory);
                Ok(told)
            }
            Ask::Done(name, position) => {
                let told = self.bus.ask(Ask::Done(name.clone(), position)).await?;
                let fetches = std::mem::take(&mut self.memory().fetches);
                let reader = self.memory().last_call.as_ref().map(|last| last.0);
                for _ in 1..fetches {
                    self.fetch_on(&name, reader.unwrap_or_default()).await?;
                }
                Ok(told)
            }
            Ask::Unsubscribe(_) => {
                self.memory().fetches = 0;
                self.bus.ask(ask).await
            }
            ask => self.bus.ask(ask).await,
        }
    }

    async fn fetch_on(&self, name: &str, reader: u64) -> Result<Tell, BusError> {
        self.memory().calls += 1;
        let call = self.memory().calls;
        self.bus.ask(Ask::Fetch { name: name.to_owned(), reader, call }).await
    }
}

impl Backend for Flawed {
    async fn ask(&self, ask: Ask) -> Result<Tell, BusError> {
        if self.flaw == CountsAllThatIsGiven {
            return self.count_all(ask).await;
        }
        let ask = self.before(ask);
        if let Some(told) = self.instead(&ask) {
            return Ok(told);
        }
        let told = self.bus.ask(ask.clone()).await;
        self.after(&ask, told).await
    }

    async fn read<H, F>(
        &self,
        env: &Env,
        name: &str,
        backoff: Backoff,
        stopped: Stop,
        mut handler: H,
    ) -> Result<(), BusError>
    where
        H: FnMut(Given) -> F + Send,
        F: Future<Output = Result<(), Failure>> + Send,
    {
        if self.flaw != HurriesOn {
            return self.bus.read(env, name, backoff, stopped, handler).await;
        }
        // What failed is done with what comes behind it.
        for call in 1.. {
            let fetch = Ask::Fetch { name: name.to_owned(), reader: 1, call };
            let Tell::Given(given) = self.bus.ask(fetch).await? else { break };
            for one in given {
                let position = one.position;
                let _ = handler(one).await;
                self.bus.ask(Ask::Done(name.to_owned(), position)).await?;
            }
            env.sleep(backoff.first).await;
        }
        Ok(())
    }
}

#[test]
fn whoever_breaks_a_promise_is_found_out() {
    let broken: BTreeSet<&str> = FLAWS.iter().map(|(promise, _)| *promise).collect();
    assert_eq!(broken, promises().into_iter().collect(), "of each promise there is a flaw");
    for (promise, flaw) in FLAWS {
        in_the_simulated_world(1, move |env: Env| async move {
            let config = if let Config(other) = *flaw { other } else { CONFIG };
            let own = env.clone();
            let found = on_a_node(&env, config, |bus| async move {
                let memory = Arc::new(Mutex::new(Memory::default()));
                let bus = Flawed { env: own.clone(), bus, flaw: *flaw, memory };
                contract(&own, &bus, CONFIG).await
            });
            match env.timeout(CHECK_MAX, found).await {
                Ok(Err(why)) if why.starts_with(promise) => Ok(()),
                other => Err(format!("{flaw:?} should break {promise:?}, and {other:?}")),
            }
        });
    }
}
