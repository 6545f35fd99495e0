//! Connections with certificates, which are made here: who is taken, and who is not.

use crate::support::{Cluster, PATIENCE, ask, client_greeting, echo, guest_greeting, lend, run_as};
use crate::support::{wait_for, wait_until, with_checksum};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use squall_env::platform::DATAGRAM_MAX;
use squall_env::{Port, Roster};
use squall_real::{Config, ConfigError, Node, RunError, Tls};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

/// Somebody who signs certificates, and a folder for them.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("roots.pem"), root.pem()).unwrap();
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a certificate with this name, and says where its files are.
    fn certify(&self, name: &str) -> Tls {
        self.certify_as(name, CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    fn certify_as(&self, name: &str, params: CertificateParams) -> Tls {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Tls {
            certificates: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
            roots: self.file("roots.pem"),
        };
        std::fs::write(&files.certificates, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    /// The configuration of a node with its certificate.
    fn config(&self, cluster: &Cluster, name: &str) -> Config {
        let mut config = cluster.config(name);
        config.tls = Some(self.certify(&format!("{name}.shop")));
        config
    }
}

#[test]
fn nodes_with_certificates_hear_each_other_and_know_who_speaks() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let (heard, who) = mpsc::channel();
    let replica = Node::start(authority.config(&cluster, "replica-1"), |env| async move {
        let (mut socket, mut bytes) = (env.bind(Port::named("echo"))?, Vec::new());
        loop {
            let from = socket.receive(&mut bytes).await?;
            heard.send((from.node, bytes.len()))?;
            socket.send(from, &bytes);
        }
        #[expect(unreachable_code, reason = "it says of which type the errors are")]
        Ok::<(), crate::support::Failure>(())
    });
    let replica = replica.unwrap();
    let to = cluster.echo_of("replica-1");
    for (name, expected) in [
        ("replica-2", cluster.node("replica-2")),
        ("client-1", cluster.node("client-1")),
        ("guest", squall_env::NodeId::guest(1)),
    ] {
        for size in [5, DATAGRAM_MAX] {
            let from = run_as(authority.config(&cluster, name), move |env| async move {
                let mut socket = env.bind(Port::ANY).unwrap();
                ask(&env, &mut socket, to, &vec![7; size]).await
            });
            assert_eq!(from, to);
            let (node, heard) = wait_for(&who);
            assert_eq!(heard, size);
            if !expected.is_guest() {
                assert_eq!(node, expected, "{name}");
            }
        }
    }
    assert_eq!(replica.metrics().refused, 0);
    replica.stop().unwrap();
}

#[test]
fn a_stream_is_encrypted_and_knows_its_peer_by_the_certificate() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let (seen, peers) = mpsc::channel();
    let replica = Node::start(authority.config(&cluster, "replica-1"), |env| async move {
        let mut listener = env.listen(Port::named("echo"))?;
        while let Ok(mut stream) = listener.accept().await {
            let mut bytes = Vec::new();
            let read = stream.read_to_end(&mut bytes).await;
            seen.send((stream.peer(), read.is_ok(), bytes))?;
            stream.write_all(b"goodbye").await?;
            stream.flush().await?;
        }
        Ok::<(), crate::support::Failure>(())
    });
    let replica = replica.unwrap();
    let to = cluster.echo_of("replica-1");
    let said: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let saying = said.clone();
    let heard = run_as(authority.config(&cluster, "replica-2"), move |env| async move {
        let mut stream = env.connect(to).await.unwrap();
        stream.write_all(&saying).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.map(|_| heard)
    });
    assert_eq!(heard.unwrap(), b"goodbye");
    assert_eq!(wait_for(&peers), (cluster.node("replica-2"), true, said));
    let plain = run_as(cluster.config("client-1"), move |env| async move {
        env.timeout(PATIENCE, env.connect(to)).await.map(|stream| stream.is_ok())
    });
    assert_eq!(plain, Ok(false), "a plain stream is taken");
    wait_until("it is counted", || replica.metrics().stream_accepts == 1);
    replica.stop().unwrap();
}

#[test]
fn what_was_taken_leaves_when_an_answer_is_waited_for() {
    const GLANCE: Duration = Duration::from_millis(300);
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let replica = Node::start(authority.config(&cluster, "replica-1"), |env| async move {
        let mut stream = env.listen(Port::named("echo"))?.accept().await?;
        // By then the sockets are full, and what is left waits at the writer's side.
        env.sleep(2 * GLANCE).await;
        let (mut read, mut bytes) = (0u64, vec![0; 64 << 10]);
        while let Ok(count) = env.timeout(GLANCE, stream.read(&mut bytes)).await {
            read += count? as u64;
        }
        stream.write_all(&read.to_le_bytes()).await?;
        stream.shutdown().await?;
        std::future::pending::<Result<(), crate::support::Failure>>().await
    });
    let to = cluster.echo_of("replica-1");
    let (written, read) = run_as(authority.config(&cluster, "replica-2"), move |env| async move {
        let mut stream = loop {
            match env.connect(to).await {
                Ok(stream) => break stream,
                Err(_) => env.sleep(Duration::from_millis(5)).await,
            }
        };
        let mut written = 0;
        while let Ok(taken) = env.timeout(GLANCE / 3, stream.write(&[7; 30_000])).await {
            written += taken.unwrap() as u64;
        }
        let mut read = [0; 8];
        stream.read_exact(&mut read).await.unwrap();
        (written, u64::from_le_bytes(read))
    });
    assert_eq!(read, written);
    replica.unwrap().stop().unwrap();
}

/// A connection by hand, with this certificate, or none.
fn by_hand(
    to: SocketAddr,
    roots: &Path,
    own: Option<&Tls>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_file(roots).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let certificate = CertificateDer::from_pem_file(&own.certificates).unwrap();
            let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"squall".to_vec()];
    let name = ServerName::try_from("replica-1.shop").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, stream)
}

/// Greets by hand, and says whether the greeting is answered by a welcome.
fn is_welcome(to: SocketAddr, roots: &Path, own: Option<&Tls>, greeting: &[u8]) -> bool {
    let mut stream = by_hand(to, roots, own);
    let mut head = [0; 9];
    let greeted = stream.write_all(greeting).and_then(|()| stream.read_exact(&mut head));
    // Behind the head stands the kind of the answer: 1 is a welcome.
    greeted.is_ok() && head[8] == 1
}

/// The greeting of a replica.
fn replica_greeting() -> Vec<u8> {
    with_checksum(b"sqN\n\x01\x00\x11\x00\x00\x04shop\x01\x09replica-2".to_vec())
}

#[test]
fn who_has_no_valid_certificate_or_that_of_another_is_refused() {
    let (cluster, authority, other) = (Cluster::new(), Authority::new(), Authority::new());
    let replica = Node::start(authority.config(&cluster, "replica-1"), echo).unwrap();
    let to = replica.listening().unwrap();
    let roots = authority.file("roots.pem");
    let client = authority.certify("client-1.shop");
    let mut expired = CertificateParams::new(vec!["client-1.shop".to_owned()]).unwrap();
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    let expired = authority.certify_as("expired", expired);
    let bank = authority.certify("client-1.bank");
    let forged = other.certify("client-1.shop");
    let greeting = client_greeting();
    assert!(is_welcome(to, &roots, Some(&client), &greeting), "the right one is refused");
    assert!(is_welcome(to, &roots, Some(&bank), &guest_greeting()), "a guest has any name");
    wait_until("both are counted", || replica.metrics().accepts == 2);
    assert_eq!(replica.metrics().refused, 0);
    for (number, (what, own, greeting)) in [
        ("no certificate", None, &greeting),
        ("one that somebody else has signed", Some(&forged), &greeting),
        ("one that has expired", Some(&expired), &greeting),
        ("that of another cluster", Some(&bank), &greeting),
        ("that of another node", Some(&client), &replica_greeting()),
        ("no certificate, as a guest", None, &guest_greeting()),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(!is_welcome(to, &roots, own, greeting), "{what}");
        wait_until(what, || replica.metrics().refused == number as u64 + 1);
    }
    assert_eq!((replica.metrics().accepts, replica.metrics().frames_received), (2, 0));
}

/// Whether replica-1 with this configuration reaches replica-2 with that one. Nothing may arrive
/// at either of them if not.
fn is_reached(cluster: &Cluster, one: Config, other: Config) -> bool {
    let second = Node::start(other, echo).unwrap();
    let to = cluster.echo_of("replica-2");
    let (lent, env) = mpsc::channel();
    let first = Node::start(one, lend(lent)).unwrap();
    let env = wait_for(&env);
    let socket = env.bind(Port::ANY).unwrap();
    socket.send(to, b"are you replica-2?");
    wait_until("it is reached or not", || {
        first.metrics().connects > 0 || first.metrics().connects_failed > 2
    });
    let reached = first.metrics().connects > 0;
    if !reached {
        assert_eq!((first.metrics().frames_sent, second.metrics().frames_received), (0, 0));
    }
    reached
}

#[test]
fn who_answers_with_another_certificate_is_not_spoken_to() {
    let (cluster, authority, other) = (Cluster::new(), Authority::new(), Authority::new());
    let config = |name| authority.config(&cluster, name);
    assert!(is_reached(&cluster, config("replica-1"), config("replica-2")));
    // The client sits at the address of replica-2.
    let mut usurper = config("client-1");
    usurper.listen = Some(cluster.addresses[&cluster.node("replica-2")]);
    assert!(!is_reached(&cluster, config("replica-1"), usurper));
    let forged = other.config(&cluster, "replica-2");
    assert!(!is_reached(&cluster, config("replica-1"), forged));
}

#[test]
fn nodes_with_and_without_certificates_do_not_mix() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let (plain, safe) = (|name| cluster.config(name), |name| authority.config(&cluster, name));
    assert!(!is_reached(&cluster, safe("replica-1"), plain("replica-2")));
    let mut impatient = plain("replica-1");
    impatient.limits.connect_timeout = Duration::from_millis(50);
    assert!(!is_reached(&cluster, impatient, safe("replica-2")));
}

#[test]
fn files_that_cannot_be_used_are_errors_at_the_start_that_name_them() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let good = authority.certify("replica-1.shop");
    let stranger = authority.certify("replica-2.shop");
    let empty = authority.file("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let missing = authority.file("missing.pem");
    let refused = |change: &dyn Fn(&mut Tls)| {
        let mut config = cluster.config("replica-1");
        let mut files = good.clone();
        change(&mut files);
        config.tls = Some(files);
        match Node::start(config, echo) {
            Err(RunError::Tls { file, why }) => (file, why),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|files| files.certificates = missing.clone()).0, missing);
    assert_eq!(refused(&|files| files.key = missing.clone()).0, missing);
    assert_eq!(refused(&|files| files.roots = missing.clone()).0, missing);
    assert_eq!(refused(&|files| files.key = empty.clone()).0, empty);
    let (file, why) = refused(&|files| files.roots = empty.clone());
    assert_eq!((file, &*why), (empty.clone(), "there is no certificate in it"));
    let (file, why) = refused(&|files| *files = stranger.clone());
    assert_eq!(file, stranger.certificates);
    assert_eq!(why, "it is not a certificate of replica-1.shop");
    assert_eq!(refused(&|files| files.key = stranger.key.clone()).0, good.certificates);
}

#[test]
fn a_name_that_no_certificate_can_bear_is_refused() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let mut config = authority.config(&cluster, "replica-1");
    config.roster = Roster::new("my shop").with("replica", 2).with("client", 1);
    let error = config.validate().unwrap_err();
    assert_eq!(error, ConfigError::TlsName("replica-1.my shop".to_owned()));
    config.tls = None;
    assert_eq!(config.validate(), Ok(()));
}

/// Stands before an address: passes one connection on, and keeps what went there.
fn tap(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (front, kept) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let recorded = Arc::clone(&kept);
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut far = TcpStream::connect(to).unwrap();
        let (mut answers, mut back) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = near.read(&mut some) {
            recorded.lock().unwrap().extend_from_slice(&some[..count]);
            far.write_all(&some[..count]).unwrap();
        }
    });
    (front, kept)
}

#[test]
fn a_connection_that_was_recorded_is_worth_nothing_to_who_plays_it_again() {
    let (cluster, authority) = (Cluster::new(), Authority::new());
    let replica = Node::start(authority.config(&cluster, "replica-1"), echo).unwrap();
    let to = replica.listening().unwrap();
    let (front, kept) = tap(to);
    let mut client = authority.config(&cluster, "client-1");
    client.addresses.insert(cluster.node("replica-1"), front);
    let asked = cluster.echo_of("replica-1");
    run_as(client, move |env| async move {
        let mut socket = env.bind(Port::ANY).unwrap();
        ask(&env, &mut socket, asked, b"pay once").await
    });
    let before = replica.metrics();
    assert!(before.accepts == 1 && before.frames_received >= 1, "{before:?}");
    let recorded = kept.lock().unwrap().clone();
    let mut again = TcpStream::connect(to).unwrap();
    again.write_all(&recorded).unwrap();
    wait_until("it is refused", || replica.metrics().refused == 1);
    let after = replica.metrics();
    assert_eq!((after.accepts, after.frames_received), (1, before.frames_received));
}
