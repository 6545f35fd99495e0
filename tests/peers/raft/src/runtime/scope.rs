//! Whose task is running.

use squall_env::Env;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static CURRENT: RefCell<Option<Env>> = const { RefCell::new(None) };
}

/// The node whose task is running.
///
/// # Panics
/// Outside of a [scoped] future.
pub fn current() -> Env {
    let env = CURRENT.with_borrow(Option::clone);
    env.expect("openraft runs in futures that know their node")
}

/// Sets the node for as long as this lives, and then the one from before: polls may nest.
struct Entered(Option<Env>);

impl Entered {
    fn new(env: &Env) -> Entered {
        Entered(CURRENT.replace(Some(env.clone())))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// A future that knows its node while it is polled and while it is dropped.
pub struct Scoped<F> {
    env: Env,
    body: Option<Pin<Box<F>>>,
}

/// Lets a future know its node.
pub fn scoped<F: Future>(env: &Env, body: F) -> Scoped<F> {
    Scoped::new(env, Box::pin(body))
}

impl<F: Future> Scoped<F> {
    /// As [`scoped`], of a future that has its place.
    pub fn new(env: &Env, body: Pin<Box<F>>) -> Scoped<F> {
        Scoped { env: env.clone(), body: Some(body) }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _entered = Entered::new(&this.env);
        let body = this.body.as_mut().expect("a future is not polled after it was dropped");
        body.as_mut().poll(cx)
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let _entered = Entered::new(&self.env);
        drop(self.body.take());
    }
}
