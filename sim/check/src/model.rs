//! A model says what a correct system does when it serves one operation at a time.

use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub mod register;

/// A sequential specification: a state, and which operations may turn it into which.
///
/// A checker trusts these laws; a model that breaks one gets a wrong verdict.
///
/// - Every method is a pure function of its arguments.
/// - If some output leads from one state to another, the same input with an unknown output leads
///   to the same place. So the state after an operation follows from the state before and the
///   input. An operation that may also have had no effect needs no second state: a checker always
///   allows that one with an unknown outcome never happens.
/// - [`is_read_only`](Model::is_read_only) and [`may_omit`](Model::may_omit) keep the promises in
///   their own descriptions.
pub trait Model: Send + Sync + 'static {
    /// What the system remembers between operations.
    type State: Clone + Eq + Hash;
    /// What a client asks.
    type Input: Clone + Debug + Serialize + DeserializeOwned + Send + 'static;
    /// What a client is told.
    type Output: Clone + Debug + Serialize + DeserializeOwned + Send + 'static;

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

    /// Whether the operation leaves every state as it was, whatever its output.
    ///
    /// A checker ignores such an operation if its outcome is unknown, and otherwise orders it at
    /// the first place where its output fits, which saves most of the search.
    fn is_read_only(&self, input: &Self::Input) -> bool {
        let _ = input;
        false
    }

    /// Whether a witness stays a witness without this operation.
    ///
    /// `kept` yields the input and output of every other operation. The answer may be `true` only
    /// if any legal order of all the operations is still legal with this one taken out; a
    /// violation among the kept ones then proves one among them all. Without that, a reported
    /// violation could be an artefact of the reporting: a read looks wrong once the write it saw
    /// is left out. The default allows it only for operations that change nothing.
    fn may_omit<'a>(
        &self,
        input: &Self::Input,
        output: Option<&Self::Output>,
        kept: &mut dyn Iterator<Item = (&'a Self::Input, Option<&'a Self::Output>)>,
    ) -> bool {
        let _ = (output, kept);
        self.is_read_only(input)
    }
}
