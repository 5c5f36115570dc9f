//! What tasks wait for each other with: locks, events, semaphores, conditions, barriers and queues, native, all on one
//! fair wait queue (`tideloop_core::wait_queue`).
//!
//! Who waits for a primitive has a native future in its *crowd*; who wakes finishes it. What is awaited is a pooled
//! coroutine, `SyncCall`; taking a free lock neither suspends nor allocates. The public classes derive from these and
//! from asyncio's in `python/tideloop/locks.py` and `queues.py`.

mod barrier;
mod call;
mod condition;
mod count;
mod crowd;
#[cfg(not(Py_3_14))]
mod entry;
mod event;
mod lock;
mod owner;
mod primitive;
mod queue;
mod queue_call;
mod queue_general;
mod queue_hooks;
mod queue_methods;
mod semaphore;
mod steps;
mod waiters;

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

pub use call::SyncCall;
pub use condition::Condition;
#[cfg(not(Py_3_14))]
pub use entry::{Entrance, EntryCall, Kind as EntryKind};
pub use event::Event;
pub use lock::Lock;
pub use owner::Subject;
pub use queue::Queue;
pub use queue_call::QueueCall;
pub use semaphore::Semaphore;
pub use steps::Op;

use crate::slots;

/// Adds the classes to the module, the native halves of the primitives under private names.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::coroutine::register::<SyncCall>(module)?;
    #[cfg(not(Py_3_14))]
    {
        slots::entries::install(py);
        slots::coroutine::register::<EntryCall>(module)?;
    }
    module.setattr("_Primitive", py.get_type::<primitive::Primitive>())?;
    module.setattr("Lock", py.get_type::<Lock>())?;
    module.setattr("Event", py.get_type::<Event>())?;
    module.setattr("Semaphore", py.get_type::<Semaphore>())?;
    module.setattr("Condition", py.get_type::<Condition>())?;
    module.setattr("Barrier", py.get_type::<barrier::Barrier>())?;
    module.setattr("_register_primitives", wrap_pyfunction!(primitive::register_primitives, module)?)?;
    queue_methods::init(module)
}
