//! A model says what a correct system does when it serves one operation at a time.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod append_kv;
pub mod cas_register;
pub mod counter;
pub mod lease;
pub mod lock;
pub mod log;
pub mod multi_register;
pub mod queue;
pub mod register;
pub mod semaphore;
pub mod set;
pub mod stack;

/// A sequential specification: a state, and which operations may turn it into which.
///
/// Four methods are enough; the others only make a check faster or its report shorter.
///
/// A checker trusts these laws; a model that breaks one gets a wrong verdict.
///
/// - Every method is a pure function of its arguments.
/// - If some output leads from one state to another, the same input with an unknown output leads
///   to the same state, or to one that allows everything which that one allows; unless the output
///   says that nothing was changed. So one state after an operation is enough to know. That an
///   operation may also have had no effect needs no second state: a checker always allows that one
///   with an unknown outcome never happens.
/// - [`is_read_only`](Model::is_read_only), [`effect`](Model::effect), [`parts`](Model::parts),
///   [`may_omit`](Model::may_omit) and [`companions`](Model::companions) keep the promises in
///   their own descriptions.
pub trait Model: Send + Sync + 'static {
    /// What the system remembers between operations.
    type State: Clone + Eq + Hash + Debug + Send;
    /// What a client asks.
    type Input: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What a client is told.
    type Output: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after the operation, or `None` if it cannot have this output in this state.
    ///
    /// `output` is `None` when the caller never learnt it.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// The operation as the end of a sentence that starts with a client: "reads 4", "writes 7",
    /// or "writes 7, outcome unknown" without an output.
    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String;

    /// The state as the end of a sentence that starts with the system: "holds 7".
    fn describe_state(&self, state: &Self::State) -> String {
        format!("is in the state {state:?}")
    }

    /// Whether the operation leaves every state as it was, whatever its output.
    ///
    /// A checker ignores such an operation if its outcome is unknown, and otherwise orders it at
    /// the first place where its output fits, which saves most of the search.
    fn is_read_only(&self, input: &Self::Input) -> bool {
        let _ = input;
        false
    }

    /// What the operation does, if that can be said without looking at the state.
    ///
    /// `Some` is a promise about [`step`](Model::step): with this output it yields a state exactly
    /// from [`needs`](Effect::needs), or from every state without it; and that state is
    /// [`sets`](Effect::sets), or the state before without it. With an unknown output the operation
    /// may also fit other states, as long as it leaves those as they were. If every operation of a
    /// part has an effect, a checker knows which values are still wanted by whom, which turns most
    /// hard histories of registers and locks into easy ones.
    fn effect(
        &self,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Effect<Self::State>> {
        let _ = (input, output);
        None
    }

    /// What every operation of a part does, if that can be said once all of them are known.
    ///
    /// The promise is that the part has a legal order exactly if it has one by these effects. Who
    /// knows all that was read from a string that is appended to, for example, knows where each
    /// piece of it was appended.
    fn effects(&self, part: &[Interval<'_, Self::Input, Self::Output>]) -> Option<PartEffects> {
        let _ = part;
        None
    }

    /// Whether the part is linearizable, if there is a faster way to tell than a search.
    fn decide(&self, part: &[Interval<'_, Self::Input, Self::Output>]) -> Option<bool> {
        let _ = part;
        None
    }

    /// Which operations have to do with each other: a number for each, equal within a part.
    ///
    /// Each part is checked by itself, from the initial state, and the parts on several cores. The
    /// promise is that the whole is linearizable exactly if every part is, as for the keys of a
    /// map (Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015).
    fn parts(&self, inputs: &[&Self::Input]) -> Vec<usize> {
        vec![0; inputs.len()]
    }

    /// Whether a witness stays a witness without this operation.
    ///
    /// `kept` yields the input and output of every other operation. The answer may be `true` only
    /// if any legal order of all the operations is still legal with this one taken out; a
    /// violation among the kept ones then proves one among them all. Without that, a reported
    /// violation could be an artefact of the reporting: a read looks wrong once the write it saw
    /// is left out. The default allows it for operations that change nothing, and for those that
    /// lead to a state which no other needs.
    fn may_omit<'a>(
        &self,
        input: &'a Self::Input,
        output: Option<&'a Self::Output>,
        kept: &mut dyn Iterator<Item = (&'a Self::Input, Option<&'a Self::Output>)>,
    ) -> bool {
        if self.is_read_only(input) {
            return true;
        }
        let Some(Effect { sets, .. }) = self.effect(input, output) else { return false };
        let Some(set) = sets else { return true };
        for (input, output) in kept {
            let is_unneeded = self
                .effect(input, output)
                .is_some_and(|effect| effect.needs.as_ref() != Some(&set));
            if !is_unneeded {
                return false;
            }
        }
        true
    }

    /// The operations that would have to leave a witness together with this one.
    ///
    /// `others` are all other operations of the witness, and the answer is a list of positions in
    /// it. The promise is that of [`may_omit`](Model::may_omit), for all of them at once: whoever
    /// takes an element out of a queue leaves with who put it in.
    fn companions(
        &self,
        input: &Self::Input,
        output: Option<&Self::Output>,
        others: &[(&Self::Input, Option<&Self::Output>)],
    ) -> Option<Vec<usize>> {
        let _ = (input, output, others);
        None
    }

    /// A rough number of bytes that a state takes, for the bound on memory.
    fn state_bytes(&self, state: &Self::State) -> usize {
        size_of_val(state)
    }
}

/// What an operation does whose result does not depend on more than one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect<S> {
    /// The only state in which it can take place; `None` if it can in all of them.
    pub needs: Option<S>,
    /// The state after it; `None` if it changes nothing.
    pub sets: Option<S>,
}

/// What the operations of a part do to a state that is a number, 0 being the initial one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartEffects {
    /// The effect of each operation, in the order of the part.
    pub operations: Vec<PartEffect>,
    /// What operations do whose effect depends on the state.
    pub tables: Vec<Table>,
}

/// What an operation of a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartEffect {
    /// It needs and sets no more than one state.
    Fixed(Effect<u32>),
    /// It always takes place, and a table says what comes of it.
    Varies(usize),
}

/// What an operation that always takes place makes of each state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// A state and the one after it, in ascending order of the first.
    pub steps: Vec<(u32, u32)>,
    /// The state after all others.
    pub otherwise: u32,
}

impl Table {
    /// The state after a state.
    pub fn after(&self, state: u32) -> u32 {
        let found = self.steps.binary_search_by_key(&state, |&(from, _)| from);
        found.map_or(self.otherwise, |at| self.steps[at].1)
    }
}

/// An operation as a checker sees it: failed ones, and reads that nobody saw, are gone.
#[derive(Debug)]
pub struct Interval<'a, I, O> {
    /// What was asked.
    pub input: &'a I,
    /// What was answered; `None` if the outcome is not known.
    pub output: Option<&'a O>,
    /// The event of the invocation.
    pub invoked: u64,
    /// The event of the return; `None` if the outcome is not known.
    pub returned: Option<u64>,
}

impl<I, O> Clone for Interval<'_, I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Interval<'_, I, O> {}

/// Numbers for the distinct keys among operations, in the order of their first use.
fn number_by_key<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<usize> {
    let mut numbers = std::collections::BTreeMap::new();
    let mut parts = Vec::new();
    for key in keys {
        let next = numbers.len();
        parts.push(*numbers.entry(key).or_insert(next));
    }
    parts
}

/// What a model says of an answer that does not belong to the question.
fn mismatch(input: &impl Debug, output: &impl Debug) -> String {
    format!("asks {input:?} and is answered {output:?}")
}

/// What a value must be able to do to be kept by the models of this crate.
pub trait Data:
    Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<V> Data for V where
    V: Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}
