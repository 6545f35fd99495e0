//! A state machine that outlives its node.

use crate::support::{Cluster, Failure, ended, run_as, wait_for};
use squall_env::machine::StopReason;
use squall_env::{Address, Env, Handle, Machine, RequestId, Turn, open};
use std::sync::mpsc;
use std::time::Duration;

/// The sum of all numbers that anybody sent or asked for.
struct Sum(u64);

impl Machine for Sum {
    type Config = ();
    type Timer = ();
    type Message = u64;
    type Request = u64;
    type Reply = u64;
    type Record = u64;
    type Snapshot = u64;

    fn restore(_config: &(), snapshot: Option<u64>) -> Sum {
        Sum(snapshot.unwrap_or(0))
    }

    fn apply(&mut self, record: &u64) {
        self.0 += record;
    }

    fn snapshot(&self) -> u64 {
        self.0
    }

    fn on_message(&mut self, _from: Address, number: u64, turn: &mut Turn<Sum>) {
        turn.persist(self, number);
    }

    fn on_request(&mut self, id: RequestId, number: u64, turn: &mut Turn<Sum>) {
        turn.persist(self, number);
        turn.reply(id, self.0);
        for peer in turn.peers("replica") {
            if peer != turn.my_address() {
                turn.send(peer, number);
            }
        }
        if self.0.is_multiple_of(50) {
            turn.compact();
        }
    }
}

async fn open_sum(env: &Env) -> Handle<Sum> {
    let (handle, run) = open::<Sum>(env, "sum", ()).await.unwrap();
    env.spawn("sum", async move {
        // A machine that stops while its node does not has lost its disk.
        if let Err(StopReason::Disk(error)) = run.await {
            panic!("{error}");
        }
    });
    handle
}

#[test]
fn a_machine_remembers_what_it_replied_when_its_node_is_started_again() {
    let cluster = Cluster::new();
    for boot in 0..3 {
        let (sender, replies) = mpsc::channel();
        let node = cluster.start("replica-1", move |env| async move {
            let handle = open_sum(&env).await;
            loop {
                sender.send(handle.request(1).await?)?;
            }
        });
        for expected in 1..=100 {
            let reply = wait_for(&replies);
            // The stop of the boot before may have cut off replies that nobody saw.
            assert!(reply >= boot * 100 + expected, "{reply} in boot {boot}");
        }
        node.stop().unwrap();
        let last = replies.try_iter().last();
        let found = run_as(cluster.config("replica-1"), |env| async move {
            open_sum(&env).await.request(0).await
        });
        assert!(found.unwrap() >= last.unwrap_or((boot + 1) * 100));
    }
}

#[test]
fn machines_on_two_nodes_talk_to_each_other() {
    let cluster = Cluster::new();
    let (sender, opened) = mpsc::channel();
    let second = cluster.start("replica-2", move |env| async move {
        let handle = open_sum(&env).await;
        sender.send(())?;
        while handle.request(0).await? < 7 {
            env.sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    });
    // A message that finds no machine on its port is lost.
    wait_for(&opened);
    let _first = cluster.start("replica-1", |env| async move {
        let handle = open_sum(&env).await;
        handle.request(7).await?;
        std::future::pending::<Result<(), Failure>>().await
    });
    ended(second).unwrap();
}
