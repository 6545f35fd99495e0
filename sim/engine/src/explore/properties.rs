//! What must hold of a model.

use super::Model;

/// What must hold of the states of a model.
pub struct Property<M: Model + ?Sized> {
    pub(super) name: String,
    pub(super) kind: Kind<M>,
}

type Always<M> = Box<dyn Fn(&M, &<M as Model>::State) -> Result<(), String>>;
type Is<M> = Box<dyn Fn(&M, &<M as Model>::State) -> bool>;

pub(super) enum Kind<M: Model + ?Sized> {
    Always(Always<M>),
    Sometimes(Is<M>),
    Eventually(Is<M>),
}

impl<M: Model + ?Sized> Property<M> {
    /// It holds in every state. The error says why it does not.
    pub fn always(
        name: impl Into<String>,
        holds: impl Fn(&M, &M::State) -> Result<(), String> + 'static,
    ) -> Property<M> {
        Property { name: name.into(), kind: Kind::Always(Box::new(holds)) }
    }

    /// There is a state in which it is so: what is to be tested does come about.
    pub fn sometimes(
        name: impl Into<String>,
        is_so: impl Fn(&M, &M::State) -> bool + 'static,
    ) -> Property<M> {
        Property { name: name.into(), kind: Kind::Sometimes(Box::new(is_so)) }
    }

    /// Every way comes through a state in which it is so: no way ends before, and none goes round
    /// and round without it. A step that changes nothing is no step. Nothing is fair otherwise: if
    /// something may be put off for ever, it is.
    ///
    /// It is looked for, and found or excluded, once everything else holds and all states have
    /// been visited.
    pub fn eventually(
        name: impl Into<String>,
        is_so: impl Fn(&M, &M::State) -> bool + 'static,
    ) -> Property<M> {
        Property { name: name.into(), kind: Kind::Eventually(Box::new(is_so)) }
    }
}

/// Looks at each state once.
pub(super) struct Watcher<'m, M: Model + ?Sized> {
    model: &'m M,
    properties: &'m [Property<M>],
    /// Which of them are still to be reached.
    unreached: Vec<usize>,
}

impl<'m, M: Model + ?Sized> Watcher<'m, M> {
    pub(super) fn new(model: &'m M, properties: &'m [Property<M>]) -> Watcher<'m, M> {
        let sometimes = |at: &usize| matches!(properties[*at].kind, Kind::Sometimes(_));
        let unreached = (0..properties.len()).filter(sometimes).collect();
        Watcher { model, properties, unreached }
    }

    /// The property that a state breaks, and why.
    #[inline]
    pub(super) fn look(&mut self, state: &M::State) -> Option<(String, String)> {
        for property in self.properties {
            if let Kind::Always(holds) = &property.kind
                && let Err(why) = holds(self.model, state)
            {
                return Some((property.name.clone(), why));
            }
        }
        if !self.unreached.is_empty() {
            let (model, properties) = (self.model, self.properties);
            self.unreached.retain(|at| match &properties[*at].kind {
                Kind::Sometimes(is_so) => !is_so(model, state),
                _ => false,
            });
        }
        None
    }

    pub(super) fn unreached(&self) -> Vec<String> {
        self.unreached.iter().map(|at| self.properties[*at].name.clone()).collect()
    }
}
