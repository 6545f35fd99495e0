use crate::parity::{Checked, in_both_worlds, in_the_real_world, text};
use serde::{Deserialize, Serialize};
use squall_env::{Either, Env, open, race};
use squall_protocols::outbox::{
    self, Decision, Letter, OutboxClient, OutboxConfig, Outboxed, SqliteOutbox, State, TableOutbox,
    contract,
};
use squall_protocols::unit_of_work::{Batch, Message, TableStore, TablesMachine};
use std::sync::Arc;
use std::time::Duration;

const CLAIM: Duration = Duration::from_millis(400);

const CONFIG: OutboxConfig = OutboxConfig { letters_max: 8, claim: CLAIM };

/// A state that is nothing but what is told of it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Told;

impl State for Told {
    type Command = Letter;
    type Change = ();
    type Answer = ();

    fn decide(&self, letter: &Letter) -> Decision<Told> {
        Decision { change: Some(((), vec![letter.clone()])), answer: () }
    }

    fn apply(&mut self, (): &()) {}
}

/// Whatever ends first: what runs beside the check should not.
async fn beside<E: std::fmt::Debug>(
    run: impl Future<Output = Result<(), E>>,
    check: impl Future<Output = Checked>,
) -> Checked {
    match race(run, check).await {
        Either::Left(stopped) => Err(format!("it stopped: {stopped:?}")),
        Either::Right(checked) => checked,
    }
}

#[test]
fn an_outbox_in_a_journal_keeps_the_contract() {
    in_both_worlds(1, |env: Env| async move {
        let (outbox, run) = open::<Outboxed<Told>>(&env, "outbox", CONFIG).await.map_err(text)?;
        let put = |letter| async {
            outbox.request(outbox::Ask::Do(letter)).await.map(drop).map_err(text)
        };
        beside(run, contract(&env, &outbox, CLAIM, put)).await
    });
}

#[test]
fn an_outbox_on_another_node_keeps_the_contract() {
    in_both_worlds(1, |env: Env| async move {
        let limit = Duration::from_secs(5);
        let client = OutboxClient::<Told>::open(&env, env.me(), limit).map_err(text)?;
        let put = |letter| async { client.command(letter).await.map(drop).map_err(text) };
        let own = env.clone();
        let check = async {
            own.sleep(Duration::from_millis(50)).await;
            contract(&own, &client, CLAIM, put).await
        };
        beside(outbox::serve::<Told>(env.clone(), CONFIG), check).await
    });
}

#[test]
fn an_outbox_in_sqlite_keeps_the_contract() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let file = folder.path().join("shop.db");
        let outbox = SqliteOutbox::open(&env, &file, CONFIG).map_err(text)?;
        let put = |letter: Letter| async {
            outbox.change(move |_| Ok(((), vec![letter]))).await.map_err(text)
        };
        contract(&env, &outbox, CLAIM, put).await
    });
}

#[test]
fn the_messages_of_units_of_work_keep_the_contract_of_outboxes() {
    in_both_worlds(1, |env: Env| async move {
        let opened = open::<TablesMachine>(&env, "tables", &[]).await;
        let (tables, run) = opened.map_err(text)?;
        let store: Arc<dyn TableStore> = Arc::new(tables);
        let outbox = TableOutbox::new(&env, Arc::clone(&store), CLAIM);
        let put = |letter: Letter| async {
            let message = Message { topic: letter.key.unwrap_or_default(), body: letter.body };
            let since = store.sequence().await.map_err(text)?;
            let id = u128::from(env.random());
            let batch = Batch { id, since, writes: Vec::new(), messages: vec![message] };
            store.commit(&batch).await.map(drop).map_err(text)
        };
        beside(run, contract(&env, &outbox, CLAIM, put)).await
    });
}
