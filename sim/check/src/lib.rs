//! Squall-check decides whether what clients saw is something a correct system could have shown.
//!
//! A [`History`] holds what clients asked, what they were told and when; a [`Recorder`] builds one
//! while a system runs. A [`Model`] says what a correct system does one operation at a time, and
//! [`linearizable()`] searches for an order of the operations that the model allows. When there is
//! none, the answer is a [`Violation`]: the smallest part of the history that was found to be wrong
//! by itself.
//!
//! The crate knows nothing of how the history came to be, so it judges a simulated cluster, a real
//! one and a file in the same way. It draws no randomness and reads no clock: the same history
//! gives the same verdict on every machine.
//!
//! ```
//! use squall_check::{Limits, Recorder, Register, RegisterCall, RegisterReturn, linearizable};
//!
//! let recorder = Recorder::new();
//! let write = recorder.invoke(0, RegisterCall::Write(7), 1_000_000);
//! recorder.ok(write, RegisterReturn::Written, 2_000_000);
//! let read = recorder.invoke(1, RegisterCall::Read, 3_000_000);
//! recorder.ok(read, RegisterReturn::Value(0), 4_000_000);
//!
//! let verdict = linearizable(&Register::new(0), &recorder.finish(), &Limits::default());
//! let violation = verdict.violation().expect("the read missed a write that was over");
//! assert_eq!(
//!     violation.lines(),
//!     [
//!         "process 0 writes 7, between event 0 and 1 (0.001 s to 0.002 s)",
//!         "process 1 reads 0, between event 2 and 3 (0.003 s to 0.004 s)",
//!     ]
//! );
//! ```
#![forbid(unsafe_code)]

mod edn;
pub mod file;
pub mod history;
pub mod linearizable;
pub mod model;
pub mod properties;
pub mod read;
pub mod transactions;
pub mod value;

pub use history::{
    Counts, History, IllFormed, MergeError, Moment, Operation, OperationId, Outcome, ReadError,
    Recorder,
};
pub use linearizable::{Limits, Reason, Verdict, Violation, is_linearizable, linearizable};
pub use model::append_kv::{AppendKv, AppendKvCall, AppendKvReturn};
pub use model::cas_register::{CasCall, CasRegister, CasReturn};
pub use model::counter::{Counter, CounterCall, CounterReturn};
pub use model::lease::{Lease, LeaseCall, LeaseReturn};
pub use model::lock::{
    FencedLock, FencedLockCall, FencedLockReturn, Mutex, MutexCall, MutexReturn,
};
pub use model::log::{AppendLog, LogCall, LogReturn};
pub use model::multi_register::{Access, MultiRegister};
pub use model::queue::{FifoQueue, PriorityQueue, QueueCall, QueueReturn};
pub use model::register::{Register, RegisterCall, RegisterReturn};
pub use model::semaphore::{Semaphore, SemaphoreCall, SemaphoreReturn};
pub use model::set::{Set, SetCall, SetReturn};
pub use model::stack::{Stack, StackCall, StackReturn};
pub use model::{Effect, Model};
pub use value::Value;
