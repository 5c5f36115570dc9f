//! `Barrier`: so many have to come before all go on. Corresponds to `threading.Barrier` and `asyncio.Barrier`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::barrier::{Answer, Arrival, Barrier as Rules, Request};

use super::call::{wait, wait_soon};
use super::door::Door;
use super::gates::{GateWait, Shared, Shown};
use super::pending::{Limit, Pending, block, limit};
use super::shown::class_named;
use crate::cell::Cell;
use crate::names;
use crate::shared::refuse_coroutine;
use crate::task::WaitReason;

/// Where *parties* threads and tasks meet: each waits until all have come. *action* is called by the last one before
/// anybody leaves; *timeout*: seconds that one waits at most where `wait()` says nothing else.
///
/// Corresponds to `threading.Barrier` and `asyncio.Barrier`.
#[pyclass(frozen, subclass, weakref, module = "tideloop.sync")]
pub struct Barrier {
    gate: Shared<Rules>,
    action: Option<Py<PyAny>>,
    limit: Limit,
}

fn broken(py: Python<'_>) -> PyErr {
    names::shared_broken_barrier(py).map_or_else(|error| error, |class| PyErr::from_type(class.clone(), ()))
}

impl Shown for Rules {
    /// A place, or None for one who can come in.
    fn answered(py: Python<'_>, answer: Answer) -> PyResult<Py<PyAny>> {
        match answer {
            Answer::Passed(place) => Ok(place.into_pyobject(py)?.into_any().unbind()),
            Answer::ComeIn => Ok(py.None()),
            Answer::Broken => Err(broken(py)),
        }
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }

    fn take_back(&mut self, _: Answer) -> Option<Answer> {
        None
    }
}

impl Barrier {
    /// `__enter__`: blocks, whoever calls.
    pub fn enter(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        block(slf.py(), &BarrierWait::new(slf), slf.get().limit)
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (parties, action=None, timeout=None))]
    fn __new__(parties: isize, action: Option<Py<PyAny>>, timeout: Option<f64>) -> PyResult<Self> {
        let Some(parties) = usize::try_from(parties).ok().filter(|parties| *parties > 0) else {
            return Err(PyValueError::new_err("parties must be greater than 0"));
        };
        let gate = Shared::new(Rules::new(parties, action.is_some()));
        Ok(Self { gate, action, limit: limit(timeout)? })
    }

    /// Wait until all have come, at most *timeout* seconds; return this one's place, 0 for who came first. In a task:
    /// await it. Who waits too long breaks the barrier; one who is cancelled has not come. Raises BrokenBarrierError
    /// where it is, or gets, broken. Corresponds to `threading.Barrier.wait` and `asyncio.Barrier.wait`.
    #[pyo3(signature = (timeout=None))]
    fn wait<'py>(slf: &Bound<'py, Self>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        wait(slf.py(), BarrierWait::new(slf), limit(timeout)?.or(slf.get().limit))
    }

    /// As new; whoever waits gets BrokenBarrierError. Corresponds to `threading.Barrier.reset`.
    fn reset(&self, py: Python<'_>) {
        self.gate.change(py, |barrier, _| barrier.reset());
    }

    /// Break it: whoever waits or comes gets BrokenBarrierError. Corresponds to `threading.Barrier.abort`.
    fn abort(&self, py: Python<'_>) {
        self.gate.change(py, |barrier, _| barrier.abort());
    }

    /// How many have to come. Corresponds to `threading.Barrier.parties`.
    #[getter]
    fn parties(&self) -> usize {
        self.gate.look(|barrier, _| barrier.parties())
    }

    /// How many wait. Corresponds to `threading.Barrier.n_waiting`.
    #[getter]
    fn n_waiting(&self) -> usize {
        self.gate.look(|_, waiting| waiting[0])
    }

    /// Whether it is broken. Corresponds to `threading.Barrier.broken`.
    #[getter]
    fn broken(&self) -> bool {
        self.gate.look(|barrier, _| barrier.is_broken())
    }

    /// Wait, blocking the thread; what the block is given is the place.
    fn __enter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Self::enter(slf)
    }

    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _traceback: &Bound<'_, PyAny>) {}

    /// Wait, in a task; what the block is given is the place. Corresponds to asyncio's.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        wait_soon(slf.py(), BarrierWait::new(slf), slf.get().limit)
    }

    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        _kind: &Bound<'py, PyAny>,
        _error: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        super::ready(slf.py())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let state = slf.get().gate.look(|barrier, waiting| {
            if barrier.is_broken() {
                String::from("broken")
            } else {
                format!("waiters={}/{}", waiting[0], barrier.parties())
            }
        });
        Ok(format!("<{} at {:p}: {state}>", class_named(slf.as_any())?, slf.as_ptr()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.action)?;
        self.gate.visit(&visit)
    }
}

/// A wait at the gate, and where one is woken.
type Turn = (Arc<GateWait<Rules>>, Arc<Door>);

/// One wait of one party.
struct BarrierWait {
    barrier: Py<Barrier>,
    turn: Cell<Option<Turn>>,
}

const NO_COROUTINE: &str = "the action of a Barrier returned a coroutine, which nobody awaits";

impl BarrierWait {
    fn new(barrier: &Bound<'_, Barrier>) -> Self {
        Self { barrier: barrier.clone().unbind(), turn: Cell::new(None) }
    }

    fn turn(&self, py: Python<'_>) -> Option<Turn> {
        self.turn.with(py, |turn| turn.clone())
    }

    /// The last one calls the action.
    fn act(&self, py: Python<'_>, round: u64) -> PyResult<Py<PyAny>> {
        let this = self.barrier.get();
        if let Some(action) = &this.action
            && let Err(error) = action.bind(py).call0().and_then(|outcome| refuse_coroutine(outcome, NO_COROUTINE))
        {
            this.gate.change(py, |barrier, _| barrier.abort());
            return Err(error);
        }
        match this.gate.change(py, |barrier, _| barrier.acted(round)) {
            Some(place) => Ok(place.into_pyobject(py)?.into_any().unbind()),
            None => Err(broken(py)),
        }
    }

    fn wait_for(&self, py: Python<'_>, door: &Arc<Door>, request: Request) -> PyResult<Option<Py<PyAny>>> {
        let barrier = self.barrier.bind(py);
        let wait = barrier.get().gate.wait(barrier.as_any(), "Barrier.wait", WaitReason::Barrier, request);
        let turn = Arc::new(wait);
        drop(self.turn.with(py, |place| place.replace((Arc::clone(&turn), Arc::clone(door)))));
        turn.enter(py, door)
    }
}

impl Pending for BarrierWait {
    fn qualname(&self) -> &'static str {
        "Barrier.wait"
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        (WaitReason::Barrier, self.barrier.bind(py).clone().into_any())
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let arrival = self.barrier.get().gate.change(py, |barrier, waiting| barrier.arrive(waiting[0]));
            let request = match arrival {
                Arrival::Broken => return Err(broken(py)),
                Arrival::Passed(place) => return Ok(Some(place.into_pyobject(py)?.into_any().unbind())),
                Arrival::Acts(round) => return self.act(py, round).map(Some),
                Arrival::Waits(request) => request,
            };
            match self.wait_for(py, door, request)? {
                Some(answer) if answer.is_none(py) => {}
                answer => return Ok(answer),
            }
        }
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some((turn, door)) = self.turn(py) else { return Ok(None) };
        match turn.look(py)? {
            Some(answer) if answer.is_none(py) => self.enter(py, &door),
            answer => Ok(answer),
        }
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some((turn, _)) = self.turn(py) {
            let answer = turn.expire(py)?;
            if !answer.is_none(py) {
                return Ok(answer);
            }
        }
        self.barrier.get().gate.change(py, |barrier, _| barrier.abort());
        Err(broken(py))
    }

    fn give_up(&self, py: Python<'_>) {
        if let Some((turn, _)) = self.turn(py) {
            turn.give_up(py);
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.barrier)?;
        let turn = self.turn.during_gc(|turn| turn.as_ref().map_or(Ok(()), |(turn, _)| turn.visit(visit)));
        turn.unwrap_or(Ok(()))
    }
}
