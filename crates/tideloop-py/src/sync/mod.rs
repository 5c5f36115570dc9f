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
mod event;
mod lock;
mod primitive;
mod queue;
mod queue_call;
mod queue_general;
mod queue_hooks;
mod queue_methods;
mod semaphore;
mod waiters;

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

pub use call::{Op, SyncCall};
pub use condition::Condition;
pub use event::Event;
pub use lock::Lock;
pub use queue::Queue;
pub use queue_call::QueueCall;
pub use semaphore::Semaphore;

use crate::slots;

/// Adds the classes to the module, the native halves of the primitives under private names.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::coroutine::register::<SyncCall>(module)?;
    slots::primitives::install(py)?;
    module.setattr("_Primitive", py.get_type::<primitive::Primitive>())?;
    module.setattr("Lock", py.get_type::<Lock>())?;
    module.setattr("Event", py.get_type::<Event>())?;
    module.setattr("Semaphore", py.get_type::<Semaphore>())?;
    module.setattr("Condition", py.get_type::<Condition>())?;
    module.setattr("Barrier", py.get_type::<barrier::Barrier>())?;
    module.setattr("_set_plain_primitives", wrap_pyfunction!(primitive::set_plain_primitives, module)?)?;
    queue_methods::init(module)
}
