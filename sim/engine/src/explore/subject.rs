//! Explorations by name, for the command line.

use super::system::Faults;
use super::{Explored, Limits};

type Explore = Box<dyn Fn(&Faults, &Limits) -> Explored>;

/// Something that can be explored, under a name.
pub struct Subject {
    name: String,
    about: String,
    faults: Faults,
    explore: Explore,
}

impl Subject {
    /// `explore` is given the faults and the limits that are asked for. A plain model has no use
    /// for the faults.
    pub fn new(
        name: &str,
        about: &str,
        explore: impl Fn(&Faults, &Limits) -> Explored + 'static,
    ) -> Subject {
        let (name, about) = (name.to_owned(), about.to_owned());
        Subject { name, about, faults: Faults::default(), explore: Box::new(explore) }
    }

    /// The faults there are if no others are asked for; none without this.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Subject {
        self.faults = faults;
        self
    }

    /// Its name, as in `register/replicas`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, in a few words.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The faults there are if no others are asked for.
    pub fn usual_faults(&self) -> Faults {
        self.faults
    }

    /// Explores it.
    pub fn explore(&self, faults: &Faults, limits: &Limits) -> Explored {
        (self.explore)(faults, limits)
    }
}
