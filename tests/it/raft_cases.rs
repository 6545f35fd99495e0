//! Quorums and changes of configurations against cases of another implementation (etcd's `quorum`
//! and `confchange` test data): files of blocks, each a command, perhaps with a line of input, and
//! what must come out.

use squall_env::NodeId;
use squall_protocols::raft::{Change, ChangeError, Configuration, Election};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One block.
struct Case {
    command: String,
    input: String,
    expected: Vec<String>,
}

/// The blocks of each file in a folder.
fn cases(folder: &str) -> Vec<Vec<Case>> {
    let all = std::env::var("SQUALL_RAFT_CASES").expect("SQUALL_RAFT_CASES names the folder");
    let files = std::fs::read_dir(PathBuf::from(all).join(folder)).expect("the cases");
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut cases = Vec::new();
        while let Some(command) = lines.find(|line| !line.is_empty()) {
            let input: Vec<&str> = lines.by_ref().take_while(|line| *line != "----").collect();
            let expected = lines.by_ref().take_while(|line| !line.is_empty());
            cases.push(Case {
                command: command.to_owned(),
                input: input.join(" "),
                expected: expected.map(str::to_owned).collect(),
            });
        }
        cases
    };
    files.map(read).collect()
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
    let cases: Vec<Case> = cases("quorum").into_iter().flatten().collect();
    assert!(cases.len() > 50, "only {} cases", cases.len());
    for Case { command, expected, .. } in cases {
        let expected = expected.last().map_or("", String::as_str);
        let expected = expected.trim_start_matches("<empty majority quorum>");
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

/// The words of a change: `v1` adds a voter, `l1` a learner, `r1` removes, `u1` says that an
/// address is another one, which is none of our business; and nobody has the number 0.
fn changes(input: &str) -> Vec<Change> {
    let word = |word: &str| {
        let node = NodeId::new(0, word[1..].parse().expect("a node's number"));
        match word.chars().next() {
            _ if node.ordinal() == 0 => None,
            Some('v') => Some(Change::Voter(node)),
            Some('l') => Some(Change::Learner(node)),
            Some('r') => Some(Change::Remove(node)),
            Some('u') => None,
            _ => panic!("an unknown change: {word}"),
        }
    };
    input.split_whitespace().filter_map(word).collect()
}

/// A configuration in the words of the cases, and each member with whether it only learns.
fn in_words(configuration: &Configuration) -> (String, Vec<(u16, bool)>) {
    let list = |name: &str, nodes: &BTreeSet<NodeId>| {
        let numbers: Vec<String> = nodes.iter().map(|node| node.ordinal().to_string()).collect();
        if nodes.is_empty() { String::new() } else { format!("{name}({})", numbers.join(" ")) }
    };
    let words = [
        list("voters=", configuration.voters()),
        list("&&", configuration.outgoing()),
        list(" learners=", configuration.learners()),
        list(" learners_next=", configuration.learners_next()),
    ];
    let learns = |node: &NodeId| configuration.learners().contains(node);
    let members = configuration.members();
    (words.concat(), members.iter().map(|node| (node.ordinal(), learns(node))).collect())
}

fn refusal(line: &str) -> Option<ChangeError> {
    match line {
        "removed all voters" | "can't make a zero-voter config joint" => {
            Some(ChangeError::NoVoters)
        }
        "more than one voter changed without entering joint config" => {
            Some(ChangeError::SeveralVoters)
        }
        "config is already joint" | "can't apply simple config change in joint config" => {
            Some(ChangeError::Joint)
        }
        "can't leave a non-joint config" => Some(ChangeError::NotJoint),
        _ => None,
    }
}

#[test]
#[ignore = "reads the cases in the folder that SQUALL_RAFT_CASES names"]
fn configurations_change_as_in_the_given_cases() {
    let files = cases("confchange");
    assert!(files.iter().flatten().count() > 50);
    for file in files {
        let mut configuration = Configuration::default();
        for Case { command, input, expected } in file {
            let next = match command.split_whitespace().next() {
                Some("simple") => configuration.change(&changes(&input)),
                Some("enter-joint") => configuration.enter_joint(&changes(&input)),
                Some("leave-joint") => configuration.leave_joint(),
                _ => panic!("an unknown command: {command}"),
            };
            // That a joint configuration is left by itself is no property of it here.
            let first = expected[0].trim_end_matches(" autoleave");
            match next {
                Err(error) => assert_eq!(Some(error), refusal(first), "{command} {input}"),
                Ok(next) => {
                    let member = |line: &String| {
                        let (number, rest) = line.split_once(':').expect("a member");
                        (number.parse().expect("a number"), rest.ends_with("learner"))
                    };
                    let members = expected[1..].iter().map(member).collect();
                    assert_eq!(in_words(&next), (first.to_owned(), members), "{command} {input}");
                    configuration = next;
                }
            }
        }
    }
}
