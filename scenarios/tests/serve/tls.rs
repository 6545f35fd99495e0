use super::support::{Cluster, PROGRAM, health, said};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// An authority, and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), root.pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), dir: dir.to_owned() }
    }

    /// A certificate and its key, for these names.
    fn sign(&self, file: &str, names: &[&str]) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer);
        std::fs::write(self.dir.join(format!("{file}.pem")), certificate.unwrap().pem()).unwrap();
        std::fs::write(self.dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

fn config(cluster: &Cluster, arguments: &[&str]) -> Output {
    let url = format!("https://{}", cluster.clients[0]);
    Command::new(PROGRAM)
        .args(["config", "--endpoints", &url])
        .args(arguments)
        .current_dir(cluster.dir.path())
        .output()
        .unwrap()
}

#[test]
fn clients_that_show_no_certificate_or_believe_another_authority_are_kept_out() {
    let mut cluster = Cluster::prepare(1);
    let dir = cluster.dir.path().to_owned();
    let (ours, other) = (Authority::new(&dir, "roots"), Authority::new(&dir, "others"));
    ours.sign("member-1", &["member-1.squall", "127.0.0.1"]);
    ours.sign("console", &["console"]);
    other.sign("stranger", &["console"]);
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (cert, key, roots) = (file("member-1.pem"), file("member-1.key"), file("roots.pem"));
    let flags = ["--cert", &cert, "--key", &key, "--roots", &roots, "--client-roots", &roots];
    cluster.more = flags.map(str::to_owned).to_vec();
    cluster.start_member(0);
    let known = ["--cacert", "roots.pem", "--cert", "console.pem", "--key", "console.key"];
    let ask = |known: &[&str], arguments: &[&str], timeout: &str| {
        let all: Vec<&str> =
            arguments.iter().chain(known).copied().chain(["--timeout", timeout]).collect();
        config(&cluster, &all)
    };
    let until = Instant::now() + super::support::PATIENCE;
    while ask(&known, &["put", "a", "1"], "1s").status.code() != Some(0) {
        assert!(Instant::now() < until, "{}", cluster.logged(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(said(&ask(&known, &["get", "a"], "30s"), 0), "1\n");
    let nameless = ask(&["--cacert", "roots.pem"], &["put", "a", "2"], "1s");
    assert_ne!(nameless.status.code(), Some(0));
    let stranger = ["--cacert", "roots.pem", "--cert", "stranger.pem", "--key", "stranger.key"];
    assert_ne!(ask(&stranger, &["put", "a", "2"], "1s").status.code(), Some(0));
    let wary = ["--cacert", "others.pem", "--cert", "console.pem", "--key", "console.key"];
    assert_eq!(ask(&wary, &["put", "a", "2"], "1s").status.code(), Some(75));
    // Whoever speaks plaintext is told nothing.
    assert!(!health(cluster.clients[0]).contains("healthy"));
    assert_eq!(said(&ask(&known, &["get", "a"], "30s"), 0), "1\n");
}
