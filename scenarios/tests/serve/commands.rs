use super::support::{Cluster, PATIENCE, PROGRAM, health, request, said};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn the_commands_do_what_they_say() {
    let cluster = Cluster::start(3);
    assert_eq!(cluster.say(&["put", "service/a", "one"]), "revision 1\n");
    assert_eq!(cluster.say(&["get", "service/a"]), "one\n");
    let json = |arguments: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str::<Value>(&cluster.say(&arguments)).unwrap()
    };
    assert_eq!(json(&["get", "service/a"])["kv"]["mod_revision"], 1);
    assert_eq!(cluster.say(&["cas", "service/a", "two", "--revision", "1"]), "revision 2\n");
    let differs = cluster.config(&["cas", "service/a", "three", "--revision", "1"]);
    assert_eq!(said(&differs, 1), "");
    let why = String::from_utf8_lossy(&differs.stderr).into_owned();
    assert!(why.contains("last put at revision 2"), "{why}");
    assert_eq!(said(&cluster.config(&["get", "nothing"]), 1), "");
    cluster.say(&["put", "service/b c", "Grüße"]);
    let both = "service/a\ttwo\nservice/b c\tGrüße\n";
    assert_eq!(cluster.say(&["get", "--prefix", "service/"]), both);
    let watched = cluster.say(&["watch", "service/", "--prefix", "--from", "1", "--count", "3"]);
    let lines: Vec<&str> = watched.lines().collect();
    assert_eq!(lines[0], "1\tput\tservice/a\tone");
    assert_eq!(lines[2], "3\tput\tservice/b c\tGrüße");
    assert_eq!(cluster.say(&["delete", "service/", "--prefix"]), "2 removed, revision 4\n");
    assert_eq!(json(&["get", "", "--prefix"])["kvs"], Value::Array(Vec::new()));

    let lease = cluster.say(&["lease", "grant", "60s"]);
    let lease = lease.trim();
    cluster.say(&["put", "held", "x", "--lease", lease]);
    assert!(cluster.say(&["lease", "keep-alive", lease, "--once"]).contains("60000 ms"));
    assert!(cluster.say(&["lease", "show", lease]).contains("\nheld"));
    assert_eq!(json(&["lease", "list"])["leases"][0]["ttl_ms"], 60_000);
    assert_eq!(cluster.say(&["lease", "revoke", lease]), "revision 6\n");
    assert_eq!(said(&cluster.config(&["get", "held"]), 1), "");
    assert_eq!(said(&cluster.config(&["lease", "keep-alive", lease]), 1), "");
    cluster.say(&["compact", "3"]);
    // A member that has yet to hear of it tells what it still has.
    let until = Instant::now() + PATIENCE;
    while cluster.say(&["status", "--json"]).matches(r#""compacted":3"#).count() < 3 {
        assert!(Instant::now() < until, "a member does not compact");
    }
    let compacted = cluster.config(&["watch", "held", "--from", "2"]);
    assert_eq!(said(&compacted, 1), "");

    let to = (cluster.leader() + 1) % 3;
    cluster.say(&["transfer", &(to + 1).to_string()]);
    assert_eq!(cluster.leader(), to);
    let status = cluster.say(&["status"]);
    assert_eq!(status.lines().count(), 3, "{status}");
    assert!(status.contains(&format!("leader member-{}", to + 1)), "{status}");
    assert_eq!(said(&cluster.config(&["transfer", "member-9"]), 1), "");
}

#[test]
fn an_endpoint_that_is_gone_is_passed_over_and_none_at_all_is_said() {
    let mut cluster = Cluster::start(3);
    cluster.kill(0);
    for number in 0..6 {
        // Whichever endpoint is asked first.
        cluster.say(&["put", "a", &number.to_string()]);
    }
    assert_eq!(cluster.say(&["get", "a"]), "5\n");
    let gone = format!("http://{}", cluster.clients[0]);
    let status = Command::new(PROGRAM)
        .args(["config", "put", "a", "6", "--timeout", "1s", "--endpoints", &gone])
        .output()
        .unwrap();
    said(&status, 75);
    cluster.kill(1);
    // One of three: nothing can be done, and a load balancer is told.
    let put = "PUT /v1/kv/a?timeout_ms=300 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
               content-length: 1\r\n\r\nx";
    let refused = request(cluster.clients[2], put);
    assert!(refused.starts_with("HTTP/1.1 50"), "{refused}");
    let until = Instant::now() + PATIENCE;
    while !health(cluster.clients[2]).starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < until, "it believes in a leader");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn arguments_that_make_no_sense_are_named() {
    for (arguments, says) in [
        (&["get"][..], "<NAME>"),
        (&["get", "a", "--endpoints", "ftp://a:1"], "ftp://a:1"),
        (&["get", "a", "--endpoints", "https://a:1"], "--cacert"),
        (&["get", "a", "--endpoints", "https://a:1", "--cacert", "none.pem"], "none.pem"),
        (&["cas", "a", "b"], "--revision"),
        (&["lease", "grant", "soon"], "soon"),
        (&["got", "a"], "got"),
    ] {
        let output = Command::new(PROGRAM).arg("config").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(says), "{arguments:?}: {errors}");
    }
}
