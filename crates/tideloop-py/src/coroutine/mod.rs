//! Coroutines written in Rust: what `lock.acquire()`, `queue.get()` or `sleep(1)` return.
//!
//! # The life of a coroutine
//!
//! *fresh* until its first step: nothing happens before it is awaited, and one that never is says so when it dies. A
//! step makes it *running*, and calls [`NativeCoroutine::run`], which goes on from where it stopped, as the body of a
//! coroutine function does: until it *waits* for a future of ours, *gives way* for a turn, or is *done*. `throw` brings
//! an exception to the place where it waits, `close` a `GeneratorExit`.
//!
//! It waits on a pooled native `Future` like any task, so it may be awaited by native and by C tasks, on any loop, and
//! events come in the order of asyncio's. To Python it is a coroutine in all but its exact class.

mod bound;
mod waiting;

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{PyTraverseError, PyVisit};

pub use bound::LoopBound;
pub use waiting::waiter;

use crate::cell::{Cell, Slot};
use crate::error::unraisable;
use crate::slots::coroutine::Home;
use crate::slots::{self, Slotted};
use crate::task::{Future, thrown};

/// How far a coroutine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Running,
    Waiting,
    GivingWay,
    Done,
}

struct LifeState {
    phase: Phase,
    /// What it waits for.
    future: Slot<Future>,
}

/// How far a coroutine is and what it waits for: a part of each.
pub struct Life(Cell<LifeState>);

/// Why a coroutine goes on.
pub enum Resumed<'py> {
    /// Its first step.
    Start,
    /// The future that it waited for has a result; or, after a `Yield`, its turn has come.
    Woken(Option<Bound<'py, Future>>),
    /// An exception is raised at the place where it waits; for the future, if there was one.
    Thrown(Bound<'py, PyAny>, Option<Bound<'py, Future>>),
}

/// What a step brings.
pub enum Stepped<'py> {
    /// It waits for a pending future of ours that nobody else awaits.
    Wait(Bound<'py, Future>),
    /// It gives way for a turn (None), or passes on what an awaitable inside of it has yielded.
    Yield(Bound<'py, PyAny>),
    /// It is done.
    Return(Bound<'py, PyAny>),
}

/// A coroutine written in Rust. `native_coroutine!` makes the rest of it.
pub trait NativeCoroutine: Slotted<Frozen = True> + Homed + Sync {
    /// Whether it holds Python objects after its end, which `clear` lets go when the object dies.
    const KEEPS_AT_END: bool = false;

    /// One that is done, to try out.
    fn blank() -> Self;

    /// How far it is.
    fn life(&self) -> &Life;

    /// asyncio's name for it, such as `Lock.acquire`.
    fn qualname(&self, py: Python<'_>) -> &'static str;

    /// Goes on until it waits, returns or raises. Called for one step at a time; never after it has ended.
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>>;

    /// Shows the Python objects it holds to the collector.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;

    /// Lets go of the Python objects it holds: it has ended, or the collector takes it apart. May be called twice.
    fn clear(&self, py: Python<'_>);
}

/// Where a class's objects come from; implemented by `native_coroutine!`.
pub trait Homed {
    /// The name of the class.
    const CLASS_NAME: &'static str;

    fn home() -> &'static Home;
}

impl Life {
    /// Of a coroutine that nobody has stepped.
    #[inline]
    pub const fn fresh() -> Self {
        Self::at(Phase::Fresh)
    }

    /// Of one that is done.
    pub const fn ended() -> Self {
        Self::at(Phase::Done)
    }

    const fn at(phase: Phase) -> Self {
        Self(Cell::new(LifeState { phase, future: Slot::EMPTY }))
    }

    /// One that has ended, or was made before it was called for, is fresh from now on.
    #[cfg(not(Py_3_14))]
    #[inline]
    pub fn begin_anew(&self, py: Python<'_>) {
        self.0.with(py, |life| life.phase = Phase::Fresh);
    }

    /// Whether nothing has to be done before it is gone.
    #[inline]
    pub fn dies_silently(&self) -> bool {
        self.0.during_gc(|life| life.phase == Phase::Done).unwrap_or(true)
    }

    #[inline]
    fn phase(&self, py: Python<'_>) -> Phase {
        self.0.with(py, |life| life.phase)
    }

    /// Starts a step: where it was, and what it waited for.
    #[inline(always)]
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<(Phase, Option<Bound<'py, Future>>)> {
        let (phase, future) = self.0.with(py, |life| match life.phase {
            Phase::Running | Phase::Done => (life.phase, None),
            before => {
                life.phase = Phase::Running;
                (before, life.future.take())
            }
        });
        match phase {
            Phase::Running => Err(PyValueError::new_err("coroutine already executing")),
            Phase::Done => Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")),
            _ => Ok((phase, future.map(|future| future.into_bound(py)))),
        }
    }

    /// Ends the last step. (What it waited for was taken out when the step began.)
    #[inline]
    fn finish(&self, py: Python<'_>) {
        self.0.with(py, |life| life.phase = Phase::Done);
    }

    /// Ends a step.
    #[inline]
    fn stop(&self, py: Python<'_>, phase: Phase, future: Option<Py<Future>>) {
        let before = self.0.with(py, |life| {
            life.phase = phase;
            life.future.replace(future)
        });
        drop(before);
    }

    /// What it waits for.
    pub fn awaited(&self, py: Python<'_>) -> Option<Py<Future>> {
        self.0.with(py, |life| life.future.cloned(py))
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.during_gc(|life| life.future.visit(visit)).unwrap_or(Ok(()))
    }
}

/// One step; with an exception, which is raised where the coroutine waits.
#[inline]
pub fn step<'py, C: NativeCoroutine>(
    slf: &Bound<'py, C>,
    exception: Option<Bound<'py, PyAny>>,
) -> PyResult<Stepped<'py>> {
    let py = slf.py();
    let life = slf.get().life();
    let (phase, future) = life.begin(py)?;
    let outcome = match (exception, phase) {
        (None, Phase::Fresh) => C::run(slf, Resumed::Start),
        (Some(exception), Phase::Fresh) => Err(PyErr::from_value(exception)),
        (Some(exception), _) => C::run(slf, Resumed::Thrown(exception, future)),
        (None, _) => match waiting::outcome(future.as_ref()) {
            Ok(()) => C::run(slf, Resumed::Woken(future)),
            Err(error) => C::run(slf, Resumed::Thrown(error.into_value(py).into_bound(py).into_any(), future)),
        },
    };
    match outcome {
        Ok(Stepped::Wait(future)) => {
            future.get().await_at_once(py);
            life.stop(py, Phase::Waiting, Some(future.clone().unbind()));
            Ok(Stepped::Wait(future))
        }
        Ok(Stepped::Yield(object)) => {
            life.stop(py, Phase::GivingWay, None);
            Ok(Stepped::Yield(object))
        }
        Ok(Stepped::Return(value)) => {
            end(slf);
            Ok(Stepped::Return(value))
        }
        Err(error) => {
            end(slf);
            Err(no_stop_iteration(py, error))
        }
    }
}

#[inline]
fn end<C: NativeCoroutine>(slf: &Bound<'_, C>) {
    let py = slf.py();
    slf.get().life().finish(py);
    if !C::KEEPS_AT_END {
        slf.get().clear(py);
    }
}

/// A coroutine does not raise `StopIteration`, which would be taken for its result.
#[cold]
fn no_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let refused = PyRuntimeError::new_err("coroutine raised StopIteration");
    refused.set_cause(py, Some(error));
    refused
}

/// What Python's `send` and `throw` make of a step.
fn sent(stepped: Stepped<'_>) -> PyResult<Bound<'_, PyAny>> {
    match stepped {
        Stepped::Wait(future) => Ok(future.into_any()),
        Stepped::Yield(object) => Ok(object),
        Stepped::Return(value) => {
            slots::classes::raise_stop_iteration(value.py(), &value);
            Err(PyErr::fetch(value.py()))
        }
    }
}

/// `coroutine.send(value)`.
pub fn send<'py, C: NativeCoroutine>(slf: &Bound<'py, C>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !value.is_none() && slf.get().life().phase(slf.py()) == Phase::Fresh {
        return Err(PyTypeError::new_err("can't send non-None value to a just-started coroutine"));
    }
    sent(step(slf, None)?)
}

/// `coroutine.throw(type, value, traceback)`.
pub fn throw<'py, C: NativeCoroutine>(
    slf: &Bound<'py, C>,
    r#type: &Bound<'py, PyAny>,
    value: Option<&Bound<'py, PyAny>>,
    traceback: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    sent(step(slf, Some(thrown(r#type, value, traceback)?))?)
}

/// `coroutine.close()`.
pub fn close<C: NativeCoroutine>(slf: &Bound<'_, C>) -> PyResult<()> {
    let py = slf.py();
    match slf.get().life().phase(py) {
        Phase::Running => Err(PyValueError::new_err("coroutine already executing")),
        Phase::Done => Ok(()),
        Phase::Fresh => {
            end(slf);
            Ok(())
        }
        Phase::Waiting | Phase::GivingWay => {
            // Made by a call: PyO3 lets go of the interpreter to complete an error of its own, and cannot have it again
            // when the interpreter ends.
            let exit = py.get_type::<PyGeneratorExit>().call0()?;
            match step(slf, Some(exit)) {
                Ok(Stepped::Return(_)) => Ok(()),
                Ok(_) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
                Err(error) if error.is_instance_of::<PyGeneratorExit>(py) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}

/// Nobody can step it any more: one that waits is closed, one that was never stepped is a mistake, of which the program
/// is told.
pub fn finalize<C: NativeCoroutine>(slf: &Bound<'_, C>) {
    let py = slf.py();
    let outcome = match slf.get().life().phase(py) {
        Phase::Fresh => {
            let warned = warn_never_awaited(slf);
            end(slf);
            warned
        }
        _ => close(slf),
    };
    if let Err(error) = outcome {
        unraisable(py, error, Some(slf.as_any()));
    }
}

#[cold]
fn warn_never_awaited<C: NativeCoroutine>(slf: &Bound<'_, C>) -> PyResult<()> {
    let py = slf.py();
    let text = std::ffi::CString::new(format!("coroutine '{}' was never awaited", slf.get().qualname(py)))?;
    PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)
}

/// Lets go of what it holds: the end of the object, which has ended or is beyond being finalized.
#[inline]
pub fn release<C: NativeCoroutine>(py: Python<'_>, coroutine: &C) {
    coroutine.life().stop(py, Phase::Done, None);
    coroutine.clear(py);
}

/// Whether a step is being made.
pub fn is_running<C: NativeCoroutine>(slf: &Bound<'_, C>) -> bool {
    slf.get().life().phase(slf.py()) == Phase::Running
}

/// Whether it has begun, and waits.
pub fn is_suspended<C: NativeCoroutine>(slf: &Bound<'_, C>) -> bool {
    matches!(slf.get().life().phase(slf.py()), Phase::Waiting | Phase::GivingWay)
}

/// Makes a class that implements [`NativeCoroutine`] a coroutine to Python. Its module calls
/// `slots::coroutine::register::<Class>(module)` once, and `slots::coroutine::create` for each.
macro_rules! native_coroutine {
    ($class:ident) => {
        impl $crate::slots::Slotted for $class {
            const OFFSET: usize = $crate::slots::OFFSET_OF_ROOT;
        }

        impl $crate::coroutine::Homed for $class {
            const CLASS_NAME: &'static str = stringify!($class);

            fn home() -> &'static $crate::slots::coroutine::Home {
                static HOME: $crate::slots::coroutine::Home = $crate::slots::coroutine::Home::new();
                &HOME
            }
        }

        #[::pyo3::pymethods]
        impl $class {
            /// The raw slots stand in for these two as soon as the type is made.
            fn __await__(slf: ::pyo3::Py<Self>) -> ::pyo3::Py<Self> {
                slf
            }

            fn __next__<'py>(
                slf: &::pyo3::Bound<'py, Self>,
            ) -> ::pyo3::PyResult<Option<::pyo3::Bound<'py, ::pyo3::PyAny>>> {
                $crate::coroutine::send(slf, slf.py().None().bind(slf.py())).map(Some)
            }

            /// Make a step; what is sent must be None at first and has no meaning later.
            fn send<'py>(
                slf: &::pyo3::Bound<'py, Self>,
                value: &::pyo3::Bound<'py, ::pyo3::PyAny>,
            ) -> ::pyo3::PyResult<::pyo3::Bound<'py, ::pyo3::PyAny>> {
                $crate::coroutine::send(slf, value)
            }

            /// Raise an exception at the place where it waits.
            #[pyo3(signature = (r#type, value=None, traceback=None, /))]
            fn throw<'py>(
                slf: &::pyo3::Bound<'py, Self>,
                r#type: &::pyo3::Bound<'py, ::pyo3::PyAny>,
                value: Option<&::pyo3::Bound<'py, ::pyo3::PyAny>>,
                traceback: Option<&::pyo3::Bound<'py, ::pyo3::PyAny>>,
            ) -> ::pyo3::PyResult<::pyo3::Bound<'py, ::pyo3::PyAny>> {
                $crate::coroutine::throw(slf, r#type, value, traceback)
            }

            /// End it where it waits.
            fn close(slf: &::pyo3::Bound<'_, Self>) -> ::pyo3::PyResult<()> {
                $crate::coroutine::close(slf)
            }

            #[getter]
            fn __name__(&self, py: ::pyo3::Python<'_>) -> &'static str {
                let name = $crate::coroutine::NativeCoroutine::qualname(self, py);
                name.rsplit('.').next().unwrap_or(name)
            }

            #[getter]
            fn __qualname__(&self, py: ::pyo3::Python<'_>) -> &'static str {
                $crate::coroutine::NativeCoroutine::qualname(self, py)
            }

            /// Whether a step is being made.
            #[getter]
            fn cr_running(slf: &::pyo3::Bound<'_, Self>) -> bool {
                $crate::coroutine::is_running(slf)
            }

            /// Whether it has begun, and waits.
            #[getter]
            fn cr_suspended(slf: &::pyo3::Bound<'_, Self>) -> bool {
                $crate::coroutine::is_suspended(slf)
            }

            /// A frame of Python's, which it has not: None. Call graphs ask for it.
            #[getter]
            fn cr_frame(&self) -> Option<::pyo3::Py<::pyo3::PyAny>> {
                None
            }

            /// The future that it waits for, or None.
            #[getter]
            fn cr_await(&self, py: ::pyo3::Python<'_>) -> Option<::pyo3::Py<$crate::task::Future>> {
                $crate::coroutine::NativeCoroutine::life(self).awaited(py)
            }

            fn __repr__(slf: &::pyo3::Bound<'_, Self>) -> String {
                let name = $crate::coroutine::NativeCoroutine::qualname(slf.get(), slf.py());
                format!("<coroutine object {name} at {:#x}>", slf.as_ptr() as usize)
            }

            fn __traverse__(&self, visit: ::pyo3::PyVisit<'_>) -> Result<(), ::pyo3::PyTraverseError> {
                $crate::coroutine::NativeCoroutine::life(self).visit(&visit)?;
                $crate::coroutine::NativeCoroutine::visit(self, &visit)
            }

            fn __clear__(slf: &::pyo3::Bound<'_, Self>) {
                $crate::coroutine::release(slf.py(), slf.get());
            }
        }
    };
}

pub(crate) use native_coroutine;
