//! What threads and tasks share (`tideloop.sync`, `tideloop.channels`): one object for `with` and blocking calls in
//! any thread and for `async with` and `await` in tasks of any loop, bound to none.
//!
//! The state of each is in `tideloop_core::both`. A wait is a [`pending::Pending`]; [`call::wait`] blocks a thread on
//! it, or gives a task something to await.

mod acquire_all;
mod barrier;
mod broadcast;
mod call;
mod channel;
mod condition;
mod condition_wait;
mod door;
mod event;
mod gates;
mod here;
mod iterate;
mod knock;
mod latch;
mod lock;
mod manner;
mod once;
mod owner;
mod pending;
mod permits;
mod queue;
mod ready;
mod rlock;
mod rwlock;
mod select;
mod semaphore;
mod shown;
mod watch;

use pyo3::prelude::*;

pub use condition::Condition;
pub use door::Door;
pub use knock::Knock;
pub use lock::Lock;
pub use pending::Pending;
pub use queue::{LifoQueue, Manner, PriorityQueue, Queue};
pub use ready::{Ready, ready};
pub use rlock::RLock;
pub use rwlock::RWLockSide;
pub use semaphore::{BoundedSemaphore, Semaphore};

use crate::slots;

/// Adds the classes to the module, the native halves of the primitives under private names.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    slots::coroutine::register::<call::BothCall>(module)?;
    slots::ready::install(py);
    slots::both_locks::install(py)?;
    slots::both_queues::install(py)?;
    let both = PyModule::new(py, "tideloop._native._both")?;
    both.setattr("Lock", py.get_type::<Lock>())?;
    both.setattr("Barrier", py.get_type::<barrier::Barrier>())?;
    both.setattr("Latch", py.get_type::<latch::Latch>())?;
    both.setattr("Once", py.get_type::<once::Once>())?;
    both.setattr("RWLock", py.get_type::<rwlock::RWLock>())?;
    both.setattr("RWLockSide", py.get_type::<RWLockSide>())?;
    both.setattr("abandon", wrap_pyfunction!(call::abandon, &both)?)?;
    both.setattr("acquire_all", wrap_pyfunction!(acquire_all::acquire_all, &both)?)?;
    both.setattr("RLock", py.get_type::<RLock>())?;
    both.setattr("Semaphore", py.get_type::<Semaphore>())?;
    both.setattr("BoundedSemaphore", py.get_type::<BoundedSemaphore>())?;
    both.setattr("Condition", py.get_type::<Condition>())?;
    both.setattr("Event", py.get_type::<event::Event>())?;
    both.setattr("Queue", py.get_type::<Queue>())?;
    both.setattr("LifoQueue", py.get_type::<LifoQueue>())?;
    both.setattr("PriorityQueue", py.get_type::<PriorityQueue>())?;
    add_channels(&both)?;
    module.setattr("_both", both)
}

fn add_channels(both: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = both.py();
    both.setattr("Channel", py.get_type::<channel::Channel>())?;
    both.setattr("Broadcast", py.get_type::<broadcast::Broadcast>())?;
    both.setattr("Subscription", py.get_type::<broadcast::Subscription>())?;
    both.setattr("Watch", py.get_type::<watch::Watch>())?;
    both.setattr("Watcher", py.get_type::<watch::Watcher>())?;
    let select = wrap_pyfunction!(select::select, both)?;
    select.setattr("__module__", "tideloop.channels")?;
    both.setattr("select", select)
}
