use super::support::{Cluster, request};
use std::time::{Duration, Instant};

#[test]
fn a_leader_that_is_told_to_stop_hands_over_first_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3);
    cluster.say(&["put", "a", "1"]);
    let leader = cluster.leader();
    let begun = Instant::now();
    let status = cluster.stop(leader);
    assert_eq!(status.code(), Some(0), "{}", cluster.logged(leader));
    let logged = cluster.logged(leader);
    assert!(logged.contains("has handed leadership over"), "{logged}");
    assert!(logged.contains("has stopped") && !logged.contains("under way"), "{logged}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(cluster.say(&["get", "a"]), "1\n");
    cluster.say(&["put", "a", "2"]);
    cluster.start_member(leader);
    cluster.wait_until_healthy(leader);
    assert_eq!(cluster.say(&["get", "a"]), "2\n");
}

#[test]
fn whoever_cannot_have_a_port_or_directory_says_so() {
    let cluster = Cluster::start(1);
    let second = |data: &str, client: &str| {
        let output = std::process::Command::new(super::support::PROGRAM)
            .args(["serve", "--id", "1", "--peers", "1=127.0.0.1:1", "--plaintext"])
            .args(["--listen", "127.0.0.1:0", "--client", client, "--data", data])
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(75), "{errors}");
        errors
    };
    let taken = cluster.dir.path().join("member-1");
    let errors = second(taken.to_str().unwrap(), "127.0.0.1:0");
    assert!(errors.contains("in use"), "{errors}");
    let other = cluster.dir.path().join("other");
    let errors = second(other.to_str().unwrap(), &cluster.clients[0].to_string());
    assert!(errors.contains("cannot listen for clients"), "{errors}");
}

/// A bug that is compiled into this program, and that every sweep of `mutant/` switches on.
pub(crate) const MUTANT: &str = "http/ignores-sessions";

#[test]
fn no_variable_switches_a_deliberate_bug_on() {
    let mut cluster = Cluster::prepare(1);
    for name in ["SQUALL_MUTANT", "SQUALL_MUTANTS", "SQUALL_REPLAY", "SQUALL_WEATHER", "MUTANT"] {
        cluster.variables.push((name.to_owned(), MUTANT.to_owned()));
    }
    cluster.start_all();
    let opened = request(cluster.clients[0], &text("POST /v1/sessions", "", ""));
    let session = opened.split_once(r#""session":"#).expect("it is open").1;
    let session: u64 = session.trim_end().trim_end_matches('}').parse().unwrap();
    let headers = format!("squall-session: {session}\r\nsquall-sequence: 1\r\n");
    for _ in 0..2 {
        // With the bug the second one would be another change.
        let put = text("PUT /v1/kv/a", &headers, "x");
        let done = request(cluster.clients[0], &put);
        assert!(done.contains(r#"{"revision":1}"#), "{done}");
    }
}

fn text(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    )
}
