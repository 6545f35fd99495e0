//! The tables of units of work on SQLite: the rows of a batch and its messages are there together,
//! and a relay finds each message once.

use super::{all_confirmed, confirm, killed, torn};
use crate::parity::{Checked, ensure, in_the_real_world, text};
use squall_env::Env;
use squall_protocols::outbox::{self, Source, TableOutbox};
use squall_protocols::specification::Specification;
use squall_protocols::unit_of_work::{
    Batch, Change, Message, Rows, SqliteTables, TableStore, Write, contract,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TABLE: &str = "accounts";
/// Every batch writes this row, too: what it holds is the number of the last one.
const LAST: &str = "last";
const CLAIM: Duration = Duration::from_millis(200);

async fn open(env: &Env, file: &Path) -> Result<Arc<dyn TableStore>, String> {
    let opened = SqliteTables::open(env, file, contract::SCHEMA).await;
    Ok(Arc::new(opened.map_err(text)?))
}

/// Two new rows, one that is updated, and two messages.
async fn batch(store: &dyn TableStore, number: u64) -> Result<Batch, String> {
    let row = vec![Some(number.cast_signed().into())];
    let last = store.get(TABLE, LAST).await.map_err(text)?;
    let last = match last.found {
        Some(stored) => Change::Update { version: stored.version, row: row.clone() },
        None => Change::Insert { row: row.clone() },
    };
    let write = |key: String, change| Write { table: TABLE.to_owned(), key, change };
    let writes = vec![
        write(format!("{number}/one"), Change::Insert { row: row.clone() }),
        write(format!("{number}/other"), Change::Insert { row }),
        write(LAST.to_owned(), last),
    ];
    let said =
        |topic: &str| Message { topic: topic.to_owned(), body: number.to_le_bytes().to_vec() };
    let since = store.sequence().await.map_err(text)?;
    // Ids that the contract does not use.
    let id = u128::from(number) << 64;
    Ok(Batch { id, since, writes, messages: vec![said("one"), said("other")] })
}

/// Commits batch after batch; rows and messages in two, if they are to be `halves`. Whoever was
/// killed does not know whether its last batch was committed, and commits it again.
async fn commit(env: Env, file: &Path, halves: bool) -> Checked {
    let store = open(&env, file).await?;
    let last = rows(&*store).await?.into_iter().find(|(key, _)| key == LAST);
    let last = last.and_then(|(_, stored)| stored.row[0].as_ref()?.integer());
    let last = last.unwrap_or_default().cast_unsigned();
    if last > 0 && !halves {
        let again = batch(&*store, last).await?;
        store.commit(&again).await.map_err(text)?;
        confirm(last);
    }
    for number in last + 1.. {
        let mut whole = batch(&*store, number).await?;
        if halves {
            let messages = std::mem::take(&mut whole.messages);
            store.commit(&whole).await.map_err(text)?;
            env.sleep(Duration::from_millis(20)).await;
            whole = Batch { id: whole.id + 1, writes: Vec::new(), messages, ..whole };
        }
        store.commit(&whole).await.map_err(text)?;
        confirm(number);
    }
    Ok(())
}

async fn rows(store: &dyn TableStore) -> Result<Rows, String> {
    Ok(store.find(TABLE, &Specification::everything()).await.map_err(text)?.found)
}

/// All that a relay finds, and marks.
async fn relayed(env: &Env, store: &Arc<dyn TableStore>) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let outbox = TableOutbox::new(env, Arc::clone(store), CLAIM);
    let mut all = Vec::new();
    loop {
        let letters = outbox.take(1).await?;
        let Some(last) = letters.last().map(|letter| letter.number) else { break };
        outbox.sent(1, last).await?;
        all.extend(letters.into_iter().map(|one| (one.number, one.letter.body)));
    }
    Ok(all)
}

async fn is_whole(env: &Env, store: &Arc<dyn TableStore>, confirmed: &BTreeSet<u64>) -> Checked {
    let (mut said, mut written) = (BTreeMap::<u64, u32>::new(), BTreeMap::<u64, u32>::new());
    let letters = relayed(env, store).await?;
    ensure(letters.is_sorted_by_key(|(number, _)| *number), "letters are out of order")?;
    for (_, body) in letters {
        let number = u64::from_le_bytes(body.as_slice().try_into().map_err(text)?);
        *said.entry(number).or_default() += 1;
    }
    let mut last = None;
    for (key, stored) in rows(&**store).await? {
        let value = stored.row[0].as_ref().and_then(|value| value.integer());
        let number = value.ok_or("a row is empty")?.cast_unsigned();
        if key == LAST {
            last = Some(number);
        } else {
            *written.entry(number).or_default() += 1;
        }
    }
    ensure(written.values().all(|rows| *rows == 2), "of a batch there is one row")?;
    ensure(last == written.keys().next_back().copied(), "another batch was the last one")?;
    ensure(said == written, "rows and messages of a batch are not there together")?;
    all_confirmed(&written.into_keys().collect(), confirmed)
}

/// Deletes all rows, for a contract that wants an empty store.
async fn empty(store: &dyn TableStore) -> Checked {
    let delete = |(key, stored): (String, squall_protocols::unit_of_work::Stored)| Write {
        table: TABLE.to_owned(),
        key,
        change: Change::Delete { version: stored.version },
    };
    let writes = rows(store).await?.into_iter().map(delete).collect();
    let since = store.sequence().await.map_err(text)?;
    let batch = Batch { id: u128::MAX, since, writes, messages: Vec::new() };
    store.commit(&batch).await.map(drop).map_err(text)
}

#[test]
fn killed_tables_have_whole_batches_and_pass_their_contracts() {
    let test = "killed::tables::killed_tables_have_whole_batches_and_pass_their_contracts";
    let Some(left) = killed(test, |env, file| commit(env, file, false)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let store = open(&env, file).await?;
        is_whole(&env, &store, confirmed).await?;
        empty(&*store).await?;
        let outbox = TableOutbox::new(&env, Arc::clone(&store), CLAIM);
        let put = |letter: outbox::Letter| async {
            let said = Message { topic: letter.key.unwrap_or_default(), body: letter.body };
            let (id, since) = (u128::from(env.random()), store.sequence().await.map_err(text)?);
            let batch = Batch { id, since, writes: Vec::new(), messages: vec![said] };
            store.commit(&batch).await.map(drop).map_err(text)
        };
        outbox::contract(&env, &outbox, CLAIM, put).await?;
        relayed(&env, &store).await?;
        contract::holds(&env, store).await
    });
}

#[test]
fn kills_part_messages_from_rows_that_are_committed_before_them() {
    let test = "killed::tables::kills_part_messages_from_rows_that_are_committed_before_them";
    let Some(left) = killed(test, |env, file| commit(env, file, true)) else {
        return;
    };
    let (file, confirmed) = (left.file, left.confirmed);
    in_the_real_world(1, move |env: Env| async move {
        let store = open(&env, file).await?;
        torn(is_whole(&env, &store, confirmed).await, "not there together")
    });
}
