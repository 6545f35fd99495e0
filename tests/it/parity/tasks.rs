use super::{ensure, in_both_worlds, text};
use squall_env::{Env, sync};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn tasks_run_are_joined_and_cancelled() {
    in_both_worlds(1, |env: Env| async move {
        let task = env.spawn("sum", async { (1..=4).sum::<i32>() });
        ensure(task.await == Ok(10), "the task's result is wrong")?;
        let forever = env.spawn("forever", std::future::pending::<()>());
        forever.cancel();
        ensure(forever.await.is_err(), "a cancelled task gave a result")
    });
}

#[test]
fn blocking_work_comes_back_while_others_go_on() {
    in_both_worlds(1, |env: Env| async move {
        let (sender, mut ticks) = sync::channel(&env, "ticks", 100);
        let clock = env.clone();
        env.spawn("ticker", async move {
            while sender.send(()).await.is_ok() {
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
        ensure(env.blocking(|| 6 * 7).await == Ok(42), "the work's result is wrong")?;
        ticks.receive().await.ok_or_else(|| text("nothing went on"))
    });
}

#[test]
fn random_numbers_differ() {
    in_both_worlds(1, |env: Env| async move {
        let drawn: BTreeSet<u64> = (0..1_000).map(|_| env.random()).collect();
        ensure(drawn.len() == 1_000, "random numbers came twice")?;
        let small = (0..1_000).map(|_| env.random_below(10)).collect::<BTreeSet<_>>();
        ensure(small == (0..10).collect(), "not all digits were drawn")
    });
}

#[test]
fn a_node_knows_itself_and_its_peers() {
    in_both_worlds(3, |env: Env| async move {
        ensure(env.peers("node").len() == 3, "there are not three peers")?;
        ensure(env.peers("node").contains(&env.me()), "it is none of its peers")?;
        ensure(env.peers("nobody").is_empty(), "a role that is not there has nodes")?;
        let name = env.roster().name(env.me());
        ensure(env.roster().find(&name) == Some(env.me()), "its name leads elsewhere")
    });
}
