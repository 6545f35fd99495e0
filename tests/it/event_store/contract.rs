//! Every store passes the same checks: in the simulated world, and on real files.

use crate::parity::{in_both_worlds, in_the_real_world, text};
use squall_env::platform::BoxFuture;
use squall_env::{Env, Port};
use squall_protocols::event_store::contract::{Open, check};
use squall_protocols::event_store::{
    EventStore, RemoteStore, SegmentConfig, SegmentStore, SqliteStore, serve_store,
};
use std::sync::Arc;
use std::time::Duration;

/// Small segments, so that there are many of them, and few ids in memory.
const SMALL: SegmentConfig = SegmentConfig { segment_bytes_max: 4096, recent_ids_max: 8 };

fn segments(env: &Env, name: &'static str, config: SegmentConfig) -> Open {
    let env = env.clone();
    Arc::new(move || -> BoxFuture<'static, Result<Arc<dyn EventStore>, String>> {
        let env = env.clone();
        Box::pin(async move {
            let store = SegmentStore::open(&env, name, config).await.map_err(text)?;
            Ok(Arc::new(store) as Arc<dyn EventStore>)
        })
    })
}

#[test]
fn segments_do_what_is_promised_of_a_store() {
    in_both_worlds(1, |env: Env| async move {
        check(&env, segments(&env, "default", SegmentConfig::default())).await?;
        check(&env, segments(&env, "small", SMALL)).await
    });
}

#[test]
fn a_store_that_is_asked_over_the_network_does_what_is_promised() {
    in_both_worlds(1, |env: Env| async move {
        let open = segments(&env, "events", SegmentConfig::default());
        let served = env.clone();
        let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let open: Open = Arc::new(move || {
            let (env, open) = (served.clone(), Arc::clone(&open));
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(async move {
                let store = open().await?;
                let port = Port::from_number(1000 + number);
                let server = env.clone();
                env.spawn("server", async move { serve_store(&server, store, port).await });
                let address = squall_env::Address::new(env.me(), port);
                let client = RemoteStore::at(&env, address, Duration::from_secs(5));
                Ok(Arc::new(client.map_err(text)?) as Arc<dyn EventStore>)
            })
        });
        check(&env, open).await
    });
}

#[test]
fn sqlite_does_what_is_promised_of_a_store() {
    in_the_real_world(1, |env: Env| async move {
        let folder = tempfile::tempdir().map_err(text)?;
        let path = folder.path().join("events.sqlite");
        let opened = env.clone();
        let open: Open = Arc::new(move || {
            let (env, path) = (opened.clone(), path.clone());
            Box::pin(async move {
                let store = SqliteStore::open(&env, path).await.map_err(text)?;
                Ok(Arc::new(store) as Arc<dyn EventStore>)
            })
        });
        check(&env, open).await
    });
}
