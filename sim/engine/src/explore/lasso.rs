//! What must come about eventually: looks for a way without it that ends, or that goes round.
//!
//! Only states in which it is not so are gone through, depth first. A state on the way at hand that
//! is met again closes a circle; a state without a step ends the way. As every such state is gone
//! through from an initial one, and a circle is closed by whichever of its states is met first,
//! none is missed, and what is found is real.

use super::explored::{Broken, Ended, Explored};
use super::properties::{Kind, Property};
use super::table::Table;
use super::{Limits, Model, print_of, walk};
use std::collections::BTreeSet;

/// Adds to a complete exploration in which everything else holds what never comes about.
pub(super) fn look<M: Model + ?Sized>(
    model: &M,
    limits: &Limits,
    properties: &[Property<M>],
    mut explored: Explored,
) -> Explored {
    for property in properties {
        let Kind::Eventually(is_so) = &property.kind else { continue };
        if explored.ended != Ended::Complete {
            // Nothing was proved, and what was not looked at must not look as if it held.
            explored.unreached.push(property.name.clone());
            continue;
        }
        let mut search = Search {
            model,
            limits: *limits,
            is_so,
            table: Table::new(),
            way: Vec::new(),
            on_way: BTreeSet::new(),
        };
        match search.run() {
            Ok(()) => {}
            Err(Found::Way { path, why }) => {
                let walked = walk(model, &path);
                let (steps, _) = walked.expect("a path can be walked as often as one likes");
                let (property, why) = (property.name.clone(), why.to_owned());
                explored.broken = Some(Broken { property, why, steps, path });
                explored.ended = Ended::Broken;
            }
            Err(Found::Limit) => {
                explored.ended = Ended::Memory;
                explored.unreached.push(property.name.clone());
            }
        }
        explored.bytes = explored.bytes.max(search.table.bytes());
    }
    explored
}

enum Found {
    Way { path: Vec<u32>, why: &'static str },
    Limit,
}

struct Fork<M: Model + ?Sized> {
    state: M::State,
    print: u64,
    actions: Vec<M::Action>,
    tried: u32,
    /// Whether something happens here at all.
    goes_on: bool,
}

struct Search<'m, M: Model + ?Sized> {
    model: &'m M,
    limits: Limits,
    is_so: &'m dyn Fn(&M, &M::State) -> bool,
    table: Table,
    way: Vec<Fork<M>>,
    on_way: BTreeSet<u64>,
}

impl<M: Model + ?Sized> Search<'_, M> {
    fn run(&mut self) -> Result<(), Found> {
        for (number, initial) in self.model.initial().into_iter().enumerate() {
            if self.model.within(&initial) {
                self.from(initial, number as u32)?;
            }
        }
        Ok(())
    }

    fn from(&mut self, initial: M::State, number: u32) -> Result<(), Found> {
        let print = print_of(self.model, &initial);
        self.enter(initial, print)?;
        while let Some(fork) = self.way.last_mut() {
            let Some(action) = fork.actions.get(fork.tried as usize) else {
                if !fork.goes_on {
                    return Err(self.found(number, "nothing more happens, and it has not come"));
                }
                self.on_way.remove(&fork.print);
                self.way.pop();
                continue;
            };
            fork.tried += 1;
            let mut next = fork.state.clone();
            if !self.model.step(&mut next, action) {
                continue;
            }
            let print = print_of(self.model, &next);
            if print == fork.print {
                continue;
            }
            fork.goes_on = true;
            if self.on_way.contains(&print) {
                let mut way = self.found(number, "it may go round for ever without it");
                if let Found::Way { path, .. } = &mut way {
                    let last = self.way.last().map_or(0, |fork| fork.tried - 1);
                    path.push(last);
                }
                return Err(way);
            }
            if self.model.within(&next) {
                self.enter(next, print)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, state: M::State, print: u64) -> Result<(), Found> {
        if (self.is_so)(self.model, &state) || !self.table.insert(print) {
            return Ok(());
        }
        let way = self.way.len() * (size_of::<Fork<M>>() + 16);
        if self.table.bytes_with(1) + way as u64 > self.limits.bytes {
            return Err(Found::Limit);
        }
        self.on_way.insert(print);
        let mut actions = Vec::new();
        self.model.actions(&state, &mut actions);
        self.way.push(Fork { state, print, actions, tried: 0, goes_on: false });
        Ok(())
    }

    /// The way to the last fork.
    fn found(&self, number: u32, why: &'static str) -> Found {
        let before = self.way.iter().rev().skip(1).rev();
        let path = std::iter::once(number).chain(before.map(|fork| fork.tried - 1)).collect();
        Found::Way { path, why }
    }
}
