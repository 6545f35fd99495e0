//! One suite of checks for both worlds: what holds in the simulated one holds on sockets, files
//! and clocks. Each check is an ordinary async function over `Env`.

mod beside;
mod clock;
mod disk;
mod locks;
mod machine;
mod network;
mod settled;
mod streams;
mod tasks;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use squall::plan::{Plan, RoleNodes};
use squall::{Scenario, Watch, run_plan};
use squall_env::{Env, Roster};
use squall_real::{Config, Node, Tls};
use std::future::Future;
use std::net::TcpListener;
use std::time::Duration;

/// How long a check may take, in either world.
pub(crate) const CHECK_MAX: Duration = Duration::from_secs(20);

/// What a check says if it does not hold.
pub(crate) type Checked = Result<(), String>;

/// Turns any error into a check's.
pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Fails the check unless `holds`.
pub(crate) fn ensure(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Runs a check on `nodes` nodes of each world. Every node runs it and has to say yes.
pub(crate) fn in_both_worlds<F, Fut>(nodes: u16, check: F)
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    in_the_simulated_world(nodes, check);
    in_the_real_world(nodes, check);
}

/// As [`in_both_worlds`], and in the real one once more over TLS.
pub(crate) fn over_every_network<F, Fut>(nodes: u16, check: F)
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    in_both_worlds(nodes, check);
    let authority = Authority::new();
    on_real_nodes(nodes, check, |config| config.tls = Some(authority.certify(config)));
}

/// Somebody who signs certificates, and a folder for them.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is no wrong one");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("roots"), root.pem()).expect("the root is written");
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// Makes the certificate of a node.
    fn certify(&self, config: &Config) -> Tls {
        let name = config.roster.name(config.me);
        let (at, key) = (|file: &str| self.folder.path().join(file), KeyPair::generate());
        let key = key.expect("a key");
        let params = CertificateParams::new(vec![format!("{name}.parity")]);
        let signed = params.and_then(|params| params.signed_by(&key, &self.issuer));
        let (certificates, key_file) = (at(&name), at(&format!("{name}.key")));
        let pem = signed.expect("a certificate").pem();
        std::fs::write(&certificates, pem).expect("the certificate is written");
        std::fs::write(&key_file, key.serialize_pem()).expect("the key is written");
        Tls { certificates, key: key_file, roots: at("roots") }
    }
}

async fn bounded<Fut: Future<Output = Checked>>(env: Env, check: Fut) -> Checked {
    env.timeout(CHECK_MAX, check).await.unwrap_or_else(|_| Err("it takes too long".to_owned()))
}

/// As [`in_both_worlds`], but in the simulated one alone.
pub(crate) fn in_the_simulated_world<F, Fut>(nodes: u16, check: F)
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    let scenario = Scenario::new("test/parity").nodes("node", nodes..=nodes, move |env: Env| {
        let told = env.clone();
        async move {
            let said = bounded(env.clone(), check(env)).await;
            // A check that fails is a panic of its node, which fails the run.
            assert_eq!(said, Ok(()), "in the simulated world");
            told.sometimes("the check holds");
            std::future::pending::<Checked>().await
        }
    });
    let roles = vec![RoleNodes { role: "node".to_owned(), nodes }];
    let plan = Plan::calm(roles, 60_000_000_000);
    for seed in 0..10 {
        let watch = Watch { until_ns: 60_000_000_000, ..Watch::default() };
        let outcome = run_plan(&scenario, seed, &plan, watch);
        assert_eq!(outcome.failure, None, "seed {seed}");
        let holds = ("the check holds", u64::from(nodes));
        assert!(outcome.sometimes.contains(&holds), "seed {seed}: {:?}", outcome.sometimes);
    }
}

/// As [`in_both_worlds`], but on sockets and files alone.
pub(crate) fn in_the_real_world<F, Fut>(nodes: u16, check: F)
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    on_real_nodes(nodes, check, |_| {});
}

fn on_real_nodes<F, Fut>(nodes: u16, check: F, configure: impl Fn(&mut Config))
where
    F: Fn(Env) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Checked> + Send + 'static,
{
    let data = tempfile::tempdir().expect("a temporary directory");
    let roster = Roster::new("parity").with("node", nodes);
    let free: Vec<TcpListener> =
        roster.all().map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
    let addresses = roster.all().zip(free.iter().map(|port| port.local_addr().expect("bound")));
    let addresses: std::collections::BTreeMap<_, _> = addresses.collect();
    drop(free);
    let (done, finished) = std::sync::mpsc::channel();
    let mut running = Vec::new();
    for me in roster.all() {
        let mut config = Config::new(roster.clone(), me, data.path().join(roster.name(me)));
        config.addresses = addresses.clone();
        configure(&mut config);
        let done = done.clone();
        let serve = move |env: Env| async move {
            // Nobody listens any more only if the test has failed already.
            let _ = done.send(bounded(env.clone(), check(env)).await);
            std::future::pending::<Checked>().await
        };
        running.push(Node::start(config, serve).expect("the node starts"));
    }
    for _ in 0..nodes {
        let said = finished.recv_timeout(CHECK_MAX * 2).expect("every node answers");
        assert_eq!(said, Ok(()), "in the real world");
    }
    for node in running {
        node.stop().expect("the node stops");
    }
}
