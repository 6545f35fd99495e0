//! Histories that are judged as a whole, by what was read of everything in the end.

use serde::Serialize;
use serde::de::DeserializeOwned;
use squall::check::{Judge, Judgement, Operations, Trial, count};
use squall_check::{History, Model, Recorder};
use std::any::Any;
use std::fmt::Debug;
use std::hash::Hash;

/// What can stand in a history.
pub trait Told:
    Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<T> Told for T where
    T: Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// Judges a history by one function. As a model it has no states: any step is as good as another.
#[derive(Clone, Copy, Debug)]
pub struct Whole<Asked: Told, Heard: Told> {
    name: &'static str,
    verdict: fn(&History<Asked, Heard>) -> Result<(), String>,
}

impl<Asked: Told, Heard: Told> Whole<Asked, Heard> {
    /// The property of this name.
    pub fn new(
        name: &'static str,
        verdict: fn(&History<Asked, Heard>) -> Result<(), String>,
    ) -> Whole<Asked, Heard> {
        Whole { name, verdict }
    }
}

impl<Asked: Told, Heard: Told> Model for Whole<Asked, Heard> {
    type State = ();
    type Input = Asked;
    type Output = Heard;

    fn initial(&self) {}

    fn step(&self, (): &(), _: &Asked, _: Option<&Heard>) -> Option<()> {
        Some(())
    }

    fn describe(&self, asked: &Asked, heard: Option<&Heard>) -> String {
        match heard {
            Some(heard) => format!("asks {asked:?} and hears {heard:?}"),
            None => format!("asks {asked:?}, outcome unknown"),
        }
    }
}

struct WholeTrial<Asked: Told, Heard: Told> {
    recorder: Recorder<Asked, Heard>,
    verdict: fn(&History<Asked, Heard>) -> Result<(), String>,
}

impl<Asked: Told, Heard: Told> Judge for Whole<Asked, Heard> {
    fn name(&self) -> &str {
        self.name
    }

    fn begin(&self) -> Box<dyn Trial> {
        Box::new(WholeTrial { recorder: Recorder::<Asked, Heard>::new(), verdict: self.verdict })
    }
}

impl<Asked: Told, Heard: Told> Trial for WholeTrial<Asked, Heard> {
    fn recorder(&self) -> &(dyn Any + Send + Sync) {
        &self.recorder
    }

    fn judge(&self, wanted: bool) -> (Judgement, Operations) {
        let history = self.recorder.finish();
        let operations = count(&history);
        let judgement = match wanted.then(|| (self.verdict)(&history)) {
            None | Some(Ok(())) => Judgement::Fine,
            Some(Err(why)) => Judgement::Wrong(vec![why]),
        };
        (judgement, operations)
    }
}
