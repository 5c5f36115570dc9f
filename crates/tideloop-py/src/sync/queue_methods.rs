//! `Queue` as Python sees it: asyncio's methods, and the private attributes that libraries look at and derived classes
//! work with. The hot methods are in `slots/queues.rs`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::queue::{Queue, Side};
use super::queue_call::QueueCall;
use super::{queue_general, queue_hooks};
use crate::names;
use crate::slots;

/// An argument that may be left out; None is one as any other.
enum Given<'py> {
    Nothing,
    This(Bound<'py, PyAny>),
}

impl<'py> Given<'py> {
    fn as_option(&self) -> Option<&Bound<'py, PyAny>> {
        match self {
            Self::Nothing => None,
            Self::This(object) => Some(object),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Given<'py> {
    type Error = std::convert::Infallible;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> Result<Self, Self::Error> {
        Ok(Self::This(object.to_owned()))
    }
}

#[pymethods]
impl Queue {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(maxsize=0)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::blank()
    }

    #[pyo3(signature = (maxsize=Given::Nothing))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: Given<'_>) -> PyResult<()> {
        Self::initialize(slf, maxsize.as_option())
    }

    /// The number of items in the queue. Corresponds to `asyncio.Queue.qsize`.
    fn qsize(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Self::item_count(slf, Self::hooks(slf)?)
    }

    /// The number of items that the queue may hold, 0 or less for any number. Corresponds to `asyncio.Queue.maxsize`.
    #[getter]
    fn maxsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.getattr(intern!(slf.py(), "_maxsize"))
    }

    /// Whether there is no item in the queue. Corresponds to `asyncio.Queue.empty`.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::has_no_item(slf, Self::hooks(slf)?)
    }

    /// Whether there are `maxsize` items in the queue; never, if that is 0 or less. Corresponds to
    /// `asyncio.Queue.full`.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Self::has_no_room(slf, Self::hooks(slf)?)
    }

    /// Wait until `task_done` has been called for every item that was put; awaitable, None. Corresponds to
    /// `asyncio.Queue.join`.
    fn join<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        QueueCall::join(slf)
    }

    /// Have `put` raise `QueueShutDown`, and `get` as well when the queue is empty; those who wait are woken.
    /// With `immediate` the items are dropped, and count as done. Corresponds to `asyncio.Queue.shutdown` of Python
    /// 3.13, on every version.
    #[pyo3(signature = (immediate=Given::Nothing), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Given<'_>) -> PyResult<()> {
        let immediate = immediate.as_option().map_or(Ok(false), |immediate| immediate.is_truthy())?;
        Self::close_down(slf, immediate)
    }

    /// The part of the repr that says what the queue holds, and how many wait.
    fn _format(slf: &Bound<'_, Self>) -> PyResult<String> {
        queue_general::format(slf)
    }

    /// The futures of those who wait in `join`, for statistics.
    fn _joiners<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        Self::list_joiners(slf)
    }

    /// The futures of those who wait for an item, and of those who wait for room, for statistics.
    fn _waiting<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        Ok((Self::list_waiters(slf, Side::Getters)?, Self::list_waiters(slf, Side::Putters)?))
    }

    #[getter(_queue)]
    fn py_queue<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::show_items(slf)
    }

    #[setter(_queue)]
    fn py_set_queue(slf: &Bound<'_, Self>, items: &Bound<'_, PyAny>) {
        Self::put_in_place(slf, items, |rare| &mut rare.items, |state| std::mem::take(&mut state.items));
    }

    #[getter(_getters)]
    fn py_getters<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::show_waiters(slf, Side::Getters)
    }

    #[setter(_getters)]
    fn py_set_getters(slf: &Bound<'_, Self>, waiters: &Bound<'_, PyAny>) {
        Self::put_in_place(slf, waiters, |rare| &mut rare.getters, |state| state.side(Side::Getters).drain());
    }

    #[getter(_putters)]
    fn py_putters<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::show_waiters(slf, Side::Putters)
    }

    #[setter(_putters)]
    fn py_set_putters(slf: &Bound<'_, Self>, waiters: &Bound<'_, PyAny>) {
        Self::put_in_place(slf, waiters, |rare| &mut rare.putters, |state| state.side(Side::Putters).drain());
    }

    #[getter(_finished)]
    fn py_finished<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::show_finished(slf)
    }

    #[setter(_finished)]
    fn py_set_finished(slf: &Bound<'_, Self>, event: &Bound<'_, PyAny>) {
        Self::put_in_place(slf, event, |rare| &mut rare.finished, |state| state.joiners.drain());
    }

    #[getter(_unfinished_tasks)]
    fn py_unfinished_tasks(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| state.unfinished)
    }

    #[setter(_unfinished_tasks)]
    fn py_set_unfinished_tasks(&self, py: Python<'_>, count: i64) {
        self.state.with(py, |state| state.unfinished = count);
    }

    #[getter(_maxsize)]
    fn py_maxsize<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::maxsize_object(slf)
    }

    #[setter(_maxsize)]
    fn py_set_maxsize(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) {
        Self::set_maxsize(slf, maxsize);
    }

    #[getter(_is_shutdown)]
    fn py_is_shutdown(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.shut_down)
    }

    #[setter(_is_shutdown)]
    fn py_set_is_shutdown(&self, py: Python<'_>, shut_down: bool) {
        self.state.with(py, |state| state.shut_down = shut_down);
    }

    /// The loop of those who have waited, or None.
    #[getter(_loop)]
    fn py_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.bound.get(py)
    }

    #[setter(_loop)]
    fn py_set_loop(&self, py: Python<'_>, event_loop: Option<&Bound<'_, PyAny>>) {
        self.bound.set(py, event_loop);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        Self::clear(slf);
    }
}

/// Makes the three classes that derive from [`Queue`] known: `Queue`, `LifoQueue`, `PriorityQueue`; called once.
#[pyfunction]
fn register_queues(queue: &Bound<'_, PyType>, lifo: &Bound<'_, PyType>, priority: &Bound<'_, PyType>) -> PyResult<()> {
    // The standard library's, before `tideloop.install(names=True)` puts ours there.
    names::event_class(queue.py())?;
    names::queue_empty(queue.py())?;
    names::queue_full(queue.py())?;
    slots::queues::install(queue)?;
    queue_hooks::register([queue, lifo, priority])
}

pub(super) fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    slots::coroutine::register::<QueueCall>(module)?;
    module.add_class::<Queue>()?;
    // Private: not in `__all__`, where `add_function` puts a name.
    module.setattr("_register_queues", wrap_pyfunction!(register_queues, module)?)
}
