//! State that properties may look at while the code that owns it goes on changing it.

use crate::Env;
use crate::address::{NodeId, Roster};
use crate::journal::Identity;
use crate::machine::Tail;
use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A value of a node that properties may read: what a machine's handle holds, or what
/// [`Env::show`] made. Clones show the same value.
pub struct Shown<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    held: Mutex<Held<T>>,
    number: AtomicU64,
}

/// What is behind the lock: the value, and of a machine what may not be durable yet. Both change
/// together.
pub(crate) struct Held<T> {
    pub(crate) value: T,
    pub(crate) tail: Tail,
}

impl<T> Clone for Shown<T> {
    fn clone(&self) -> Shown<T> {
        Shown { inner: Arc::clone(&self.inner) }
    }
}

impl<T: Send + 'static> Shown<T> {
    /// A value that nobody sees yet.
    pub fn hidden(value: T) -> Shown<T> {
        Shown::new(value, Tail::default())
    }

    pub(crate) fn new(value: T, tail: Tail) -> Shown<T> {
        let inner = Inner { held: Mutex::new(Held { value, tail }), number: AtomicU64::new(0) };
        Shown { inner: Arc::new(inner) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held<T>> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn number(&self) -> u64 {
        self.inner.number.load(Ordering::Relaxed)
    }

    /// Looks at the value.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().value)
    }

    /// Changes the value and lets the properties that look at it run again.
    pub fn update<R>(&self, env: &Env, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock().value);
        env.platform().touched(self.number());
        result
    }
}

/// A machine's shown state together with the way to rebuild it, for the engine's own audit.
pub trait Audit: Send + Sync {
    /// Recovers from the disk image and what is still in flight, and compares with the live state.
    ///
    /// # Errors
    /// What differs, in words.
    fn audit(&self, image: &dyn Image) -> Result<(), String>;
}

/// The files of a node as a crash at this moment could leave them.
pub trait Image {
    /// The content of a file, or `None` if it is not there.
    fn file(&self, path: &str) -> Option<&[u8]>;
    /// Shows the name and content of every file in a directory, sorted by name.
    fn each<'a>(&'a self, directory: &str, show: &mut dyn FnMut(&'a str, &'a [u8]));
}

/// One value on show: who shows it, under which name, and how to check it against the disk.
pub struct Exhibit {
    name: &'static str,
    shown: Box<dyn Showable>,
    audit: Option<Arc<dyn Audit>>,
    is_lasting: bool,
}

trait Showable: Send + Sync {
    fn any(&self) -> &(dyn Any + Send + Sync);
    fn number(&self, number: u64);
}

impl<T: Send + 'static> Showable for Shown<T> {
    fn any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn number(&self, number: u64) {
        self.inner.number.store(number, Ordering::Relaxed);
    }
}

impl Exhibit {
    pub(crate) fn new<T: Send + 'static>(
        name: &'static str,
        shown: &Shown<T>,
        audit: Option<Arc<dyn Audit>>,
    ) -> Exhibit {
        Exhibit { name, shown: Box::new(shown.clone()), audit, is_lasting: false }
    }

    /// A value that outlives the crashes of its node. No code of a real node has one: it is for
    /// what watches the node from outside, in its place.
    pub fn lasting<T: Send + 'static>(name: &'static str, shown: &Shown<T>) -> Exhibit {
        Exhibit { is_lasting: true, ..Exhibit::new(name, shown, None) }
    }

    /// Whether it outlives the crashes of its node.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// The value, if it is of this type.
    pub fn shown<T: Send + 'static>(&self) -> Option<Shown<T>> {
        self.shown.any().downcast_ref::<Shown<T>>().cloned()
    }

    /// The name under which the value is shown.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The audit of a machine's state.
    pub fn audit(&self) -> Option<&Arc<dyn Audit>> {
        self.audit.as_ref()
    }

    /// Sets the number under which changes are reported to [`Observer::touched`].
    ///
    /// [`Observer::touched`]: crate::platform::Observer::touched
    pub fn set_number(&self, number: u64) {
        self.shown.number(number);
    }
}

/// An exhibit in its place on a node, as a [`View`] shows it.
pub struct Place {
    /// Whose it is.
    pub node: NodeId,
    /// The number of the exhibit: what [`Exhibit::set_number`] got.
    pub number: u64,
    /// The value.
    pub exhibit: Exhibit,
}

/// What a property sees: the shown state of all running nodes at one moment.
pub struct View<'a> {
    places: &'a [Place],
    now_ns: u64,
    changed: u64,
    read: Cell<u64>,
}

impl<'a> View<'a> {
    /// A view of these exhibits, which stand in node order, at this time of the run.
    pub fn new(places: &'a [Place], now_ns: u64) -> View<'a> {
        View { places, now_ns, changed: u64::MAX, read: Cell::new(0) }
    }

    /// The same view, for a property that has seen everything but the exhibits of these bits
    /// (their numbers modulo 64).
    #[must_use]
    pub fn since(self, changed: u64) -> View<'a> {
        View { changed, ..self }
    }

    /// As [`View::up`], but only those that may have changed since the property last looked: all
    /// of them at first, and whenever a node has come or gone.
    pub fn changed<T: Send + 'static>(&self) -> impl Iterator<Item = Up<'_, T>> {
        let news = self.places.iter().filter(|place| self.changed & 1 << (place.number % 64) != 0);
        news.filter_map(|place| self.show(place))
    }

    /// Every running node that shows a `T`, in node order, and what outlives those that are down.
    /// Each is locked until it is dropped, so
    /// take out what is needed before looking at all of them again.
    pub fn up<T: Send + 'static>(&self) -> impl Iterator<Item = Up<'_, T>> {
        self.places.iter().filter_map(|place| self.show(place))
    }

    fn show<T: Send + 'static>(&self, place: &'a Place) -> Option<Up<'a, T>> {
        let shown = place.exhibit.shown.any().downcast_ref::<Shown<T>>()?;
        self.read.set(self.read.get() | 1 << (place.number % 64));
        Some(Up {
            node: place.node,
            name: place.exhibit.name,
            number: place.number,
            guard: shown.lock(),
        })
    }

    /// Nanoseconds since the run began, on the clock of no node.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// One bit for each exhibit that was read (its number modulo 64).
    pub fn read_bits(&self) -> u64 {
        self.read.get()
    }
}

/// When an audit takes place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AuditMoment {
    /// This node has crashed, and is down.
    Crash(NodeId),
    /// This node has started anew and says that it is ready.
    Restart(NodeId),
    /// All faults are over.
    Heal,
    /// The run is over.
    End,
}

/// What an audit sees: the live state, and each node's disk as the worst crash now could leave it.
pub struct AuditView<'a> {
    view: &'a View<'a>,
    roster: &'a Roster,
    disks: &'a [(NodeId, &'a dyn Image)],
    moment: AuditMoment,
}

impl<'a> AuditView<'a> {
    /// The audit of these disks, which stand in node order.
    pub fn new(
        view: &'a View<'a>,
        roster: &'a Roster,
        disks: &'a [(NodeId, &'a dyn Image)],
        moment: AuditMoment,
    ) -> AuditView<'a> {
        AuditView { view, roster, disks, moment }
    }

    /// When it takes place.
    pub fn moment(&self) -> AuditMoment {
        self.moment
    }

    /// The shown state of running nodes.
    pub fn view(&self) -> &View<'a> {
        self.view
    }

    /// All nodes.
    pub fn roster(&self) -> &Roster {
        self.roster
    }

    /// All disks in node order, those of nodes that are down too.
    pub fn disks(&self) -> impl Iterator<Item = (NodeId, &dyn Image)> {
        self.disks.iter().map(|(node, image)| (*node, *image))
    }

    /// The disk of a node.
    pub fn disk(&self, node: NodeId) -> Option<&dyn Image> {
        self.disks().find(|(owner, _)| *owner == node).map(|(_, image)| image)
    }

    /// What a machine of a node would recover from its disk after the worst crash.
    ///
    /// # Errors
    /// Why it would not start.
    pub fn recover<M: crate::Machine>(
        &self,
        node: NodeId,
        name: &str,
        config: &M::Config,
    ) -> Result<M, String> {
        let disk = self.disks.iter().find(|(owner, _)| *owner == node);
        let (_, image) = disk.ok_or("there is no such node")?;
        let identity = Identity {
            cluster: self.roster.cluster().to_owned(),
            node: self.roster.name(node),
            journal: name.to_owned(),
        };
        crate::machine::recover_image(&identity, *image, config).map_err(|e| e.to_string())
    }
}

/// The shown value of one running node.
pub struct Up<'a, T> {
    /// Whose it is.
    pub node: NodeId,
    /// The name under which it is shown.
    pub name: &'static str,
    /// Which exhibit it is: another number for the same node means another boot.
    pub number: u64,
    guard: MutexGuard<'a, Held<T>>,
}

impl<T> std::ops::Deref for Up<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard.value
    }
}
