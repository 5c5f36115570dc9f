//! `Once`: something that is done once, by whichever thread or task comes first.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::once::{Answer, Once as Rules};

use super::call::wait;
use super::door::Door;
use super::gates::{Accepted, GateWait, Shared, Shown};
use super::here::{Here, here};
use super::owner::{Me, Owner};
use super::pending::{Pending, block};
use super::shown::class_named;
use crate::cell::{Cell, Slot};
use crate::names;
use crate::observe::{By, OwnTag, Tagged, Watched};
use crate::shared::refuse_coroutine;
use crate::task::WaitReason;

/// Something that threads and tasks do once: who comes first does it, and all others get the result.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Once {
    gate: Shared<Rules>,
    inner: Cell<Inner>,
    tag: Arc<OwnTag>,
}

struct Inner {
    /// Who has the turn.
    runner: Owner,
    result: Slot,
}

/// The turn to do it. One that is dropped before it is done leaves it undone.
#[pyclass(frozen, module = "tideloop._native")]
pub struct OnceTurn {
    gate: Shared<Rules>,
    ended: Cell<bool>,
}

impl OnceTurn {
    fn finish(&self, py: Python<'_>, done: bool) {
        if !self.ended.with(py, |ended| std::mem::replace(ended, true)) {
            self.gate.change(py, |once, _| once.end(done));
        }
    }
}

impl Drop for OnceTurn {
    fn drop(&mut self) {
        Python::attach(|py| self.finish(py, false));
    }
}

impl Shown for Rules {
    fn answered(py: Python<'_>, _: Answer) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }

    fn accept(gate: &Shared<Self>, py: Python<'_>, answer: Answer) -> PyResult<Accepted<Self>> {
        match answer {
            Answer::Done => Ok(Ok(py.None())),
            Answer::Turn => {
                let turn = OnceTurn { gate: gate.clone(), ended: Cell::new(false) };
                Ok(Ok(Py::new(py, turn)?.into_any()))
            }
        }
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }

    fn take_back(&mut self, answer: Answer) -> Option<Answer> {
        if answer == Answer::Turn {
            self.end(false);
        }
        None
    }
}

const NOT_FOR_ALL: &str =
    "the function given to call() returned a coroutine, which a thread cannot await: call it in a task";

impl Once {
    fn pending(slf: &Bound<'_, Self>) -> OnceWait {
        let turn = slf.get().gate.wait(slf.as_any(), "Once.call", WaitReason::Event, ());
        OnceWait { once: slf.clone().unbind(), turn }
    }

    /// Whoever has the turn would wait for itself.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let me = Me::now(py)?;
        if self.inner.with(py, |inner| inner.runner.is(&me)) {
            return Err(PyRuntimeError::new_err("call() of a Once inside of what it calls"));
        }
        Ok(())
    }

    /// The turn of whoever calls begins.
    fn begin(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.set_runner(py, Owner::of(&Me::now(py)?));
        this.tag.0.taken(slf.as_any(), By::Awaiting);
        Ok(())
    }

    fn set_runner(&self, py: Python<'_>, runner: Owner) {
        let mut before = self.inner.with(py, |inner| std::mem::replace(&mut inner.runner, runner));
        drop(before.take_task());
    }
}

#[pymethods]
impl Once {
    #[new]
    fn __new__() -> Self {
        let inner = Inner { runner: Owner::NONE, result: Slot::EMPTY };
        Self { gate: Shared::new(Rules::default()), inner: Cell::new(inner), tag: Arc::default() }
    }

    /// Whether it is done.
    #[getter]
    fn done(&self) -> bool {
        self.gate.look(|once, _| *once == Rules::Done)
    }

    /// Call `function(*args, **kwargs)`, unless that has been done, and return the result; who comes meanwhile waits.
    /// In a task: await it, and the function may be a coroutine function. An exception is raised to the caller alone
    /// and leaves it undone: the next one calls its function.
    #[pyo3(signature = (function, /, *args, **kwargs))]
    fn call<'py>(
        slf: &Bound<'py, Self>,
        function: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        if !matches!(here(py)?, Here::Thread) {
            let kwargs = kwargs.map_or_else(|| PyDict::new(py), Clone::clone);
            return names::call_once(py)?.call1((slf, function, args, kwargs));
        }
        this.check(py)?;
        let turn = block(py, &Self::pending(slf), None)?.into_bound(py);
        let Ok(turn) = turn.cast_into::<OnceTurn>() else { return Ok(this._result(py).into_bound(py)) };
        Self::begin(slf)?;
        let outcome = function.call(args, kwargs).and_then(|result| refuse_coroutine(result, NOT_FOR_ALL));
        this._end(py, &turn, outcome.is_ok(), outcome.as_ref().ok().map(|result| result.clone().unbind()));
        outcome
    }

    /// The turn, or None: it is done. For `tideloop._doors`.
    fn _turn<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().check(slf.py())?;
        wait(slf.py(), Self::pending(slf), None)
    }

    /// The turn begins.
    fn _begin(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::begin(slf)
    }

    /// The turn has ended, with a result, or without.
    #[pyo3(signature = (turn, done, result=None))]
    fn _end(&self, py: Python<'_>, turn: &Bound<'_, OnceTurn>, done: bool, result: Option<Py<PyAny>>) {
        let _displaced = self.tag.0.left(py);
        self.set_runner(py, Owner::NONE);
        drop(self.inner.with(py, |inner| inner.result.replace(result)));
        turn.get().finish(py, done);
    }

    fn _result(&self, py: Python<'_>) -> Py<PyAny> {
        self.inner.with(py, |inner| inner.result.cloned(py)).unwrap_or_else(|| py.None())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (state, waiting) = slf.get().gate.look(|once, waiting| (*once, waiting[0]));
        let state = match state {
            Rules::Undone => "undone",
            Rules::Running => "running",
            Rules::Done => "done",
        };
        Ok(format!("<{} at {:p}: {state}, {waiting} waiting>", class_named(slf.as_any())?, slf.as_ptr()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.inner.during_gc(|inner| {
            inner.runner.visit(&visit)?;
            inner.result.visit(&visit)
        });
        visited.unwrap_or(Ok(()))?;
        self.gate.visit(&visit)
    }

    fn __clear__(&self) {
        Python::attach(|py| {
            let (mut runner, result) =
                self.inner.with(py, |inner| (std::mem::replace(&mut inner.runner, Owner::NONE), inner.result.take()));
            drop((runner.take_task(), result));
        });
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.tag.0.dropped();
        let inner = self.inner.get_mut();
        drop((inner.runner.take_task(), inner.result.take()));
    }
}

/// One wait until it is done, or until it is one's turn.
pub struct OnceWait {
    once: Py<Once>,
    turn: GateWait<Rules>,
}

impl Pending for OnceWait {
    fn qualname(&self) -> &'static str {
        self.turn.qualname()
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        self.turn.reason(py)
    }

    fn attempt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.turn.attempt(py)
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        self.turn.enter(py, door)
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.turn.look(py)
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.turn.expire(py)
    }

    fn give_up(&self, py: Python<'_>) {
        self.turn.give_up(py);
    }

    fn watched<'py>(&self, py: Python<'py>) -> Option<Watched<'py>> {
        let tag: Arc<dyn Tagged> = self.once.get().tag.clone();
        let object = self.once.bind(py).clone().into_any();
        Some(Watched { object, tag, seat: self.turn.seat(py)?, shared: false, may_leave: true })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.once)?;
        self.turn.visit(visit)
    }
}
