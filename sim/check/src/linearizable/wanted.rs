//! Which states are still needed, and by how many operations, and how many lead to them.

use super::machine::NONE;

/// Counts over the operations that are not placed.
#[derive(Debug)]
pub(super) struct Wanted {
    counts: Vec<Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Completed operations that need the state, and must be placed.
    completed: u32,
    /// Open operations that need the state, and may be placed.
    open: u32,
    /// Operations of either kind that lead to the state.
    sources: u32,
}

impl Wanted {
    /// Nothing is needed of so many states.
    pub(super) fn new(states: usize) -> Self {
        Self { counts: vec![Count::default(); states] }
    }

    /// Some operations that are alike are not placed, or, with a negative number, are.
    pub(super) fn count(&mut self, needs: u32, sets: u32, is_completed: bool, times: i32) {
        if let Some(count) = self.of(needs) {
            let needed = if is_completed { &mut count.completed } else { &mut count.open };
            *needed = needed.wrapping_add_signed(times);
        }
        if let Some(count) = self.of(sets) {
            count.sources = count.sources.wrapping_add_signed(times);
        }
    }

    /// Whether any operation that is not placed needs the state.
    pub(super) fn is_wanted(&self, state: u32) -> bool {
        let count = &self.counts[state as usize];
        count.completed + count.open > 0
    }

    /// Whether more than so many completed operations need the state, and nothing leads to it.
    pub(super) fn is_stranded(&self, state: u32, own: u32) -> bool {
        let count = &self.counts[state as usize];
        count.completed > own && count.sources == 0
    }

    /// Whether something leads to each state that is needed but the current one.
    pub(super) fn is_satisfiable(&self, current: u32) -> bool {
        let is_fine = |(state, count): (u32, &Count)| {
            state == current || count.completed == 0 || count.sources > 0
        };
        (0..).zip(&self.counts).all(is_fine)
    }

    fn of(&mut self, state: u32) -> Option<&mut Count> {
        if state == NONE { None } else { self.counts.get_mut(state as usize) }
    }
}
