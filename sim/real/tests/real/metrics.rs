//! What a recorder of metrics is told.

use crate::support::{Cluster, ask, run_as, wait_until};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use squall_env::Port;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Keeps what it is told, by name and node.
#[derive(Default)]
struct Kept {
    counters: Mutex<BTreeMap<(String, String), Arc<AtomicU64>>>,
    syncs: Arc<Samples>,
    described: Mutex<BTreeMap<String, String>>,
}

#[derive(Default)]
struct Samples(Mutex<Vec<f64>>);

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

fn node_of(key: &Key) -> String {
    let label = key.labels().find(|label| label.key() == "node");
    label.expect("every metric names its node").value().to_owned()
}

impl Recorder for Kept {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        self.described.lock().unwrap().insert(key.as_str().to_owned(), text.into_owned());
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        assert_eq!(unit, Some(Unit::Seconds));
        self.described.lock().unwrap().insert(key.as_str().to_owned(), text.into_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let at = (key.name().to_owned(), node_of(key));
        Counter::from_arc(Arc::clone(self.counters.lock().unwrap().entry(at).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        assert_eq!((key.name(), node_of(key).as_str()), ("squall_disk_sync_seconds", "replica-1"));
        Histogram::from_arc(Arc::clone(&self.syncs))
    }
}

#[test]
fn a_recorder_is_told_what_the_node_counts() {
    let (cluster, kept) = (Cluster::new(), Kept::default());
    let replica = metrics::with_local_recorder(&kept, || {
        cluster.start("replica-1", |env| async move {
            env.replace_file("a", b"durable".to_vec()).await?;
            crate::support::echo(env).await
        })
    });
    let to = cluster.echo_of("replica-1");
    run_as(cluster.config("client-1"), move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, to, b"hello").await
    });
    let counted = |name: &str| {
        let counters = kept.counters.lock().unwrap();
        let at = (format!("squall_{name}_total"), "replica-1".to_owned());
        counters[&at].load(Ordering::Relaxed)
    };
    wait_until("the answer is counted", || counted("frames_sent") >= 1);
    assert_eq!((counted("accepts"), counted("refused")), (1, 0));
    assert_eq!(counted("frames_received"), replica.metrics().frames_received);
    let syncs = kept.syncs.0.lock().unwrap().clone();
    assert!(syncs.len() >= 2 && syncs.iter().all(|took| (0.0..20.0).contains(took)), "{syncs:?}");
    let own: u64 = replica.counters().sync_latencies().iter().sum();
    assert_eq!(own, syncs.len() as u64);
    let described = kept.described.lock().unwrap();
    assert_eq!(described["squall_frames_received_total"], "Frames that arrived whole.");
    assert_eq!(described.len(), kept.counters.lock().unwrap().len() + 1);
}
