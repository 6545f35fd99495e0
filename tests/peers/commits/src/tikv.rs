//! tikv's `raft`: `RawNode` on its own `MemStorage`.

use crate::{BYTES, COMPACTED, KEPT};
use raft::eraftpb::Message;
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};
use std::collections::VecDeque;

const MEMBERS: u64 = 3;

struct Cluster {
    nodes: Vec<RawNode<MemStorage>>,
    /// What waits for each of them.
    inboxes: Vec<VecDeque<Message>>,
    applied: Vec<u64>,
    compacted: u64,
}

/// As the crate is by default: followers hear of each commit at once.
pub fn run(entries: u64, under_way: u64) {
    commit(entries, under_way, false);
}

/// Followers hear of a commit with the next entries or heartbeat.
pub fn run_quietly(entries: u64, under_way: u64) {
    commit(entries, under_way, true);
}

fn commit(entries: u64, under_way: u64, skip_bcast_commit: bool) {
    let mut cluster = Cluster::of(skip_bcast_commit);
    let mut made = 0;
    while made < entries {
        for _ in 0..under_way {
            let proposed = cluster.nodes[0].propose(Vec::new(), vec![made as u8; BYTES]);
            proposed.expect("the leader takes it");
            made += 1;
        }
        cluster.handle(0);
        cluster.settle();
        cluster.compact();
    }
    assert!(cluster.applied[0] >= entries, "the leader has applied everything");
}

impl Cluster {
    fn of(skip_bcast_commit: bool) -> Cluster {
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let voters: Vec<u64> = (1..=MEMBERS).collect();
        let node = |id: &u64| {
            let config = Config {
                id: *id,
                election_tick: 10,
                heartbeat_tick: 3,
                max_size_per_msg: 64 << 10,
                skip_bcast_commit,
                ..Config::default()
            };
            let storage = MemStorage::new_with_conf_state((voters.clone(), Vec::new()));
            RawNode::new(&config, storage, &logger).expect("a valid configuration")
        };
        let nodes: Vec<_> = voters.iter().map(node).collect();
        let inboxes = voters.iter().map(|_| VecDeque::new()).collect();
        let applied = vec![0; nodes.len()];
        let mut cluster = Cluster { nodes, inboxes, applied, compacted: 0 };
        cluster.nodes[0].campaign().expect("a voter campaigns");
        cluster.handle(0);
        cluster.settle();
        assert_eq!(cluster.nodes[0].raft.state, StateRole::Leader);
        cluster
    }

    /// Delivers all that waits for a member, member after member, until nothing waits.
    fn settle(&mut self) {
        while self.inboxes.iter().any(|inbox| !inbox.is_empty()) {
            for at in 0..self.nodes.len() {
                if self.inboxes[at].is_empty() {
                    continue;
                }
                while let Some(message) = self.inboxes[at].pop_front() {
                    // A message of an earlier term is refused, and that is all.
                    let _ = self.nodes[at].step(message);
                }
                self.handle(at);
            }
        }
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            self.inboxes[message.to as usize - 1].push_back(message);
        }
    }

    fn handle(&mut self, at: usize) {
        while self.nodes[at].has_ready() {
            let mut ready = self.nodes[at].ready();
            self.send(ready.take_messages());
            let committed = ready.take_committed_entries();
            let store = self.nodes[at].raft.raft_log.store.clone();
            store.wl().append(ready.entries()).expect("entries follow each other");
            if let Some(hard) = ready.hs() {
                store.wl().set_hardstate(hard.clone());
            }
            self.send(ready.take_persisted_messages());
            let mut light = self.nodes[at].advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().set_commit(commit);
            }
            self.send(light.take_messages());
            let more = light.take_committed_entries();
            let applied = committed.iter().chain(&more).filter(|entry| !entry.data.is_empty());
            self.applied[at] += applied.count() as u64;
            self.nodes[at].advance_apply();
        }
    }

    fn compact(&mut self) {
        let applied = self.nodes[0].raft.raft_log.applied;
        if applied < self.compacted + COMPACTED {
            return;
        }
        self.compacted = applied;
        for node in &self.nodes {
            let keep = node.raft.raft_log.applied.saturating_sub(KEPT);
            node.raft.raft_log.store.wl().compact(keep).expect("it is applied");
        }
    }
}
