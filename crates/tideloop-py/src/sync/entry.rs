//! `async with`, up to 3.13: what its two methods give. From 3.14 on the interpreter calls them without binding first.
//!
//! `async with lock` looks `__aenter__` and `__aexit__` up, which makes a bound method each, and calls them, which makes
//! a coroutine each. Here the bound method becomes the coroutine when it is called, if nobody else refers to it.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::owner::{Owner, Subject};
use super::steps::{Op, Steps};
use crate::cell::{Cell, Slot};
use crate::coroutine::{Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::slots;
use crate::slots::coroutine::create;

/// How a bound method is called: in each object, because that is where the interpreter looks.
pub struct CalledBy(#[expect(dead_code, reason = "the interpreter reads it")] pub ffi::vectorcallfunc);

/// A bound `__aenter__` or `__aexit__`, and the coroutine that it becomes.
#[pyclass(frozen, module = "tideloop._native")]
pub struct EntryCall {
    called_by: CalledBy,
    life: Life,
    steps: Steps,
    /// A method that was called before may be called again, for another coroutine.
    called: Cell<bool>,
}

impl EntryCall {
    /// Bytes from the start of the contents to the function that calls it.
    pub const CALLED_BY: usize = std::mem::offset_of!(Self, called_by);

    /// A bound method.
    #[inline]
    pub fn create<'py>(py: Python<'py>, op: Op, subject: Subject<'py>) -> PyResult<Bound<'py, Self>> {
        let steps = Steps::new(op, Owner::holding(subject), Slot::EMPTY);
        create(
            py,
            Self { called_by: CalledBy(slots::entries::CALL), life: Life::ended(), steps, called: Cell::new(false) },
        )
    }

    /// With how many arguments it is called.
    pub fn arguments(&self, py: Python<'_>) -> usize {
        if self.steps.op(py) == Op::Enter { 0 } else { 3 }
    }

    /// What a call returns: itself, if it was not called before and nobody else can call it; else a new coroutine.
    #[inline]
    pub fn call<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        let entry = slf.get();
        if slots::entries::is_held_once(slf) && !entry.called.with(py, |called| std::mem::replace(called, true)) {
            entry.life.begin_anew(py);
            return Ok(slf.clone());
        }
        let (op, subject) = entry.steps.subject(py);
        let Some(subject) = subject else {
            return Err(pyo3::exceptions::PyRuntimeError::new_err("the method was taken apart"));
        };
        let other = Self::create(py, op, subject)?;
        other.get().called.with(py, |called| *called = true);
        other.get().life.begin_anew(py);
        Ok(other)
    }
}

impl NativeCoroutine for EntryCall {
    const KEEPS_AT_END: bool = true;

    fn blank() -> Self {
        Self {
            called_by: CalledBy(slots::entries::CALL),
            life: Life::ended(),
            steps: Steps::new(Op::Exit, Owner::Nobody, Slot::EMPTY),
            called: Cell::new(false),
        }
    }

    #[inline]
    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, py: Python<'_>) -> &'static str {
        self.steps.qualname(py)
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        slf.get().steps.run(slf.py(), resumed)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.steps.visit(visit)
    }

    /// At its end as an object: the method may be called again after the coroutine has ended.
    #[inline]
    fn clear(&self, py: Python<'_>) {
        self.steps.clear(py);
    }
}

native_coroutine!(EntryCall);

/// The descriptor that stands for `__aenter__` or `__aexit__` in a class.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Entrance {
    op: Op,
    /// The class that it is in, by its address, and of which kind that is.
    class: usize,
    kind: Kind,
}

/// What a class with such a method derives from.
#[derive(Clone, Copy)]
pub enum Kind {
    Lock,
    Semaphore,
    Condition,
}

impl Entrance {
    pub fn new(op: Op, class: &Bound<'_, PyType>, kind: Kind) -> Self {
        Self { op, class: class.as_ptr() as usize, kind }
    }

    /// What an object of the class at this address is, if the method is that class's own.
    #[inline]
    pub fn kind_of(&self, class: usize) -> Option<Kind> {
        (class == self.class).then_some(self.kind)
    }

    #[inline]
    pub fn op(&self) -> Op {
        self.op
    }
}

#[pymethods]
impl Entrance {
    /// The raw slot stands in for this as soon as the type is made.
    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = owner;
        slots::entries::bind(slf, instance)
    }

    #[pyo3(signature = (instance, /, *args))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slots::entries::bind(slf, instance)?.call1(args)
    }

    #[getter]
    fn __name__(&self) -> &'static str {
        if self.op == Op::Enter { "__aenter__" } else { "__aexit__" }
    }

    #[getter]
    fn __doc__(&self) -> &'static str {
        if self.op == Op::Enter { "acquire(), for `async with`." } else { "release(), for `async with`." }
    }
}
