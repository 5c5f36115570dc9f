//! `Handle` and `TimerHandle`: a callback that was scheduled, and may be cancelled.
//!
//! To `isinstance` they are `asyncio.Handle` and `asyncio.TimerHandle`; what is not hot (repr, comparisons) is done
//! by the functions of those classes, so that it is the running version's.

use pyo3::exceptions::PyImportError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::timers::TimerKey;

use super::EventLoop;
use super::running::{self, Running};
use crate::cell::{Cell, Slot};
use crate::error::leaves_the_loop;
use crate::names;
use crate::slots::handles::{self, new_handle, new_timer_handle};
use crate::slots::{self, Slotted};

struct HandleState {
    callback: Slot,
    args: Slot<PyTuple>,
    context: Slot,
    event_loop: Slot<EventLoop>,
    /// Where it was made, in debug mode.
    source_traceback: Slot,
    /// What it looked like, kept from before a cancellation in debug mode.
    shown: Slot,
    /// Made by `call_soon_threadsafe`, on versions where that makes a difference.
    running: Option<Box<Running>>,
    cancelled: bool,
}

/// A callback wrapper object returned by `call_soon` and `call_soon_threadsafe`; an `asyncio.Handle` to isinstance.
#[pyclass(frozen, subclass, weakref, module = "tideloop._native")]
pub struct Handle {
    state: Cell<HandleState>,
}

/// A callback wrapper object returned by `call_later` and `call_at`; an `asyncio.TimerHandle` to isinstance.
#[pyclass(frozen, extends = Handle, module = "tideloop._native")]
pub struct TimerHandle {
    timer: Cell<TimerState>,
}

struct TimerState {
    /// Seconds on the loop's clock.
    when: f64,
    /// Its place in the loop's heap, while it is there.
    key: Option<TimerKey>,
}

impl Slotted for Handle {
    const OFFSET: usize = slots::OFFSET_OF_ROOT;
}

impl Slotted for TimerHandle {
    const OFFSET: usize = slots::offset_after::<Handle>();
}

impl HandleState {
    const fn blank() -> Self {
        Self {
            callback: Slot::EMPTY,
            args: Slot::EMPTY,
            context: Slot::EMPTY,
            event_loop: Slot::EMPTY,
            source_traceback: Slot::EMPTY,
            shown: Slot::EMPTY,
            running: None,
            cancelled: false,
        }
    }

    #[must_use = "drop it outside of the cell"]
    fn take_contents(&mut self) -> impl Sized + use<> {
        (
            self.callback.take(),
            self.args.take(),
            self.context.take(),
            self.event_loop.take(),
            self.source_traceback.take(),
            self.shown.take(),
        )
    }
}

impl Handle {
    /// Drops everything it holds: the end of the object.
    #[inline]
    pub(crate) fn release(&mut self, py: Python<'_>) {
        let state = self.state.get_mut();
        if let Some(callback) = state.callback.take() {
            callback.drop_ref(py);
        }
        if let Some(args) = state.args.take() {
            args.drop_ref(py);
        }
        if let Some(context) = state.context.take() {
            context.drop_ref(py);
        }
        if let Some(event_loop) = state.event_loop.take() {
            event_loop.drop_ref(py);
        }
        drop((state.source_traceback.take(), state.shown.take(), state.running.take()));
    }

    #[inline]
    fn contents(
        event_loop: &Bound<'_, EventLoop>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        debug: bool,
    ) -> PyResult<Self> {
        let py = event_loop.py();
        let context = match context {
            Some(context) if !context.is_none() => context.clone(),
            _ => slots::copy_context(py)?,
        };
        let source_traceback = match debug {
            true => Some(creation_stack(py)?),
            false => None,
        };
        Ok(Self {
            state: Cell::new(HandleState {
                callback: Slot::holding(callback.clone().unbind()),
                args: Slot::holding(args.clone().unbind()),
                context: Slot::holding(context.unbind()),
                event_loop: Slot::holding(event_loop.clone().unbind()),
                source_traceback: Slot::maybe(source_traceback),
                shown: Slot::EMPTY,
                running: None,
                cancelled: false,
            }),
        })
    }

    /// A handle that is not scheduled yet; without a context it takes a copy of the current one.
    /// In debug mode it keeps the stack that made it.
    pub fn create(
        event_loop: &Bound<'_, EventLoop>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        debug: bool,
    ) -> PyResult<Py<Self>> {
        let contents = Self::contents(event_loop, callback, args, context, debug)?;
        Ok(new_handle(event_loop.py(), contents)?.unbind())
    }

    /// The same for the inbox: hidden from the collector until it leaves that.
    pub(super) fn create_hidden(
        event_loop: &Bound<'_, EventLoop>,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        debug: bool,
    ) -> PyResult<Py<Self>> {
        let contents = Self::contents(event_loop, callback, args, context, debug)?;
        Ok(handles::new_hidden_handle(event_loop.py(), contents)?.unbind())
    }

    /// Calls the callback in its context, unless it was cancelled. What it raises goes to the loop's exception
    /// handler, but for `SystemExit` and `KeyboardInterrupt`.
    #[inline]
    pub fn run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let parts = slf.get().state.with(py, |state| {
            if state.cancelled {
                return None;
            }
            if running::EXISTS
                && let Some(running) = &mut state.running
            {
                running.begin(running::this_thread(py));
            }
            Some((state.callback.cloned(py)?, state.args.cloned(py)?, state.context.cloned(py)?))
        });
        let Some((callback, args, context)) = parts else { return Ok(()) };
        let context = context.into_bound(py);
        let outcome = slots::in_context(&context, || callback.bind(py).call(args.bind(py), None));
        if running::EXISTS {
            slf.get().end_run(py);
        }
        match outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) | Err(error) => Self::report(slf, error),
        }
    }

    /// The callback has ended: threads that wait for that go on.
    fn end_run(&self, py: Python<'_>) {
        if let Some(gate) = self.state.with(py, |state| state.running.as_mut()?.end()) {
            gate.open();
        }
    }

    /// Waits until the callback does not run in another thread.
    fn wait_for_run(&self, py: Python<'_>) {
        let thread = running::this_thread(py);
        while let Some(gate) = self.state.with(py, |state| state.running.as_mut()?.gate_for(thread)) {
            gate.wait(py);
        }
    }

    /// Has `cancel` and `cancelled` wait while the callback runs in another thread, where asyncio's do.
    pub(super) fn make_threadsafe(&self, py: Python<'_>) {
        if running::EXISTS {
            self.state.with(py, |state| state.running = Some(Box::default()));
        }
    }

    /// Hands what the callback raised to the loop's exception handler.
    #[cold]
    pub(crate) fn report(slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        if leaves_the_loop(py, &error) {
            return Err(error);
        }
        let (callback, args, event_loop, source) = slf.get().state.with(py, |state| {
            let state = &*state;
            (
                state.callback.cloned(py),
                state.args.cloned(py),
                state.event_loop.cloned(py),
                state.source_traceback.cloned(py),
            )
        });
        let Some(event_loop) = event_loop else {
            crate::error::unraisable(py, error, Some(slf));
            return Ok(());
        };
        let shown = names::format_callback_source(py)?.call1((callback, args))?;
        let context = PyDict::new(py);
        context.set_item(intern!(py, "message"), format!("Exception in callback {shown}"))?;
        context.set_item(intern!(py, "exception"), error)?;
        context.set_item(intern!(py, "handle"), slf)?;
        if let Some(source) = source {
            context.set_item(intern!(py, "source_traceback"), source)?;
        }
        event_loop.bind(py).call_method1(intern!(py, "call_exception_handler"), (context,))?;
        Ok(())
    }

    pub(super) fn is_cancelled(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.cancelled)
    }

    fn event_loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.state.with(py, |state| state.event_loop.cloned(py))
    }
}

/// The stack of the Python code that is calling us, as asyncio's debug mode keeps it.
pub(crate) fn creation_stack(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let frame = names::getframe(py)?.call1((0,))?;
    Ok(names::extract_stack(py)?.call1((frame,))?.unbind())
}

impl TimerHandle {
    /// A timer that is in no heap yet.
    pub(super) fn create(
        event_loop: &Bound<'_, EventLoop>,
        when: f64,
        callback: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        context: Option<&Bound<'_, PyAny>>,
        debug: bool,
    ) -> PyResult<Py<Self>> {
        let base = Handle::contents(event_loop, callback, args, context, debug)?;
        let timer = Self { timer: Cell::new(TimerState { when, key: None }) };
        Ok(new_timer_handle(event_loop.py(), base, timer)?.unbind())
    }

    pub(super) fn set_key(&self, py: Python<'_>, key: Option<TimerKey>) {
        self.timer.with(py, |timer| timer.key = key);
    }
}

#[pymethods]
impl Handle {
    #[getter(__class__)]
    fn class<'py>(slf: &Bound<'py, Self>) -> PyResult<&'py Bound<'py, PyType>> {
        let py = slf.py();
        #[cfg(Py_3_14)]
        if slf.get().state.with(py, |state| state.running.is_some()) {
            return names::thread_safe_handle_class(py);
        }
        match slf.cast::<TimerHandle>() {
            Ok(_) => names::timer_handle_class(py),
            Err(_) => names::handle_class(py),
        }
    }

    /// Cancel the callback. If it has already been cancelled or executed, this has no effect.
    /// Corresponds to `asyncio.Handle.cancel`.
    #[pyo3(name = "cancel")]
    pub(super) fn cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        this.wait_for_run(py);
        if this.state.with(py, |state| std::mem::replace(&mut state.cancelled, true)) {
            return Ok(());
        }
        let event_loop = this.event_loop(py);
        let in_debug = event_loop.as_ref().is_some_and(|event_loop| event_loop.get().debug(py));
        // Callback and arguments are let go; debug mode remembers what they looked like.
        let shown = if in_debug { Some(slf.repr()?.into_any().unbind()) } else { None };
        let old = this.state.with(py, |state| {
            let before = if shown.is_some() { state.shown.replace(shown) } else { None };
            (state.callback.take(), state.args.take(), before)
        });
        if let (Some(event_loop), Ok(timer)) = (event_loop, slf.cast::<TimerHandle>()) {
            let key = timer.get().timer.with(py, |timer| timer.key.take());
            drop(key.and_then(|key| event_loop.get().with_state(py, |state| state.timers.remove(key))));
        }
        drop(old);
        Ok(())
    }

    /// Whether the callback was cancelled. Corresponds to `asyncio.Handle.cancelled`.
    fn cancelled(&self, py: Python<'_>) -> bool {
        self.wait_for_run(py);
        self.is_cancelled(py)
    }

    /// The `contextvars.Context` that the callback runs in. Corresponds to `asyncio.Handle.get_context`.
    fn get_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.context.cloned(py))
    }

    fn _run(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run(slf)
    }

    #[getter]
    fn _callback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.callback.cloned(py))
    }

    #[getter]
    fn _args(&self, py: Python<'_>) -> Option<Py<PyTuple>> {
        self.state.with(py, |state| state.args.cloned(py))
    }

    #[getter]
    fn _context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_context(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<EventLoop>> {
        self.event_loop(py)
    }

    #[getter]
    fn _cancelled(&self, py: Python<'_>) -> bool {
        self.is_cancelled(py)
    }

    #[getter]
    fn _source_traceback(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.source_traceback.cloned(py))
    }

    #[getter]
    fn _repr(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.shown.cloned(py))
    }

    fn _repr_info<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::class(slf)?.call_method1(intern!(slf.py(), "_repr_info"), (slf,))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        names::handle_class(slf.py())?.call_method1(intern!(slf.py(), "__repr__"), (slf,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .during_gc(|state| {
                state.callback.visit(&visit)?;
                state.args.visit(&visit)?;
                state.context.visit(&visit)?;
                state.event_loop.visit(&visit)?;
                state.source_traceback.visit(&visit)?;
                state.shown.visit(&visit)
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(slf: &Bound<'_, Self>) {
        let contents = slf.get().state.with(slf.py(), HandleState::take_contents);
        drop(contents);
    }
}

#[pymethods]
impl TimerHandle {
    /// When the callback is due, in seconds on the loop's clock. Corresponds to `asyncio.TimerHandle.when`.
    fn when(&self, py: Python<'_>) -> f64 {
        self.timer.with(py, |timer| timer.when)
    }

    #[getter]
    fn _when(&self, py: Python<'_>) -> f64 {
        self.when(py)
    }

    #[getter]
    fn _scheduled(&self, py: Python<'_>) -> bool {
        self.timer.with(py, |timer| timer.key.is_some())
    }

    fn __hash__(slf: &Bound<'_, Self>) -> PyResult<isize> {
        slf.get().when(slf.py()).into_pyobject(slf.py())?.hash()
    }

    fn __lt__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        compare(slf, other, "__lt__")
    }

    fn __le__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        compare(slf, other, "__le__")
    }

    fn __gt__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        compare(slf, other, "__gt__")
    }

    fn __ge__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        compare(slf, other, "__ge__")
    }

    fn __eq__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        compare(slf, other, "__eq__")
    }
}

fn compare<'py>(
    slf: &Bound<'py, TimerHandle>,
    other: &Bound<'py, PyAny>,
    operator: &str,
) -> PyResult<Bound<'py, PyAny>> {
    names::timer_handle_class(slf.py())?.call_method1(operator, (slf, other))
}

/// Sets the classes up, once at import, and checks that contents lie where they are written.
pub(super) fn set_up(py: Python<'_>) -> PyResult<()> {
    let base = Handle { state: Cell::new(HandleState::blank()) };
    let timer = TimerHandle { timer: Cell::new(TimerState { when: 0.0, key: None }) };
    let known = handles::install(py);
    let timer = new_timer_handle(py, base, timer)?;
    if known && slots::verify(&timer) && slots::verify(timer.as_super()) {
        return Ok(());
    }
    Err(PyImportError::new_err("the layout of tideloop's handles is not what was assumed"))
}
