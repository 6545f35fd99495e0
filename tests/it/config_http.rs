//! The store over HTTP, byte by byte: which status and body each request is answered with.

use squall::plan::{Plan, RoleNodes};
use squall::{RunOutcome, Scenario, Watch, run_plan};
use squall_env::{Address, Env};
use squall_protocols::raft::{Config, ServeError};
use squall_protocols::store::http::{PORT, serve};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn member(env: Env) -> Result<(), ServeError> {
    let config = Config::of(env.peers("member"));
    serve(env, config).await
}

/// Only the first of three members runs.
async fn lonely(env: Env) -> Result<(), ServeError> {
    if env.me().ordinal() > 1 {
        env.ready();
        return std::future::pending().await;
    }
    member(env).await
}

/// Sends bytes over a connection of their own, and gives what comes back until it is closed or
/// nothing has come for 3 s.
async fn say(env: &Env, bytes: &[u8]) -> String {
    let to = Address::new(env.peers("member")[0], PORT);
    let mut stream = env.connect(to).await.expect("the member listens");
    stream.write_all(bytes).await.expect("the member reads");
    let mut said = Vec::new();
    while let Ok(Ok(1..)) = env.timeout(Duration::from_secs(3), stream.read_buf(&mut said)).await {}
    String::from_utf8(said).expect("an answer is text")
}

/// Asks for something, and expects this status and these parts of the answer.
async fn ask(env: &Env, request: &str, body: &str, status: u16, parts: &[&str]) -> String {
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    let headers: String = headers.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    let text = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    let said = say(env, text.as_bytes()).await;
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
    for part in parts {
        assert!(said.contains(part), "{request}: {part} is not in {said}");
    }
    said
}

fn visit<F>(
    member: impl Fn(Env) -> F + Copy + Send + Sync + 'static,
    visitor: fn(Env) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
) -> RunOutcome
where
    F: Future<Output = Result<(), ServeError>> + Send + 'static,
{
    let visiting = move |env: Env| async move {
        visitor(env.clone()).await;
        env.sometimes("the visitor has seen all");
        std::future::pending::<Result<(), ServeError>>().await
    };
    let scenario = Scenario::new("test/store-http").nodes("member", 3..=3, member).nodes(
        "visitor",
        1..=1,
        visiting,
    );
    let roles = [("member", 3), ("visitor", 1)];
    let roles = roles.map(|(role, nodes)| RoleNodes { role: role.to_owned(), nodes });
    let plan = Plan::calm(roles.to_vec(), 120_000_000_000);
    let watch = Watch { until_ns: 119_000_000_000, ..Watch::default() };
    run_plan(&scenario, 1, &plan, watch)
}

fn assert_seen(outcome: &RunOutcome) {
    assert_eq!(outcome.failure, None);
    assert!(outcome.sometimes.contains(&("the visitor has seen all", 1)));
}

async fn until_somebody_leads(env: &Env) {
    // It listens by then.
    env.sleep(Duration::from_secs(1)).await;
    while !say(env, b"GET /health HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200") {
        env.sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn keys_are_put_found_compared_and_removed() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            ask(&env, "GET /health", "", 200, &[r#""healthy":true"#, r#""leader":"member-"#]).await;
            ask(&env, "GET /v1/kv/a", "", 404, &[r#""no_key""#, r#""revision":0"#]).await;
            ask(&env, "PUT /v1/kv/a/b%20c", "one", 200, &[r#"{"revision":1}"#]).await;
            let there = concat!(
                r#"{"revision":1,"kv":{"key":"a/b c","value":"one","#,
                r#""create_revision":1,"mod_revision":1,"version":1}}"#
            );
            ask(&env, "GET /v1/kv/a/b%20c", "", 200, &["application/json", there]).await;
            ask(&env, "GET /v1/kv/a%2Fb%20c?raw=true", "", 200, &["\r\n\r\none"]).await;
            let head = ask(&env, "HEAD /v1/kv/a/b%20c", "", 200, &["content-length: "]).await;
            assert!(head.ends_with("\r\n\r\n"), "{head}");
            let stale = "PUT /v1/kv/a/b%20c?mod_revision=7";
            ask(&env, stale, "two", 409, &[r#""compare_failed""#, r#""mod_revision":1"#]).await;
            ask(&env, "PUT /v1/kv/a/b%20c?mod_revision=1", "two", 200, &[]).await;
            ask(&env, "PUT /v1/kv/new?mod_revision=0", "", 200, &[r#"{"revision":3}"#]).await;
            ask(&env, "DELETE /v1/kv/new?mod_revision=1", "", 409, &[r#""revision":3"#]).await;
            ask(&env, "DELETE /v1/kv/new?mod_revision=3", "", 200, &[r#""deleted":1"#]).await;
            ask(&env, "DELETE /v1/kv/new", "", 200, &[r#"{"revision":4,"deleted":0}"#]).await;
            ask(&env, "DELETE /v1/kv/new?mod_revision=9", "", 409, &[r#""kv":null"#]).await;
            let base64 = r#"{"compare":[{"key":"b","version":0}],
                "success":[{"put":{"key":"b","value_base64":"/wA="}}]}"#;
            let done = r#"{"succeeded":true,"revision":5,"results":[{"put":{"previous":null}}]}"#;
            ask(&env, "POST /v1/txn", base64, 200, &[done]).await;
            let not = r#"{"succeeded":false,"revision":5,"results":[]}"#;
            ask(&env, "POST /v1/txn", base64, 200, &[not]).await;
            let page = ask(&env, "GET /v1/kv?limit=1", "", 200, &[r#""more":true"#]).await;
            assert!(page.contains("a/b c") && !page.contains(r#""b""#), "{page}");
            let rest = "GET /v1/kv?after=a/b+c";
            ask(&env, rest, "", 200, &[r#""value_base64":"/wA=""#, r#""more":false"#]).await;
            ask(&env, "DELETE /v1/kv?prefix=", "", 200, &[r#"{"revision":6,"deleted":2}"#]).await;
        })
    }));
}

#[test]
fn leases_hold_keys_until_they_end() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            let granted = r#"{"id":7,"ttl_ms":2000}"#;
            ask(&env, "POST /v1/leases", r#"{"id":7,"ttl_ms":2000}"#, 200, &[granted]).await;
            ask(&env, "POST /v1/leases", r#"{"id":7,"ttl_ms":9}"#, 409, &["lease_exists"]).await;
            ask(&env, "POST /v1/leases", r#"{"id":0,"ttl_ms":9}"#, 400, &[]).await;
            ask(&env, "PUT /v1/kv/a?lease=7", "x", 200, &[]).await;
            ask(&env, "PUT /v1/kv/a?lease=8", "x", 404, &["no_lease"]).await;
            ask(&env, "GET /v1/kv/a", "", 200, &[r#""lease":7"#]).await;
            ask(&env, "GET /v1/leases/7", "", 200, &[r#""keys":["a"]"#]).await;
            ask(&env, "GET /v1/leases", "", 200, &[r#"{"id":7,"ttl_ms":2000}"#]).await;
            for _ in 0..4 {
                env.sleep(Duration::from_millis(1_500)).await;
                ask(&env, "POST /v1/leases/7/keep-alive", "", 200, &[granted]).await;
            }
            ask(&env, "GET /v1/kv/a", "", 200, &[]).await;
            env.sleep(Duration::from_millis(2_500)).await;
            ask(&env, "GET /v1/kv/a", "", 404, &[r#""revision":2"#]).await;
            ask(&env, "POST /v1/leases/7/keep-alive", "", 404, &["no_lease"]).await;
            ask(&env, "POST /v1/leases", r#"{"id":9,"ttl_ms":60000}"#, 200, &[]).await;
            ask(&env, "PUT /v1/kv/b?lease=9", "x", 200, &[r#"{"revision":3}"#]).await;
            ask(&env, "DELETE /v1/leases/9", "", 200, &[r#"{"revision":4}"#]).await;
            ask(&env, "GET /v1/kv/b", "", 404, &[]).await;
        })
    }));
}

#[test]
fn watches_tell_each_revision_and_say_what_is_compacted() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            for key in ["a/1", "b/1", "a/2"] {
                ask(&env, &format!("PUT /v1/kv/{key}"), "x", 200, &[]).await;
            }
            ask(&env, "DELETE /v1/kv?prefix=a/", "", 200, &[]).await;
            let watch = "GET /v1/watch?prefix=a/&from=1";
            let told = ask(&env, watch, "", 200, &["application/x-ndjson", "chunked"]).await;
            let events: Vec<&str> = told.lines().filter(|line| line.contains("key")).collect();
            assert_eq!(events.len(), 3, "{told}");
            assert!(events[0].starts_with(r#"{"revision":1,"events":[{"put":{"key":"a/1","#));
            assert!(events[1].starts_with(r#"{"revision":3,"#), "{told}");
            let both =
                r#"{"revision":4,"events":[{"delete":{"key":"a/1"}},{"delete":{"key":"a/2"}}]}"#;
            assert_eq!(events[2], both);
            let now = ask(&env, "GET /v1/watch?key=b/1", "", 200, &[]).await;
            assert!(now.contains(r#"{"revision":4,"events":[]}"#) && !now.contains("key"), "{now}");
            ask(&env, "POST /v1/compact", r#"{"revision":2}"#, 200, &[]).await;
            // Until then a member that follows may not have heard of it.
            env.sleep(Duration::from_millis(500)).await;
            let gone = [r#""code":"compacted""#, r#""compacted":2"#];
            ask(&env, "GET /v1/watch?prefix=&from=2", "", 410, &gone).await;
            ask(&env, "POST /v1/compact", r#"{"revision":2}"#, 410, &gone).await;
            ask(&env, "POST /v1/compact", r#"{"revision":99}"#, 400, &["future_revision"]).await;
        })
    }));
}

#[test]
fn a_command_of_a_session_is_done_once_however_often_it_is_sent() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            let opened = ask(&env, "POST /v1/sessions", "", 200, &[]).await;
            let number = opened.split_once(r#"{"session":"#).expect("it has a number").1;
            let number = number.trim_end().trim_end_matches('}');
            let put = format!("PUT /v1/kv/a\nsquall-session: {number}\nsquall-sequence: 1");
            for _ in 0..3 {
                ask(&env, &put, "x", 200, &[r#"{"revision":1}"#]).await;
            }
            ask(&env, "GET /v1/kv/a", "", 200, &[r#""version":1"#]).await;
            let next = format!("PUT /v1/kv/a\nsquall-session: {number}\nsquall-sequence: 2");
            ask(&env, &next, "y", 200, &[r#"{"revision":2}"#]).await;
            ask(&env, &put, "x", 410, &["session_gone", r#""outcome":"unknown""#]).await;
            let other = "PUT /v1/kv/a\nsquall-session: 999999\nsquall-sequence: 1";
            ask(&env, other, "x", 410, &["session_gone"]).await;
            for half in ["squall-session: 1", "squall-sequence: 1", "squall-session: x"] {
                ask(&env, &format!("PUT /v1/kv/a\n{half}"), "x", 400, &["malformed"]).await;
            }
        })
    }));
}

#[test]
fn what_makes_no_sense_is_refused_and_harms_nobody() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            ask(&env, "GET /", "", 404, &[r#""no_path""#]).await;
            ask(&env, "POST /v1/kv/a", "", 405, &["allow: GET, HEAD, PUT, DELETE"]).await;
            ask(&env, "PUT /health", "", 405, &["allow: GET, HEAD"]).await;
            for wrong in [
                "GET /v1/kv/%ff",
                "GET /v1/kv/a?rwa=true",
                "PUT /v1/kv/a?mod_revision=x",
                "DELETE /v1/kv",
                "GET /v1/watch",
                "GET /v1/watch?key=a&prefix=a",
                "GET /v1/watch?key=a&from=-1",
                "GET /v1/leases/x",
                "GET /v1/kv/a?timeout_ms=0",
                "GET /v1/kv/a?timeout_ms=9999999",
            ] {
                ask(&env, wrong, "", 400, &[r#""malformed""#, r#""outcome":"not_done""#]).await;
            }
            for wrong in ["", "{", "[]", "null", r#"{"sucess":[]}"#, "\u{0}", "{\"success\":[1]}"] {
                ask(&env, "POST /v1/txn", wrong, 400, &[r#""malformed""#]).await;
                ask(&env, "POST /v1/transfer", wrong, 400, &[r#""malformed""#]).await;
                ask(&env, "POST /v1/leases", wrong, 400, &[r#""malformed""#]).await;
            }
            let nobody = r#"{"to":"visitor-1"}"#;
            ask(&env, "POST /v1/transfer", nobody, 400, &["is no member"]).await;
            let large = "x".repeat((256 << 10) + 1);
            ask(&env, "PUT /v1/kv/a", &large, 413, &[r#""too_large""#]).await;
            let twice = r#"{"success":[{"put":{"key":"a","value":""}},{"delete":{"key":"a"}}]}"#;
            ask(&env, "POST /v1/txn", twice, 400, &[r#""changed_twice""#]).await;
            for bytes in [&b"\r\n\r\n"[..], b"GET", b"\xff\xfe\x00", b"GET / HTTP/9.9\r\n\r\n"] {
                let said = say(&env, bytes).await;
                assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
            }
            let cut = b"PUT /v1/kv/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhal";
            assert_eq!(say(&env, cut).await, "");
            ask(&env, "GET /v1/kv/a", "", 404, &[r#""revision":0"#]).await;
            ask(&env, "GET /health", "", 200, &[]).await;
        })
    }));
}

/// A request that is right, with a few bytes of it wrong.
fn damaged(env: &Env) -> Vec<u8> {
    let requests = [
        "GET /v1/kv/a%20b?raw=true HTTP/1.1",
        "PUT /v1/kv/a?lease=7&mod_revision=1 HTTP/1.1",
        "GET /v1/watch?prefix=a&from=1 HTTP/1.1",
        "POST /v1/leases/7/keep-alive HTTP/1.1",
        "POST /v1/txn HTTP/1.1",
    ];
    let body =
        r#"{"compare":[{"key":"a","version":0}],"success":[{"put":{"key":"a","value":""}}]}"#;
    let line = requests[env.random_below(requests.len() as u64) as usize];
    let length = body.len();
    let headers = "host: x\r\nsquall-session: 1\r\nsquall-sequence: 1";
    let text = format!("{line}\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut bytes = text.into_bytes();
    for _ in 0..=env.random_below(4) {
        let at = env.random_below(bytes.len() as u64) as usize;
        match env.random_below(3) {
            0 => bytes[at] = env.random() as u8,
            1 => bytes.truncate(at.max(1)),
            _ => bytes.insert(at, env.random() as u8),
        }
    }
    bytes
}

#[test]
fn whatever_bytes_come_the_member_goes_on() {
    assert_seen(&visit(member, |env| {
        Box::pin(async move {
            until_somebody_leads(&env).await;
            for _ in 0..300 {
                let to = Address::new(env.peers("member")[0], PORT);
                let mut stream = env.connect(to).await.expect("the member listens");
                stream.write_all(&damaged(&env)).await.expect("the member reads");
                let mut said = Vec::new();
                let read = stream.read_buf(&mut said);
                let answered = env.timeout(Duration::from_millis(100), read).await.is_ok();
                if answered {
                    // Perhaps not all of it has come.
                    let head = &said[..said.len().min(7)];
                    assert!(b"HTTP/1.".starts_with(head), "{}", String::from_utf8_lossy(&said));
                }
            }
            ask(&env, "GET /health", "", 200, &[]).await;
            ask(&env, "PUT /v1/kv/whole", "x", 200, &[]).await;
        })
    }));
}

#[test]
fn without_a_leader_the_answer_says_when_to_come_again_and_that_nothing_was_done() {
    assert_seen(&visit(lonely, |env| {
        Box::pin(async move {
            env.sleep(Duration::from_secs(1)).await;
            let bad = ["retry-after: 1", r#"{"healthy":false,"leader":null}"#];
            ask(&env, "GET /health", "", 503, &bad).await;
            ask(&env, "GET /v1/status", "", 200, &[r#""leader":null"#]).await;
            let read = "GET /v1/kv/a?timeout_ms=500";
            let parts = ["retry-after: 1", r#""unavailable""#, r#""outcome":"not_done""#];
            ask(&env, read, "", 503, &parts).await;
            ask(&env, "POST /v1/sessions?timeout_ms=500", "", 503, &parts).await;
            // Two of those that it asked do not answer at all; but before there is a session
            // nothing can have been done.
            ask(&env, "PUT /v1/kv/a?timeout_ms=500", "x", 503, &parts).await;
        })
    }));
}
