//! One small run of the register in words: what is asked, heard, persisted and answered. A change
//! of the protocol shows here as a change of its story. No digests and no times: those belong to
//! the simulator. To take in a new story, run the test with `INSTA_UPDATE=always` and read the
//! difference.

use squall::plan::{Latency, RoleNodes};
use squall::{Client, Plan, Scenario, Watch, run_plan};
use squall_env::platform::BindError;
use squall_protocols::register::{RegisterClient, serve};
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);

const MS: u64 = 1_000_000;

/// One client writes and reads.
async fn work(client: Client) -> Result<(), BindError> {
    let env = client.env();
    let mut register = RegisterClient::open(env, "replica")?;
    // The replicas open their journals first, so that nobody has to be asked twice.
    env.sleep(Duration::from_millis(100)).await;
    env.trace(|| "writes [7]".to_owned());
    let written = register.write(vec![7], LIMIT).await;
    env.trace(|| format!("has written: {written:?}"));
    let read = register.read(LIMIT).await;
    env.trace(|| format!("has read: {read:?}"));
    Ok(())
}

/// Every latency is fixed: what is left to draw is the order of what happens at one instant.
fn plan() -> Plan {
    let role = |role: &str, nodes| RoleNodes { role: role.to_owned(), nodes };
    let mut plan = Plan::calm(vec![role("replica", 3), role("client", 1)], 1_000 * MS);
    let fixed = |ns| Latency::Uniform { low_ns: ns, high_ns: ns };
    plan.weather.client_latency = fixed(MS);
    plan.weather.disk_latency = fixed(MS / 10);
    plan.weather.sync_latency = fixed(MS);
    plan
}

/// Replaces numbers that were drawn by letters, in the order in which they come.
fn without_draws(line: &str, letters: &mut BTreeMap<String, char>) -> String {
    let mut parts = Vec::new();
    for part in line.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        if digits.len() < 6 {
            parts.push(part.to_owned());
            continue;
        }
        let next = char::from(b'A' + letters.len() as u8);
        let letter = *letters.entry(digits.to_owned()).or_insert(next);
        parts.push(format!("{letter}{}", &part[digits.len()..]));
    }
    parts.concat()
}

#[test]
fn a_write_and_a_read_of_the_register_go_as_they_always_went() {
    let scenario = Scenario::new("golden/register").nodes("replica", 3..=3, serve).clients(
        "client",
        1..=1,
        work,
    );
    let watch = Watch { log: true, ..Watch::default() };
    let outcome = run_plan(&scenario, 1, &plan(), watch);
    assert_eq!(outcome.failure, None);
    let unwatched = run_plan(&scenario, 1, &plan(), Watch::default());
    assert_eq!(unwatched.digest, outcome.digest);
    assert!(unwatched.said(&scenario, &plan()).is_empty());
    let mut letters = BTreeMap::new();
    let said = outcome.said(&scenario, &plan());
    let said: Vec<String> = said
        .iter()
        .filter_map(|line| line.split_once(" s "))
        .map(|(_time, words)| without_draws(words, &mut letters))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}
