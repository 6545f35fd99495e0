use crate::assert_found;
use crate::parity::{in_both_worlds, in_the_real_world, text};
use squall_env::{Either, Env, open, race};
use squall_protocols::unit_of_work::{NAME, SqliteTables, TableStore, TablesMachine, contract};
use squall_scenarios::specimens::dirty_list::dirty_list;
use squall_scenarios::unit_of_work::{mutants, transfers};
use std::path::Path;
use std::sync::Arc;

#[test]
fn tables_on_a_journal_keep_the_contract_of_stores() {
    in_both_worlds(1, |env: Env| async move {
        for checks_what_is_kept in [false, true] {
            let opened = open::<TablesMachine>(&env, NAME, contract::SCHEMA).await;
            let (tables, run) = opened.map_err(text)?;
            let store: Arc<dyn TableStore> = Arc::new(tables);
            let body = async {
                if checks_what_is_kept {
                    return contract::is_kept(&env, store).await;
                }
                contract::holds(&env, store).await
            };
            match race(run, body).await {
                Either::Left(stopped) => return Err(format!("it stopped: {stopped:?}")),
                Either::Right(checked) => checked?,
            }
        }
        Ok(())
    });
}

#[test]
fn tables_on_sqlite_keep_the_contract_of_stores() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    // What runs on a node borrows nothing of its test.
    let file: &'static Path = Box::leak(folder.path().join("tables").into_boxed_path());
    in_the_real_world(1, move |env: Env| async move {
        for checks_what_is_kept in [false, true] {
            let opened = SqliteTables::open(&env, file, contract::SCHEMA).await;
            let store: Arc<dyn TableStore> = Arc::new(opened.map_err(text)?);
            match checks_what_is_kept {
                false => contract::holds(&env, store).await?,
                true => contract::is_kept(&env, store).await?,
            }
        }
        Ok(())
    });
}

#[test]
fn transfers_make_and_lose_no_money_whatever_happens_to_their_store() {
    transfers().seeds(0..200).run();
}

#[test]
fn every_mutant_of_units_of_work_breaks_the_property_that_it_names() {
    assert_found(mutants(), 600);
    assert_found(vec![dirty_list()], 10);
}
