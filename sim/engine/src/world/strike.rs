//! What each episode does when it begins, while it goes on, and when it ends.

use super::cuts::{Clog, Cut};
use super::files::Files;
use super::{Outside, World};
use crate::choice::{Domain, below};
use crate::digest::Code;
use crate::plan::Kind;
use crate::table::Fault;
use squall_env::NodeId;

impl World {
    pub(super) fn begin(&mut self, slot: u32, kind: &Kind, nodes: &[u32]) {
        let id = u64::from(self.episodes[slot as usize].episode.id);
        match (kind, nodes) {
            (Kind::Crash { power_loss, .. } | Kind::CrashInRecovery { power_loss, .. }, [node]) => {
                self.strike_down(*node, id, *power_loss);
            }
            (Kind::CrashLoop { .. }, [_]) => self.crash_in_turn(slot),
            (Kind::GracefulStop { grace_ns, .. }, [node]) => {
                self.ask_to_stop(*node, id);
                self.again_after(slot, *grace_ns);
            }
            (Kind::Wipe { .. }, [node]) => {
                self.strike_down(*node, id, true);
                self.replace_disk(*node, Files::default());
            }
            (Kind::OldDisk { .. }, [node]) => {
                let copy = self.episodes[slot as usize].copy.take().unwrap_or_default();
                self.strike_down(*node, id, true);
                self.replace_disk(*node, copy);
            }
            (Kind::SwappedDisks { .. }, [one, other]) => self.swap_disks(*one, *other, id, true),
            (Kind::BitRot { .. }, [node]) => {
                self.rot(*node, id);
                self.episodes[slot as usize].active = false;
            }
            (Kind::MisdirectedWrite { .. }, [node]) => {
                self.nodes[*node as usize].misdirect = Some(slot);
                self.episodes[slot as usize].active = false;
            }
            (Kind::WallStep { by_ns, .. }, [node]) => {
                self.nodes[*node as usize].clock.wall_offset += by_ns;
                self.episodes[slot as usize].active = false;
            }
            (Kind::WallStrobe { by_ns, every_ns, .. }, [node]) => {
                self.nodes[*node as usize].clock.wall_offset += by_ns;
                self.again_after(slot, *every_ns);
            }
            (Kind::Pause { .. }, [node]) => self.pause(*node),
            (Kind::Suspend { .. }, [node]) => self.suspend(*node),
            (Kind::Stall { .. }, [node]) => self.stall(*node),
            _ if kind.is_network() => self.begin_network(slot, kind, nodes),
            _ => self.afflict(nodes),
        }
    }

    fn begin_network(&mut self, slot: u32, kind: &Kind, nodes: &[u32]) {
        let (now, all, until) = (self.now, self.nodes.len(), self.episodes[slot as usize].until);
        match (kind, nodes) {
            (Kind::Partition { .. } | Kind::IsolateOne { .. }, _) => {
                self.cuts.push(Cut::sides(slot, all, nodes, true));
            }
            (Kind::PartitionOneWay { .. }, _) => {
                self.cuts.push(Cut::sides(slot, all, nodes, false));
            }
            (Kind::IsolateLeader {}, _) => self.outside.push(Outside::FindLeader(slot)),
            (Kind::MajoritiesRing { .. }, _) => self.cuts.push(Cut::ring(slot, all, nodes)),
            (Kind::Bridge { .. }, _) => self.cuts.extend(Cut::bridge(slot, all, nodes)),
            (Kind::ClogLink { .. }, [from, to]) => {
                self.clogs.push(Clog::link(slot, *from, *to, now, until));
            }
            (Kind::ClogNode { .. }, [node]) => {
                self.clogs.push(Clog::node(slot, *node, now, until));
            }
            (Kind::SwizzleClog { .. }, _) => {
                let entity = self.entity("swizzle").with(u64::from(slot));
                let half = until.saturating_sub(now) / 2;
                for (at, node) in nodes.iter().enumerate() {
                    let draw = |n| self.choices.draw(Domain::Place, entity.with(at as u64), n);
                    let since = now + below(draw(0), half);
                    let until = now + half + below(draw(1), half);
                    self.clogs.push(Clog::node(slot, *node, since, until));
                }
            }
            _ => {}
        }
        self.doubt_across_cuts();
    }

    /// The scenario has said who leads.
    pub(crate) fn isolate_leader(&mut self, slot: u32, leader: Option<NodeId>) {
        let state = &self.episodes[slot as usize];
        let leader = leader.and_then(|node| self.index_of(node)).filter(|_| state.active);
        let Some(leader) = leader else { return };
        self.note(leader, Code::FaultStrikes, [u64::from(state.episode.id), 0]);
        let all = self.nodes.len();
        self.cuts.push(Cut::sides(slot, all, &[leader], true));
        self.doubt_across_cuts();
    }

    /// The next part of an episode that has several.
    pub(super) fn go_on(&mut self, slot: u32) {
        let state = &self.episodes[slot as usize];
        let (kind, nodes, stage) = (state.episode.kind.clone(), state.nodes.clone(), state.stage);
        let id = u64::from(state.episode.id);
        match (kind, nodes.as_slice()) {
            (Kind::CrashLoop { .. }, _) => self.crash_in_turn(slot),
            (Kind::GracefulStop { .. }, [node])
                if self.nodes[*node as usize].stopping == Some(id) =>
            {
                self.crash(*node, id, false);
            }
            (Kind::WallStrobe { by_ns, every_ns, .. }, [node]) => {
                let by = if stage % 2 == 0 { by_ns } else { -by_ns };
                self.nodes[*node as usize].clock.wall_offset += by;
                self.again_after(slot, every_ns);
            }
            _ => {}
        }
    }

    /// One crash of several: the node is down for as long as it then is up.
    fn crash_in_turn(&mut self, slot: u32) {
        let state = &self.episodes[slot as usize];
        let Kind::CrashLoop { power_loss, times, .. } = state.episode.kind else { return };
        let (id, stage, node) = (u64::from(state.episode.id), state.stage, state.nodes[0]);
        let length = state.until.saturating_sub(self.now);
        let part = length / (2 * u64::from(times.saturating_sub(stage).max(1)));
        let up = self.nodes[node as usize].boot != 0;
        // The first one was admitted with the episode.
        if up && (stage == 0 || self.admit(&[node], Fault::CrashLoop)) {
            self.strike_down(node, id | u64::from(stage) << 32, power_loss);
            self.restart_after(node, part);
        }
        if stage + 1 < times {
            self.again_after(slot, part * 2);
        }
    }

    pub(super) fn undo(&mut self, slot: u32, kind: &Kind, nodes: &[u32]) {
        let state = &self.episodes[slot as usize];
        let (stage, name) = (state.stage, u64::from(state.episode.id));
        match (kind, nodes) {
            (_, [node]) if kind.is_crash() => {
                if self.nodes[*node as usize].stopping == Some(name) {
                    // Its grace is over, whatever it was.
                    self.crash(*node, name, false);
                }
                // A later crash of the same node has an end of its own.
                if self.nodes[*node as usize].next_boot() as u32 == name as u32 {
                    self.restart_after(*node, 0);
                }
            }
            (Kind::SwappedDisks { .. }, [one, other]) => self.swap_disks(*one, *other, name, false),
            (Kind::WallStrobe { by_ns, .. }, [node]) if stage % 2 == 1 => {
                self.nodes[*node as usize].clock.wall_offset -= by_ns;
            }
            (Kind::WallStrobe { .. }, _) => {}
            (Kind::Pause { .. }, [node]) => self.resume(*node),
            (Kind::Suspend { .. }, [node]) => self.wake_up(*node),
            (Kind::Stall { .. }, [node]) => self.unstall(*node),
            _ if kind.is_network() => {
                self.cuts.retain(|cut| cut.episode != slot);
                self.clogs.retain(|clog| clog.episode != slot);
            }
            _ => self.afflict(nodes),
        }
    }

    fn strike_down(&mut self, node: u32, name: u64, power_loss: bool) {
        if self.nodes[node as usize].boot != 0 {
            // A restart that was planned for the boot before is not this one's.
            self.nodes[node as usize].restart_planned = false;
            self.crash(node, name, power_loss);
        }
    }

    /// What was on the disk is forgotten.
    fn replace_disk(&mut self, node: u32, files: Files) {
        let node = &mut self.nodes[node as usize];
        let version = node.disk.files.version + 1;
        node.disk.files = files;
        node.disk.files.version = version;
        node.damage();
    }

    fn rot(&mut self, node: u32, id: u64) {
        let entity = self.nodes[node as usize].entity.named("rot");
        let bits = self.choices.draw(Domain::Place, entity, id);
        let struck = &mut self.nodes[node as usize];
        struck.damage();
        if let Some(spot) = struck.disk.files.rot(bits) {
            self.note(node, Code::Damaged, [u64::from(spot.inode), spot.sector]);
        }
    }

    /// Both nodes go down, change disks, and start anew.
    fn swap_disks(&mut self, one: u32, other: u32, id: u64, begins: bool) {
        let name = id | u64::from(!begins) << 32;
        for node in [one, other] {
            if self.nodes[node as usize].boot != 0 {
                self.strike_down(node, name, false);
                self.restart_after(node, 1_000_000);
            }
        }
        for node in [one, other] {
            // To be moved, a disk is shut down in order.
            self.nodes[node as usize].disk.files.make_good();
        }
        let files = std::mem::take(&mut self.nodes[one as usize].disk.files);
        let files = std::mem::replace(&mut self.nodes[other as usize].disk.files, files);
        self.nodes[one as usize].disk.files = files;
        let versions = [one, other].map(|node| self.nodes[node as usize].disk.files.version);
        let swapped = [one, other].map(|node| self.nodes[node as usize].swapped.take());
        for (at, [node, partner]) in [[one, other], [other, one]].into_iter().enumerate() {
            let node = &mut self.nodes[node as usize];
            if begins {
                node.swapped = Some((partner, versions[at]));
            } else {
                // Whether the other one has written to it while it had it.
                if swapped[1 - at].is_some_and(|(_, had)| had != versions[at]) {
                    node.damage();
                }
            }
        }
        if !begins {
            self.settle(one);
            self.settle(other);
        }
    }

    /// Works out anew what holds of nodes as long as some episode is active.
    fn afflict(&mut self, nodes: &[u32]) {
        for node in nodes {
            let (mut slow_ns, mut factor, mut full, mut lying) = (0, 1, false, false);
            let active = self.episodes.iter().filter(|e| e.active && e.nodes.contains(node));
            for state in active {
                match state.episode.kind {
                    Kind::SlowNode { by_ns, .. } => slow_ns = slow_ns.max(by_ns),
                    Kind::SlowDisk { factor: times, .. } => factor = factor.max(times),
                    Kind::DiskFull { .. } => full = true,
                    Kind::LyingSync { .. } => lying = true,
                    _ => {}
                }
            }
            let afflicted = &mut self.nodes[*node as usize];
            (afflicted.slow_ns, afflicted.slow_disk) = (slow_ns, factor);
            (afflicted.full, afflicted.lying) = (full, lying);
            if !lying {
                afflicted.disk.files.make_good();
            }
            self.settle(*node);
        }
    }
}
