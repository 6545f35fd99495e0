//! The property of those who give commands and read what came of them.

use super::load::{Read, Told};
use super::oracle::Witness;
use squall_env::{NodeId, View};
use std::collections::BTreeMap;

/// Where the event of each command stands, as a witness reads it from the event store.
#[derive(Default)]
struct Stands {
    learnt: usize,
    at: BTreeMap<u128, u64>,
}

impl Stands {
    fn learn(&mut self, witness: &Witness) {
        for event in witness.0.get(self.learnt..).unwrap_or_default() {
            if let Some(command) = event.metadata.causation {
                self.at.insert(command.0, event.position.0);
            }
        }
        self.learnt = witness.0.len();
    }

    /// A command that was done has its event where its giver was told.
    fn is_where(&self, command: u128, told: u64) -> Result<(), String> {
        let found = self.at.get(&command);
        if told <= self.learnt as u64 && found != Some(&told) {
            return Err(format!("a command is told to stand at {told}, and stands at {found:?}"));
        }
        Ok(())
    }

    /// An answer that is not stale has what these commands did, which were done before. Says
    /// whether the witness has come far enough to tell.
    fn has(&self, read: &Read, own: &[u128]) -> Result<bool, String> {
        let position = read.result.position.0;
        let mut all_known = true;
        for command in own {
            match self.at.get(command) {
                Some(at) if *at > position => {
                    return Err(format!(
                        "whoever has given a command at {at} is answered as of {position}"
                    ));
                }
                Some(_) => {}
                None => all_known = false,
            }
        }
        Ok(all_known)
    }
}

/// Whoever was told that a command is done was told where it stands, and what is asked behind that
/// in the same session is answered with it, or as stale. What a command did is found by its id: the
/// positions that clients were told are not trusted.
pub(super) fn reads() -> impl FnMut(&View<'_>) -> Result<(), String> {
    let mut stands = Stands::default();
    let mut judged: BTreeMap<NodeId, usize> = BTreeMap::new();
    move |view| {
        let Some(witness) = view.up::<Witness>().next() else { return Ok(()) };
        stands.learn(&witness);
        for told in view.up::<Told>() {
            for (command, fate) in &told.commands {
                fate.iter().try_for_each(|position| stands.is_where(*command, *position))?;
            }
            let judged = judged.entry(told.node).or_default();
            for read in told.reads.get(*judged..).unwrap_or_default() {
                let own = told.done.get(read.own.clone()).unwrap_or_default();
                if !read.result.stale && !stands.has(read, own)? {
                    break;
                }
                *judged += 1;
            }
        }
        Ok(())
    }
}
