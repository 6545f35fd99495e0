//! A node's life in this process: started with a configuration and a service, stopped or run to its
//! end.

use crate::accept;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::counters::{Counters, Metrics};
use crate::disk::{DiskThread, Executor};
use crate::entropy::Entropy;
use crate::error::RunError;
use crate::files::Files;
use crate::network::Network;
use crate::platform::Real;
use crate::tasks::{Ending, Tasks};
use crate::transport::Transport;
use squall_env::Env;
use std::error::Error;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a node that stops waits for blocking work, which cannot be interrupted. Work that takes
/// longer goes on by itself, and its result reaches nobody.
pub const BLOCKING_LINGER: Duration = Duration::from_secs(1);

/// Runs a node on this thread until its service returns, with what the service returned.
///
/// When the service is done the node is: its tasks are dropped where they wait, its sockets and
/// files are closed, and what was queued for the network or the disk is not carried out.
///
/// # Errors
/// [`RunError`]: the configuration is wrong, the directory or the port is taken, the service fails,
/// or one of the node's tasks panics.
///
/// # Panics
/// If it is called within a tokio runtime: a node brings its own.
pub fn run<S, F, E>(config: Config, serve: S) -> Result<(), RunError>
where
    S: FnOnce(Env) -> F + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    Prepared::new(&config, on_files)?.run(serve)
}

/// Carries operations out on the files as they are.
fn on_files(mut files: Files) -> Result<Executor, RunError> {
    Ok(Box::new(move |operation| files.execute(operation)))
}

/// A node that runs on a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Node {
    name: String,
    ending: Arc<Ending>,
    counters: Arc<Counters>,
    listening: Option<SocketAddr>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Node {
    /// Starts a node. It has its directory and listens once this returns.
    ///
    /// # Errors
    /// [`RunError`]: the configuration is wrong, or the directory or the port is taken.
    pub fn start<S, F, E>(config: Config, serve: S) -> Result<Node, RunError>
    where
        S: FnOnce(Env) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Node::start_with(config, serve, on_files)
    }

    /// Starts a node whose operations are carried out in another way.
    pub(crate) fn start_with<S, F, E>(
        config: Config,
        serve: S,
        execute: impl FnOnce(Files) -> Result<Executor, RunError>,
    ) -> Result<Node, RunError>
    where
        S: FnOnce(Env) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let prepared = Prepared::new(&config, execute)?;
        let name = prepared.name.clone();
        let ending = Arc::clone(&prepared.real.tasks.ending);
        let counters = Arc::clone(&prepared.real.counters);
        let listening = prepared.listening;
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(move || prepared.run(serve))
            .map_err(|source| RunError::System { what: "thread", source })?;
        Ok(Node { name, ending, counters, listening, thread: Some(thread) })
    }

    /// Stops the node and waits until it has: its tasks are dropped where they wait, its sockets
    /// and files are closed, and its directory is free.
    ///
    /// A stop is as abrupt as the death of a process. What was queued for the network or the disk
    /// is not carried out; only the disk operation under way is finished.
    ///
    /// # Errors
    /// Why the node had ended before it was told to stop, if that was not in peace.
    pub fn stop(self) -> Result<(), RunError> {
        self.request_stop();
        self.join()
    }

    /// Tells the node to stop, and does not wait.
    pub fn request_stop(&self) {
        self.ending.end(Ok(()));
    }

    /// Waits until the node's service returns or the node is told to stop.
    ///
    /// # Errors
    /// [`RunError`]: the service failed, or a task panicked.
    pub fn join(mut self) -> Result<(), RunError> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            // The node's tasks are guarded, so this is a panic of the node's own frame.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }

    /// Whether the node has ended or was told to.
    pub fn has_ended(&self) -> bool {
        self.ending.is_over()
    }

    /// The node's readable name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the node listens, if it does.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.listening
    }

    /// The node's counters, which can be read for longer than the node lasts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What the node's counters stand at.
    pub fn metrics(&self) -> Metrics {
        self.counters.metrics()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.request_stop();
        let Some(thread) = self.thread.take() else { return };
        // A node that holds itself cannot wait for itself.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if let Ok(Err(error)) = thread.join() {
            tracing::error!(node = self.name, %error, "a node had failed before it was dropped");
        }
    }
}

/// A node that has all it needs and has not begun. Dropping it gives everything back.
struct Prepared {
    name: String,
    listening: Option<SocketAddr>,
    listener: Option<TcpListener>,
    real: Arc<Real>,
    /// What is closed at the end; none once it is.
    parts: Option<(Runtime, JoinHandle<()>)>,
}

impl Prepared {
    fn new(
        config: &Config,
        execute: impl FnOnce(Files) -> Result<Executor, RunError>,
    ) -> Result<Prepared, RunError> {
        config.validate()?;
        let name = config.roster.name(config.me);
        let transport = Transport::new(config)?;
        let mut files = Files::open(&config.data)?;
        let me = (!config.me.is_guest()).then(|| name.clone());
        files.claim(config.roster.cluster(), me, config.data_must_exist)?;
        let execute = execute(files)?;
        let listener = config.listening().map(listen).transpose()?;
        let listening = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let entropy = Arc::new(Entropy::new()?);
        let runtime = runtime(config, &name)?;
        let ending = Arc::new(Ending::default());
        let span = tracing::info_span!("node", name = name.as_str());
        let tasks = Tasks { runtime: runtime.handle().clone(), ending: Arc::clone(&ending), span };
        let counters = Arc::new(Counters::of(&name));
        let shared = Arc::clone(&counters);
        let (disk, disk_thread) =
            DiskThread::start(execute, &name, ending, &config.limits, shared)?;
        let parts = (Arc::clone(&counters), Arc::clone(&entropy), tasks.clone());
        let network = Network::new(config, parts.0, parts.1, parts.2, transport);
        let (clock, network) = (SystemClock::new(), Arc::new(network));
        let real = Arc::new(Real { clock, network, disk, tasks, entropy, counters });
        let parts = Some((runtime, disk_thread));
        Ok(Prepared { name, listening, listener, real, parts })
    }

    fn run<S, F, E>(mut self, serve: S) -> Result<(), RunError>
    where
        S: FnOnce(Env) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let tasks = self.real.tasks.clone();
        if let Some(listener) = self.listener.take() {
            let network = Arc::clone(&self.real.network);
            let _within = tasks.runtime.enter();
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    tasks.spawn("listener", Box::pin(accept::run(network, listener)));
                }
                Err(source) => return Err(RunError::System { what: "listener", source }),
            }
        }
        let (env, ending) = (Env::new(self.real.clone()), Arc::clone(&tasks.ending));
        let service = async move {
            let outcome = serve(env).await;
            ending.end(outcome.map_err(|error| RunError::Serve(error.into())));
        };
        tasks.spawn("serve", Box::pin(service));
        if let Some((runtime, _)) = &self.parts {
            runtime.block_on(tasks.ending.wait());
        }
        self.close();
        tasks.ending.outcome()
    }

    /// Ends the tasks, then the disk, which they may still have asked for something.
    fn close(&mut self) {
        let Some((runtime, disk_thread)) = self.parts.take() else { return };
        self.real.network.close();
        runtime.shutdown_timeout(BLOCKING_LINGER);
        self.real.disk.stop();
        // A panic of the disk thread has been caught there and has ended the node.
        let joined = disk_thread.join();
        drop(joined);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.real.tasks.ending.end(Ok(()));
        self.close();
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    let listener = TcpListener::bind(address);
    let listener = listener.and_then(|l| l.set_nonblocking(true).map(|()| l));
    listener.map_err(|source| RunError::Listen { address, source })
}

fn runtime(config: &Config, name: &str) -> Result<Runtime, RunError> {
    let mut builder = match config.threads.get() {
        1 => Builder::new_current_thread(),
        threads => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let builder = builder.enable_all().thread_name(format!("{name} worker"));
    let builder = builder.max_blocking_threads(config.limits.blocking_threads_max);
    builder.build().map_err(|source| RunError::System { what: "runtime", source })
}
