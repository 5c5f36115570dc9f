//! What threads and tasks share without belonging to a loop: `tideloop.sync` shows these classes.
//!
//! Each is whole without an interpreter lock: what protects a field is said where it is declared. Two rules hold in
//! all of them: no Python runs and no Python object is dropped under a short lock (`short.rs`), and whoever waits for
//! longer is detached.
//!
//! | file | what it holds |
//! |---|---|
//! | `short.rs` | the lock that is held for pointer operations alone |
//! | `atomics.rs` | `AtomicInt`, `AtomicBool`: numbers of the machine |
//! | `reference.rs` | `AtomicRef`: a reference that is swapped whole |
//! | `counter.rs` | `ApproximateCounter`: counting without meeting |
//! | `snapshot.rs` | `Snapshot`: readers never wait |
//! | `thread.rs` | a number for each thread |
//! | `gate.rs` | the re-entrant lock around a collection |
//! | `collections/` | `ConcurrentSet`, `ConcurrentDict`, `ConcurrentList` |

mod atomics;
mod collections;
mod counter;
mod gate;
mod reference;
mod short;
mod snapshot;
mod thread;

use pyo3::prelude::*;

pub use collections::refuse_coroutine;
pub use thread::after_fork_in_child;

/// Adds the classes.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<atomics::AtomicInt>()?;
    module.add_class::<atomics::AtomicBool>()?;
    module.add_class::<reference::AtomicRef>()?;
    module.add_class::<counter::ApproximateCounter>()?;
    module.add_class::<snapshot::Snapshot>()?;
    collections::init(module)
}
