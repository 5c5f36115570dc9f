//! What tasks wait for each other with: asyncio's synchronization primitives and queues, native.

mod queue;
mod queue_call;
mod queue_general;
mod queue_hooks;
mod queue_methods;

use pyo3::prelude::*;

pub use queue::Queue;
pub use queue_call::QueueCall;

/// Adds the classes to the module.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    queue_methods::init(module)
}
