//! Clusters as real processes on loopback, killed and stopped while clients use them.

use std::process::{Command, Output, Stdio};

fn demo(line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_squall");
    let arguments = line.split_whitespace();
    Command::new(program).arg("demo").args(arguments).output().expect("the program starts")
}

/// The number before these words.
fn number(text: &str, words: &str) -> u64 {
    let before = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}")).0;
    before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Runs it, and sees to it that it went well although so many faults of each kind struck, and that
/// what was damaged on the way was noticed.
fn is_kept(line: &str, faults: u64) {
    holds(line, "linearizable, no acknowledged write was lost", (faults, 100));
}

/// The same, with this verdict, if at least so many operations went well.
fn holds(line: &str, verdict: &str, (faults, operations): (u64, u64)) {
    let output = demo(line);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains(&format!("verdict: {verdict}")), "{text}");
    for kind in [" kills", " losses of power", " pauses", " troubles of the network"] {
        assert!(number(&text, kind) >= faults, "{kind}\n{text}");
    }
    assert!(number(&text, " ok, ") > operations, "{text}");
    let damaged = number(&text, " damaged\n");
    assert!(damaged > 0 && number(&text, " damaged frames") > 0, "{text}");
}

#[test]
fn real_replicas_keep_their_promise_for_ten_seconds() {
    is_kept("register --time 10s --seed 4", 2);
}

#[test]
fn real_members_of_raft_keep_their_promise_for_ten_seconds() {
    is_kept("raft --time 10s --seed 4", 2);
}

#[test]
fn a_shop_of_real_services_sees_to_every_order() {
    let verdict = "every order is paid, sent and shown, or nothing of it is left";
    holds("shop --time 10s --seed 4", verdict, (2, 15));
}

#[test]
fn real_members_speak_tls_and_what_is_damaged_ends_connections_and_is_never_delivered() {
    let output = demo("raft --time 10s --seed 4 --tls");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(number(&text, " ok, ") > 100, "{text}");
    assert!(number(&text, " damaged\n") > 0 && number(&text, " connections damaged") > 0, "{text}");
    assert!(number(&text, " of them ended by their ends") > 0, "{text}");
    // A frame that came through damaged would be told by its checksum; there is none.
    assert_eq!(number(&text, " damaged frames"), 0, "{text}");
    // What is encrypted shows no frames that could be lost.
    assert_eq!(number(&text, " lost, "), 0, "{text}");
}

#[test]
fn a_journal_with_a_flipped_byte_is_refused_and_serves_nothing() {
    let output = demo("raft --nodes 1 --trust-torn-tails --time 10s --faults files");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(number(&text, " refused, 0 doubted\n") >= 5, "{text}");
    assert!(errors.contains("committed records behind position"), "{errors}");
}

#[test]
fn members_that_cannot_read_their_last_records_doubt_and_nothing_is_lost() {
    // Those that do not doubt lose something only if the last records held what was acknowledged.
    let line = |seed: u64| format!("raft --time 10s --faults files --seed {seed}");
    let seed = (1..=8).find(|seed| is_found(&format!("{} --trust-torn-tails", line(*seed))));
    let seed = seed.expect("nothing was lost");
    let output = demo(&line(seed));
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("members doubt torn tails"), "{text}");
    assert!(text.contains(" of the last records of node"), "{text}");
    assert!(number(&text, " doubted\n") >= 3, "{text}");
}

/// Whether a run shows that its nodes are wrong: they refuse what is left of a journal, or
/// acknowledged writes are lost.
fn is_found(line: &str) -> bool {
    let output = demo(line);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return false;
    }
    assert_eq!(output.status.code(), Some(1), "{text}\n{errors}");
    assert!(
        text.contains("NOT linearizable") || errors.contains("committed records"),
        "{text}\n{errors}"
    );
    true
}

#[test]
fn a_sync_that_is_left_out_is_found_by_losses_of_power() {
    for skip in ["files", "directories"] {
        // Names are lost by themselves now and then, and a majority makes up for one node.
        let line = |seed: u64| format!("raft --time 8s --faults power --seed {seed}");
        let seed = (1..=8).find(|seed| is_found(&format!("{} --skip-sync {skip}", line(*seed))));
        let seed = seed.unwrap_or_else(|| panic!("{skip}: nobody noticed"));
        let clean = demo(&line(seed));
        assert!(clean.status.success(), "{}", String::from_utf8_lossy(&clean.stdout));
    }
}

#[test]
#[ignore = "mounts a tmpfs, which only root may do; the continuous integration runs it"]
fn a_member_whose_disk_is_full_stops_and_the_others_go_on() {
    let output = demo("raft --time 20s --faults processes,network --small-disk 192");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(number(&text, " times for want of space") >= 1, "{text}");
    assert!(errors.contains("no space left on the device"), "{errors}");
}

#[test]
#[ignore = "mounts ext4, which only root may do; the continuous integration runs it"]
fn members_whose_file_systems_are_shut_down_keep_what_they_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_string_lossy();
    let own = |name: &str| format!("--time 10s --faults ext4,processes --dir {path}/{name}");
    let line = |seed: u64, name: &str| format!("raft --seed {seed} {}", own(name));
    let skipping = |seed: u64| format!("{} --skip-sync files", line(seed, &format!("s{seed}")));
    let seed = (1..=4).find(|seed| is_found(&skipping(*seed))).expect("nobody noticed");
    let output = demo(&line(seed, "clean"));
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("shut down the file systems of node"), "{text}");
    assert!(number(&text, " losses of power") >= 2 && number(&text, " ok, ") > 100, "{text}");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&*path), "{mounts}");
}

#[test]
#[ignore = "makes network namespaces, which only root may do; the continuous integration runs it"]
fn members_that_the_kernel_parts_keep_their_promise() {
    let (is_parted, is_whole) =
        ("--time 30s --faults processes,network", "--time 5s --faults power");
    for (faults, drops) in [(is_parted, true), (is_whole, false)] {
        let line = format!("demo raft --seed 2 --netns {faults}");
        let mut program = Command::new(env!("CARGO_BIN_EXE_squall"));
        program.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = program.spawn().unwrap();
        let name = format!("squall-{}-", process.id());
        let output = process.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{errors}");
        assert!(number(&text, " ok, ") > 100, "{text}");
        assert!(!drops || number(&text, " troubles of the network") >= 5, "{text}");
        assert_eq!(number(&text, " packets dropped") > 0, drops, "{text}");
        let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
        let left = String::from_utf8_lossy(&left.stdout);
        assert!(!left.contains(&name), "{left}");
    }
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn real_replicas_keep_their_promise_for_two_minutes() {
    is_kept("register --time 2m", 30);
}

#[test]
#[ignore = "takes two minutes; the continuous integration runs it"]
fn three_real_members_of_raft_keep_their_promise_for_two_minutes() {
    is_kept("raft --time 2m --seed 2", 30);
}

#[test]
#[ignore = "takes a minute; the continuous integration runs it"]
fn five_real_members_of_raft_keep_their_promise_for_a_minute() {
    is_kept("raft --nodes 5 --time 1m --seed 3", 10);
}

#[test]
fn wrong_arguments_and_files_are_named() {
    let unknown = demo("registre");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("register"));
    assert_eq!(demo("raft --nodes 0").status.code(), Some(2));
    let program = env!("CARGO_BIN_EXE_squall");
    for node in ["replica", "member"] {
        let arguments = ["node", node, "--config", "no-such-file.json"];
        let missing = Command::new(program).args(arguments).output().unwrap();
        assert_eq!(missing.status.code(), Some(75));
        assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.json"));
    }
}
