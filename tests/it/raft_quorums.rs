//! Quorum arithmetic against cases of another implementation (etcd's `quorum` test data): files of
//! blocks `vote` or `committed`, each with what must come out.

use squall_env::NodeId;
use squall_protocols::raft::{Configuration, Election};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One block: its command, and the last line of what is expected.
struct Case {
    command: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    let folder = std::env::var("SQUALL_RAFT_CASES").expect("SQUALL_RAFT_CASES names the folder");
    let mut cases = Vec::new();
    let files = std::fs::read_dir(PathBuf::from(folder).join("quorum")).expect("the quorum cases");
    for file in files {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        while let Some(command) = lines.find(|line| !line.is_empty()) {
            assert_eq!(lines.next(), Some("----"), "after {command}");
            let answer = lines.by_ref().take_while(|line| !line.is_empty());
            let expected = answer.last().unwrap_or_default();
            let expected = expected.trim_start_matches("<empty majority quorum>").to_owned();
            cases.push(Case { command: command.to_owned(), expected });
        }
    }
    cases
}

/// What stands in the parentheses behind `name=`.
fn list<'a>(command: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let (_, rest) = command.split_once(&format!("{name}=("))?;
    let (inside, _) = rest.split_once(')').expect("a closing parenthesis");
    Some(inside.split(',').map(str::trim).filter(|word| !word.is_empty()).collect())
}

fn nodes(words: &[&str]) -> Vec<NodeId> {
    words.iter().map(|word| NodeId::new(0, word.parse().expect("a node's number"))).collect()
}

/// The members in the order in which the answers are given: each once.
fn members_and_configuration(command: &str) -> (Vec<NodeId>, Configuration) {
    let voters = nodes(&list(command, "cfg").unwrap_or_default());
    let outgoing = nodes(&list(command, "cfgj").unwrap_or_default());
    let mut members = voters.clone();
    members.extend(outgoing.iter().filter(|node| !voters.contains(node)));
    (members, Configuration::of(voters).joint_with(outgoing))
}

#[test]
#[ignore = "reads the cases in the folder that SQUALL_RAFT_CASES names"]
fn quorums_decide_as_in_the_given_cases() {
    let cases = cases();
    assert!(cases.len() > 50, "only {} cases", cases.len());
    for Case { command, expected } in cases {
        let (members, configuration) = members_and_configuration(&command);
        let found = if command.starts_with("vote") {
            let words = list(&command, "votes").unwrap_or_default();
            let given = members.iter().copied().zip(words).filter(|(_, word)| *word != "_");
            let votes: BTreeMap<_, _> = given.map(|(node, word)| (node, word == "y")).collect();
            match configuration.tally(&votes) {
                Election::Won => "VoteWon".to_owned(),
                Election::Lost => "VoteLost".to_owned(),
                Election::Pending => "VotePending".to_owned(),
            }
        } else {
            let words = list(&command, "idx").unwrap_or_default();
            let reached: BTreeMap<_, u64> = members
                .iter()
                .copied()
                .zip(words)
                .map(|(node, word)| (node, word.parse().unwrap_or(0)))
                .collect();
            match configuration.committed(|node| reached.get(&node).copied().unwrap_or(0)) {
                u64::MAX => "∞".to_owned(),
                index => index.to_string(),
            }
        };
        assert_eq!(found, expected, "{command}");
    }
}
