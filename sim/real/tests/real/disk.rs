//! Files, and who may have a directory.

use crate::support::{Cluster, lend, run_as, wait_for};
use squall_env::disk::{DiskError, Done, Operation, Slot};
use squall_real::{LOCK_FILE, Node, RunError};
use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn what_is_written_is_read_back_and_listed() {
    let cluster = Cluster::new();
    run_as(cluster.config("replica-1"), |env| async move {
        env.create_directory("inner").await.unwrap();
        env.create_directory("inner").await.unwrap();
        let mut file = env.open_file("inner/b", true).await.unwrap();
        file.write_at(3, b"later".to_vec()).await.unwrap();
        file.sync().await.unwrap();
        env.sync_directory("inner").await.unwrap();
        assert_eq!(file.read_at(0, 100).await.unwrap(), b"\0\0\0later");
        assert_eq!(file.read_at(4, 2).await.unwrap(), b"at");
        assert_eq!(file.read_at(100, 2).await.unwrap(), b"");
        file.truncate(4).await.unwrap();
        assert_eq!(file.read_at(0, usize::MAX).await.unwrap(), b"\0\0\0l");
        env.replace_file("a", b"whole".to_vec()).await.unwrap();
        env.replace_file("a", b"new".to_vec()).await.unwrap();
        assert_eq!(env.read_file("a").await.unwrap().unwrap(), b"new");
        env.rename("a", "c").await.unwrap();
        assert_eq!(env.list("").await.unwrap(), ["c"]);
        assert_eq!(env.list("inner").await.unwrap(), ["b"]);
        env.remove_file("c").await.unwrap();
        assert_eq!(env.read_file("c").await.unwrap(), None);
        assert_eq!(env.remove_file("c").await, Err(DiskError::NotFound("c".to_owned())));
    });
}

#[test]
fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let mut cluster = Cluster::new();
    cluster.limits.disk_operations_max = 2;
    cluster.limits.disk_bytes_max = 10_000;
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let (done, all) = mpsc::channel();
    for number in 0..200u32 {
        let (writer, done) = (env.clone(), done.clone());
        env.spawn("write", async move {
            let name = format!("file-{number}");
            let mut file = writer.open_file(&name, true).await.unwrap();
            for part in 0..3u8 {
                file.append(vec![part; 5_000]).await.unwrap();
            }
            file.sync().await.unwrap();
            let all = file.read_all().await.unwrap();
            done.send(all.len()).unwrap();
        });
    }
    for _ in 0..200 {
        assert_eq!(wait_for(&all), 15_000);
    }
    assert!(node.metrics().disk_waits > 200, "{:?}", node.metrics());
    // Who gives up waiting for room has begun nothing, and takes nobody's room away.
    let asked = env.clone();
    let (done, ended) = mpsc::channel();
    env.spawn("give up", async move {
        for number in 0..100u32 {
            let name = format!("given-up-{number}");
            let opened = asked.timeout(Duration::ZERO, asked.open_file(&name, true)).await;
            drop(opened);
        }
        done.send(asked.open_file("last", true).await.is_ok()).unwrap();
    });
    assert!(wait_for(&ended));
    node.stop().unwrap();
}

#[test]
fn callers_who_wait_for_room_learn_that_the_node_has_stopped() {
    let mut cluster = Cluster::new();
    cluster.limits.disk_operations_max = 1;
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let (done, ended) = mpsc::channel();
    for number in 0..50u32 {
        let (writer, done) = (env.clone(), done.clone());
        env.spawn("open", async move {
            let mut opened = Ok(());
            while opened.is_ok() {
                opened = writer.open_file(&format!("{number}"), true).await.map(drop);
            }
            // The task may be dropped before it is told, which is as good.
            let _ = done.send(opened);
        });
    }
    node.stop().unwrap();
    drop(done);
    while let Ok(ended) = ended.recv_timeout(Duration::from_secs(20)) {
        assert_eq!(ended, Err(DiskError::Stopped));
    }
    let mut waits = Box::pin(env.open_file("late", true));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let late = waits.as_mut().poll(&mut cx);
    assert!(matches!(late, std::task::Poll::Ready(Err(DiskError::Stopped))), "it would wait");
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let cluster = Cluster::new();
    run_as(cluster.config("replica-1"), |env| async move {
        for path in ["../secret", "/etc/passwd", "a/../../secret", "", ".", LOCK_FILE] {
            let opened = env.open_file(path, true).await;
            assert!(matches!(opened.err(), Some(DiskError::Invalid(_))), "{path:?}");
            let removed = env.remove_file(path).await;
            assert!(matches!(removed, Err(DiskError::Invalid(_))), "{path:?}");
            let renamed = env.rename("a", path).await;
            assert!(matches!(renamed, Err(DiskError::Invalid(_))), "{path:?}");
        }
        assert!(matches!(env.list("..").await, Err(DiskError::Invalid(_))));
        assert!(matches!(env.sync_directory("..").await, Err(DiskError::Invalid(_))));
        assert!(matches!(env.create_directory("/x").await, Err(DiskError::Invalid(_))));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_and_a_failed_sync_are_errors_that_last() {
    let cluster = Cluster::new();
    let config = cluster.config("replica-1");
    std::fs::create_dir(&config.data).unwrap();
    // This device is always full, and cannot be synced.
    std::os::unix::fs::symlink("/dev/full", config.data.join("full")).unwrap();
    run_as(config, |env| async move {
        let mut file = env.open_file("full", false).await.unwrap();
        assert_eq!(file.write_at(0, vec![1]).await, Err(DiskError::NoSpace));
        assert!(file.sync().await.is_err());
        assert_eq!(file.write_at(0, vec![1]).await, Err(DiskError::Io));
        assert_eq!(file.sync().await, Err(DiskError::Io));
        assert_eq!(env.open_file("full", false).await.err(), Some(DiskError::Io));
    });
}

#[test]
fn operations_on_a_file_take_effect_in_the_order_of_submission() {
    let cluster = Cluster::new();
    run_as(cluster.config("replica-1"), |env| async move {
        let open = Operation::Open { path: "a".to_owned(), create: true };
        let opened = Slot::default().run(env.platform(), open).await.unwrap();
        let Done::Opened { file, .. } = opened else { panic!("not opened") };
        for number in 0..=200u8 {
            // Nobody waits for the writes; they go on all the same.
            let write = Operation::Write { file, offset: 0, data: vec![number] };
            Slot::default().submit(env.platform(), write);
        }
        let read = Operation::Read { file, offset: 0, length: 1, buffer: Vec::new() };
        let Done::Buffer(bytes) = Slot::default().run(env.platform(), read).await.unwrap() else {
            panic!("not read");
        };
        assert_eq!(bytes, [200]);
        let close = Operation::Close { file };
        Slot::default().run(env.platform(), close).await.unwrap();
        let sync = Slot::default().run(env.platform(), Operation::Sync { file }).await;
        assert!(matches!(sync, Err(DiskError::Invalid(_))));
    });
}

#[test]
fn a_directory_belongs_to_one_node_at_a_time() {
    let cluster = Cluster::new();
    let first = cluster.start_echo("replica-1");
    let config = cluster.config("replica-1");
    let mut other = cluster.config("replica-2");
    other.data = config.data.clone();
    let refused = Node::start(other, crate::support::echo);
    assert!(matches!(refused, Err(RunError::DataInUse { path }) if path == config.data));
    first.stop().unwrap();
    Node::start(config, crate::support::echo).unwrap().stop().unwrap();
}

#[test]
fn a_stopped_node_answers_every_disk_operation_with_stopped() {
    let cluster = Cluster::new();
    let (lent, env) = mpsc::channel();
    let node = cluster.start("replica-1", lend(lent));
    let env = wait_for(&env);
    let mut slots: Vec<Slot> = Vec::new();
    for number in 0..500 {
        let open = Operation::Open { path: format!("file-{number}"), create: true };
        let mut slot = Slot::default();
        slot.submit(env.platform(), open);
        slots.push(slot);
    }
    node.stop().unwrap();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for slot in &mut slots {
        let answer = slot.poll(&mut cx);
        assert!(matches!(
            answer,
            std::task::Poll::Ready(Ok(Done::Opened { .. }) | Err(DiskError::Stopped))
        ));
    }
    let mut late = Slot::default();
    late.submit(env.platform(), Operation::List { path: String::new() });
    assert!(matches!(late.poll(&mut cx), std::task::Poll::Ready(Err(DiskError::Stopped))));
}
