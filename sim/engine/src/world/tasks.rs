//! Tasks: whose they are, which is ready, and what each waits for.

use super::{Outside, World};
use crate::choice::Entity;
use crate::digest::Code;
use rand_chacha::ChaCha8Rng;
use squall_env::platform::BoxFuture;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// A task, and which of those that used its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) struct TaskId {
    pub(crate) slot: u32,
    pub(crate) era: u32,
}

#[derive(Default)]
pub(crate) struct Task {
    pub(crate) era: u32,
    pub(crate) node: u32,
    /// Out from when it is polled for the first time.
    body: Option<Body>,
    /// The address behind its waker.
    pub(crate) waker: usize,
    pub(crate) entity: Entity,
    pub(crate) wakes: u64,
    pub(crate) ready: bool,
    pub(crate) name: &'static str,
    pub(crate) waits: (&'static str, &'static str),
    /// How many children of each name it has started.
    children: Vec<(u64, u64)>,
    pub(crate) rng: Option<Box<ChaCha8Rng>>,
    /// Its place in the node's list.
    place: u32,
}

/// What is polled of a task.
pub(crate) struct Body {
    pub(crate) future: BoxFuture<'static, ()>,
    pub(crate) waker: Waker,
}

/// Who is to be told that something is ready.
#[derive(Default)]
pub(crate) enum Waiter {
    #[default]
    Nobody,
    Task(TaskId),
    Foreign(Waker),
}

impl Waiter {
    /// Puts a task in the place of whoever waited. A foreign waker is given back: its destructor is
    /// user code.
    #[inline(always)]
    #[must_use]
    pub(crate) fn replace_by(&mut self, id: TaskId) -> Option<Waker> {
        match std::mem::replace(self, Waiter::Task(id)) {
            Waiter::Foreign(waker) => Some(waker),
            _ => None,
        }
    }

    /// Whether both stand for the same one.
    pub(crate) fn is_same(&self, other: &Waiter) -> bool {
        match (self, other) {
            (Waiter::Task(one), Waiter::Task(other)) => one == other,
            (Waiter::Foreign(one), Waiter::Foreign(other)) => one.will_wake(other),
            _ => false,
        }
    }
}

struct TaskWaker {
    task: TaskId,
    world: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        super::with(|world| {
            if world.number == self.world {
                world.make_ready(self.task);
            }
        });
    }
}

/// The tasks that can run now, in the order of their draws. Mostly there is but one, for which
/// nothing has to be drawn.
#[derive(Default)]
pub(crate) struct Ready {
    only: Option<TaskId>,
    several: BinaryHeap<Reverse<(u64, TaskId)>>,
}

impl Ready {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.only.is_none() && self.several.is_empty()
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<TaskId> {
        let only = self.only.take();
        if only.is_some() {
            return only;
        }
        self.several.pop().map(|Reverse((_, task))| task)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskId> {
        let several = self.several.iter().map(|Reverse((_, task))| *task);
        self.only.into_iter().chain(several)
    }
}

impl Task {
    /// What has to be dropped of the task that had this slot.
    fn left(body: Option<Body>, slot: u32) -> Outside {
        match body {
            Some(body) => Outside::DropFuture(body.future),
            None => Outside::DropTask(slot),
        }
    }
}

impl World {
    /// Starts a task of a node. Its name within its parent, and which of that name it is, are
    /// what its choices go by.
    pub(crate) fn spawn(&mut self, node: u32, name: &'static str, future: BoxFuture<'static, ()>) {
        let hash = crate::choice::hash_text(name);
        let entity = match self.current.filter(|task| self.tasks[task.slot].node == node) {
            Some(parent) => {
                let parent = &mut self.tasks[parent.slot];
                let nth = match parent.children.iter_mut().find(|(child, _)| *child == hash) {
                    Some((_, count)) => {
                        *count += 1;
                        *count
                    }
                    None => {
                        parent.children.push((hash, 0));
                        0
                    }
                };
                parent.entity.with(hash).with(nth)
            }
            None => self.nodes[node as usize].boot_entity.with(hash),
        };
        let slot = self.tasks.take();
        let place = self.nodes[node as usize].tasks.len() as u32;
        let task = &mut self.tasks[slot];
        let id = TaskId { slot, era: task.era };
        let waker = Waker::from(Arc::new(TaskWaker { task: id, world: self.number }));
        let mut children = std::mem::take(&mut task.children);
        children.clear();
        *task = Task {
            era: task.era,
            node,
            waker: waker.data().addr(),
            body: Some(Body { future, waker }),
            entity,
            wakes: 0,
            ready: false,
            name,
            waits: ("", ""),
            children,
            rng: None,
            place,
        };
        self.nodes[node as usize].tasks.push(slot);
        self.note(node, Code::Spawn, [entity.0, 0]);
        self.make_ready(id);
    }

    /// Lets a task run at this instant.
    #[inline]
    pub(crate) fn make_ready(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(id.slot) else { return };
        if task.era != id.era || task.ready {
            return;
        }
        task.ready = true;
        task.wakes += 1;
        if self.heeded {
            self.tell_woken(id);
        }
        if self.ready.is_empty() {
            self.ready.only = Some(id);
            return;
        }
        if let Some(other) = self.ready.only.take() {
            self.draw_order(other);
        }
        self.draw_order(id);
    }

    #[cold]
    fn tell_woken(&mut self, id: TaskId) {
        let entity = self.tasks[id.slot].entity.0;
        if let Some(causes) = &mut self.queue.causes {
            causes.woken(entity);
        }
    }

    fn draw_order(&mut self, id: TaskId) {
        let task = &self.tasks[id.slot];
        let draw = self.task_order(task.entity, task.wakes);
        self.ready.several.push(Reverse((draw, id)));
    }

    /// A foreign waker that nobody needs any more is dropped once the world is left.
    #[inline]
    pub(crate) fn drop_foreign(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.outside.push(Outside::DropWaker(waker));
        }
    }

    /// Tells a waiter. A foreign waker is user code: it runs once the world is left.
    #[inline]
    pub(crate) fn tell(&mut self, waiter: Waiter) {
        match waiter {
            Waiter::Nobody => {}
            Waiter::Task(id) => self.make_ready(id),
            Waiter::Foreign(waker) => self.tell_foreign(waker),
        }
    }

    #[cold]
    fn tell_foreign(&mut self, waker: Waker) {
        self.outside.push(Outside::Wake(waker));
    }

    /// Whether the waker is that of the running task, which can then be remembered by its number.
    #[inline]
    pub(crate) fn own_waker(&self, cx: &Context<'_>) -> Option<TaskId> {
        // Nobody else's waker can have the address of one that is alive.
        self.current.filter(|_| cx.waker().data().addr() == self.current_waker)
    }

    /// What is to be polled of a task that was not polled before.
    pub(crate) fn begin_task(&mut self, id: TaskId) -> Option<Body> {
        let task = self.tasks.get_mut(id.slot).filter(|task| task.era == id.era)?;
        task.body.take()
    }

    /// Takes all tasks off, and gives what has to be dropped of them outside.
    pub(super) fn remove_tasks(&mut self) -> Vec<Outside> {
        let tasks = self.tasks.drain().zip(0..);
        tasks.map(|(task, slot)| Task::left(task.body, slot)).collect()
    }

    /// Takes a task off whose node goes down. What it held is dropped outside; that of the running
    /// task once its poll is over.
    pub(super) fn kill_task(&mut self, id: TaskId) {
        let body = self.remove_task(id);
        if self.current != Some(id) {
            self.outside.push(Task::left(body, id.slot));
        }
    }

    /// Takes a task off. What it held is dropped by the caller, outside.
    pub(crate) fn remove_task(&mut self, id: TaskId) -> Option<Body> {
        let task = &mut self.tasks[id.slot];
        if task.era != id.era {
            return None;
        }
        task.era = task.era.wrapping_add(1);
        task.ready = false;
        task.rng = None;
        let (body, place, node) = (task.body.take(), task.place, task.node as usize);
        let list = &mut self.nodes[node].tasks;
        list.swap_remove(place as usize);
        if let Some(moved) = list.get(place as usize).copied() {
            self.tasks[moved].place = place;
        }
        self.tasks.give_back(id.slot);
        body
    }

    /// Whose task it is.
    pub(crate) fn node_of(&self, id: TaskId) -> u32 {
        self.tasks[id.slot].node
    }

    /// What the running task is about to wait for.
    #[inline]
    pub(crate) fn waits(&mut self, kind: &'static str, name: &'static str) {
        if let Some(id) = self.current {
            self.tasks[id.slot].waits = (kind, name);
        }
    }
}
