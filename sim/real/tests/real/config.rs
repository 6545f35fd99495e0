//! Configurations from files, and what is refused.

use crate::support::{Cluster, echo};
use squall_env::{NodeId, Roster};
use squall_real::{Config, ConfigError, Limits, Node, RunError};
use std::time::Duration;

fn parse(text: &str) -> Result<Config, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn file(more: &str) -> String {
    let roles = r#"[{ "name": "replica", "nodes": 2 }, { "name": "client", "nodes": 1 }]"#;
    let roster = format!(r#"{{ "cluster": "shop", "roles": {roles} }}"#);
    format!(r#"{{ "roster": {roster}, "data": "data" {more} }}"#)
}

#[test]
fn a_file_names_nodes_and_leaves_out_what_has_a_default() {
    let text = file(
        r#", "me": "replica-2", "addresses": { "replica-2": "127.0.0.1:7000" },
             "limits": { "back_off_max_ms": 500 }"#,
    );
    let config = parse(&text).unwrap();
    assert_eq!(config.me, NodeId::new(0, 2));
    assert_eq!(config.addresses[&config.me].port(), 7000);
    assert_eq!(config.limits.back_off_max, Duration::from_millis(500));
    assert_eq!(config.limits.incoming_max, Limits::default().incoming_max);
    assert_eq!(config.threads.get(), 1);
    assert!(parse(&file("")).unwrap().me.is_guest());
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_reason() {
    for (more, reason) in [
        (r#", "me": "replica-3""#, "no node \"replica-3\""),
        (r#", "addresses": { "queen-1": "127.0.0.1:7000" }"#, "no node \"queen-1\""),
        (r#", "addresses": { "replica-1": "127.0.0.1:0" }"#, "port 0"),
        (r#", "threads": 0"#, "nonzero"),
        (r#", "threads": 5000"#, "threads must be"),
        (r#", "limits": { "incoming_max": 0 }"#, "incoming_max must be"),
        (r#", "limits": { "speed": 1 }"#, "unknown field `speed`"),
        (r#", "color": "red""#, "unknown field `color`"),
    ] {
        let error = parse(&file(more)).unwrap_err();
        assert!(error.contains(reason), "{more}: {error}");
    }
}

#[test]
fn what_cannot_work_is_a_typed_error_at_the_start() {
    let cluster = Cluster::new();
    let refused = |change: &dyn Fn(&mut Config)| {
        let mut config = cluster.config("replica-1");
        change(&mut config);
        match Node::start(config, echo) {
            Err(RunError::Config(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let stranger = NodeId::new(7, 1);
    assert_eq!(refused(&|c| c.me = stranger), ConfigError::NotOnRoster(stranger));
    let address = cluster.addresses[&cluster.node("replica-1")];
    let twice = ConfigError::AddressTwice("replica-1".to_owned(), "replica-2".to_owned());
    assert_eq!(refused(&|c| c.addresses.values_mut().for_each(|a| *a = address)), twice);
    assert_eq!(refused(&|c| c.data.clear()), ConfigError::NoData);
    assert_eq!(refused(&|c| c.limits.back_off_max = Duration::ZERO), ConfigError::BackOff);
    assert_eq!(refused(&|c| c.limits.silence_max = Duration::ZERO), ConfigError::Silence);
    let zero = ConfigError::Zero("back_off_min");
    assert_eq!(refused(&|c| c.limits.back_off_min = Duration::ZERO), zero);
    let long = "n".repeat(300);
    let roster = Roster::new(long.clone()).with("replica", 2).with("client", 1);
    assert_eq!(refused(&|c| c.roster = roster.clone()), ConfigError::NameTooLong(long));
}

#[test]
fn a_file_may_ask_for_certificates() {
    let tls = r#""certificates": "a.pem", "key": "a.key", "roots": "roots.pem""#;
    let asked = parse(&file(&format!(r#", "tls": {{ {tls} }}"#)));
    if cfg!(feature = "tls") {
        assert_eq!(asked.unwrap().tls.unwrap().key, std::path::Path::new("a.key"));
    } else {
        assert!(asked.unwrap_err().contains("this build has no TLS"));
    }
    let error = parse(&file(r#", "tls": { "key": "a.key" }"#)).unwrap_err();
    assert!(error.contains("missing field `certificates`"), "{error}");
    assert_eq!(parse(&file("")).unwrap().tls, None);
}

#[test]
fn a_role_that_is_on_the_roster_twice_is_refused() {
    let roles = r#"[{ "name": "replica", "nodes": 2 }, { "name": "replica", "nodes": 1 }]"#;
    let text = format!(r#"{{ "roster": {{ "cluster": "a", "roles": {roles} }}, "data": "d" }}"#);
    assert!(parse(&text).unwrap_err().contains("\"replica\" is on the roster twice"));
}
